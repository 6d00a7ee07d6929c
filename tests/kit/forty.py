"""Forty people, each with a reason of their own for a push that they got or did not get.

Every case plants what a gateway would have left, through the ports, and says what the answer must
be. All are planted in one store, so that no answer may take another person's rows.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from gateway.core.attempts import Failed, line
from gateway.core.chunks import cut
from gateway.core.fanout import CONTRADICTION, GONE, TOO_OLD
from gateway.core.model import (
    Device,
    Event,
    Item,
    Profile,
    Record,
    Rejection,
    Removal,
    UserRef,
    day_of,
)
from gateway.core.receipts import Key, Kind, Told
from gateway.core.sources import NO_APP, NO_TESTER
from gateway.core.states import DeliveryState, DeviceState, as_it_is
from gateway.ports import LaneRow, PartRow
from tests.kit.build import NOW
from tests.kit.stores import Handle, register

LIFE_S = 86_400.0
DAY_S = 86_400.0
CAN = "received displayed opened"

Case = Callable[[Handle, str], Awaitable[None]]
CASES: dict[str, tuple[Case, str]] = {}
"""How each is planted, and the verdict's code, by the person's user id."""


def case(code: str) -> Callable[[Case], Case]:
    """Have a function plant the person of its own name."""

    def take(plant: Case) -> Case:
        CASES[plant.__name__] = (plant, code)
        return plant

    return take


# --- builders -------------------------------------------------------------------------------------


async def phone(handle: Handle, who: str, *, seen: float = NOW - 600.0, **changed: Any) -> Device:
    """A phone of this person, which can tell of pushes unless told otherwise."""
    profile = {"notifications": "granted", "measure": "granted", "can": CAN}
    profile |= changed.pop("profile", {})
    name = changed.pop("name", who)
    values: dict[str, Any] = {"user_id": who, "profile": Profile(**profile), **changed}
    return await register(handle, f"phone-{name}", f"address-{name}", now=seen, **values)


async def sent(
    handle: Handle,
    who: str,
    device: Device | None,
    state: str = "delivered",
    reason: str = "",
    *,
    at: float = NOW - 60.0,
    received: float = NOW - 120.0,
    name: str = "",
    tries: int = 0,
    **changed: Any,
) -> Record:
    """An event with one notification for this person, and its line of the journal."""
    event_id = f"msg_{name or who}"
    await event(handle, event_id, who, received=received, queued=state == "pending")
    record = Record(
        event_id,
        0,
        0 if device is None else device.id,
        as_it_is(DeliveryState, state),
        **{
            "attempts": 1 + tries,
            "at": at,
            "user_id": who,
            "custom_id": None,
            "app": "" if device is None else device.app,
            "provider": "" if device is None else device.provider,
            "address_hash": "" if device is None else device.address_hash,
            "reason": reason,
            "vendor_id": f"vendor-{who}" if state == "delivered" else "",
            "day": day_of(received),
            **changed,
        },
    )
    failed = [
        Failed(event_id, 0, record.device_id, 1, line(at - n, "unavailable", reason or "HTTP 500"))
        for n in range(tries)
    ]
    for one in reversed(failed):
        await handle.journal.record([], [], failed=[one])
    done = [] if state == "pending" else [(event_id, 0)]
    await handle.journal.record([record], [], done=done)
    return record


async def event(
    handle: Handle,
    event_id: str,
    who: str,
    *,
    received: float = NOW - 120.0,
    queued: bool = True,
    **changed: Any,
) -> None:
    """An event with one notification for this person."""
    items = [Item(0, "Hi", "Train!", "/learning", who, None)]
    entry = {"title": "Hi", "body": "Train!", "path": "/learning", "user_id": who}
    chunks = cut(event_id, items, received_at=received, deadline=received + LIFE_S)
    values: dict[str, Any] = {
        "event_id": event_id,
        "type": "notifications.sent",
        "status": "accepted",
        "received_at": received,
        "occurred_at": received - 5.0,
        "notifications": 1,
        "chunks": len(chunks),
        "body": json.dumps({"data": {"notifications": [entry]}}).encode(),
        **changed,
    }
    await handle.queue.accept(Event(**values), chunks)
    if not queued:
        for claim in await handle.queue.claim(limit=100, lease_s=60.0, now=NOW):
            if claim.chunk.event_id == event_id:
                await handle.queue.settle(claim, [])
            else:
                await handle.queue.snooze(claim, until=NOW)


async def told(handle: Handle, record: Record, *kinds: Kind) -> None:
    """The phone tells of a push."""
    key = Key(record.event_id, record.index, record.device_id, record.day, "granted")
    receipts = [Told(key, kind, NOW - 10.0, 20.0, True) for kind in kinds]
    kept = await handle.store.receipts.keep(receipts, rule="opt_in")
    assert [one.refusal for one in kept] == [""] * len(kinds)


async def take_out(handle: Handle, device: Device, to: Any, reason: str) -> None:
    """Take a device out of service, as a relay does."""
    order = Removal(
        device.id, device.address, device.last_seen_at, device.app, device.provider, to, reason
    )
    proof = Record(f"proof-{device.id}", 0, device.id, DeliveryState.PRUNED, 1, NOW - 50.0)
    await handle.journal.record([proof], [(0, order)])


async def everybody(handle: Handle) -> None:
    """Plant all of them, and what they share: lanes, a relay that runs."""
    lanes = [
        ("held", "misconfigured", ""),
        ("paused", "operator", ""),
        ("failing", "", "failing"),
        ("quiet", "", ""),
        ("agent", "", ""),
    ]
    for app, held, trouble in lanes:
        part = PartRow(
            "android",
            trouble=trouble,  # type: ignore[arg-type]  # one of its words
            trouble_reason="Unreachable" if trouble else "",
            trouble_at=NOW - 99.0 if trouble else None,
            seen_at=NOW - 1.0,
        )
        quiet = NOW + 50.0 if app == "quiet" else None
        row = LaneRow(
            app, "fcm", quiet_until=quiet, quiet_reason="busy", seen_at=NOW - 1.0, parts=(part,)
        )
        await handle.lanes.report([row])
        if held:
            await handle.lanes.hold(
                app,
                "fcm",
                "android",
                by=held,  # type: ignore[arg-type]  # one of its words
                reason="a reason",
                now=NOW - 99.0,
            )
    for who, (plant, _) in CASES.items():
        await plant(handle, who)


# --- forty people ---------------------------------------------------------------------------------


@case("opened")
async def opened(handle: Handle, who: str) -> None:
    record = await sent(handle, who, await phone(handle, who))
    await told(handle, record, Kind.RECEIVED, Kind.OPENED)


@case("opened")
async def opened_on_one_of_two(handle: Handle, who: str) -> None:
    first = await phone(handle, who)
    second = await phone(handle, who, name=f"{who}-2")
    await sent(handle, who, first, "dead", "HTTP 500")
    record = Record(
        f"msg_{who}", 0, second.id, DeliveryState.DELIVERED, 1, NOW - 60.0, who, None, "agent",
        "fcm", second.address_hash, day=day_of(NOW - 120.0),
    )  # fmt: skip
    await handle.journal.record([record], [])
    await told(handle, record, Kind.OPENED)


@case("shown")
async def shown(handle: Handle, who: str) -> None:
    record = await sent(handle, who, await phone(handle, who))
    await told(handle, record, Kind.DISPLAYED)


@case("arrived")
async def arrived(handle: Handle, who: str) -> None:
    record = await sent(handle, who, await phone(handle, who))
    await told(handle, record, Kind.RECEIVED)


@case("taken")
async def taken_and_untold(handle: Handle, who: str) -> None:
    await sent(handle, who, await phone(handle, who))


@case("taken")
async def taken_and_untellable(handle: Handle, who: str) -> None:
    await sent(handle, who, await phone(handle, who, profile={"can": None}))


@case("taken")
async def taken_after_tries(handle: Handle, who: str) -> None:
    await sent(handle, who, await phone(handle, who), tries=3)


@case("denied")
async def denied(handle: Handle, who: str) -> None:
    await sent(handle, who, await phone(handle, who, profile={"notifications": "denied"}))


@case("silent")
async def silent(handle: Handle, who: str) -> None:
    await sent(handle, who, await phone(handle, who, seen=NOW - 75 * DAY_S))


@case("taken")
async def left_out_for_a_fresher_phone(handle: Handle, who: str) -> None:
    await phone(handle, who, name=f"{who}-old", seen=NOW - 75 * DAY_S)
    await sent(handle, who, await phone(handle, who))


@case("phone_gone")
async def pruned_since(handle: Handle, who: str) -> None:
    device = await phone(handle, who)
    await sent(handle, who, device)
    await take_out(handle, device, DeviceState.PRUNED, "UNREGISTERED")


@case("phone_gone")
async def suspect_since(handle: Handle, who: str) -> None:
    device = await phone(handle, who)
    await sent(handle, who, device)
    await take_out(handle, device, DeviceState.QUARANTINED, "BadDeviceToken")


@case("phone_gone")
async def logged_out_since(handle: Handle, who: str) -> None:
    await sent(handle, who, await phone(handle, who))
    await handle.registry.forget(f"phone-{who}", proven=None, now=NOW - 5.0)


@case("phone_gone")
async def moved_to_another_since(handle: Handle, who: str) -> None:
    await sent(handle, who, await phone(handle, who))
    await phone(handle, who, seen=NOW - 5.0, user_id=f"{who}-another")


@case("queue")
async def queued(handle: Handle, who: str) -> None:
    await phone(handle, who)
    await event(handle, f"msg_{who}", who)


@case("queue")
async def queued_behind_an_older_one(handle: Handle, who: str) -> None:
    await sent(handle, who, await phone(handle, who), received=NOW - 9_000.0, at=NOW - 8_000.0)
    await event(handle, f"msg_{who}_newer", who)


@case("queue")
async def queued_without_a_phone(handle: Handle, who: str) -> None:
    await event(handle, f"msg_{who}", who)


@case("waiting")
async def waiting(handle: Handle, who: str) -> None:
    await sent(handle, who, await phone(handle, who), "pending")


@case("retrying")
async def retrying(handle: Handle, who: str) -> None:
    device = await phone(handle, who)
    await sent(handle, who, device, "pending", "UNAVAILABLE", tries=4, next_at=NOW + 60.0)


@case("held")
async def held(handle: Handle, who: str) -> None:
    await sent(handle, who, await phone(handle, who, app="held"), "pending")


@case("paused")
async def paused(handle: Handle, who: str) -> None:
    await sent(handle, who, await phone(handle, who, app="paused"), "pending")


@case("failing")
async def failing(handle: Handle, who: str) -> None:
    await sent(handle, who, await phone(handle, who, app="failing"), "pending", tries=2)


@case("quiet")
async def quiet(handle: Handle, who: str) -> None:
    await sent(handle, who, await phone(handle, who, app="quiet"), "pending", "QUOTA_EXCEEDED")


@case("no_device")
async def no_phone(handle: Handle, who: str) -> None:
    await sent(handle, who, None, "no_device")


@case("registered_later")
async def registered_later(handle: Handle, who: str) -> None:
    await sent(handle, who, None, "no_device")
    await phone(handle, who, seen=NOW - 5.0)


@case("ids_contradict")
async def contradicting(handle: Handle, who: str) -> None:
    await phone(handle, who, custom_id=f"c-{who}")
    await sent(handle, who, None, "no_device", CONTRADICTION, custom_id=f"other-{who}")


@case("moved")
async def moved_before(handle: Handle, who: str) -> None:
    device = await phone(handle, who)
    await handle.registry.forget(f"phone-{who}", proven=None, now=NOW - 90.0)
    await sent(handle, who, device, "no_device", GONE)


@case("source_limits")
async def no_tester(handle: Handle, who: str) -> None:
    await phone(handle, who)
    await sent(handle, who, None, "no_device", NO_TESTER)


@case("source_limits")
async def no_app(handle: Handle, who: str) -> None:
    await phone(handle, who)
    await sent(handle, who, None, "no_device", NO_APP)


@case("expired")
async def too_old(handle: Handle, who: str) -> None:
    await phone(handle, who)
    await sent(handle, who, None, "expired", f"{TOO_OLD}: the event is dated 2025-11-06")


@case("expired")
async def expired_after_tries(handle: Handle, who: str) -> None:
    await sent(handle, who, await phone(handle, who), "expired", "UNAVAILABLE", tries=9)


@case("refused")
async def refused(handle: Handle, who: str) -> None:
    await sent(handle, who, await phone(handle, who), "refused", "INVALID_ARGUMENT", tries=1)


@case("dead")
async def dead(handle: Handle, who: str) -> None:
    await sent(handle, who, await phone(handle, who), "dead", "INTERNAL", tries=11)


@case("pruned")
async def pruned(handle: Handle, who: str) -> None:
    device = await phone(handle, who)
    await take_out(handle, device, DeviceState.PRUNED, "UNREGISTERED")
    await sent(handle, who, device, "pruned", "UNREGISTERED", tries=1)


@case("overtaken")
async def overtaken(handle: Handle, who: str) -> None:
    await sent(handle, who, await phone(handle, who), "cancelled", "newer one sent")


@case("cancelled")
async def cancelled(handle: Handle, who: str) -> None:
    await sent(handle, who, await phone(handle, who), "cancelled", "its event was cancelled")


@case("superseded")
async def superseded(handle: Handle, who: str) -> None:
    await sent(handle, who, await phone(handle, who), "cancelled", "superseded by msg_x")


@case("held_out")
async def held_out(handle: Handle, who: str) -> None:
    await phone(handle, who)
    await sent(handle, who, None, "held_out", "spring")


@case("rejected")
async def rejected(handle: Handle, who: str) -> None:
    await phone(handle, who)
    reason = Rejection(0, "title and body are both empty")
    given: dict[str, Any] = {
        "rejections": (reason,),
        "notifications": 0,
        "chunks": 0,
        "people": (who,),
    }
    event_id = f"msg_{who}"
    entry = {"user_id": who, "title": ""}
    body = json.dumps({"data": {"notifications": [entry]}}).encode()
    kept = Event(event_id, "notifications.sent", "accepted", NOW - 99.0, body=body, **given)
    await handle.queue.accept(kept, [])


@case("not_understood")
async def not_understood(handle: Handle, who: str) -> None:
    await phone(handle, who)
    body = json.dumps({"data": {"notifications": {"0": {"user_id": who}}}}).encode()
    given: dict[str, Any] = {"reason": "notifications is no list", "people": (who,), "body": body}
    kept = Event(f"msg_{who}", "notifications.sent", "quarantined", NOW - 99.0, **given)
    await handle.queue.accept(kept, [])


@case("erased")
async def erased_person(handle: Handle, who: str) -> None:
    await sent(handle, who, await phone(handle, who))
    await event(handle, f"msg_{who}_2", who)
    await handle.registry.erase(UserRef(user_id=who), now=NOW - 1.0)
    for asked in await handle.store.erasures.take("job", now=NOW, until=NOW + 60.0):
        for event_id in (f"msg_{who}", f"msg_{who}_2"):
            await handle.store.erasures.erase(event_id, asked, now=NOW, follow=False)


@case("nothing_came")
async def nothing_came(handle: Handle, who: str) -> None:
    await phone(handle, who)


async def _nothing(_handle: Handle, _who: str) -> None:
    """Nobody is planted."""


CASES["unknown"] = (_nothing, "unknown_person")
