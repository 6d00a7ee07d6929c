"""`inkpush send`: a push from the command line, as durable as one from the API."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from gateway.app.ids import RANDOM
from gateway.app.storage import open_store
from gateway.core.audit import Actor, addressee
from gateway.core.chunks import cut, deadline_of
from gateway.core.ids import Ids
from gateway.core.items import parse_items
from gateway.core.model import Event
from gateway.core.sources import CLI, Terms, event_id_of
from gateway.core.staleness import recipients, stale_before
from gateway.whose import By, find_addressee
from providers.contract import address_hash

if TYPE_CHECKING:
    from config.settings import Settings


@dataclass(frozen=True, slots=True)
class Destination:
    """A device that a notification would go to; its address only as a hash."""

    index: int
    app: str
    provider: str
    platform: str
    address_hash: str


@dataclass(frozen=True, slots=True)
class Submitted:
    """The result of `inkpush send`. `event_id` is empty for a dry run."""

    event_id: str
    notifications: int
    rejections: tuple[str, ...]
    destinations: tuple[Destination, ...]


async def submit_item(
    settings: Settings,
    content: dict[str, Any],
    *,
    user: str,
    by: By | None,
    dry_run: bool,
    actor: Actor,
    ids: Ids = RANDOM,
) -> Submitted:
    """Queue a notification to a user in the store; a running gateway takes it from there at once.

    Raises AmbiguousId where the id means two people.
    """
    async with open_store(settings, ids=ids) as stores:
        raw = [content | asdict(await find_addressee(stores.registry, user, by))]
        items, rejections = parse_items(raw, terms=Terms(CLI))
        reasons = tuple(f"item {rejection.index}: {rejection.reason}" for rejection in rejections)
        targets = await stores.registry.targets(items)
        now = stores.clocks.wall()
        days, lanes = settings.devices.stale_after_days, _lanes(settings)
        before = stale_before(now, after_days=days, doubted=stores.clocks.doubted())
        destinations = tuple(
            Destination(
                item.index,
                target.app,
                target.provider,
                target.address.platform.value,
                address_hash(target.address.value),
            )
            for item, found in zip(items, targets, strict=True)
            for target in recipients(
                found,
                before=before,
                able=lambda one: not one.fault and (one.app, one.provider) in lanes,
            )
        )
        if dry_run or not items:
            return Submitted("", len(items), reasons, destinations)
        event_id = event_id_of(CLI, ids.new())
        deadline = deadline_of(None, now, settings.relay.max_age_s)
        chunks = cut(event_id, items, received_at=now, deadline=deadline)
        body = {"type": "notifications.sent", "data": {"notifications": raw}}
        event = Event(
            event_id=event_id,
            type="notifications.sent",
            status="accepted",
            received_at=now,
            notifications=len(items),
            rejections=tuple(rejections),
            chunks=len(chunks),
            body=json.dumps(body, ensure_ascii=False).encode(),
            source=CLI,
        )
        act = actor.does("notifications.send", event_id, at=now, about=addressee(items))
        await stores.queue.accept(event, chunks, act=act)
    return Submitted(event_id, len(items), reasons, destinations)


def _lanes(settings: Settings) -> set[tuple[str, str]]:
    return {(app.id, vendor) for app in settings.apps for vendor in app.vendors}
