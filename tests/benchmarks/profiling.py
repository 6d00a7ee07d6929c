"""Where the gateway's CPU time goes, stage by stage, on the whole way."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections import defaultdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from gateway.app.benching.whole_way import Run
from tests.benchmarks.gateways import gateway_with
from tests.benchmarks.relaying import as_json, one_run, tell
from tests.benchmarks.stage import Stage

_ROOT = Path(__file__).parents[2]
_PLACES = 25


def profile(stage: Stage) -> None:
    """Print a table for each vendor; the result file has the functions as well."""
    for provider in ("fcm", "apns"):
        profile_one(stage, provider, f"{provider}")


def profile_one(
    stage: Stage,
    provider: str,
    title: str,
    *,
    database: str = "shared",
    store: str = "",
    queue: str = "store",
) -> None:
    """Profile one gateway, and print its table."""
    file = stage.folder / f"samples-{database}-{provider}.json"
    command = [sys.executable, "-m", "tests.benchmarks.profiled", str(file)]
    devices = stage.sizes.devices
    with gateway_with(
        stage,
        devices,
        database=database,
        store=store,
        queue=queue,
        command=command,
        environment={"PYTHONPATH": str(_ROOT)},
    ) as served:
        one_run(stage, served, provider, devices, stage.notifications // 10)
        os.kill(served.child.pid, signal.SIGUSR1)
        run = one_run(stage, served, provider, devices, stage.notifications)
    seen = json.loads(file.read_text())
    tell(stage, f"whole way to {title}, profiled", run)
    stage.report.rounds[f"profile {title}"] = {"run": as_json(run), **seen}
    _show(title, run, seen)


def _show(title: str, run: Run, seen: dict[str, list[tuple[str, str, float]]]) -> None:
    by_stage: defaultdict[str, float] = defaultdict(float)
    by_thread: defaultdict[str, list[str]] = defaultdict(list)
    for thread, stage, seconds in seen["stages"]:
        by_stage[stage] += seconds
        by_thread[stage].append(thread)
    total = sum(by_stage.values())
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in (f"{title}: stage", "us per push", "share", "thread"):
        table.add_column(column, justify="right" if column in {"us per push", "share"} else "left")
    for stage, seconds in sorted(by_stage.items(), key=lambda pair: -pair[1]):
        share = seconds / total
        threads = ", ".join(by_thread[stage][:2])
        table.add_row(stage, f"{share * run.cpu_us:,.1f}", f"{share:.1%}", threads)
    table.add_row("all", f"{run.cpu_us:,.1f}", "", "")
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 110)
    console.print(table)
    places = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("function", "us per push", "stage"):
        places.add_column(column, justify="right" if column == "us per push" else "left")
    for stage, place, seconds in seen["places"][:_PLACES]:
        places.add_row(place, f"{seconds / total * run.cpu_us:,.2f}", stage)
    console.print(places)
