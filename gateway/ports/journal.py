"""What happened: events, one row per delivery, dead letters."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from gateway.core.attempts import Failed, Failures, Key
from gateway.core.audit import Act
from gateway.core.cancelling import CANCELLED
from gateway.core.drawn import Drawn
from gateway.core.erased import Erased
from gateway.core.model import Event, Item, Record, Removal, UserRef
from gateway.core.prune import NO_BRAKES, Admission, Brake, LaneKey
from gateway.core.states import DeliveryState
from gateway.core.stored import Forms, Unreadable, read_items, read_letter


class Progress(NamedTuple):
    """The journal's state of one delivery when its chunk comes again; `next_at`: if pending."""

    state: DeliveryState
    attempts: int
    next_at: float | None = None


class Standings(dict[tuple[int, int], Progress]):
    """What the journal knows of some items of an event, by (index, device id). `cancelled`: the
    event is, and nothing more of it is to be started."""

    cancelled = False


@dataclass(frozen=True, slots=True)
class Recorded:
    """What came of removals: `gone` are the indexes of those whose device is out of service, now or
    since earlier; `went`, one a device, those that took it out now. `tripped` has the brakes that
    went on, and how many devices were to go."""

    gone: Collection[int] = frozenset()
    went: Sequence[Removal] = ()
    tripped: Mapping[LaneKey, tuple[int, Admission]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EventSummary:
    """An event and how its deliveries stand."""

    event: Event
    deliveries: dict[str, int]
    settled: bool


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A delivery that was given up; `item` is its content, `day` is its chunk's.

    `taken_at` is when it was first taken for a replay that may not have ended yet. `raw` is set for
    a chunk that could not be read: its bytes as they were queued, and in `form` the version that
    they name; `item` is empty then, and `device_id` is the chunk's number in the queue. Empty
    `raw`: the bytes were erased with a user. `fault`: why the letter cannot be replayed.
    """

    id: int
    event_id: str
    item: Item
    device_id: int
    app: str
    provider: str
    reason: str
    attempts: int
    died_at: float
    day: int = 0
    taken_at: float = 0.0
    raw: bytes | None = field(default=None, repr=False)
    form: int | None = None
    fault: str = ""

    @classmethod
    def from_row(
        cls,
        row: Sequence[Any],
        *,
        day: int = 0,
        taken_at: float = 0.0,
        is_cancelled: bool = False,
    ) -> DeadLetter:
        """A row of dead_letters, in the order of its columns, which all engines share. If the
        content beside the columns is unreadable, the item has the columns only, and `fault` says
        so; or that the event was cancelled."""
        columns = (row[2], *row[9:14])
        fault = CANCELLED if is_cancelled else ""
        try:
            item = read_letter(columns, row[14])
        except Unreadable as error:
            item, fault = Item(*columns), str(error)
        return cls(
            id=row[0],
            event_id=row[1],
            item=item,
            device_id=row[3],
            app=row[4],
            provider=row[5],
            reason=row[6],
            attempts=row[7],
            died_at=row[8],
            day=day,
            taken_at=taken_at,
            raw=row[15],
            form=row[16],
            fault=fault,
        )

    def deliveries(self) -> list[tuple[Item, int]]:
        """The deliveries of a replay: (item, device id). A chunk that was put aside has all those
        it held; device 0 stands for an item that was never fanned out. Raises Unreadable."""
        if self.fault:
            raise Unreadable(self.fault, self.form)
        if self.raw is None:
            return [(self.item, self.device_id)]
        return [
            (item, device_id)
            for item, left in read_items(self.raw)
            for device_id in ([0] if left is None else [one.device_id for one in left])
        ]


@dataclass(frozen=True, slots=True)
class Aside:
    """A chunk that cannot be read: all that its queue knows of it. `number` -1 of an event "": its
    event is unknown, too. `queue_id` identifies it, `form` is the version that its bytes name."""

    queue_id: int
    event_id: str
    number: int
    raw: bytes = field(repr=False)
    form: int | None
    why: str


Held = Collection[tuple[int, int | None]]
"""Deliveries, by (index, device id), that other chunks of the queue hold; None: the whole item."""

HeldOf = Callable[[bool], Awaitable[Held]]
"""Finds what the other chunks of the same number hold; or, if True, all others of the event."""


LeaseRef = tuple[int, str]
"""A claim's queue id and lease id."""


class Journal(Protocol):
    """What happened: events, one row per delivery, dead letters."""

    @property
    def forms(self) -> Forms:
        """Which forms this process writes, in the journal and in the queue beside it."""

    async def progress(self, event_id: str, indexes: Sequence[int], *, day: int) -> Standings:
        """The journal's state of these items of an event, and whether it was cancelled.

        `day` is the event's (`core.model.day_of`): its deliveries are kept by it.
        """

    async def journaled_since(
        self, event_id: str, indexes: Sequence[int], *, day: int, since: float
    ) -> Collection[tuple[int, int]]:
        """Which (index, device id) of these items of an event were journaled after `since`."""

    async def record(
        self,
        records: Sequence[Record],
        removals: Sequence[tuple[int, Removal]],
        dead: Sequence[tuple[int, Item]] = (),
        done: Sequence[tuple[str, int]] = (),
        brakes: Mapping[LaneKey, Brake] = NO_BRAKES,
        waiting: Sequence[tuple[Record, LeaseRef]] = (),
        failed: Sequence[Failed] = (),
        drawn: Sequence[Drawn] = (),
    ) -> Recorded:
        """Write the states of deliveries, in one transaction.

        A removal is carried out if the device's row is unchanged since the proof. Its number is the
        index of its record, which becomes `refused` if the row has changed, or if the lane's prune
        brake keeps the device. A brake counts what went, for all who write here, until it has left
        the window; what it keeps is held back, to be carried out by the same proof later, and it is
        on then. A lane that is not among `brakes` has none. `dead` gives, by record index, the
        items to keep as dead letters. `done` names the (event id, chunk number) that are finished.
        A terminal row is never overwritten. Raises DevicesUncounted, with nothing written: see
        `core.prune.admission`.

        `waiting` are deliveries whose chunk goes on, each with the lease of that chunk, in a queue
        beside this journal. One is written only while the lease holds: whoever took the chunk since
        has read what there was, and would not end a row that comes later.

        `drawn` is what the lot made of reminders; nothing is kept of those for a user who was
        erased since, nor of a stage that is over. Of a person of an experiment only the first entry
        counts, of the reminders that are held back the newest. One that is held back is kept also
        where the experiment has ended meanwhile, or the person is exempt by now: they are let go
        then.

        `failed` are attempts that failed, one entry a delivery; nothing is kept of those for a
        person who was erased since.
        """

    async def failures(self, keys: Sequence[Key]) -> Mapping[Key, Failures]:
        """What failed of these deliveries, of those of which anything did."""

    async def put_aside(self, aside: Aside, held: HeldOf, *, now: float, chunk_items: int) -> None:
        """End a chunk that cannot be read: keep its bytes as a dead letter, end its deliveries that
        are neither settled nor `held` elsewhere, and note that it is finished. `chunk_items` is how
        many items a chunk of its event has at most. Safe to repeat. The bytes are not kept if a
        user of the chunk was erased."""

    async def deliveries_of(
        self, user: UserRef, *, limit: int, since: float | None = None
    ) -> list[Record]:
        """A user's deliveries, newest first."""

    async def event(self, event_id: str) -> EventSummary | None:
        """One event with the state of its deliveries."""

    async def events(
        self,
        *,
        limit: int,
        status: str | None = None,
        source: str | None = None,
        before: float | None = None,
    ) -> list[Event]:
        """Events, newest first, without their bodies."""

    async def replace_body(self, event_id: str, body: bytes, by: bytes) -> None:
        """Keep another body of an event, if it still has this one: somebody may have been erased
        from it."""

    async def items_of(self, event_id: str) -> list[Record]:
        """All journal rows of an event, by index."""

    async def dead(self, *, limit: int, event_id: str | None = None) -> list[DeadLetter]:
        """Dead letters, newest first."""

    async def drop_dead(self, ids: Sequence[int] | None, *, act: Act | None = None) -> int:
        """Delete dead letters (None: all). Returns how many."""

    async def purge(self, *, before: float) -> int:
        """Delete events, deliveries and dead letters older than this, and what was started last
        before then (`gateway.ports.starts`). Returns how many rows.

        Queued chunks stay. A store that keeps its journal by days deletes a day once all of it is
        older.
        """


class BrokeredJournal(Journal, Protocol):
    """The journal of a store whose queue is a broker.

    An event is `accepting` from its row until the last of its chunks is queued, then `accepted`.
    """

    async def begin(self, event: Event, *, act: Act | None = None) -> Event | None:
        """Keep a new event. If its id is known, nothing changes and the kept event is returned."""

    async def erased_from(self, event_ids: Collection[str]) -> Erased | None:
        """Who was erased since these events came in; None, nearly always: nobody."""

    async def accepted(self, event_id: str) -> None:
        """All chunks of an `accepting` event are queued: it is `accepted`."""

    async def stale(self, *, before: float, limit: int) -> list[str]:
        """Ids of `accepting` events that were received before then, oldest first."""

    async def requeue(self, *, since: float, act: Act | None = None) -> int:
        """The queue is lost: make events that were accepted since then `accepting` again, except
        those whose deliveries have all ended. Returns how many. The act has its row also where that
        is none: the loss is accepted with it."""

    async def stream(self, name: str) -> str | None:
        """When the stream of this name was made in which events wait; None: none is known."""

    async def remember_stream(self, name: str, created: str) -> None:
        """Events wait in the stream of this name that was made then."""

    async def reopen(self, event: Event, *, act: Act | None = None) -> Event | None:
        """Replace an event that was not accepted by this one, but keep its body and reception.
        Returns the kept event; None: it is unknown, or was accepted."""

    async def revive(
        self,
        ids: Sequence[int] | None,
        *,
        now: float,
        named: bool = True,
        act: Act | None = None,
    ) -> list[DeadLetter]:
        """Take dead letters (None: all), by event and index, for a replay: their deliveries become
        pending, those of device 0 are forgotten. The letters stay until `drop_dead`. After a minute
        they may be taken again, and keep the time of the first taking. One that cannot be replayed
        raises NotReplayable where a person `named` the ids; else it is left as it is."""
