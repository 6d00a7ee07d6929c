"""The failed attempts of a delivery: the last ones are kept, as long as their delivery is."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.core.attempts import KEPT, Attempt, Failed, line
from gateway.core.model import UserRef
from gateway.core.states import DeliveryState
from tests.kit.build import NOW
from tests.kit.stores import Handle, accept, erase, record

KEY = ("msg_1", 0, 7)


def failed(at: float = NOW, word: str = "UNAVAILABLE", **changed: Any) -> Failed:
    one = Failed(*KEY, 1, line(at, "unavailable", word), "mary", None)
    return one._replace(**changed)


async def settle_all(handle: Handle) -> None:
    for claim in await handle.queue.claim(limit=100, lease_s=60.0, now=NOW):
        assert await handle.queue.settle(claim, [])


async def test_the_last_ones_are_kept_newest_first_and_all_are_counted(handle: Handle) -> None:
    for n in range(40):
        await handle.journal.record([], [], failed=[failed(NOW + n, f"WORD_{n}")])
    found = (await handle.journal.failures([KEY]))[KEY]
    assert found.count == 40
    assert found.last[0] == Attempt(NOW + 39, "unavailable", "WORD_39")
    assert 8 <= len(found.last) <= 40
    assert [one.at for one in found.last] == [NOW + 39 - n for n in range(len(found.last))]


async def test_each_delivery_has_its_own(handle: Handle) -> None:
    other = failed(word="B", device_id=8)
    third = failed(word="C", event_id="msg_2")
    await handle.journal.record([], [], failed=[third, other, failed(word="A")])
    keys = [KEY, ("msg_1", 0, 8), ("msg_2", 0, 7), ("msg_1", 1, 7)]
    found = await handle.journal.failures(keys)
    assert {key: one.last[0].word for key, one in found.items()} == dict(
        zip(keys, "ABC", strict=False)
    )
    assert await handle.journal.failures([]) == {}


async def test_one_of_any_length_is_cut(handle: Handle) -> None:
    await handle.journal.record([], [], failed=[failed(said=line(NOW, "unavailable", "x") * 30)])
    await handle.journal.record([], [], failed=[failed(said="y" * KEPT)])
    assert (await handle.journal.failures([KEY]))[KEY].count == 2


async def test_a_push_that_succeeds_at_once_has_none(handle: Handle) -> None:
    await handle.journal.record([record("msg_1", 0, 7)], [])
    assert await handle.journal.failures([KEY]) == {}


async def test_an_erase_takes_them_also_those_that_come_later(handle: Handle) -> None:
    await accept(handle, "msg_1", 1)
    line_ = record("msg_1", 0, 7, state=DeliveryState.PENDING)
    await handle.journal.record([line_], [], failed=[failed()])
    await erase(handle, UserRef(user_id="mary"), now=NOW + 1)
    assert await handle.journal.failures([KEY]) == {}
    await handle.journal.record([line_], [], failed=[failed(NOW + 2)])
    assert await handle.journal.failures([KEY]) == {}


async def test_an_erase_leaves_those_of_others(handle: Handle) -> None:
    await accept(handle, "msg_1", 2)
    lines = [record("msg_1", 0, 7), record("msg_1", 1, 9, user_id="zoe")]
    theirs = failed(index=1, device_id=9, user_id="zoe")
    await handle.journal.record(lines, [], failed=[failed(), theirs])
    await erase(handle, UserRef(user_id="mary"), now=NOW + 1)
    assert set(await handle.journal.failures([KEY, ("msg_1", 1, 9)])) == {("msg_1", 1, 9)}


@pytest.mark.parametrize("over", [True, False])
async def test_they_live_as_long_as_their_delivery(handle: Handle, over: bool) -> None:
    at = NOW - 3 * 86_400
    event = await accept(handle, "msg_1", 1, at=at)
    line_ = record("msg_1", 0, 7, at=at, day=int(event.received_at // 86_400))
    await handle.journal.record([line_], [], failed=[failed()], done=[("msg_1", 0)])
    await settle_all(handle)
    await handle.journal.purge(before=at + (86_400 if over else -86_400))
    assert bool(await handle.journal.failures([KEY])) is not over
