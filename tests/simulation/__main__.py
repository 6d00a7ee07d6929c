"""`python -m tests.simulation`: many histories, or one in full. `make simulate` calls it."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import get_args

from tests.simulation.drawing import draw
from tests.simulation.history import run
from tests.simulation.plan import Plan, Tier, read_plan
from tests.simulation.running import Tally, run_many


def main() -> int:
    """Run what is asked for. Returns 1 when an invariant did not hold."""
    arguments = _arguments()
    if arguments.plan is not None:
        return _show(read_plan(arguments.plan), trace=arguments.trace)
    if arguments.seed is not None:
        return _show(draw(arguments.seed, arguments.tier), trace=arguments.trace)
    ends_at = None if arguments.hours is None else time.monotonic() + 3600 * arguments.hours
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    tally = run_many(
        seeds,
        tier=arguments.tier,
        processes=arguments.processes,
        ends_at=ends_at,
        tell=_progress,
    )
    print(tally.told())
    return 1 if tally.failures else 0


def _progress(tally: Tally) -> None:
    if sys.stderr.isatty():
        print(f"\r{tally.histories} histories", end="", file=sys.stderr, flush=True)


def _show(plan: Plan, *, trace: bool) -> int:
    result = run(plan)
    if trace:
        print(plan.sizes)
        print(f"noise {dict(plan.noise)}")
        print(*plan.acts, sep="\n")
        print(*result.trace.lines(), sep="\n")
    print(f"digest {result.digest}")
    print(result.violation or "every invariant held")
    return 0 if result.violation is None else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation",
        description="Histories of the gateway in a simulated world, each decided by its seed.",
    )
    parser.add_argument("--seeds", type=int, default=2000, help="how many histories (2000)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (0)")
    parser.add_argument(
        "--hours", type=float, help="stop after this time, with any number of seeds"
    )
    parser.add_argument("--processes", type=int, help="how many at once (one for each core)")
    parser.add_argument("--seed", type=int, help="one history")
    parser.add_argument("--plan", type=Path, help="one history, from a file")
    parser.add_argument("--tier", choices=get_args(Tier), help="only histories of this tier")
    parser.add_argument("--trace", action="store_true", help="show all of it")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
