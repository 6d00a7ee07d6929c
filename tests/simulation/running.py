"""Running many histories, on all cores, and the tally of what came of them."""

from __future__ import annotations

import gc
import multiprocessing
import os
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field

from tests.simulation.counts import unseen
from tests.simulation.drawing import draw
from tests.simulation.expected import known
from tests.simulation.history import run
from tests.simulation.plan import Tier

BROKEN_WORLD = "the simulation itself"
"""Stands for an invariant where the world broke, and not the gateway."""
_BATCH = 25
"""Histories that a process runs before it tells, and collects its garbage."""


@dataclass(slots=True)
class Tally:
    """What came of some histories. `failures` has seed, invariant and words of each violation;
    `known` counts those that `expected` lists."""

    histories: int = 0
    deliveries: int = 0
    virtual_s: float = 0.0
    cpu_s: float = 0.0
    seen: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[int, str, str]] = field(default_factory=list)
    known: Counter[str] = field(default_factory=Counter)
    digests: dict[int, str] = field(default_factory=dict)

    def add(self, other: Tally) -> None:
        """Take another tally in."""
        self.histories += other.histories
        self.deliveries += other.deliveries
        self.virtual_s += other.virtual_s
        self.cpu_s += other.cpu_s
        self.seen += other.seen
        self.failures += other.failures
        self.known += other.known
        self.digests |= other.digests

    def told(self) -> str:
        """The tally for people."""
        each_ms = 1000 * self.cpu_s / max(1, self.histories)
        hours = self.virtual_s / 3600
        lines = [
            f"{self.histories} histories, {self.deliveries} deliveries",
            f"{hours:.1f} hours of their time in {self.cpu_s:.0f} s of CPU ({each_ms:.1f} ms each)",
            "seen: " + ", ".join(f"{what} {count}" for what, count in sorted(self.seen.items())),
        ]
        lines += [f"known, not mended yet: {what} ({count})" for what, count in self.known.items()]
        missing = unseen(self.seen)
        if missing:
            lines.append("never seen: " + ", ".join(missing))
        kinds = Counter(invariant for _, invariant, _ in self.failures)
        for kind, count in kinds.most_common():
            lines.append(f"{kind}: {count}")
            lines += [f"  seed {seed}: {text}" for seed, one, text in self.failures if one == kind][
                :5
            ]
        return "\n".join(lines)


def run_seeds(seeds: Iterable[int], tier: Tier = "scripted") -> Tally:
    """Run some seeds in this process."""
    tally = Tally()
    began = time.process_time()
    for seed in seeds:
        plan = draw(seed, tier=tier)
        try:
            result = run(plan)
        except Exception:  # noqa: BLE001  # a fault of the world is a finding, too
            tally.failures.append((seed, BROKEN_WORLD, traceback.format_exc()))
            continue
        tally.histories += 1
        tally.deliveries += result.deliveries
        tally.virtual_s += result.virtual_s
        tally.seen += result.seen
        tally.digests[seed] = result.digest
        if result.violation is None:
            continue
        expected = known(plan, result.violation)
        if expected is not None:
            tally.known[expected.what] += 1
        else:
            tally.failures.append((seed, result.violation.invariant, str(result.violation)))
    gc.collect()
    tally.cpu_s = time.process_time() - began
    return tally


def run_many(
    seeds: range,
    *,
    tier: Tier = "scripted",
    processes: int | None = None,
    ends_at: float | None = None,
    tell: Callable[[Tally], None] = lambda _tally: None,
) -> Tally:
    """Run seeds on several processes. With `ends_at` (monotonic), go on beyond them until then."""
    tally = Tally()
    processes = processes or os.cpu_count() or 1
    waiting = iter(_batches(seeds, endless=ends_at is not None))
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        running: set[Future[Tally]] = set()
        while True:
            while len(running) < 2 * processes and (ends_at is None or time.monotonic() < ends_at):
                batch = next(waiting, None)
                if batch is None:
                    break
                running.add(pool.submit(run_seeds, batch, tier))
            if not running:
                return tally
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                tally.add(future.result())
            tell(tally)


def _batches(seeds: range, *, endless: bool) -> Iterator[range]:
    first = seeds.start
    while endless or first < seeds.stop:
        last = first + _BATCH if endless else min(first + _BATCH, seeds.stop)
        yield range(first, last)
        first = last
