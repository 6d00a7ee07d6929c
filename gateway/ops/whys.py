"""Why did Mary not get it: finds all that `gateway.core.why` wants to know, and shows its answer.

Owns which of a person's notifications is asked about: the newest, or one of a given event. Refuses
to judge; shows no address, no text and no phone number.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.core import why as reasons
from gateway.core.attempts import Failures
from gateway.core.instants import to_iso
from gateway.core.model import Device, Event, Record, UserRef
from gateway.core.seen import UNKNOWN, Asking
from gateway.core.sources import source_of
from gateway.core.states import DeliveryState, DeviceState
from gateway.core.why import Known, Notification, Outcome, Part, Phone, Seen, Waits, why
from gateway.ops.people import deliveries_of, is_theirs, people_of, phones_of
from gateway.ops.waiting import WaitingLookup, waiting_record, waits_view
from gateway.ports import LaneRow, Store, Waiting

_RECORDS = 100
"""Lines of the journal that are looked at for the newest notification."""
_MISREAD = 3
_ALL = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Views:
    """What the configuration and the vendors say: `part_of` is the part of a lane that a device is
    sent by, `company` whose service a vendor is, `meaning` what a vendor's word means. A device
    that was last seen before `stale_before` is stale. `knows` says whether a source is there."""

    asking: Callable[[], Asking]
    part_of: Callable[[Device], str]
    stale_before: Callable[[], float]
    company: Callable[[str], str]
    meaning: Callable[[str, str], str]
    knows: Callable[[str], bool]


def answer_view(answer: reasons.Why) -> Mapping[str, object]:
    """The answer as JSON has it."""
    return {
        "verdict": answer.verdict,
        "code": answer.code,
        "chain": [one._asdict() for one in answer.chain],
        "in_the_way": [
            {
                **one._asdict(),
                "since": None if not one.since else to_iso(one.since),
                "until": None if one.until is None else to_iso(one.until),
            }
            for one in answer.in_the_way
        ],
        "next": list(answer.next),
    }


@dataclass(frozen=True, slots=True)
class Found:
    """The answer, and of which notification it is. `tells_times`: it has times at which a person
    saw something."""

    answer: reasons.Why
    about: Notification | None
    waits: Waits | None
    user: UserRef
    tells_times: bool

    def view(self) -> dict[str, Any]:
        """The answer as JSON has it."""
        about = self.about
        return {
            "user_id": self.user.user_id,
            "custom_id": self.user.custom_id,
            "event_id": None if about is None else about.event_id,
            "index": None if about is None else about.index,
            **answer_view(self.answer),
            **waits_view(self.waits),
        }


class WhyLookup:
    """Answers for one person at a time."""

    def __init__(self, store: Store, waiting: WaitingLookup, views: Views) -> None:
        self._store = store
        self._waiting = waiting
        self._views = views

    async def of(
        self, user: UserRef, *, now: float, exact: bool, event_id: str | None = None
    ) -> Found | None:
        """Answer; None: nothing is known of the event. `exact`: whoever asks may know when a person
        saw something, and others the day."""
        store = self._store
        devices = await store.registry.devices_of(user)
        people = people_of(user, devices)
        # what waits first: what is fanned out meanwhile has a line of the journal then
        looked = await self._waiting.of(people)
        about = await self._newest(people, looked.found, event_id)
        if about is None and event_id is not None:
            return None
        outcomes = () if about is None else about.outcomes
        records = [one.record for one in outcomes]
        named = [UserRef(one.user_id, one.custom_id) for one in records]
        if about is not None:
            place = (about.event_id, about.index)
            named += [UserRef(*one[-2:]) for one in looked.found if one[:2] == place]
        devices = await phones_of(store.registry, devices, named)
        failures = await store.journal.failures([one[:3] for one in records])
        sight = self._views.asking().sight(await store.receipts.of(records), exact=exact)
        if about is not None:
            told = [
                Outcome(one, failures.get(one[:3], Failures()), _seen(sight.view(one)))
                for one in records
            ]
            about = _with(about, told)
            outcomes = about.outcomes
        erasure = await store.erasures.state(user)
        lanes = await store.lanes.all()
        before = self._views.stale_before()
        phones = [self._phone(one, before) for one in devices]
        known = Known(
            now=now,
            phones=phones,
            notification=about,
            parts=list(_parts(lanes, phones, now)),
            company=self._views.company,
            explain=self._views.meaning,
            relay_at=max((one.seen_at for one in lanes if one.seen_at), default=None),
            waits=looked.waits,
            erased_at=None if erasure is None else erasure.asked_at,
            knows_source=about is None or self._views.knows(about.source),
        )
        tells = any(value not in (None, UNKNOWN) for one in outcomes for value in one.seen)
        return Found(why(known), about, looked.waits, _named(user, devices), exact and tells)

    # --- which notification -----------------------------------------------------------------------

    async def _newest(
        self, people: Sequence[UserRef], waiting: Sequence[Waiting], event_id: str | None
    ) -> Notification | None:
        journal = self._store.journal
        if event_id is not None:
            records = [one for one in await journal.items_of(event_id) if is_theirs(one, people)]
            waiting = [one for one in waiting if one.event_id == event_id]
        else:
            records = await deliveries_of(journal, people, limit=_RECORDS)
        groups: dict[tuple[str, int], list[Record]] = {}
        for record in records:
            groups.setdefault((record.event_id, record.index), []).append(record)
        waits = {
            place: one for one in waiting if (place := (one.event_id, one.index)) not in groups
        }
        events = await self._events({name for name, _ in [*groups, *waits]})
        found = [_fanned_out(key, group, events) for key, group in groups.items()]
        found += map(_waiting, waits.values())
        found += await self._misread(people, event_id)
        return max(found, key=_how_new, default=None)

    async def _events(self, names: Collection[str]) -> Mapping[str, Event]:
        found = await self._store.people.events(sorted(names))
        return {event.event_id: event for event in found}

    async def _misread(self, people: Sequence[UserRef], event_id: str | None) -> list[Notification]:
        """Events that name the person, and of which the journal says nothing to them."""
        found = []
        for user in people:
            # of a named one: it may be older than very many others
            limit = _MISREAD if event_id is None else _ALL
            for event in await self._store.people.misread(user, limit=limit):
                if event_id not in (None, event.event_id):
                    continue
                given = (event.event_id, None, event.source, event.received_at, event.occurred_at)
                if event.status == "quarantined":
                    reason = event.reason or "it has another form than expected"
                    found.append(Notification(*given, event.status, misread=reason))
                    continue
                content = await self._store.people.content(event.event_id, user)
                reason = "" if content is None else _rejection(event, content.parts)
                if reason:
                    found.append(Notification(*given, event.status, rejected=reason))
        return found

    def _phone(self, device: Device, stale_before: float) -> Phone:
        return Phone(
            device.id,
            device.installation_id,
            device.app,
            device.provider,
            self._views.part_of(device),
            device.state,
            device.state_reason,
            device.registered_at,
            max(device.last_seen_at, device.heard_at),
            device.profile.notifications,
            device.fresh_at < stale_before,
        )


def _fanned_out(
    key: tuple[str, int], records: Sequence[Record], events: Mapping[str, Event]
) -> Notification:
    event_id, index = key
    outcomes = tuple(map(Outcome, records))
    event = events.get(event_id)
    if event is None:
        first = min(one.at for one in records)
        return Notification(event_id, index, source_of(event_id), first, outcomes=outcomes)
    return Notification(
        event_id,
        index,
        event.source,
        event.received_at,
        event.occurred_at,
        event.status,
        outcomes,
    )


def _waiting(one: Waiting) -> Notification:
    record = waiting_record(one)
    outcomes = () if record.state is DeliveryState.PENDING else (Outcome(record),)
    return Notification(
        *one[:2], one.source, one.received_at, one.occurred_at, one.status, outcomes
    )


def _with(about: Notification, outcomes: Iterable[Outcome]) -> Notification:
    given = (about.event_id, about.index, about.source, about.received_at, about.occurred_at)
    return Notification(*given, about.status, tuple(outcomes), about.rejected, about.misread)


def _how_new(one: Notification) -> tuple[float, float, int]:
    return one.received_at, one.occurred_at or 0.0, -1 if one.index is None else one.index


def _rejection(event: Event, parts: Iterable[tuple[str, Any]]) -> str:
    """Why the person's item was rejected; "" if it was not theirs."""
    where = [place for place, _ in parts]
    for one in event.rejections:
        place = f"data.notifications[{one.index}]"
        if any(part == place or part.startswith(f"{place}.") for part in where):
            return one.reason
    return ""


def _seen(view: Mapping[str, object]) -> Seen:
    values = [view[name] for name in Seen._fields]
    return Seen(*[None if one is None else str(one) for one in values])


def _named(user: UserRef, devices: Sequence[Device]) -> UserRef:
    """The person's ids as their phones say them, where one id was given that may be either."""
    if user.user_id == user.custom_id:
        for device in devices:
            return UserRef(device.user_id, device.custom_id)
    return user


def _parts(lanes: Iterable[LaneRow], phones: Iterable[Phone], now: float) -> Iterable[Part]:
    """The parts that the phones are sent by, and that do not simply work."""
    used = {(one.app, one.provider, one.part) for one in phones if one.state is DeviceState.ACTIVE}
    rows = {(lane.app, lane.provider): lane for lane in lanes}
    for app, provider, part in sorted(used):
        lane = rows.get((app, provider))
        if lane is None:
            continue
        standing = lane.standing(part, now)
        if standing.state != "open":
            name = f"{app}/{provider}/{part}"
            told = (standing.reason, standing.hint, standing.since, standing.until)
            yield Part(name, standing.state, *told)
