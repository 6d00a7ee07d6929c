"""What must hold of the two environments of a vendor: which one a push goes to."""

from __future__ import annotations

from dataclasses import dataclass, field

from providers.contract import Delivered, Refused, Verdict
from tests.simulation.invariants.findings import Findings
from tests.simulation.truth import Key

_NOTED_S = 2.0
"""How long it may take until it is on record which environment took a push."""


@dataclass(slots=True)
class _Taken:
    """Where a push to an address was taken, since when it goes there, and when it was begun."""

    part: str
    at: float
    began_at: float


@dataclass(slots=True)
class _Trial:
    """The environments that one delivery went to. `strangers` do not know its address, of those
    that answered one after the other."""

    first: str
    strangers: set[str] = field(default_factory=set)


class EnvironmentInvariants:
    """Told of pushes and verdicts; `part` is where a push goes."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._truth = findings.truth
        self._taken: dict[str, _Taken] = {}
        self._trials: dict[Key, _Trial] = {}

    def started(self, key: Key, address: str, part: str, begun_at: float) -> None:
        """A push leaves; its chunk was begun then."""
        story = self._findings.deliveries[key]
        trial = None if story.began_anew else self._trials.get(key)
        story.began_anew = False
        if trial is None:
            self._trials[key] = _Trial(part)
            self._is_kept(key, address, part, begun_at)
        elif len(trial.strangers) > 1 and not self._findings.is_shaken(self._began(key)):
            text = f"{key} goes to {part}, and no environment knows its address"
            self._findings.broken("environment_is_kept", text)

    def heard(self, key: Key, address: str, part: str, verdict: Verdict) -> None:
        """A verdict comes."""
        trial = self._trials[key]
        if isinstance(verdict, Refused) and verdict.fault == "environment":
            trial.strangers.add(part)
            return
        trial.strangers.clear()
        if isinstance(verdict, Delivered):
            known = self._taken.get(address)
            if known is None or known.part != part:
                self._taken[address] = _Taken(part, self._truth.now, self._began(key))

    def _is_kept(self, key: Key, address: str, part: str, begun_at: float) -> None:
        """Where a push was taken the next one goes first, unless the app said otherwise since."""
        taken = self._taken.get(address)
        if taken is None or taken.part == part or begun_at < taken.at + _NOTED_S:
            return
        last = self._truth.addresses[address].changes[-1]
        is_said_before = last.answered_at is not None and last.answered_at < taken.began_at
        if is_said_before and not self._findings.is_shaken(taken.at):
            text = f"{key} goes to {part} first, and {taken.part} takes its address"
            self._findings.broken("environment_is_kept", text)

    def _began(self, key: Key) -> float:
        return self._findings.deliveries[key].began_at
