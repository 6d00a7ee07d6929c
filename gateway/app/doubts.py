"""Whether the database is the one that was worked on last, as far as that can be known.

Owns what is compared, and what follows: people are told, and no device is taken out of service
until a person releases the lanes (`inkpush lanes release`). An older copy has addresses and dates
of before, and proof of death is held against them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from gateway.app.storage import RelayFile, Stores
from gateway.app.timekeeping import LOOK_S
from gateway.core.clocks import Clocks, Wall
from gateway.core.instants import to_iso
from gateway.errors import StoreUnavailable
from gateway.events import Lifecycle, Observer, StoreFailed
from gateway.ports import Doubt, LaneRow, Standing
from gateway.tasks import end

if TYPE_CHECKING:
    from gateway.app.lanes import LanePlan

AHEAD_S = 300.0
"""A date so far in the future is none of a clock that is merely imprecise."""
_HINT = (
    "devices are not pruned until you run `inkpush lanes release`; see the runbook, `A database "
    "that is not what it was`"
)


async def look(
    stores: Stores, *, now: Wall, is_sure: bool = True, before: float | None = None
) -> list[Doubt]:
    """What speaks against this database, now. Its dates do only if the time `is_sure`. `before` is
    the latest of them when the process began: what is of the future is put right since."""
    found = []
    if stores.file is not None and (doubt := await _copy(stores.file, stores.secret, now)):
        found.append(doubt)
    dates = [await stores.store.doubts.newest(), before] if is_sure else []
    newest = max((date for date in dates if date is not None), default=None)
    if newest is not None and newest > now + AHEAD_S:
        reason = (
            f"the database has dates of the future: the latest is {to_iso(newest)}, and it is "
            f"{to_iso(now)}; this machine's clock is wrong, or another's was, or the database "
            "came from elsewhere"
        )
        found.append(Doubt("future", to_iso(newest), reason, now))
    event_id = await stores.newest_queued() if stores.newest_queued is not None else None
    if event_id is not None and await stores.journal.event(event_id) is None:
        reason = (
            "the queue has chunks of an event that the database does not know: the database is "
            "an older copy, or the queue is another one's"
        )
        found.append(Doubt("queue", event_id, reason, now))
    return found


async def stop_pruning(
    stores: Stores,
    plans: Sequence[LanePlan],
    *,
    now: Wall,
    observer: Observer,
    is_sure: bool = True,
    before: float | None = None,
) -> list[Doubt]:
    """Look, turn the brakes of all lanes on for what people were not told before, and tell them.

    Telling comes last: what was told once turns no brake on again, if one failed in between.
    Returns the doubts that are open: of now, and of before with a brake that is still on.
    """
    found = await look(stores, now=now, is_sure=is_sure, before=before)
    known = {(doubt.what, doubt.value) for doubt in await stores.store.doubts.told()}
    for doubt in found:
        if (doubt.what, doubt.value) in known:
            continue
        for app, provider in await _lanes(stores, plans):
            await stores.lanes.trip_brake(app, provider, now=now)
        if await stores.store.doubts.tell(doubt):
            observer(Lifecycle("database_doubted", f"{doubt.reason}; {_HINT}"))
    told = await stores.store.doubts.told()
    return [doubt for doubt in told if _is_open(doubt, await stores.lanes.all())] if told else []


@asynccontextmanager
async def doubting(
    stores: Stores,
    plans: Sequence[LanePlan],
    *,
    clocks: Clocks,
    before: float | None,
    observer: Observer,
    found: Callable[[list[Doubt]], None],
    failed: Callable[[BaseException], None],
) -> AsyncIterator[None]:
    """Look now, before the relay starts; and at the dates once the time is known, if it is doubted
    now; `before`: see `look`. `found` takes the doubts that are open, `failed` a fault of the
    second look."""
    judge = partial(stop_pruning, stores, plans, observer=observer, before=before)

    async def look_again() -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            if clocks.doubted():
                continue
            try:
                found(await judge(now=clocks.wall()))
            except StoreUnavailable as error:
                observer(StoreFailed("lane state", str(error)))
            else:
                return

    def look_at(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            failed(error)

    is_sure, now = not clocks.doubted(), clocks.wall()
    found(await judge(now=now, is_sure=is_sure))
    task = None if is_sure else asyncio.get_running_loop().create_task(look_again())
    if task is not None:
        task.add_done_callback(look_at)
    try:
        yield
    finally:
        await end(task)


def standing(doubts: Iterable[Doubt]) -> Standing | None:
    """What /readyz says; None: nothing."""
    doubts = list(doubts)
    if not doubts:
        return None
    reason = "; ".join(doubt.reason for doubt in doubts)
    return Standing("doubted", reason, _HINT, since=doubts[0].at)


@asynccontextmanager
async def keeping_notes(
    stores: Stores, observer: Observer, *, every_s: float
) -> AsyncIterator[None]:
    """Write down how far a SQLite file has come: now, every `every_s`, and at the end."""
    file = stores.file
    if file is None:
        yield
        return

    async def note() -> None:
        try:
            file.note(await file.reached(stores.secret))
        except (StoreUnavailable, OSError) as error:
            observer(StoreFailed("lock file", str(error)))

    async def note_on() -> None:
        while True:
            await asyncio.sleep(every_s)
            await note()

    await note()
    task = asyncio.get_running_loop().create_task(note_on())
    try:
        yield
    finally:
        await end(task)
        await note()


# --- inside -----------------------------------------------------------------------------------


async def _copy(file: RelayFile, secret: bytes, now: Wall) -> Doubt | None:
    """Whether the file had come further before, or another one was here."""
    before = file.before
    if before is None or file.is_new:
        return None
    here = await file.reached(secret)
    if here.store != before.store:
        reason = "the file is another database than the one that was here before"
        return Doubt("copy", f"{before.store} {here.store}", reason, now)
    behind = [name for name, largest in before.ids.items() if here.ids.get(name, 0) < largest]
    if not behind:
        return None
    reason = (
        "the file is an older copy of the database that was here before: what came after it is "
        f"not in it (fewer rows were ever in {', '.join(sorted(behind))})"
    )
    return Doubt("copy", " ".join(f"{name}:{before.ids[name]}" for name in behind), reason, now)


async def _lanes(stores: Stores, plans: Sequence[LanePlan]) -> list[tuple[str, str]]:
    """The lanes that are configured or were ever seen."""
    names = [(plan.app, plan.vendor.name) for plan in plans]
    names += [(row.app, row.provider) for row in await stores.lanes.all()]
    return sorted(set(names))


def _is_open(doubt: Doubt, lanes: Sequence[LaneRow]) -> bool:
    """Whether a brake that was on when the doubt came is on still."""
    return any(row.brake_at is not None and row.brake_at <= doubt.at for row in lanes)
