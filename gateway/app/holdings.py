"""All that is held of one person, from every table, as one document.

Owns how far it is searched: what an index names is found always; bodies, queued chunks and bytes
that nobody could read are searched through, as an erase does it, as long as there is time. Keyed
hashes are named as what they are: they stand for a name, and tell it to nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gateway.core.attempts import Failures, Key
from gateway.core.audit import Row
from gateway.core.drawn import HeldBack
from gateway.core.instants import to_iso
from gateway.core.model import Device, Record, UserRef
from gateway.core.seen import Asking
from gateway.devices.records import record_of
from gateway.ops.lookup import delivery_view, with_waiting
from gateway.ops.waiting import WaitingLookup
from gateway.ports import KEPT, Content, DeadLetter, Holdings, HookRow, Waiting
from gateway.store.erasing import needles
from providers.vendor import Vendors

if TYPE_CHECKING:
    from gateway.app.storage import Stores

SEARCH_S = 2.0
"""How long a request may search beyond the indexes."""
_ROWS = 200
_ALL = 1_000_000_000
_HASHES = (
    "an installation, an address or an id of this person that went, or that they forbade a phone "
    "to tell of pushes: a keyed hash and times are kept, from which the name cannot be told"
)
_STARTS = (
    "when the event came of which a push was started last for a phone of this person; the place or "
    "person that it is for is kept as a keyed hash"
)
_DONE = (
    "that this person has done what stands at {path}, by event {event_id}, so that no reminder of "
    "it goes out; who it was is kept as a keyed hash"
)


def _nothing(_rows: int) -> None:
    """Nobody watches."""


async def collect(
    stores: Stores,
    user: UserRef,
    *,
    asking: Asking,
    vendors: Vendors,
    search_s: float | None,
    advance: Callable[[int], None] = _nothing,
) -> dict[str, Any]:
    """All that is held of a person. `search_s` None: however long it takes; else `complete` says
    whether that was long enough. `advance` is told how many rows were searched."""
    store = stores.store
    looked = await WaitingLookup(store.people, stores.queue, look_s=search_s or _ALL).of([user])
    devices = await store.registry.devices_of(user)
    records = await store.journal.deliveries_of(user, limit=_ALL)
    numbers = {one.id for one in devices} | {one.device_id for one in records}
    held = await store.people.held(user, numbers)
    indexes: dict[str, list[int]] = {}
    for record in records:
        indexes.setdefault(record.event_id, []).append(record.index)
    named = {*indexes, *held.named_in, *held.following}
    named |= {one.event_id for one in held.letters} | {one.event_id for one in looked.found}
    searched, is_searched = await _search(stores, user, search_s, advance)
    contents, are_read = await _read(stores, user, named | searched, indexes, search_s)
    lanes = await store.lanes.all()
    return {
        "user_id": user.user_id,
        "custom_id": user.custom_id,
        "complete": is_searched and are_read and looked.waits is None,
        "other_ids": _other_ids(user, devices),
        "devices": [_device(one, vendors) for one in devices],
        "deliveries": await _deliveries(stores, asking, records, devices, looked.found),
        "events": [_event(one) for one in contents.values() if one.parts or one.unread],
        "named_elsewhere": _elsewhere(searched, contents),
        "dead_letters": [_letter(one) for one in held.letters],
        "removals_held_back": [_removal(one) for one in held.removals],
        "erasures": [
            {"asked_at": to_iso(asked), "done_at": None if done is None else to_iso(done)}
            for asked, done in held.erasures
        ],
        "audit": [_act(one) for one in held.acts],
        "named_in_reasons": [
            *[_act(one) for one in held.reasons],
            *_lane_reasons(lanes, user),
            *_hook_reasons(await store.hooks.rows(), user),
        ],
        "experiments": [
            {
                "experiment": experiment,
                "held_back": bool(is_held),
                "since": to_iso(since),
                "until": to_iso(until),
                "also_got": bool(also_got),
            }
            for experiment, is_held, since, until, also_got in held.members
        ],
        "experiments_left_out": [
            {"experiment": experiment, "reason": reason, "since": to_iso(since)}
            for experiment, reason, since in held.left_out
        ],
        "experiments_exempt_since": (
            None if held.exempt_since is None else to_iso(held.exempt_since)
        ),
        "reminders_held_back": [_reminder(one) for one in held.reminders],
        "outcomes": [
            {"type": kind, "occurred_at": to_iso(at), "object": what}
            for kind, at, what in held.outcomes
        ],
        "keyed_hashes": _hashes(held),
        "hooks": [{"hook": hook, "waiting": waiting} for hook, waiting in held.hooks],
    }


def _other_ids(user: UserRef, devices: Sequence[Device]) -> list[dict[str, str]]:
    """The ids of a person's devices that were not asked for: what names them alone is under those,
    and an erase leaves it as well."""
    had = [("user_id", one.user_id) for one in devices]
    had += [("custom_id", one.custom_id) for one in devices]
    asked = {user.user_id, user.custom_id}
    others = {(kind, who) for kind, who in had if who is not None and who not in asked}
    return [{kind: who} for kind, who in sorted(others)]


async def _search(
    stores: Stores, user: UserRef, search_s: float | None, advance: Callable[[int], None]
) -> tuple[set[str], bool]:
    """The events of which some bytes name the person, and whether all were searched."""
    found: set[str] = set()
    texts = needles([user])
    erasures = stores.store.erasures
    try:
        async with asyncio.timeout(search_s):
            for what in KEPT:
                after: Any = None
                while True:
                    part = await erasures.search(what, texts, after=after, rows=_ROWS)
                    if part.end is None:
                        break
                    for event_id in part.events:
                        if await erasures.named(event_id, [user]):
                            found.add(event_id)
                    after = part.end
                    advance(_ROWS)
    except TimeoutError:
        return found, False
    return found, True


async def _read(
    stores: Stores,
    user: UserRef,
    events: set[str],
    indexes: Mapping[str, Sequence[int]],
    search_s: float | None,
) -> tuple[dict[str, Content], bool]:
    """What these events say of the person, and whether all were read."""
    found: dict[str, Content] = {}
    try:
        async with asyncio.timeout(search_s):
            for event_id in sorted(events):
                theirs = indexes.get(event_id, ())
                content = await stores.store.people.content(event_id, user, theirs)
                if content is not None:
                    found[event_id] = content
    except TimeoutError:
        return found, False
    return found, True


def _elsewhere(searched: set[str], contents: Mapping[str, Content]) -> list[dict[str, Any]]:
    """Events whose body does not name the person, but whose queued chunks do, or bytes of theirs
    that nobody could read."""
    where = "in queued chunks, or in bytes that were put aside unread"
    shown = {name for name, one in contents.items() if one.parts or one.unread}
    return [{"event_id": name, "where": where} for name in sorted(searched - shown)]


async def _deliveries(
    stores: Stores,
    asking: Asking,
    records: Sequence[Record],
    devices: Sequence[Device],
    waiting: Sequence[Waiting],
) -> list[dict[str, Any]]:
    failures: dict[Key, Failures] = dict(
        await stores.store.journal.failures([one[:3] for one in records])
    )
    sight = asking.sight(await stores.store.receipts.of(records), exact=True)
    names = {device.id: device.installation_id for device in devices}
    shown = []
    for record in with_waiting(records, waiting, limit=_ALL, since=None):
        failed = failures.get(record[:3], Failures())
        attempts = [
            {"at": to_iso(one.at), "verdict": one.verdict, "word": one.word} for one in failed.last
        ]
        view = delivery_view(record, names, sight)
        shown.append({**view, "failures": failed.count, "failed_attempts": attempts})
    return shown


def _device(device: Device, vendors: Vendors) -> dict[str, Any]:
    """A device with its address: it is the person's."""
    more = {
        "device_id": device.id,
        "state": device.state.value,
        "state_reason": device.state_reason,
        "registered_at": to_iso(device.registered_at),
        "heard_at": to_iso(device.heard_at) if device.heard_at else None,
    }
    return {**record_of(device, vendors), **more}


