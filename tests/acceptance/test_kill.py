"""`kill -9` at random moments in the middle of a batch: nothing lost, and little repeated."""

from __future__ import annotations

import random
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence

from gateway.core.model import delivery_id
from providers.sandbox import ReceivedPush, Sandbox
from tests.kit.audience import androids, iphones, notifications_to
from tests.kit.figures import Figures
from tests.kit.gateway import Installation, Process, eventually
from tests.kit.journal_file import delivery_states
from tests.kit.sender import event

SEED = 20261123
KILLS = 10
MOST_BEFORE_A_KILL = 450
"""Pushes that arrive between a start and its kill: few enough that all kills are in the middle."""
HALF = 2_500
EVENT = "msg_killed"
JOURNAL_INTERVAL_S = 0.1
STREAMS = 100
"""Pushes in flight to each vendor: one connection with so many streams."""


async def test_ten_kills_lose_nothing_and_repeat_only_what_was_not_journaled_yet(
    installation: Installation, sandbox: Sandbox, figures: Figures
) -> None:
    sandbox.settings.stream_limit = STREAMS
    installation.configure(fcm={"rate_per_s": 0, "max_connections": 1}, apns={"max_connections": 1})
    audience = androids(range(HALF)) + iphones(range(HALF, 2 * HALF))
    await installation.register(audience)
    key = await installation.key()
    # The import numbers devices from 1, in the order of the audience and of the batch.
    names = [delivery_id(EVENT, index, index + 1) for index in range(len(audience))]
    rng = random.Random(SEED)
    moments = [rng.randrange(MOST_BEFORE_A_KILL) for _ in range(KILLS)]
    in_doubt: list[set[str]] = []
    ages: list[float] = []

    for moment in moments:
        seen = len(sandbox.pushes)
        async with installation.serving() as gateway:
            if not in_doubt:
                reply = await gateway.post(EVENT, event(notifications_to(audience)))
                assert reply.json["status"] == "accepted"
            await arrived(gateway, sandbox, seen + moment)
            await gateway.kill()
            killed_at = time.time()
        states = delivery_states(installation.folder / "inkpush.db", EVENT)
        journaled = {names[index] for (index, _), state in states.items() if state == "delivered"}
        unknown = [push for push in sandbox.pushes[seen:] if push.collapse_id not in journaled]
        in_doubt.append({push.collapse_id for push in unknown})
        ages.append(max((killed_at - push.at for push in unknown), default=0.0))

    began, before = time.monotonic(), len(sandbox.pushes)
    async with installation.serving() as gateway:
        assert await gateway.settled(EVENT, key) == {"delivered": len(audience)}
        rate = (len(sandbox.pushes) - before) / (time.monotonic() - began)
        assert await gateway.terminate() == 0

    times = Counter(push.collapse_id for push in sandbox.pushes)
    repeated = {name for name, count in times.items() if count > 1}
    assert set(times) == set(names), "a delivery was lost"
    assert repeated <= set.union(*in_doubt), "a delivery came twice although it was journaled"
    most = 2 * STREAMS + most_within(JOURNAL_INTERVAL_S, sandbox.pushes)
    assert max(map(len, in_doubt)) <= most
    for push in sandbox.pushes:
        assert (push.id if push.provider == "apns" else push.headers["collapse_key"]) in times
    assert {len(sandbox.phone(phone.address)) for phone in audience} == {1}
    figures(
        f"seed {SEED}: killed {moments} pushes after each start, {rate:.0f} pushes/s at the end; "
        f"taken but not journaled at each kill: {[len(doubts) for doubts in in_doubt]} (at most "
        f"{most}: in flight, and one journal interval), the oldest for {max(ages):.2f} s; "
        f"{len(times)} delivered, 0 lost, {times.total() - len(times)} repeated under the same "
        "apns-id or collapse key, every phone shows one"
    )


async def arrived(gateway: Process, sandbox: Sandbox, pushes: int) -> None:
    """Wait until so many pushes have arrived at the vendors."""

    def enough() -> bool:
        assert not gateway.ended, gateway.lines[-5:]
        return len(sandbox.pushes) >= pushes

    await eventually(f"{pushes} pushes have arrived", enough, every_s=0.001)


def most_within(seconds: float, pushes: Sequence[ReceivedPush]) -> int:
    """The most pushes that arrived in any stretch of so many seconds."""
    times = sorted(push.at for push in pushes)
    return max(bisect_left(times, start + seconds) - i for i, start in enumerate(times))
