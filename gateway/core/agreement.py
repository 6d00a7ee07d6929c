"""Which time it is: what the machine's clock says, what witnesses say, and who is believed.

Pure. Owns the rules, and knows neither a clock nor a witness. A time is kept as its *lead*: how far
it is ahead of the monotonic clock. A lead does not change while time passes, so what was said at
different moments can be compared, and the time in force runs on by the monotonic clock alone: a
wall clock that is put wrong moves nothing until somebody has confirmed it.

- The database is believed. Else the wall clock is, when a witness agrees with it; else two
  witnesses that agree with each other. Only the database or two witnesses set another time.
- Nobody is believed at the start, nor after the wall clock moved by over a minute: the time is
  *doubted*. So it is when a witness contradicts, and none agrees.
- Until somebody has spoken, a wall clock that moves is followed, and doubted as before: at the
  start of a machine it is set late, and the first time that it shows is worth no more.
- A wall clock that comes back to the time in force needs no other witness.
- A process that stood still for over a minute doubts, too: both clocks may have been moved.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

AGREE_S = 60.0
"""Times that are no further apart agree, and a clock that moves by no more was corrected."""
FINE_S = 2.0
"""A time that is set is left alone while it is no further from what the witness said."""
KEEP_S = 3600.0
"""How long what a witness said counts: a monotonic clock drifts by less than a second meanwhile."""
DATABASE = "the database"
"""The witness that is believed alone."""

Doubt = Literal["", "unconfirmed", "stepped", "contradicted"]
"""Why the time is doubted; "": it is not."""


class Said(NamedTuple):
    """What a witness said at a moment (monotonic): the true lead lies between these."""

    at: float
    low: float
    high: float

    def is_near(self, lead: float, within: float = AGREE_S) -> bool:
        """Whether another lead is within so many seconds of it."""
        return self.low - within <= lead <= self.high + within

    def agrees(self, other: Said) -> bool:
        """Whether two witnesses say the same."""
        return self.low - AGREE_S <= other.high and other.low - AGREE_S <= self.high

    @property
    def middle(self) -> float:
        return (self.low + self.high) / 2

    @property
    def width(self) -> float:
        return self.high - self.low


@dataclass(frozen=True, slots=True)
class Correction:
    """The time in force was moved `by` seconds. What was dated between `since` and `until`, by the
    time before, is off by as much."""

    since: float
    until: float
    by: float


class Agreement:
    """The time in force, and whether it is doubted. All moments are of one monotonic clock."""

    def __init__(self, wall: float, now: float) -> None:
        self._wall = self.lead = wall - now
        self.doubt: Doubt = "unconfirmed"
        """Why the time is doubted."""
        self.by = ""
        """Who was believed last."""
        self._doubted_at = now
        #: the wall clock's lead when it was last believed, or another time was set against it
        self._trusted: float | None = None
        #: the time in force was agreed once, and runs on
        self._carried = False
        #: both clocks went on by over a minute at once: the process stood still, or both were moved
        self._stood = False
        self.looked_at = now
        """When the wall clock was last looked at."""
        self._follows = True
        self._said: dict[str, Said] = {}
        self._accepted: float | None = None
        self._began_at = now
        self.steps = 0
        """How often the wall clock was moved since nobody is believed: all is asked anew."""

    # --- what it is -----------------------------------------------------------------------------

    @property
    def offset(self) -> float:
        """How far the time in force is ahead of the wall clock."""
        return self.lead - self._wall

    @property
    def since(self) -> float:
        """From when on what was dated can be compared with the time in force: without end, once a
        time was agreed, for that runs on; else from the start, by a clock that nobody knows."""
        return (
            -math.inf if self._carried or self._trusted is not None else self._began_at + self.lead
        )

    @property
    def doubted_since(self) -> float:
        """When the doubt of now began, by the time in force."""
        return self._doubted_at + self.lead

    @property
    def said(self) -> dict[str, float]:
        """How far each witness is ahead of the wall clock."""
        return {who: said.middle - self._wall for who, said in self._said.items()}

    # --- what happens ---------------------------------------------------------------------------

    def look(self, wall: float, now: float) -> Correction | None:
        """The wall clock was looked at. Call it every second or so."""
        before, self._wall = self._wall, wall - now
        stood, self.looked_at = now - self.looked_at > AGREE_S, now
        if self._trusted is not None and (stood or abs(self._wall - self._trusted) > AGREE_S):
            self._trusted = None
            self._follows = False
            self._carried, self._stood = True, stood
            self._begin_doubt("stepped", now)
        if self._trusted is None and (stood or abs(self._wall - before) > AGREE_S):
            # Where the machine was paused, the monotonic clock stood still: what was said before
            # cannot be carried over that.
            self._said.clear()
            self.steps += 1
            self._follows = self.doubt == "unconfirmed" or abs(self._wall - self.lead) <= AGREE_S
        correction = None
        if self._follows:
            correction = self._moved(self._wall, self._doubted_at, now)
        return self._judge(now) or correction

    def hear(self, witness: str, low: float, high: float, now: float) -> Correction | None:
        """A witness says that it is between these two times (epoch seconds) now."""
        self._said[witness] = Said(now, low - now, high - now)
        return self._judge(now)

    def accept(self, now: float) -> Correction | None:
        """A person says that the wall clock is right. That holds until it moves."""
        self._accepted = self._wall
        return self._judge(now)

    # --- inside ---------------------------------------------------------------------------------

    def _judge(self, now: float) -> Correction | None:
        said = {who: one for who, one in self._said.items() if now - one.at <= KEEP_S}
        self._said = said
        database = said.get(DATABASE)
        if database is not None:
            if database.is_near(self._wall, FINE_S):
                return self._believe(DATABASE, self._wall, now)
            return self._set(DATABASE, database, now)
        if self._accepted is not None and abs(self._wall - self._accepted) <= AGREE_S:
            return self._believe("a person", self._wall, now)
        for who, one in said.items():
            if one.is_near(self._wall):
                return self._believe(who, self._wall, now)
        if (pair := _pair(said)) is not None:
            who, one = pair
            return self._set(who, one, now)
        is_carried = self._carried and not self._stood
        if self._trusted is None and is_carried and abs(self._wall - self.lead) <= AGREE_S:
            return self._believe("the time before", self._wall, now)
        if self._trusted is None and self.doubt != "contradicted" and said:
            self._contradict(now)
        elif self._trusted is not None and said:
            if any(one.is_near(self.lead) for one in said.values()):
                self.doubt = ""
            else:
                self._contradict(now)
        return None

    def _contradict(self, now: float) -> None:
        if not self.doubt:
            self._begin_doubt("contradicted", now)
        self.doubt = "contradicted"

    def _begin_doubt(self, doubt: Doubt, now: float) -> None:
        if not self.doubt:
            self._doubted_at = now
        self.doubt = doubt

    def _set(self, who: str, said: Said, now: float) -> Correction | None:
        """Go by what a witness says, against the wall clock."""
        keeps = said.is_near(self.lead, FINE_S)
        return self._believe(who, self.lead if keeps else said.middle, now)

    def _believe(self, who: str, lead: float, now: float) -> Correction | None:
        began_at = self._doubted_at if self.doubt else now
        self.by, self.doubt = who, ""
        self._trusted, self._stood = self._wall, False
        self._follows = lead == self._wall
        return self._moved(lead, began_at, now)

    def _moved(self, lead: float, began_at: float, now: float) -> Correction | None:
        before, self.lead = self.lead, lead
        if abs(lead - before) <= AGREE_S:
            return None
        return Correction(began_at + before, now + before, lead - before)


def _pair(said: dict[str, Said]) -> tuple[str, Said] | None:
    """Two witnesses that agree, and the one of them that says it most exactly."""
    exact = sorted(said.items(), key=lambda item: item[1].width)
    for place, (who, one) in enumerate(exact):
        for other, another in exact[place + 1 :]:
            if one.agrees(another):
                return f"{who} and {other}", one
    return None
