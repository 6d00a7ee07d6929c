"""On PostgreSQL, whoever writes what the lot made and whoever ends or exempts follow each other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import asyncpg
import pytest

from gateway.core.drawn import Stage, Tally, What
from gateway.core.model import UserRef
from gateway.store.postgres import PostgresStore
from gateway.store.postgres import experiments as rows
from gateway.store.postgres.database import Session
from tests.kit.build import NOW
from tests.kit.experiments import drawn, kept, word
from tests.kit.gateway import eventually
from tests.kit.stores import BACKENDS, Handle, erase, record

WAITING = (
    "SELECT count(*) FROM pg_stat_activity "
    "WHERE wait_event_type = 'Lock' AND datname = current_database()"
)

Act = Callable[[Handle], Awaitable[object]]


@pytest.fixture
async def handle(tmp_path: Path) -> AsyncIterator[Handle]:
    async with BACKENDS["postgres"].open(tmp_path, lambda: NOW) as opened:
        yield opened


async def beside(handle: Handle, act: Act, stage: Stage = Stage.RUNNING) -> None:
    """Act while a transaction is open that has looked how the experiment stands, and then writes
    that somebody is held. Returns when both are done."""
    store = handle.store
    assert isinstance(store, PostgresStore)
    told = [drawn(What.HELD, stage=stage, keeps=stage is Stage.RUNNING)]
    acting: list[asyncio.Future[object]] = []

    async def is_acted() -> bool:
        return acting[0].done() or await watching.fetchval(WAITING) > 0

    async def work(session: Session) -> None:
        stands = await rows.standings(session, told)
        acting.append(asyncio.ensure_future(act(handle)))
        await eventually("somebody waits, or is done", is_acted)
        await rows.keep_drawn(session, told, stands, None)

    watching = await asyncpg.connect(store.database.url)
    try:
        await store.database.write(work)
        await acting[0]
    finally:
        await watching.close()


async def test_an_end_comes_after_who_is_being_held(handle: Handle) -> None:
    there = handle.store.experiments
    assert await there.begin(kept())
    await beside(handle, lambda one: one.store.experiments.end("spring", at=NOW + 5, reason="x"))
    (held,) = await there.due(now=NOW + 5, limit=9)
    assert held.until == NOW + 5


async def test_an_exemption_comes_after_who_is_being_held(handle: Handle) -> None:
    there = handle.store.experiments
    assert await there.begin(kept())
    exempt = [word("mary")]
    await beside(
        handle, lambda one: one.store.experiments.exempt(exempt, is_exempt=True, at=NOW + 5)
    )
    (held,) = await there.due(now=NOW + 5, limit=9)
    assert held.until == NOW + 5


async def test_whom_a_dry_run_is_noting_is_forgotten_when_people_begin_to_enter(
    handle: Handle,
) -> None:
    there = handle.store.experiments
    assert await there.begin(kept(Stage.DRY))
    await beside(handle, lambda one: one.store.experiments.begin(kept()), Stage.DRY)
    assert await there.tally("spring") == Tally()


async def test_who_is_erased_while_they_are_being_held_is_gone_when_the_erase_is_done(
    handle: Handle,
) -> None:
    """The transaction did not see the erase, and the erase did not see it."""
    assert await handle.store.experiments.begin(kept())
    mary = UserRef(user_id="mary")
    await beside(handle, lambda one: one.registry.erase(mary, now=NOW + 5))
    assert (await handle.store.experiments.tally("spring")).held == 1
    await handle.journal.record([record("msg_1", 0, 0)], [])
    await erase(handle, mary, now=NOW + 6)
    assert await handle.store.experiments.tally("spring") == Tally()
