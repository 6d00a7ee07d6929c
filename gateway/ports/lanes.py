"""The lanes' state that outlives a process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from gateway.core.audit import Act
from gateway.core.model import lane_name

Holder = Literal["operator", "misconfigured"]
"""Who holds: a person, or a relay whose vendor rejects the configuration."""

Trouble = Literal["", "failing", "accused"]
"""`failing`: nothing reaches the vendor, or the vendor cannot serve. `accused`: the vendor rejects
single targets, and others are fine."""


State = Literal["open", "held", "failing", "paused", "quiet", "doubted"]
"""`paused`: by a person. `held`: the vendor rejects the configuration. `failing`: nothing reaches
the vendor, or it cannot serve. `quiet`: the vendor asked for silence. `doubted`, of no lane: it may
not be what it was."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a part stands, for people: its state, why, what to do about it, and its times. An `open`
    one has a reason while single targets of it are accused."""

    state: State
    reason: str = ""
    hint: str = ""
    since: float | None = None
    until: float | None = None


def quiet(lane: str, reason: str, until: float) -> Standing:
    """How the lane of this name stands, whose vendor asked for silence in these words."""
    words = f": {reason}" if reason else ""
    hint = f"It ends by itself; `inkpush lanes resume {lane}` ends it at once."
    return Standing("quiet", f"the vendor asked for silence{words}", hint, until=until)


@dataclass(frozen=True, slots=True)
class PartRow:
    """A part of a lane as the store knows it.

    `held`, with reason, hint and time, is the hold in force; `resumed_at` is when a person last
    resumed the part. Relays report `trouble`, `errors` (the recent share of failed attempts),
    `waiting` (queued for the part, or in memory) and `seen_at`: with several, the last writer wins.
    """

    part: str
    held: Literal["", "operator", "misconfigured"] = ""
    reason: str = ""
    hint: str = ""
    held_at: float | None = None
    resumed_at: float | None = None
    trouble: Trouble = ""
    trouble_reason: str = ""
    trouble_hint: str = ""
    trouble_at: float | None = None
    errors: float = 0.0
    waiting: int = 0
    seen_at: float | None = None


@dataclass(frozen=True, slots=True)
class LaneRow:
    """A lane as the store knows it: what a person or the relay decided about it.

    `held` is a hold of the whole lane: by a person, or by a relay of an earlier version, which knew
    no parts. `brake_at` is set while the prune brake is on. `rate` is the limit in force for all
    relays together (pushes per second, 0 none), `quiet_until` the end of the vendor's back-off, and
    `quiet_reason` what it said.
    `errors`, `waiting` and `seen_at` are as in `PartRow`. Relays write them for people; the metrics
    are complete.
    """

    app: str
    provider: str
    held: Literal["", "operator", "misconfigured"] = ""
    reason: str = ""
    hint: str = ""
    held_at: float | None = None
    resumed_at: float | None = None
    brake_at: float | None = None
    held_back: int = 0
    rate: float = 0.0
    quiet_until: float | None = None
    quiet_reason: str = ""
    errors: float = 0.0
    waiting: int = 0
    seen_at: float | None = None
    parts: tuple[PartRow, ...] = ()

    @property
    def part_names(self) -> tuple[str, ...]:
        """The parts that are known; "" stands for the lane where none is."""
        return tuple(part.part for part in self.parts) or ("",)

    def part(self, name: str) -> PartRow:
        """A part by its name; an unknown one is open."""
        return next((one for one in self.parts if one.part == name), PartRow(name))

    def let_go_at(self, name: str) -> float | None:
        """When a person last let a part go, by its own name or with the whole lane."""
        times = [at for at in (self.resumed_at, self.part(name).resumed_at) if at is not None]
        return max(times, default=None)

    def standing(self, name: str, now: float) -> Standing:
        """How a part stands: a person's pause first, then what stops it most."""
        part = self.part(name)
        for held, state in _HOLDS:
            for row in (self, part):
                if row.held == held:
                    return Standing(state, row.reason, row.hint, row.held_at)
        told = (part.trouble_reason, part.trouble_hint, part.trouble_at)
        if part.trouble == "failing":
            return Standing("failing", *told)
        if self.quiet_until is not None and self.quiet_until > now:
            name = lane_name(self.app, self.provider)
            return quiet(name, self.quiet_reason, self.quiet_until)
        return Standing("open", *told)


_HOLDS: tuple[tuple[Holder, State], ...] = (("operator", "paused"), ("misconfigured", "held"))


class Lanes(Protocol):
    """The lanes' state that outlives a process and can be changed from any of them.

    `part` "" is the lane as a whole.
    """

    async def all(self) -> list[LaneRow]:
        """Every lane that was ever seen, with its parts."""

    async def hold(
        self,
        app: str,
        provider: str,
        part: str,
        *,
        by: Holder,
        reason: str,
        hint: str = "",
        now: float,
        act: Act | None = None,
    ) -> None:
        """Stop a part, or the whole lane. An operator's hold is not overwritten by a relay's."""

    async def resume(
        self,
        app: str,
        provider: str,
        part: str,
        *,
        by: Literal["operator", "relay"],
        now: float,
        act: Act | None = None,
    ) -> bool:
        """Let a part go, or the whole lane with all of its parts. A relay cannot lift an operator's
        hold. An operator's word also ends a quiet time and clears what single targets are accused
        of; relays follow it at once. False: there was nothing to lift."""

    async def trip_brake(self, app: str, provider: str, *, now: float) -> None:
        """Stop pruning for this lane until a person releases it."""

    async def release(
        self,
        app: str,
        provider: str,
        *,
        now: float,
        discard: bool = False,
        act: Act | None = None,
    ) -> int:
        """Release the brake, begin to count anew, and carry out the removals that it held back, by
        the same proof; or `discard` them, if the proof came of a fault. Returns how many went."""

    async def report(self, rows: Sequence[LaneRow]) -> None:
        """Write a relay's reports of its lanes and their parts."""
