"""What a behaviour suite runs on: a backend for those of the ports, the vendors for the transports.

A suite of a port knows `gateway.ports` only.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from providers.sandbox import Sandbox
from tests.kit.build import NOW
from tests.kit.provider_rig import Clock
from tests.kit.stores import BACKENDS, Backend, Handle, Opener


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "needs(ability): what a backend must be able to do; one that says it cannot is shown "
        "as an expected failure, with its reason (run=False: it fails now and then, so is not run)",
    )
    config.addinivalue_line(
        "markers", "leases_end: the test waits until a lease is over, by whatever clock that is"
    )


#: suites of the store alone: a backend that differs in its queue has nothing new for them
STORE_SUITES = {
    "test_doubts.py",
    "test_hooks.py",
    "test_effects.py",
    "test_effects_outcomes.py",
    "test_experiments.py",
    "test_keys.py",
    "test_lanes.py",
    "test_learning.py",
    "test_registry.py",
    "test_registry_ids.py",
    "test_registry_imports.py",
    "test_registry_lookup.py",
    "test_replicas.py",
    "test_secret.py",
    "test_starts.py",
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    # a suite may choose its backends itself
    chosen = any(
        "backend" in mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")
    )
    if "backend" in metafunc.fixturenames and not chosen:
        alone = Path(metafunc.module.__file__ or "").name in STORE_SUITES
        names = [name for name, each in BACKENDS.items() if not (alone and each.store_of)]
        metafunc.parametrize("backend", sorted(names), indirect=True)


@pytest.fixture
def backend(request: pytest.FixtureRequest) -> Backend:
    chosen: Backend = BACKENDS[request.param]
    for mark in request.node.iter_markers("needs"):
        reason = chosen.cannot.get(mark.args[0])
        if reason is not None:
            run = mark.kwargs.get("run", True)
            request.applymarker(pytest.mark.xfail(reason=reason, strict=True, run=run))
    return chosen


def standing_clock() -> float:
    return NOW


@pytest.fixture
def opener(request: pytest.FixtureRequest, backend: Backend) -> Opener:
    """How this test's processes open the backend."""
    waits = request.node.get_closest_marker("leases_end") is not None
    return backend.quick if waits and backend.quick is not None else backend.open


@pytest.fixture
async def handle(opener: Opener, tmp_path: Path) -> AsyncIterator[Handle]:
    """The process that a test is about."""
    async with opener(tmp_path, standing_clock) as opened:
        yield opened


@pytest.fixture
async def replica(opener: Opener, tmp_path: Path, handle: Handle) -> AsyncIterator[Handle]:
    """Another process on the same data."""
    async with opener(tmp_path, standing_clock) as opened:
        yield opened


@dataclass
class LeaseClock:
    """The clock that ends leases, from the start of the test on."""

    lease_s: float
    own: bool
    started: float

    async def at(self, leases: float) -> float:
        """Wait until so many leases have passed. Returns the time to give as `now`.

        A clock that cannot be moved is not read to a tenth of a second: just before the end of a
        lease is a third of one before, just after it a tenth after.
        """
        if self.own:
            whole = math.ceil(leases)
            share = whole + 0.1 if leases == whole else whole - 0.4
            await asyncio.sleep(self.started + share * self.lease_s - time.monotonic())
        return NOW + leases * self.lease_s


@pytest.fixture
def lease_clock(backend: Backend, handle: Handle) -> LeaseClock:
    return LeaseClock(handle.lease_s, backend.own_clock, time.monotonic())


@pytest.fixture
def clock() -> Clock:
    """The vendors' clock."""
    return Clock()


@pytest.fixture
async def sandbox(clock: Clock) -> AsyncIterator[Sandbox]:
    """The vendors."""
    async with Sandbox(clock=clock) as running:
        yield running
