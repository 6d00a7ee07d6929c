"""What was counted of whole days: how far pushes came, and which phones came and went."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

from gateway.core.effect_standing import Entered
from gateway.core.effect_way import Counted, Pushed

WAY = "way"
"""What a day's mark is of: how far pushes came; else the id of an experiment."""

EVERYBODY = ""
"""In place of the id of an experiment: all whom a push was for."""


class Mark(NamedTuple):
    """A day that was counted. `begins` is its name; until it is `settled` it is counted anew."""

    begins: float
    ends: float
    counted_at: float
    settled: bool


class SentEvent(NamedTuple):
    """An event with notifications: its first two fields are its place in the order, `items` how
    many came in it, good ones and bad."""

    received_at: float
    event_id: str
    source: str
    items: int


class Phones(NamedTuple):
    """Phones of an app and platform: that came within a day, that went, and that there were then;
    of these, who shows nothing, and who was not heard of for long."""

    app: str
    platform: str
    won: int
    lost: int
    active: int
    muted: int
    silent: int


class Outcomes(NamedTuple):
    """Which events are outcomes: their types, and the window in seconds."""

    window_s: float
    completed: Sequence[str]
    began: Sequence[str]


class Way(NamedTuple):
    """What was counted of some days. `marks` are the days, `by_day` is by `Mark.begins`; a day
    that is missing there had no people."""

    marks: Sequence[Mark]
    by_day: Mapping[float, Counted]


class Effects(Protocol):
    """Counts of days. They name nobody, and stay: some kilobytes a year."""

    async def last(self, what: str) -> Mark | None:
        """The newest day that was counted."""

    async def unsettled(self, what: str) -> Sequence[Mark]:
        """The days that are to be counted anew, oldest first."""

    async def first_event_at(self) -> float | None:
        """When the oldest event that is kept was received."""

    async def events(
        self, begins: float, ends: float, *, after: tuple[float, str], limit: int
    ) -> Sequence[SentEvent]:
        """A page of the events that were received in this time, in their order."""

    async def pushed(self, events: Sequence[SentEvent], *, low: int, high: int) -> Sequence[Pushed]:
        """The deliveries of these events whose items have numbers from `low` to `high`."""

    async def phones(self, begins: float, ends: float, *, silent_before: float) -> Sequence[Phones]:
        """How many phones came and went in this time, and how many there are now."""

    async def keep(
        self, mark: Mark, counted: Mapping[str, Counted], phones: Sequence[Phones]
    ) -> None:
        """Keep a day, by experiment, in one transaction. Where it was kept before, only what was
        shown and tapped may grow."""

    async def way(self, since: float, until: float, *, experiment: str = EVERYBODY) -> Way:
        """The days that lie within this time whole."""

    async def phones_between(self, since: float, until: float) -> Sequence[tuple[float, Phones]]:
        """What was kept of phones, by day."""

    # --- experiments ----------------------------------------------------------------------------

    async def first_entry(self, experiment: str) -> float | None:
        """When the first person entered."""

    async def reminded_on(self, experiment: str, begins: float, ends: float) -> Collection[str]:
        """The words of those who entered in this time and were reminded."""

    async def entered(
        self, experiment: str, begins: float, ends: float, asked: Outcomes
    ) -> Sequence[Entered]:
        """Those who entered in this time, with the outcomes that are known now."""

    async def keep_entered(self, experiment: str, mark: Mark, rows: Sequence[Entered]) -> None:
        """Keep a day of an experiment. Where it was kept before, its people and outcomes stay, and
        what is more now came late."""

    async def entered_of(self, experiment: str) -> Sequence[Entered]:
        """What was kept of an experiment, by day."""

    async def keep_terms(self, experiment: str, terms: str) -> None:
        """Keep what an experiment is counted by, as JSON."""

    async def terms(self) -> Mapping[str, str]:
        """What is kept of every experiment, by its id."""
