"""The deliveries API: what became of a user's pushes, and of an event.

Owns how the journal is shown to a backend. Shows no address, no text and no phone number. Who may
look is decided by `authorize`, which the composition root injects.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from gateway.core.audit import Actor, reading
from gateway.core.cancelling import Cancel, awaited
from gateway.core.clocks import Clocks
from gateway.core.instants import read_instant, to_iso
from gateway.core.model import MAYBE_TAKEN, Record, UserRef
from gateway.core.seen import Asking, Sight
from gateway.core.sources import corrected_by, source_of
from gateway.core.states import DeliveryState
from gateway.exchange import Answer, Request, Route
from gateway.ops.people import deliveries_of, installations_of, people_of
from gateway.ops.waiting import WaitingLookup, waiting_record, waits_view
from gateway.ops.whys import WhyLookup
from gateway.ports import Cancels, EventSummary, Journal, Store, Waiting
from gateway.problems import Problem
from gateway.whose import by_of, find_user


class Looker(Protocol):
    """Whoever asks."""

    def may(self, scope: str) -> bool:
        """Whether they have a further scope."""

    def actor(self, request: Request) -> Actor:
        """Who acts, for the audit table."""


Authorize = Callable[[Request, str], Awaitable[Looker]]
"""Who asks; raises a `Problem` unless they have the scope."""

SCOPE = "deliveries:read"
TIMES = "receipts:read"
"""The scope of those who may know when one person saw something; others see the day."""
DEFAULT_LIMIT = 100
MAX_LIMIT = 1_000


class LookupRoutes:
    """`/v1/users/{id}/deliveries`, `/v1/users/{id}/why` and `/v1/events/{event_id}` of the public
    listener. That somebody reads one person's times is in the audit table."""

    def __init__(
        self,
        store: Store,
        authorize: Authorize,
        *,
        waiting: WaitingLookup,
        whys: WhyLookup,
        clocks: Clocks,
        asking: Callable[[], Asking],
    ) -> None:
        self._journal = store.journal
        self._cancels = store.cancels
        self._registry = store.registry
        self._receipts = store.receipts
        self._audit = store.audit
        self._authorize = authorize
        self._waiting = waiting
        self._whys = whys
        self._clocks = clocks
        self._asking = asking

    def routes(self) -> list[Route]:
        """What to add to the public listener."""
        return [
            Route("GET", "/v1/users/{id}/deliveries", self.user_deliveries),
            Route("GET", "/v1/users/{id}/why", self.why),
            Route("GET", "/v1/events/{event_id}", self.event),
        ]

    async def user_deliveries(self, request: Request) -> Answer:
        """A person's deliveries, newest first, and what waits for them in the queue."""
        looker = await self._authorize(request, SCOPE)
        limit, since = _page(request.query)
        user = await find_user(self._registry, request.path["id"], by_of(request.query))
        devices = await self._registry.devices_of(user)
        people = people_of(user, devices)
        # what waits first: what is fanned out meanwhile has a line of the journal then
        looked = await self._waiting.of(people)
        records = await deliveries_of(self._journal, people, limit=limit, since=since)
        records = with_waiting(records, looked.found, limit=limit, since=since)
        installations = await installations_of(self._registry, devices, records)
        sight = await self._sight(looker, records)
        views = [delivery_view(record, installations, sight) for record in records]
        if sight.shown_of(records):
            await self._note(looker, request, user)
        return Answer(200, {"deliveries": views, **waits_view(looked.waits)})

    async def why(self, request: Request) -> Answer:
        """Why somebody did not get it: the newest notification, or that of `?event=`."""
        looker = await self._authorize(request, SCOPE)
        user = await find_user(self._registry, request.path["id"], by_of(request.query))
        found = await self._whys.of(
            user,
            now=self._clocks.wall(),
            exact=looker.may(TIMES),
            event_id=request.query.get("event"),
        )
        if found is None:
            raise Problem("not_found", "nothing of this event is known for this person")
        if found.tells_times:
            await self._note(looker, request, user)
        return Answer(200, found.view())

    async def _note(self, looker: Looker, request: Request, user: UserRef) -> None:
        actor, at = looker.actor(request), self._clocks.wall()
        act = actor.does("users.read", "times", at=at, routine=True, about=user)
        await self._audit.note(act)

    async def event(self, request: Request) -> Answer:
        """How an event stands; with `?items=1` each of its items as well."""
        looker = await self._authorize(request, SCOPE)
        with_items = _flag(request.query, "items")
        event_id = request.path["event_id"]
        summary = await event_summary(self._journal, self._cancels, event_id)
        if summary is None:
            raise Problem("not_found")
        view = event_view(summary, await self._cancels.of(event_id))
        if with_items:
            records = await self._journal.items_of(event_id)
            sight = await self._sight(looker, records)
            view["items"] = _items(summary, records, sight)
            view["rejections"] = [
                {"index": one.index, "reason": one.reason} for one in summary.event.rejections
            ]
            if people := sight.shown_of(records):
                actor, at = looker.actor(request), self._clocks.wall()
                act = reading(actor, event_id, people, at=at, routine=True)
                await self._audit.note(act, count=len(people))
        return Answer(200, view)

    async def _sight(self, looker: Looker, records: Sequence[Record]) -> Sight:
        told = await self._receipts.of(records)
        return self._asking().sight(told, exact=looker.may(TIMES))


