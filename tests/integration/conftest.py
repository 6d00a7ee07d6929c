"""What the tests of the relay share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import uvloop

from tests.kit.postgres import databases
from tests.kit.relay_rig import RelayRig, relay_rig
from tests.kit.scripted_server import Trust, make_trust

ON_BOTH_LOOPS = {
    "test_http2_dial.py",
    "test_http2_giving_up.py",
    "test_http2_http1.py",
    "test_http2_peers.py",
    "test_http2_pool.py",
    "test_http2_pool_ends.py",
}


@pytest.hookimpl(optionalhook=True)
def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """What is close to sockets is tested on both loops: the gateway runs on uvloop."""
    factories: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
        "asyncio": asyncio.new_event_loop
    }
    if item.path.name in ON_BOTH_LOOPS:
        factories["uvloop"] = uvloop.new_event_loop
    return factories


@pytest.fixture(scope="session")
def vendor_keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the sandbox's keys: making them takes most of a second."""
    return tmp_path_factory.mktemp("vendors")


@pytest.fixture
async def rig(tmp_path: Path, vendor_keys: Path) -> AsyncIterator[RelayRig]:
    """No gateway runs yet."""
    async with relay_rig(tmp_path, vendor_keys) as made:
        yield made


@pytest.fixture
async def shared_rig(rig: RelayRig) -> AsyncIterator[RelayRig]:
    """One whose gateways share a PostgreSQL."""
    async with databases().using(rig.folder) as url:
        rig.store_url = url
        yield rig


@pytest.fixture(scope="session")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Trust:
    """A certificate for loopback and the authority behind it."""
    return make_trust(tmp_path_factory.mktemp("trust"))
