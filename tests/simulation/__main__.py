"""`python -m tests.simulation`: many histories, or one in full. `make simulate` calls it."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from tests.simulation.counts import unseen
from tests.simulation.drawing import draw
from tests.simulation.expected import known
from tests.simulation.history import run
from tests.simulation.plan import Plan, Tier, read_plan
from tests.simulation.running import BROKEN_WORLD, Tally, run_many
from tests.simulation.shrink import shrink

FOUND = Path(".simulation")
"""Where the shortest histories of what was found are left."""


def main() -> int:
    """Run what is asked for. Returns 1 when an invariant did not hold."""
    arguments = _arguments()
    if arguments.plan is not None:
        return _show(read_plan(arguments.plan), trace=arguments.trace)
    if arguments.seed is not None:
        return _show(draw(arguments.seed, tier=arguments.tier), trace=arguments.trace)
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    if arguments.digests:
        print(*(run(draw(seed, tier=arguments.tier)).digest for seed in seeds), sep="\n")
        return 0
    if arguments.until_found:
        focus = frozenset(arguments.focus)
        print(json.dumps(_first_finding(seeds, focus, arguments.tier)))
        return 0
    ends_at = None if arguments.hours is None else time.monotonic() + 3600 * arguments.hours
    tally = run_many(
        seeds,
        tier=arguments.tier,
        processes=arguments.processes,
        ends_at=ends_at,
        tell=_progress,
    )
    print(tally.told())
    if tally.failures:
        _explain(tally.failures, arguments.tier)
    is_bad = tally.failures or (arguments.strict and unseen(tally.seen))
    return 1 if is_bad else 0


def _explain(failures: Sequence[tuple[int, str, str]], tier: Tier) -> None:
    """Show how to repeat what was found, and the shortest history of each kind."""
    for kind in dict.fromkeys(invariant for _, invariant, _ in failures):
        seed = next(seed for seed, invariant, _ in failures if invariant == kind)
        print(f"\n{kind}: make simulate TIER={tier} SEED={seed} TRACE=1")
        if kind == BROKEN_WORLD:
            continue
        small = shrink(draw(seed, tier=tier), kind)
        kept = FOUND / f"{kind}-{seed}.json"
        FOUND.mkdir(exist_ok=True)
        kept.write_text(small.written())
        print(f"The shortest found, as {kept}:\n{small.written()}")


def _first_finding(seeds: range, focus: frozenset[str], tier: Tier) -> dict[str, object]:
    """Go through histories until an invariant speaks that is not expected to."""
    for count, seed in enumerate(seeds, 1):
        plan = draw(seed, focus, tier=tier)
        try:
            violation = run(plan).violation
        except Exception as error:  # noqa: BLE001  # a world that cannot go on is a finding, too
            return {"invariant": BROKEN_WORLD, "histories": count, "text": repr(error)}
        if violation is not None and known(plan, violation) is None:
            return {
                "invariant": violation.invariant,
                "histories": count,
                "text": f"seed {seed}: {violation}",
            }
    return {"invariant": "", "histories": len(seeds), "text": ""}


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
    parser.add_argument("--strict", action="store_true", help="fail if something was never seen")
    parser.add_argument("--until-found", action="store_true", help="stop at the first finding")
    parser.add_argument("--focus", action="append", default=[], help="a fault of every history")
    parser.add_argument("--digests", action="store_true", help="print a line for each trace")
    parser.add_argument(
        "--tier", choices=get_args(Tier), default="scripted", help="what carries pushes (scripted)"
    )
    parser.add_argument("--trace", action="store_true", help="show all of it")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
