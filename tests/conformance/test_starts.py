"""Which push of a device and key may start: none after one of a later-received event."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace

from gateway.core.agreement import Correction
from gateway.core.model import Chunk, Event
from gateway.ports import Start
from gateway.ports.starts import Answer
from tests.kit.build import NOW, chunk, item
from tests.kit.gateway import eventually
from tests.kit.stores import Handle

FOR_S = 1.0
KEY = "11111111-2222-5333-8444-555555555555"


def start(
    received_at: float, holder: str = "", *, event_id: str = "", device_id: int = 1, key: str = KEY
) -> Start:
    """One of an event that the store does not know, unless it is named."""
    name = event_id or f"unknown at {received_at}"
    return Start(device_id, key, name, received_at, holder or f"relay/{name}")


async def ask(
    handle: Handle, *asked: Start, now: float = NOW, latest: float = math.inf
) -> list[Answer]:
    return await handle.starts.ask(asked, now=now, latest=latest, for_s=FOR_S)


async def keep(handle: Handle, event_id: str, received_at: float) -> None:
    """An event that the store knows."""
    event = Event(event_id, "notifications.sent", "accepted", received_at)
    cut: Chunk = replace(chunk([item(0)]), event_id=event_id, first_seen=received_at)
    await handle.queue.accept(replace(event, notifications=1, chunks=1), [cut])


# --- the rule -----------------------------------------------------------------------------------


async def test_the_first_of_a_device_and_key_may_start(handle: Handle) -> None:
    assert await ask(handle, start(NOW)) == ["may"]


async def test_an_older_one_is_overtaken_also_when_the_newer_one_has_ended(handle: Handle) -> None:
    newer, older = start(NOW), start(NOW - 0.001)

    assert await ask(handle, newer) == ["may"]
    assert await ask(handle, older) == ["overtaken"]
    await handle.starts.release([newer])
    assert await ask(handle, older) == ["overtaken"]
    assert await ask(handle, older, now=NOW + 3600) == ["overtaken"]


async def test_a_newer_one_waits_until_the_older_one_has_ended(handle: Handle) -> None:
    older, newer = start(NOW - 1), start(NOW)

    assert await ask(handle, older) == ["may"]
    assert await ask(handle, newer) == ["waits"]
    assert await ask(handle, older) == ["may"]  # as long as none that is newer was let go
    await handle.starts.release([older])
    assert await ask(handle, newer) == ["may"]
    assert await ask(handle, older) == ["overtaken"]


async def test_what_is_not_released_ends_by_itself(handle: Handle) -> None:
    """A process was killed: its successor, or another one, goes on after a second."""
    assert await ask(handle, start(NOW - 1)) == ["may"]
    tries = 0

    async def may() -> bool:
        nonlocal tries
        tries += 1
        return await ask(handle, start(NOW), now=NOW + tries * 0.05) == ["may"]

    await eventually("the newer one may start", may)
    assert tries > 1


async def test_one_that_asks_again_has_its_time_again(handle: Handle) -> None:
    one, newer = start(NOW - 1), start(NOW)

    for _ in range(3):
        assert await ask(handle, one) == ["may"]
    assert await ask(handle, newer) == ["waits"]


async def test_only_who_holds_it_releases_it(handle: Handle) -> None:
    """The same delivery in another process, after a lost lease, is another holder."""
    mine = start(NOW - 1, "first/delivery", event_id="a")
    theirs = mine._replace(holder="second/delivery")
    assert await ask(handle, mine) == ["may"]

    await handle.starts.release([theirs])
    assert await ask(handle, theirs) == ["waits"]
    await handle.starts.release([mine])
    assert await ask(handle, theirs) == ["may"]


async def test_two_of_one_moment_follow_each_other_and_none_is_overtaken(handle: Handle) -> None:
    one, other = start(NOW, "r/1"), start(NOW, "r/2")
    for first, second in ((one, other), (other, one)):
        assert await ask(handle, first) == ["may"]
        assert await ask(handle, second) == ["waits"]
        await handle.starts.release([first])


async def test_other_devices_and_keys_are_nobodys_matter(handle: Handle) -> None:
    assert await ask(handle, start(NOW)) == ["may"]

    older = [
        start(NOW - 9, device_id=2),
        start(NOW - 9, key=KEY.replace("1", "2")),
        start(NOW - 9),
        start(NOW - 9, device_id=3),
    ]
    assert await ask(handle, *older) == ["may", "may", "overtaken", "may"]


async def test_an_event_counts_by_its_reception_whenever_it_is_sent_again(handle: Handle) -> None:
    """A dead letter or a quarantined event that is replayed is first seen now, and still is old."""
    await keep(handle, "old", NOW - 100)
    newer = start(NOW - 50, event_id="unknown")
    assert await ask(handle, newer) == ["may"]

    assert await ask(handle, start(NOW, event_id="old")) == ["overtaken"]


async def test_what_a_wrong_clock_dated_overtakes_nothing(handle: Handle) -> None:
    wrong, right = start(NOW + 100), start(NOW)
    assert await ask(handle, wrong) == ["may"]
    await handle.starts.release([wrong])

    # nobody knows what time it is
    assert await ask(handle, right, latest=math.inf) == ["overtaken"]
    assert await ask(handle, right, latest=NOW + 60) == ["may"]


async def test_many_who_ask_at_once_get_one_leave_for_each_key(handle: Handle) -> None:
    """Two relays at the same keys, in every order: of each exactly one may."""
    keys = [f"key {number}" for number in range(40)]
    both = [
        [start(NOW, f"{relay}/{key}", key=key, event_id=relay) for key in order]
        for relay, order in (("a", keys), ("b", keys[::-1]), ("c", keys[20:] + keys[:20]))
    ]

    answers = await asyncio.gather(*(ask(handle, *asked) for asked in both))

    told: dict[str, list[Answer]] = {key: [] for key in keys}
    for asked, answer in zip(both, answers, strict=True):
        for one, word in zip(asked, answer, strict=True):
            told[one.key].append(word)
    assert {tuple(sorted(words)) for words in told.values()} == {("may", "waits", "waits")}
    await asyncio.gather(*(handle.starts.release(asked) for asked in both))


# --- what is kept -------------------------------------------------------------------------------


async def test_it_is_forgotten_with_the_journal(handle: Handle) -> None:
    """Long after its retention: the server's own clock may say until when it holds."""
    await ask(handle, start(NOW))
    assert await handle.journal.purge(before=NOW - 86_400) == 0
    assert await ask(handle, start(NOW - 1)) == ["overtaken"]

    assert await handle.journal.purge(before=4e9) >= 1
    assert await ask(handle, start(NOW - 1)) == ["may"]


async def test_what_was_dated_by_a_wrong_clock_is_put_right_with_its_events(
    handle: Handle,
) -> None:
    """On SQLite, where the machine's clock dates; on PostgreSQL nothing is dated by a wrong one."""
    if "sqlite" not in type(handle.store).__module__:
        return
    await keep(handle, "a", NOW + 50)
    await ask(handle, start(NOW + 50, event_id="a"))
    await handle.store.times.redate(Correction(NOW, NOW + 100, -1000.0), now=NOW)

    assert await ask(handle, start(NOW - 960)) == ["overtaken"]
    assert await ask(handle, start(NOW - 900)) == ["may"]