def with_waiting(
    records: Sequence[Record], waiting: Sequence[Waiting], *, limit: int, since: float | None
) -> list[Record]:
    """Deliveries and what waits, newest first."""
    known = {(record.event_id, record.index) for record in records}
    found = [waiting_record(one) for one in waiting if (one.event_id, one.index) not in known]
    both = [*records, *(one for one in found if one.at >= (since or 0.0))]
    return sorted(both, key=lambda record: (-record.at, *record[:3]))[:limit]


def delivery_view(record: Record, installations: Mapping[int, str], sight: Sight) -> dict[str, Any]:
    """How a delivery is shown. `installations` gives the installation ids that are known, `sight`
    what the phones told."""
    return {
        "event_id": record.event_id,
        "source": source_of(record.event_id),
        "index": record.index,
        "device_id": record.device_id or None,
        "installation_id": installations.get(record.device_id),
        "user_id": record.user_id,
        "custom_id": record.custom_id,
        "app": record.app or None,
        "provider": record.provider or None,
        "state": record.state.value,
        "attempts": record.attempts,
        "reason": record.reason,
        "vendor_id": None if record.vendor_id in ("", MAYBE_TAKEN) else record.vendor_id,
        "address_hash": record.address_hash or None,
        "at": to_iso(record.at),
        "next_attempt_at": None if record.next_at is None else to_iso(record.next_at),
        **sight.view(record),
    }


async def event_summary(journal: Journal, cancels: Cancels, event_id: str) -> EventSummary | None:
    """How an event stands. A correction that was asked, and waits for the end of what it corrects,
    is there already, and is `accepting`."""
    summary, original = await journal.event(event_id), corrected_by(event_id)
    if summary is not None or original is None:
        return summary
    asked, first = await cancels.of(original), await journal.event(original)
    event = None if first is None else awaited(event_id, first.event, asked)
    if event is None:
        return None
    return EventSummary(event, {state.value: 0 for state in DeliveryState}, settled=False)


def event_view(summary: EventSummary, cancel: Cancel | None) -> dict[str, Any]:
    """How an event is shown; `cancel` is how it was cancelled, if it was."""
    event = summary.event
    return {
        "event_id": event.event_id,
        "source": event.source,
        "type": event.type,
        "timestamp": None if event.occurred_at is None else to_iso(event.occurred_at),
        "received_at": to_iso(event.received_at),
        "status": event.status,
        "reason": event.reason,
        "notifications": event.notifications,
        "rejected": len(event.rejections),
        "deliveries": summary.deliveries,
        "settled": summary.settled,
        "cancelled_at": None if cancel is None else to_iso(cancel.at),
        "replaced_by": None if cancel is None else cancel.correction,
    }


def _items(summary: EventSummary, records: list[Record], sight: Sight) -> list[dict[str, Any]]:
    """Every item that was taken, by index: those without a line in the journal wait in the queue.

    An item of a user with several devices has a line for each of them.
    """
    event = summary.event
    rejected = {rejection.index for rejection in event.rejections}
    seen = {record.index for record in records}
    waiting = [
        Record(event.event_id, index, 0, DeliveryState.PENDING, 0, event.received_at)
        for index in range(event.notifications + len(rejected))
        if index not in seen and index not in rejected
    ]
    in_order = sorted([*records, *waiting], key=lambda record: (record.index, record.device_id))
    return [delivery_view(record, {}, sight) for record in in_order]


def _page(query: Mapping[str, str]) -> tuple[int, float | None]:
    errors = []
    limit, since = DEFAULT_LIMIT, None
    try:
        limit = int(query.get("limit", str(DEFAULT_LIMIT)))
    except ValueError:
        limit = 0
    if not 1 <= limit <= MAX_LIMIT:
        errors.append({"field": "limit", "message": f"must be 1 to {MAX_LIMIT}"})
    if (text := query.get("since")) is not None:
        since = 0.0 if text == "0" else read_instant(text)
    if text is not None and since is None:
        message = "must be ISO 8601, as 2026-11-23T10:00:00Z, or epoch seconds"
        errors.append({"field": "since", "message": message})
    if errors:
        raise Problem("invalid", errors=errors)
    return limit, since


def _flag(query: Mapping[str, str], name: str) -> bool:
    value = query.get(name, "0")
    if value not in ("0", "1"):
        raise Problem("invalid", errors=[{"field": name, "message": "must be 0 or 1"}])
    return value == "1"
