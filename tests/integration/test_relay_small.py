"""At a pace where every edge is near, what a gateway promises is the same."""

from __future__ import annotations

from collections import Counter

import pytest
from aiohttp import ClientSession

from gateway.core.pace import Pace
from tests.kit.audience import androids, notifications_to
from tests.kit.gateway import SECRET
from tests.kit.relay_rig import RelayRig
from tests.kit.sender import event, signed

#: chunks of three, two at once, a buffer of four records
SMALL = Pace(
    chunk_items=3, claim_chunks=2, fan_outs=1, backlog=8, flush_rows=4, idle_s=0.01, beat_s=0.01
)


async def test_a_batch_of_many_small_chunks_goes_out_once_and_whole(rig: RelayRig) -> None:
    phones = androids(range(50))
    async with rig.gateway(rig.settings(), SMALL) as running:
        await running.register(*phones)
        await running.queue_for("msg_1", phones)
        assert await running.settled("msg_1") == {"delivered": 50}
        await running.empty()
    assert rig.times_delivered() == Counter({1: 50})


@pytest.mark.parametrize(("items", "chunks"), [(1, 1), (3, 1), (4, 2), (50, 17)])
async def test_the_webhook_cuts_as_the_pace_says(rig: RelayRig, items: int, chunks: int) -> None:
    body = event(notifications_to(androids(range(items))))
    async with rig.gateway(rig.settings(), SMALL) as running, ClientSession() as http:
        url = f"http://127.0.0.1:{running.gateway.public_port}/webhooks/learnink"
        async with http.post(url, data=body, headers=signed("msg_1", body, SECRET)) as answer:
            assert answer.status == 200
        summary = await running.stores.journal.event("msg_1")
        assert summary is not None
        assert summary.event.chunks == chunks
