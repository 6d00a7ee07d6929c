"""What every test may rely on: no setting leaks in, and no assertion depends on speed."""

from __future__ import annotations

import gc
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadFileScheduling

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


#: files whose tests share nothing, and take long: each goes to whoever is free
APART = ("tests/simulation/test_defects.py",)


class ByFile(LoadFileScheduling):  # type: ignore[misc]  # it ships no types
    """Whole files to one process each, but for those that are apart."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid if nodeid.startswith(APART) else str(super()._split_scope(nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile | None:
    """How tests are shared out with `--dist loadfile`."""
    return ByFile(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("INKPUSH_"):
            monkeypatch.delenv(name)
