"""Readiness is what was seen: the last failure to store counts until something shows otherwise."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.app.storing import Storing
from gateway.errors import StoreUnavailable
from gateway.tasks import end
from tests.kit.gateway import eventually


class Store:
    """A store with room for rows of this size."""

    def __init__(self) -> None:
        self.room = 0
        self.trials = 0

    async def trial(self) -> None:
        self.trials += 1
        await self.put(1024)

    async def put(self, size: int) -> int:
        if size > self.room:
            raise StoreUnavailable("the disk is full")
        return size

    async def ping(self) -> None:
        await self.put(0)


@asynccontextmanager
async def running(store: Store, every_s: float) -> AsyncIterator[Storing]:
    storing = Storing(store.trial, every_s=every_s)
    task = asyncio.get_running_loop().create_task(storing.run())
    try:
        yield storing
    finally:
        await end(task)


async def test_a_failure_counts_until_one_of_its_kind_was_stored() -> None:
    store = Store()
    async with running(store, 3600.0) as storing:
        events = storing.watched(store, "event", "put")
        registrations = storing.watched(store, "registration", "put")
        with pytest.raises(StoreUnavailable):
            await events.put(100)
        store.room = 10
        assert await registrations.put(10) == 10
        await store.ping()
        assert storing.failure == "the disk is full"
        store.room = 100
        assert await events.put(100) == 100
        assert storing.failure is None


async def test_what_is_not_watched_says_nothing() -> None:
    store = Store()
    async with running(store, 3600.0) as storing:
        watched = storing.watched(store, "event", "put")
        store.room = -1
        with pytest.raises(StoreUnavailable):
            await watched.ping()
        assert storing.failure is None


async def test_a_trial_ends_it_where_nothing_else_comes() -> None:
    store = Store()
    async with running(store, 0.0) as storing:
        storing.refused("event", "the disk is full")
        storing.refused("journal", "the disk is full")
        await eventually("it was tried", lambda: store.trials > 3)
        assert storing.failure == "the disk is full"
        store.room = 1024
        await eventually("it is well", lambda: storing.failure is None)
        tried = store.trials
        for _ in range(20):
            await asyncio.sleep(0)
        assert store.trials == tried  # nothing is tried while all is well


async def test_what_fails_during_a_trial_that_succeeds_still_counts() -> None:
    store = Store()
    storing = Storing(store.trial, every_s=0.0)
    storing.refused("event", "before")

    async def trial() -> None:
        storing.refused("event", "meanwhile")

    storing._trial = trial
    await storing._try()
    assert storing.failure == "meanwhile"
