"""Telling a hook again what happened: its dead letters, and what the journal still knows."""

from __future__ import annotations

from typing import Any

from gateway.app.storage import Stores
from gateway.core.audit import Act
from gateway.ports import AGAIN


async def replay(stores: Stores, hook: str, *, since: float, now: float, act: Act) -> int:
    """Have all that happened since wait for a hook again, under the ids that it had. Returns how
    many events that are."""
    hooks = stores.store.hooks
    count = await hooks.replay_dead(hook, None, now=now, since=since)
    known = hooks.plan.hooks.get(hook)
    for what in AGAIN:
        after: Any = None
        while page := await hooks.again(what, hook, since=since, after=after, now=now):
            await hooks.mark(hook, happened=page.happened)
            count += sum(known is not None and known.wants(one.type) for one in page.happened)
            after = page.after
    await stores.audit.note(act, count=count)
    return count
