"""What a store knows of its own times, and what people were told once."""

from __future__ import annotations

import pytest

from gateway.ports import Doubt, LaneRow
from tests.kit.build import NOW
from tests.kit.stores import Handle, accept, register

COPY = Doubt("copy", "queue:7", "an older copy", NOW)


async def test_a_new_store_has_no_times(handle: Handle) -> None:
    assert await handle.store.doubts.newest() is None


@pytest.mark.parametrize("what", ["an event", "a phone", "a lane's report"])
async def test_the_newest_time_is_of_what_came_last(handle: Handle, what: str) -> None:
    later = NOW + 9_000
    await accept(handle, "msg_1", at=NOW)
    await register(handle, "phone-1", "address-1", user_id="mary")
    match what:
        case "an event":
            await accept(handle, "msg_2", at=later)
        case "a phone":
            await register(handle, "phone-2", "address-2", user_id="mary", now=later)
        case _:
            await handle.lanes.report([LaneRow("agent", "fcm", seen_at=later)])
    assert await handle.store.doubts.newest() == later


async def test_the_same_doubt_is_told_once_and_another_again(handle: Handle) -> None:
    doubts = handle.store.doubts
    assert await doubts.told() == []
    assert await doubts.tell(COPY)
    assert not await doubts.tell(Doubt("copy", COPY.value, "in other words", NOW + 5))
    assert await doubts.told() == [COPY]
    again = Doubt("copy", "queue:8", "a copy again", NOW + 9)
    future = Doubt("future", "2030", "it is not yet", NOW + 10)
    assert await doubts.tell(again)
    assert await doubts.tell(future)
    assert await doubts.told() == [again, future]


async def test_a_doubt_is_told_to_one_of_two_replicas(handle: Handle, replica: Handle) -> None:
    assert await handle.store.doubts.tell(COPY)
    assert not await replica.store.doubts.tell(COPY)
    assert await replica.store.doubts.told() == [COPY]
