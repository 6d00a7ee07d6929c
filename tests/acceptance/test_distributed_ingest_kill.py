"""An ingest that is killed between an event's row and its last chunk, fifty times at random."""

from __future__ import annotations

import hashlib
import json
import os
import random
import time
from collections import Counter
from pathlib import Path

import aiohttp
import nats

from tests.kit.audience import notification
from tests.kit.deployment import STREAM, Deployment, deployment
from tests.kit.figures import Figures
from tests.kit.gateway import Installation, Reply, post_webhook
from tests.kit.mortal_ingest import Nursery, mortal_ingests
from tests.kit.postgres import free_port
from tests.kit.retrying import EVENT
from tests.kit.sender import event

SEED = 20261125
KILLS = int(os.environ.get("INGEST_KILLS", "50"))
DEVICES = 256
APART = 8
"""One notification of so many is for a phone: a batch has more chunks than its pushes need."""
CHUNKS = 8
STALE_S = 60.0
"""What is `accepting` for longer is completed by housekeeping."""


async def test_fifty_ingests_killed_before_their_last_chunk_lose_and_double_nothing(
    installation: Installation, vendor_keys: Path, figures: Figures
) -> None:
    """Of two events that were left half way, one is repeated by its sender and one is not."""
    rng = random.Random(SEED)
    body = event(
        [
            notification(n // APART if n % APART == 0 else DEVICES + n)
            for n in range(DEVICES * APART)
        ]
    )
    async with deployment(
        installation,
        vendor_keys,
        devices=DEVICES,
        events=KILLS,
        relays=1,
        rate_per_s=0,
        lease_s=20.0,
        # what is published again is not known by its id any more: the journal has the last word
        duplicate_window_s=1.0,
    ) as site:
        began = time.monotonic()
        moments = [rng.randrange(CHUNKS) for _ in range(KILLS)]
        async with mortal_ingests(installation.config) as nursery:
            for number, chunks in enumerate(moments):
                assert await post(site, nursery, number, body, chunks=chunks) == 0
                assert await status_of(site, number) == "accepting"
                assert await chunks_in_stream(site, number) == chunks
            killed_s = time.monotonic() - began

            # what is queued goes out first, so that it is published anew when nobody waits for it
            relay = await site.relay(0)
            await site.until_delivered(sum(moments) * DEVICES // CHUNKS, within_s=300)
            repeated = range(1, KILLS, 2)
            port = free_port()
            await nursery.ingest(port, chunks=None)
            answers = [
                (await post_to(installation, port, number, body)).json["status"]
                for number in (*repeated, *repeated)
            ]
            assert answers == ["accepted"] * len(repeated) + ["duplicate"] * len(repeated)
        left = [EVENT.format(number) for number in range(0, KILLS, 2)]
        aged = "UPDATE events SET received_at = received_at - $1 WHERE event_id = ANY($2)"
        await site.rows(aged, STALE_S, left)
        began = time.monotonic()
        await site.until_delivered(KILLS * DEVICES, within_s=300)
        completed_s = time.monotonic() - began
        states = dict(await site.rows("SELECT status, count(*) FROM events GROUP BY status"))
        assert await relay.terminate() == 0
        outcome = dict(await site.rows("SELECT state, count(*) FROM deliveries GROUP BY state"))

    times = Counter(push.key for push in site.log.read())
    figures(
        f"seed {SEED}: {KILLS} killed in {killed_s:.0f} s after so many of {CHUNKS} chunks: "
        f"{dict(sorted(Counter(moments).items()))}; {len(repeated)} completed by the sender's "
        f"repeat, {len(left)} by housekeeping ({completed_s:.0f} s after they were stale); "
        f"{len(times)} pushes, 0 missing, {times.total() - len(times)} twice"
    )
    everything = {(number, device): 1 for number in range(KILLS) for device in range(DEVICES)}
    assert times == everything
    assert states == {"accepted": KILLS}
    assert outcome == {"delivered": KILLS * DEVICES, "no_device": KILLS * DEVICES * (APART - 1)}


async def post(site: Deployment, nursery: Nursery, number: int, body: bytes, *, chunks: int) -> int:
    """Post to an ingest that dies after so many chunks: the status, or 0 where none came."""
    port = free_port()
    await nursery.ingest(port, chunks=chunks)
    try:
        return (await post_to(site.installation, port, number, body)).status
    except aiohttp.ClientError:
        return 0


async def post_to(installation: Installation, port: int, number: int, body: bytes) -> Reply:
    url = f"http://127.0.0.1:{port}"
    return await post_webhook(installation.http, url, EVENT.format(number), body)


async def status_of(site: Deployment, number: int) -> str:
    """What an event's row says."""
    query = "SELECT status FROM events WHERE event_id = $1"
    status: str = (await site.rows(query, EVENT.format(number)))[0][0]
    return status


async def chunks_in_stream(site: Deployment, number: int) -> int:
    """How many chunks of an event wait in the stream."""
    name = hashlib.blake2b(EVENT.format(number).encode(), digest_size=16).hexdigest()
    asked = json.dumps({"subjects_filter": f"{STREAM}.{name}.>"}).encode()
    connection = await nats.connect(site.nats.servers)
    try:
        answer = await connection.request(f"$JS.API.STREAM.INFO.{STREAM}", asked, timeout=5)
    finally:
        await connection.close()
    return len(json.loads(answer.data)["state"].get("subjects") or {})
