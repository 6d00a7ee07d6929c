"""How soon a webhook is answered while the relay has more to do than it can."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from gateway.app.benching.failure import BenchFailure
from gateway.app.benching.posting import make_batches, open_sender, quantile
from gateway.app.benching.processes import running, wait_for_line
from gateway.app.benching.served import Served, sum_of
from gateway.app.benching.whole_way import ended
from tests.benchmarks.gateways import gateway_with, lanes
from tests.benchmarks.registry import users
from tests.benchmarks.report import CROWDED, CROWDED_NOTE, Line
from tests.benchmarks.stage import Stage

_ITEMS = 1_000
_P99_MS = 100.0
_ROOT = Path(__file__).parents[2]
_NO_LIMIT = {"max_backlog": 10_000_000}
#: until a running gateway acts on what `inkpush lanes` wrote, at the latest
HEEDED_S = 1.5


def acknowledge(stage: Stage) -> None:
    """Steady posts of 1 000 items to a gateway at work, and to bare aiohttp."""
    sizes = stage.sizes
    bare = _bare(stage)
    with gateway_with(stage, sizes.devices, database="ack", relay=_NO_LIMIT) as served:
        lanes(served, "pause", "apns")
        time.sleep(HEEDED_S)
        stage.say(f"queueing {sizes.ack_backlog:,} notifications for the relay to work on")
        asyncio.run(_queue(stage, served, sizes.ack_backlog))
        lanes(served, "resume", "apns")
        took, busy, waited = asyncio.run(_post_to_busy_gateway(stage, served))
        left = sum_of(served.metrics(), "inkpush_queue_depth")
    p50, p99 = quantile(took, 0.5) * 1e3, quantile(took, 0.99) * 1e3
    stage.say(
        f"acknowledged: p50 {p50:.1f} ms, p99 {p99:.1f} ms; {left:,.0f} still queued; "
        f"gateway busy {busy:.0%}, waited {waited:.0%} of the time for a core"
    )
    stage.report.rounds["ack"] = {
        "seconds": took,
        "bare": bare,
        "gateway_busy": busy,
        "gateway_waited": waited,
        "left_in_queue": left,
    }
    stage.report.add(
        Line(
            "webhook of 1 000 acknowledged, relay at work, p50",
            "ms",
            p50,
            "bare aiohttp",
            quantile(bare, 0.5) * 1e3,
            p50 / quantile(bare, 0.5) / 1e3,
        )
    )
    stage.report.add(
        Line(
            "webhook of 1 000 acknowledged, relay at work, p99",
            "ms",
            p99,
            "bare aiohttp",
            quantile(bare, 0.99) * 1e3,
            p99 / quantile(bare, 0.99) / 1e3,
            f"at most {_P99_MS:.0f} ms",
            p99 <= _P99_MS,
            note=_note(left, waited),
        )
    )


def _note(left: float, waited: float) -> str:
    if not left:
        return "the relay ran out of work before the last post"
    return CROWDED_NOTE if waited >= CROWDED else ""


async def queue_up(stage: Stage, served: Served, provider: str, count: int) -> None:
    """Post so many notifications as fast as they are taken."""
    chosen = users(provider, stage.sizes.devices, count)
    async with open_sender(served.url, stage.secret) as sender:
        for start in range(0, count, 50 * _ITEMS):
            await sender.post_all(list(make_batches(chosen[start : start + 50 * _ITEMS], _ITEMS)))
            served.child.must_live()
            done = min(count, start + 50 * _ITEMS)
            if done % 200_000 == 0 and done < count:
                stage.say(f"{done:,} of {count:,} posted")


async def _queue(stage: Stage, served: Served, count: int) -> None:
    await queue_up(stage, served, "apns", count)


async def _post_to_busy_gateway(stage: Stage, served: Served) -> tuple[list[float], float, float]:
    """Post at a steady pace once the relay sends.

    Also returns the share of a core that the gateway used, and of the time that it waited for one.
    """
    before = (await ended(served, "apns"))[0]
    ends_at = time.monotonic() + 30.0
    while (await ended(served, "apns"))[0] == before:
        if time.monotonic() > ends_at:
            raise BenchFailure("the lane was resumed, and nothing was sent")
        await asyncio.sleep(0.05)
    child, began = served.child, time.perf_counter()
    cpu, waited = child.cpu_s, child.waited_s
    took = await _paced(stage, served.url)
    seconds = time.perf_counter() - began
    return took, (child.cpu_s - cpu) / seconds, (child.waited_s - waited) / seconds


async def _paced(stage: Stage, url: str) -> list[float]:
    sizes = stage.sizes
    chosen = users("apns", sizes.devices, sizes.ack_posts * _ITEMS)
    batches = list(make_batches(chosen, _ITEMS))
    async with open_sender(url, stage.secret) as sender:
        return await sender.post_paced(batches, per_s=sizes.acks_per_s)


def _bare(stage: Stage) -> list[float]:
    command = [sys.executable, "-m", "tests.benchmarks.bare"]
    environment = {"PYTHONPATH": str(_ROOT)}
    with running("bare aiohttp", command, stage.folder, environment=environment) as child:
        port = wait_for_line(child, "listening on").split()[-1]
        took = asyncio.run(_paced(stage, f"http://127.0.0.1:{port}"))
    stage.say(f"bare aiohttp: p99 {quantile(took, 0.99) * 1e3:.1f} ms")
    return took
