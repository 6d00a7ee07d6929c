"""What every test may rely on: no setting leaks in, and no assertion depends on speed."""

from __future__ import annotations

import gc
import os

import pytest
from hypothesis import HealthCheck, settings

# no timed assertions: a busy machine is no failure; CI repeats itself, a desk explores
settings.register_profile(
    "inkpush",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize="CI" in os.environ,
)
settings.register_profile("long", settings.get_profile("inkpush"), max_examples=1000)
settings.load_profile("inkpush")


def pytest_collection_finish() -> None:
    """What was collected stays: who looks for what a test left behind need not go through it."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("INKPUSH_"):
            monkeypatch.delenv(name)
