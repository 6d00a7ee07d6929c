"""`make bench`, or `python -m tests.benchmarks`: what Inkpush costs, beside what it stands on.

Each figure stands beside a counterpart measured in the same run, in turns, for absolute numbers
move with the machine. README.md says how to read them. Nothing here fails a build.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

from gateway.app.benching.failure import BenchFailure
from gateway.app.benching.posting import new_secret
from gateway.app.benching.vendors import running_vendors
from tests.benchmarks import distributed, machine
from tests.benchmarks.acknowledging import acknowledge
from tests.benchmarks.clients.transports import known_transports
from tests.benchmarks.copying import copy_and_look_up
from tests.benchmarks.gateways import settable_transports
from tests.benchmarks.h2load import find_h2load
from tests.benchmarks.hooks import compare_hooks
from tests.benchmarks.memory import remember
from tests.benchmarks.profiling import profile
from tests.benchmarks.relaying import compare_registries, relay_all
from tests.benchmarks.report import Report
from tests.benchmarks.sending import compare_apns, compare_fcm, compare_goaway
from tests.benchmarks.sizes import FULL, QUICK, Sizes
from tests.benchmarks.stage import Stage

BENCHMARKS: dict[str, Callable[[Stage], None]] = {
    "apns": compare_apns,
    "fcm": compare_fcm,
    "goaway": compare_goaway,
    "relay": relay_all,
    "devices": compare_registries,
    "hooks": compare_hooks,
    "copy": copy_and_look_up,
    "distributed": distributed.compare_engines,
    "distributed-devices": distributed.compare_registries,
    "ack": acknowledge,
    "memory": remember,
}


def main() -> int:
    """Measure, print the table, write the file."""
    options = _options()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that all children are ended
    chosen = {name: BENCHMARKS[name] for name in options.only or BENCHMARKS}
    if options.profile:
        chosen = {"profile": profile, "profile distributed": distributed.profile_engines}
        if options.only == ["distributed"]:
            del chosen["profile"]
    report = Report()
    begun = datetime.now(UTC)
    facts = machine.facts()
    try:
        failures = _run(chosen, report, _sizes(options))
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 1
    result = {
        "begun": begun.isoformat(timespec="seconds"),
        "quick": options.quick,
        "machine": facts,
        "failures": failures,
        **report.as_json(),
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=2) + "\n")
    if report.lines:
        report.show()
    for name, why in failures.items():
        print(f"{name} could not be measured: {why}", file=sys.stderr)
    print(f"All rounds are in {options.out}")
    return 1 if failures else 0


def _run(
    chosen: dict[str, Callable[[Stage], None]], report: Report, sizes: Sizes
) -> dict[str, str]:
    """Run what was chosen; what one of them could not measure is no reason to leave out others."""
    failures: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="inkpush-bench-") as name:
        folder = Path(name)
        with running_vendors(folder / "vendors", kind="nginx") as vendors:
            (folder / "places.json").write_text(json.dumps(asdict(vendors.places)))
            stage = Stage(
                folder,
                vendors,
                sizes,
                report,
                known_transports(),
                settable_transports(),
                new_secret(),
            )
            stage.say(f"transports: {', '.join(stage.transports)}; settable: {stage.settings[0]}")
            if find_h2load() is None:
                stage.say("h2load is not installed (apt-get install nghttp2-client): no such lines")
            for title, benchmark in chosen.items():
                try:
                    benchmark(stage)
                except BenchFailure as failure:
                    failures[title] = str(failure)
                    stage.say(f"{title} FAILED: {failure}")
    return failures


def _sizes(options: argparse.Namespace) -> Sizes:
    sizes = QUICK if options.quick else FULL
    if options.watch is not None:
        sizes = replace(sizes, watch_s=options.watch)
    if options.rounds is not None:
        sizes = replace(sizes, rounds=options.rounds, runs=options.rounds)
    return sizes


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small numbers, a minute or two")
    parser.add_argument(
        "--only", action="append", choices=BENCHMARKS, help="one of them; may be repeated"
    )
    parser.add_argument(
        "--profile",
        action="store_true",
        help="only show where the gateway's CPU time goes; with `--only distributed` there",
    )
    parser.add_argument("--rounds", type=int, help="how many rounds, for medians")
    parser.add_argument(
        "--watch", type=float, help="seconds to watch the memory (600: ten minutes)"
    )
    parser.add_argument("--out", type=Path, default=Path("build/bench.json"), help="result file")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
