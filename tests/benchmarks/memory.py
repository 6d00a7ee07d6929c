"""What a full queue costs in memory, and whether memory stays flat while it is worked off."""

from __future__ import annotations

import asyncio
import time
from statistics import mean

from gateway.app.benching.served import Served, sum_of
from tests.benchmarks.acknowledging import HEEDED_S, queue_up
from tests.benchmarks.gateways import gateway_with, lanes
from tests.benchmarks.report import Line
from tests.benchmarks.stage import Stage

_RSS_MIB = 200.0
_FLAT = 1.1
_REFILL = 20_000
_NO_LIMIT = {"max_backlog": 10_000_000}
_MIB = 2**20


def remember(stage: Stage) -> None:
    """Queue notifications for a held lane, look at RSS, then let it go and go on looking."""
    sizes = stage.sizes
    with gateway_with(stage, sizes.devices, database="memory", relay=_NO_LIMIT) as served:
        idle = served.child.rss_bytes / _MIB
        lanes(served, "pause", "apns")
        time.sleep(HEEDED_S)
        stage.say(f"queueing {sizes.queued:,} notifications for a held lane")
        asyncio.run(queue_up(stage, served, "apns", sizes.queued))
        time.sleep(HEEDED_S)
        depth = sum_of(served.metrics(), "inkpush_queue_depth")
        queued, peak = served.child.rss_bytes / _MIB, served.child.peak_rss_bytes / _MIB
        stage.say(f"{depth:,.0f} queued: RSS {queued:.0f} MiB, {peak:.0f} at most")
        lanes(served, "resume", "apns")
        watched = asyncio.run(_watch(stage, served))
    stage.report.rounds["memory"] = {
        "idle_mib": idle,
        "queued_mib": queued,
        "peak_mib": peak,
        "depth": depth,
        "watched_mib": watched,
    }
    peak = max(peak, *watched)
    stage.report.add(
        Line(
            f"RSS, {sizes.queued:,} notifications queued, then sent",
            "MiB",
            peak,
            "idle",
            idle,
            peak / idle,
            f"at most {_RSS_MIB:.0f} MiB",
            peak <= _RSS_MIB,
        )
    )
    quarter = max(1, len(watched) // 4)
    first, last = mean(watched[quarter : 2 * quarter]), mean(watched[-quarter:])
    stage.report.add(
        Line(
            f"RSS over {sizes.watch_s:.0f} s of relaying, last quarter",
            "MiB",
            last,
            "second quarter",
            first,
            last / first,
            f"at most {_FLAT} x",
            last / first <= _FLAT,
        )
    )


async def _watch(stage: Stage, served: Served) -> list[float]:
    """RSS in MiB, every second; what is sent meanwhile is queued again, so that there is work."""
    seen: list[float] = []
    began = time.monotonic()
    while time.monotonic() - began < stage.sizes.watch_s:
        await asyncio.sleep(1.0)
        served.child.must_live()
        seen.append(served.child.rss_bytes / _MIB)
        depth = sum_of(await asyncio.to_thread(served.metrics), "inkpush_queue_depth")
        if depth < stage.sizes.queued / 2:
            await queue_up(stage, served, "apns", _REFILL)
        if len(seen) % 10 == 0:
            stage.say(f"RSS {seen[-1]:.0f} MiB, {depth:,.0f} queued")
    return seen
