"""How many connections strangers may have of the files of a process."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from gateway.app.descriptors import most_connections


@pytest.mark.parametrize(
    ("files", "most"),
    [(64, 32), (256, 128), (1_024, 768), (4_096, 3_584), (20_000, 10_000), (2**20, 10_000)],
)
def test_store_vendors_and_ops_keep_theirs(files: int, most: int) -> None:
    assert most_connections(files) == most


@pytest.mark.parametrize(("soft", "hard", "now"), [(256, 512, 512), (512, 512, 512)])
def test_the_soft_limit_is_raised_to_the_hard_one(soft: int, hard: int, now: int) -> None:
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < hard:
        pytest.skip("this process may not have so many")
    code = (
        f"import resource as r; r.setrlimit(r.RLIMIT_NOFILE, ({soft}, {hard}))\n"
        "from gateway.app.descriptors import raise_limit\n"
        "print(raise_limit()); print(r.getrlimit(r.RLIMIT_NOFILE)[0])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    said, limit = done.stdout.splitlines()
    assert int(limit) == now
    assert said.startswith(f"{now} (before: {soft}), of which {most_connections(now)} ")
