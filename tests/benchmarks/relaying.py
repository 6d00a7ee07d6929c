"""The whole way through one `inkpush serve`: throughput, CPU, and what more devices cost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from statistics import median
from typing import Any

from gateway.app.benching.posting import make_batches
from gateway.app.benching.served import Served
from gateway.app.benching.whole_way import Run, run_whole_way
from tests.benchmarks.gateways import gateway_with
from tests.benchmarks.registry import users
from tests.benchmarks.report import CROWDED, CROWDED_NOTE, Line, at_most
from tests.benchmarks.stage import Stage

_BATCH = 1_000
_PER_SECOND = 10_000
_CPU_US = 60.0
DEVICES_RATIO = 1.3


def relay_all(stage: Stage) -> None:
    """Throughput and CPU of the whole way, by each transport to each vendor."""
    for transport in stage.settings:
        is_default = transport == stage.settings[0]
        count = stage.notifications if is_default else stage.sizes.sdk_notifications
        for provider in ("fcm", "apns"):
            runs = []
            title = f"whole way to {provider}, {transport}"
            for _ in range(stage.sizes.runs if is_default else 1):
                with gateway_with(stage, stage.sizes.devices, transport=transport) as served:
                    runs.append(one_run(stage, served, provider, stage.sizes.devices, count))
                tell(stage, title, runs[-1])
            stage.report.rounds[title] = [as_json(run) for run in runs]
            _lines(stage, title, count, runs, with_target=is_default)


def compare_registries(stage: Stage) -> None:
    """The same with few and with many devices registered, taking turns."""
    sizes = stage.sizes
    runs: dict[int, list[Run]] = {sizes.few_devices: [], sizes.many_devices: []}
    for _ in range(sizes.runs):
        for devices, several in runs.items():
            with gateway_with(stage, devices, database="devices") as served:
                run = one_run(stage, served, "apns", devices, stage.notifications)
            several.append(run)
            tell(stage, f"{devices:,} devices", run)
    few, many = (
        [run.cpu_us for run in runs[size]] for size in (sizes.few_devices, sizes.many_devices)
    )
    stage.report.rounds["devices"] = {
        str(devices): [as_json(run) for run in several] for devices, several in runs.items()
    }
    stage.report.add(
        at_most(
            DEVICES_RATIO,
            f"whole way, {sizes.many_devices:,} devices, CPU",
            many,
            f"{sizes.few_devices:,} devices",
            few,
        )
    )


def one_run(
    stage: Stage,
    served: Served,
    provider: str,
    devices: int,
    notifications: int,
    *,
    on_warm: Callable[[], None] = lambda: None,
) -> Run:
    """One measured run, after a short one that opens connections and fills caches; `on_warm` is
    called between the two."""
    chosen = users(provider, devices, notifications)
    _run(stage, served, provider, chosen[: max(1, notifications // 50)])
    on_warm()
    return _run(stage, served, provider, chosen)


def _run(stage: Stage, served: Served, provider: str, chosen: list[str]) -> Run:
    batches = list(make_batches(chosen, _BATCH))
    before = stage.vendors.requests()
    run = asyncio.run(
        run_whole_way(
            served, stage.vendors, stage.secret, batches, provider=provider, say=stage.say
        )
    )
    # two more at most: the access token, and the look at the counter itself
    more = stage.vendors.requests() - before - len(chosen)
    if not 0 <= more <= 2:
        stage.say(f"the stand-in served {more} requests more than there were pushes")
    return run


def tell(stage: Stage, title: str, run: Run) -> None:
    """Say what a run came to."""
    stage.say(
        f"{title}: {run.per_second:,.0f}/s, {run.cpu_us:,.1f} us CPU, "
        f"waited {run.waited:.0%} of the time for a core, stand-in busy {run.stand_in_busy:.0%}, "
        f"RSS {run.rss_bytes / 2**20:.0f} MiB"
    )


def as_json(run: Run) -> dict[str, Any]:
    """All of a run, for programs."""
    return asdict(run) | {"per_second": run.per_second, "cpu_us": run.cpu_us}


def _lines(stage: Stage, title: str, count: int, runs: list[Run], *, with_target: bool) -> None:
    rate, cpu = median(run.per_second for run in runs), median(run.cpu_us for run in runs)
    note = ""
    if any(run.stand_in_was_the_limit for run in runs):
        note = "the stand-in was the limit"
    elif max(run.waited for run in runs) >= CROWDED:
        note = CROWDED_NOTE
    stage.report.add(
        Line(
            f"{title}, {count:,} notifications",
            "/s",
            rate,
            target=f"at least {_PER_SECOND:,}/s" if with_target else "",
            passed=rate >= _PER_SECOND if with_target else None,
            note=note,
        )
    )
    stage.report.add(
        Line(
            f"{title}, CPU",
            "us",
            cpu,
            target=f"at most {_CPU_US:.0f} us" if with_target else "",
            passed=cpu <= _CPU_US if with_target else None,
        )
    )