def _event(content: Content) -> dict[str, Any]:
    event = content.event
    return {
        "event_id": event.event_id,
        "source": event.source,
        "type": event.type,
        "status": event.status,
        "timestamp": None if event.occurred_at is None else to_iso(event.occurred_at),
        "received_at": to_iso(event.received_at),
        "parts": [{"where": where, "value": value} for where, value in content.parts],
        "unread": content.unread,
    }


def _letter(letter: DeadLetter) -> dict[str, Any]:
    item = letter.item
    return {
        "id": letter.id,
        "event_id": letter.event_id,
        "index": item.index,
        "device_id": letter.device_id or None,
        "app": letter.app,
        "provider": letter.provider,
        "reason": letter.reason,
        "attempts": letter.attempts,
        "died_at": to_iso(letter.died_at),
        "user_id": item.user_id,
        "custom_id": item.custom_id,
        "title": item.title,
        "body": item.body,
        "path": item.path,
    }


def _reminder(held: HeldBack) -> dict[str, Any]:
    return {
        "experiment": held.experiment,
        "event_id": held.event_id,
        "index": held.item.index,
        "seen_at": to_iso(held.seen_at),
        "until": to_iso(held.until),
        "user_id": held.item.user_id,
        "custom_id": held.item.custom_id,
        "title": held.item.title,
        "body": held.item.body,
        "path": held.item.path,
    }


def _removal(row: Sequence[Any]) -> dict[str, Any]:
    names = ("device_id", "app", "provider", "state", "reason")
    return {**dict(zip(names, row, strict=False)), "seen_at": to_iso(row[5]) if row[5] else None}


def _act(row: Row) -> dict[str, Any]:
    told = {name: value for name, value in row._asdict().items() if name not in _WORDS}
    return {**told, "at": to_iso(row.at), "routine": bool(row.routine)}


_WORDS = ("user_word", "custom_word")


def _lane_reasons(lanes: Sequence[Any], user: UserRef) -> list[dict[str, Any]]:
    """Lanes that somebody paused for a reason that names the person."""
    ids = [one for one in (user.user_id, user.custom_id) if one]
    rows = [(f"{lane.app}/{lane.provider}", lane) for lane in lanes]
    rows += [(f"{name}/{part.part}", part) for name, lane in rows for part in lane.parts]
    return [
        {"object": name, "reason": row.reason}
        for name, row in rows
        if any(one in row.reason for one in ids)
    ]


def _hook_reasons(rows: Sequence[HookRow], user: UserRef) -> list[dict[str, Any]]:
    """Hooks that somebody paused for a reason that names the person."""
    ids = [one for one in (user.user_id, user.custom_id) if one]
    return [
        {"object": f"hook/{row.id}", "reason": row.reason}
        for row in rows
        if any(one in row.reason for one in ids)
    ]


def _hashes(held: Holdings) -> list[dict[str, Any]]:
    return [
        {
            "what": _HASHES,
            "at": to_iso(at),
            "erased_at": to_iso(erased_at) if erased_at else None,
        }
        for at, erased_at in held.forgotten
    ] + [
        {"what": what, "at": to_iso(at), "erased_at": None}
        for what, at in [
            *((_STARTS, at) for at in held.starts),
            *((_DONE.format(path=path, event_id=name), at) for name, path, at in held.done),
        ]
    ]
