"""One history: from a plan to its result."""

from __future__ import annotations

import gc
import random
from collections import Counter
from dataclasses import dataclass

from tests.simulation.invariants.findings import Violation
from tests.simulation.plan import Plan
from tests.simulation.trace import Trace
from tests.simulation.world import World


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a history. `digest` names its trace."""

    violation: Violation | None
    digest: str
    seen: Counter[str]
    deliveries: int
    virtual_s: float
    trace: Trace


def run(plan: Plan) -> Result:
    """Go through a history. The same plan gives the same result, down to its digest."""
    random.seed(plan.seed)
    collects = gc.isenabled()
    gc.disable()
    try:
        world = World(plan)
        world.run()
    finally:
        if collects:
            gc.enable()
    return Result(
        violation=world.violation,
        digest=world.trace.digest(),
        seen=world.trace.seen,
        deliveries=len(world.findings.deliveries),
        virtual_s=world.loop.time(),
        trace=world.trace,
    )
