"""What a behaviour suite runs on: a backend for those of the ports, the vendors for the transports.

A suite of a port knows `gateway.ports` only.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from providers.sandbox import Sandbox
from tests.kit.build import NOW
from tests.kit.provider_rig import Clock
from tests.kit.stores import BACKENDS, Backend, Handle


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "needs(ability): what a backend must be able to do; one that says it cannot is shown "
        "as an expected failure, with its reason",
    )


@pytest.fixture(params=sorted(BACKENDS))
def backend(request: pytest.FixtureRequest) -> Backend:
    chosen: Backend = BACKENDS[request.param]
    for mark in request.node.iter_markers("needs"):
        reason = chosen.cannot.get(mark.args[0])
        if reason is not None:
            request.applymarker(pytest.mark.xfail(reason=reason, strict=True))
    return chosen


def standing_clock() -> float:
    return NOW


@pytest.fixture
async def handle(backend: Backend, tmp_path: Path) -> AsyncIterator[Handle]:
    """The process that a test is about."""
    async with backend.open(tmp_path, standing_clock) as opened:
        yield opened


@pytest.fixture
async def replica(backend: Backend, tmp_path: Path, handle: Handle) -> AsyncIterator[Handle]:
    """Another process on the same data."""
    async with backend.open(tmp_path, standing_clock) as opened:
        yield opened


@pytest.fixture
def clock() -> Clock:
    """The vendors' clock."""
    return Clock()


@pytest.fixture
async def sandbox(clock: Clock) -> AsyncIterator[Sandbox]:
    """The vendors."""
    async with Sandbox(clock=clock) as running:
        yield running
