"""What must hold of the parts of lanes: when one is held, failing or paused, and when it is not.

Owns what each vendor said to each process about each part. It is held against what the process
tells people: the events of a hold, of a failure and of their ends.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from providers.contract import Delivered, Misconfigured, Unavailable, Verdict
from tests.simulation.invariants.findings import SLACK_S, Findings
from tests.simulation.truth import Key

Word = Literal["taken", "part accused", "target accused", "other"]
Name = tuple[str, str, str]
"""A part as one process sees it: the process with its life, the lane, the part."""

_TRUSTED_S = 60.0
_ANSWERS = 20
"""One success speaks for a part for so long, and outweighs so many answers without one."""
_NEVER = float("-inf")


class _Answer(NamedTuple):
    """What a vendor said, when, and about which device."""

    at: float
    device_id: int
    word: Word


class _Alone(NamedTuple):
    """A delivery was accused: when its push started, when it was accused, and until when it waits
    alone."""

    started: float
    at: float
    until: float


@dataclass(slots=True)
class _Part:
    """What is known of one part in one process."""

    #: the answers to pushes by the transport that is in use
    answers: list[_Answer] = field(default_factory=list)
    transport: object = None
    in_flight: int = 0
    #: since when it is held or failing, and when either last changed
    held_at: float | None = None
    failing_at: float | None = None
    changed_at: float = _NEVER
    #: since when pushes were tried and none was answered, how many ended so, and when the
    #: second did
    silent_since: float | None = None
    silent_tries: int = 0
    second_at: float = _NEVER

    def last(self, *words: Word) -> float:
        """When the vendor last said one of these; without any, when it last said anything."""
        said = (one.at for one in reversed(self.answers) if not words or one.word in words)
        return next(said, _NEVER)

    def accused(self, now: float, since: float = _NEVER) -> set[int]:
        """The devices that are accused since then. What is said at this very moment may be read in
        any order, so that it clears nobody."""
        devices: set[int] = set()
        for at, device_id, word in self.answers:
            if word.endswith("accused"):
                if at > since:  # what was said before a person's resume is forgotten
                    devices.add(device_id)
            elif at < now:
                devices.discard(device_id)
        return devices


class PartInvariants:
    """Told of pushes, verdicts, and what a process says about its parts."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._truth = findings.truth
        self._sizes = findings.sizes
        self._broken = findings.broken
        self._parts: dict[Name, _Part] = {}
        self._alone: dict[tuple[Name, Key], _Alone] = {}

    # --- pushes and verdicts --------------------------------------------------------------------

    def started(self, name: Name, key: Key) -> None:
        """A push leaves."""
        part, now = self._of(name), self._truth.now
        part.in_flight += 1
        if part.silent_since is None:
            part.silent_since = now
        self._waits_alone(name, part, key, now)
        self._paused_is_quiet(name, now)

    def heard(self, name: Name, key: Key, verdict: Verdict, transport: object | None) -> None:
        """A verdict comes; `transport` is None if another one has replaced the push's."""
        part, now = self._of(name), self._truth.now
        part.in_flight -= 1
        if isinstance(verdict, Unavailable) and not verdict.is_answer:
            part.silent_tries += transport is not None
            if part.silent_tries == 2:  # one lost push proves nothing
                part.second_at = now
            elif not part.silent_tries:  # a transport that was replaced says nothing of the new one
                part.silent_since = None
        else:
            part.silent_since, part.silent_tries = None, 0
        if transport is None or isinstance(verdict, Unavailable):
            return
        if transport is not part.transport:
            part.transport, part.answers = transport, []
        word = _word(verdict)
        part.answers.append(_Answer(now, key[2], word))
        if word.endswith("accused") and part.held_at is None:
            started = self._findings.deliveries[key].in_flight.get(name[0], now)
            self._alone[name, key] = _Alone(started, now, now + self._sizes.probe_s)

    def probes(self, name: Name, device_id: int, others: set[int]) -> None:
        """A push leaves, while these other devices have one in memory that may go, too."""
        part, now = self._parts[name], self._truth.now
        if part.held_at is None or any(who == name[0] for who, _ in self._findings.quiet):
            return
        accused = part.accused(now, since=self._findings.followed_at(name[1]))
        # what a key says of the other environment takes the device out of service, and no part
        blamed = accused - self._findings.faltered.keys()
        if device_id in blamed and others - accused:
            text = f"{_told(name)} is probed with device {device_id}, which is accused"
            self._broken("probe", text)

    def _waits_alone(self, name: Name, part: _Part, key: Key, now: float) -> None:
        """Who was accused alone waits as long as a probe would."""
        alone = self._alone.pop((name, key), None)
        if alone is None:
            return
        is_excused = part.changed_at >= alone.at or self._findings.is_shaken(alone.at)
        # what was in hand is dropped then, and what its vendor says afterwards is not put on record
        is_excused = is_excused or self._findings.time_moved_at >= alone.started
        if now < alone.until - SLACK_S and not is_excused:
            text = f"{key} was accused, and is sent {alone.until - now:.2f} s early"
            self._broken("asked_wait", text)

    def _paused_is_quiet(self, name: Name, now: float) -> None:
        paused_at = self._findings.paused.get(name[1], now)
        followed_at = paused_at + self._sizes.follow_s + 1.5
        if now > followed_at and not self._findings.is_shaken(paused_at):
            text = f"{_told(name)} sends, and a person paused it at {paused_at:.2f}"
            self._broken("paused_is_quiet", text)

    # --- what a process says --------------------------------------------------------------------

    def held(self, name: Name) -> None:
        """A process holds a part."""
        part, now = self._of(name), self._truth.now
        part.held_at = part.changed_at = now
        accusing = {one.word for one in part.answers if one.at == now}
        accusing -= {"taken", "other"}
        if not accusing:
            self._broken("held_by_rule", f"{_told(name)} is held, and nobody accused it")
        elif accusing == {"target accused"} and len(part.accused(now)) < 2:
            self._broken("held_by_rule", f"{_told(name)} is held for one target")
        elif why := self._what_speaks_for(name, part, now):
            self._broken("held_by_rule", f"{_told(name)} is held, {why}")

    def resumed(self, name: Name) -> None:
        """A process says that a part goes on."""
        part = self._of(name)
        part.held_at, part.changed_at = None, self._truth.now

    def fails(self, name: Name) -> None:
        """A process says that a part does not reach its vendor."""
        self._of(name).failing_at = self._truth.now

    def reached(self, name: Name) -> None:
        """A process says that a part reaches its vendor again."""
        self._of(name).failing_at = None

    def _what_speaks_for(self, name: Name, part: _Part, now: float) -> str:
        """What forbids to hold a part, of all that was said until a moment ago."""
        taken = [one.at for one in part.answers if one.word == "taken" and one.at < now]
        taken_at = max(taken, default=_NEVER)
        if sum(one.at >= taken_at and one.word != "taken" for one in part.answers) >= _ANSWERS:
            return ""
        if part.in_flight:
            return f"and {part.in_flight} pushes of it have no answer yet"
        # a person's word makes it forget what was taken until then
        is_known = taken_at > self._findings.followed_at(name[1])
        if is_known and now - taken_at < _TRUSTED_S - SLACK_S:
            return f"and a push was taken {now - taken_at:.2f} s ago"
        return ""

    # --- now and then ---------------------------------------------------------------------------

    def look(self, name: Name, state: str, *, is_reached: bool) -> None:
        """The state that a process shows of a part, now; `is_reached`: there is a way to it."""
        part = self._of(name)
        self._is_open(name, part, state)
        if is_reached:
            part.silent_since, part.silent_tries = None, 0
        else:
            self._is_told(name, part)

    def _is_open(self, name: Name, part: _Part, state: str) -> None:
        """What is over is not shown any more."""
        taken_at = part.last("taken")
        if state == "held" and (part.held_at is None or taken_at > part.held_at):
            self._broken("part_is_open", f"{_told(name)} is held, taken from at {taken_at:.2f}")
        answered_at = part.last()
        if state == "failing" and answered_at > (part.failing_at or _NEVER):
            self._broken("part_is_open", f"{_told(name)} fails, answered at {answered_at:.2f}")

    def _is_told(self, name: Name, part: _Part) -> None:
        """A vendor that nothing reaches for long is told of."""
        now, since = self._truth.now, part.silent_since
        if since is None or part.silent_tries < 2 or part.failing_at is not None:
            return
        proven_at = max(since + self._sizes.silent_s, part.second_at, self._findings.thawed_at)
        if now > proven_at + 2 * self._sizes.watch_s + 1.0:
            text = f"{_told(name)} has reached nothing since {since:.2f}, and says nothing"
            self._broken("trouble_is_told", text)

    def _of(self, name: Name) -> _Part:
        return self._parts.setdefault(name, _Part())


def _word(verdict: Verdict) -> Word:
    match verdict:
        case Delivered():
            return "taken"
        case Misconfigured(about="part"):
            return "part accused"
        case Misconfigured():
            return "target accused"
        case _:
            return "other"


def _told(name: Name) -> str:
    who, lane, part = name
    return f"{lane}/{part} of {who}"
