"""How often a step is repeated while the store is away, on the loop of the simulation."""

from __future__ import annotations

import itertools
from random import Random

from gateway.errors import StoreUnavailable
from gateway.relay.retrying import until_stored
from tests.simulation.loop import Loop


def test_the_store_is_asked_soon_and_then_each_second() -> None:
    loop = Loop(Random(1))  # type: ignore[abstract]
    asked_at: list[float] = []
    refusals: list[BaseException | None] = []

    async def step() -> str:
        asked_at.append(loop.time())
        if len(asked_at) < 12:
            raise StoreUnavailable("away")
        return "stored"

    async def main() -> None:
        assert await until_stored(step, refused=refusals.append) == "stored"

    try:
        loop.run(main(), until=lambda: False)
    finally:
        loop.end()
    waits = [round(later - earlier, 3) for earlier, later in itertools.pairwise(asked_at)]
    assert waits[0] < 0.11
    assert waits == sorted(waits)
    assert waits[-1] == max(waits) == 1.0
    assert len(refusals) == 11
    assert all(isinstance(error, StoreUnavailable) for error in refusals)
