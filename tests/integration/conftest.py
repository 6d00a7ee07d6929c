"""What the tests of the relay share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.kit.relay_rig import RelayRig, relay_rig


@pytest.fixture(scope="session")
def vendor_keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the sandbox's keys: making them takes most of a second."""
    return tmp_path_factory.mktemp("vendors")


@pytest.fixture
async def rig(tmp_path: Path, vendor_keys: Path) -> AsyncIterator[RelayRig]:
    """No gateway runs yet."""
    async with relay_rig(tmp_path, vendor_keys) as made:
        yield made
