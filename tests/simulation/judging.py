"""Judging the judges: the simulation on a copy of the code that has a defect put back.

Owns the copy, and the question put to it: after how many histories does which invariant speak.
"""

from __future__ import annotations

import contextlib
import io
import json
import multiprocessing
import os
import runpy
import shutil
import subprocess
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.simulation.plan import Tier

ROOT = Path(__file__).parents[2]
PATCHES = Path(__file__).parent / "defects"
_OURS = ("config", "gateway", "providers", "tests")
# Its processes are copies of one that has the libraries already: that is most of a start.
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(
    [
        "aiohttp",
        "aiohttp.web",
        "asyncpg",
        "cryptography",
        "google.oauth2.service_account",
        "h2.connection",
        "jwt",
        "nats",
        "orjson",
        "prometheus_client",
        "pydantic",
        "pydantic_settings",
        "structlog",
        "tenacity",
    ]
)
_COPIED = ("gateway", "providers", "config", "tests/simulation", "tests/kit")


@dataclass(frozen=True, slots=True)
class Judgement:
    """What came of it. `invariant` is "" when none spoke within `histories`."""

    invariant: str
    histories: int
    text: str


@contextmanager
def defective(name: str) -> Iterator[Path]:
    """A copy of the code with a defect in it. Raises CalledProcessError when the patch no longer
    fits: then make it anew."""
    with TemporaryDirectory(prefix=f"inkpush-{name}-") as folder:
        tree = Path(folder)
        # what is compiled already is copied, too: that is most of the time
        leave = shutil.ignore_patterns("histories", "*.patch")
        for part in _COPIED:
            shutil.copytree(ROOT / part, tree / part, ignore=leave)
        command = ["git", "apply", "-p1", str(PATCHES / f"{name}.patch")]
        # A repository around the folder for temporary files is none of git's business.
        env = os.environ | {"GIT_CEILING_DIRECTORIES": str(tree.parent)}
        subprocess.run(command, cwd=tree, env=env, check=True, capture_output=True, text=True)
        yield tree


def judge(name: str, seeds: range, focus: Sequence[str] = (), tier: Tier = "scripted") -> Judgement:
    """Run histories on a defective copy until an invariant speaks that is not expected to."""
    options = ["--until-found", "--tier", tier]
    options += ["--first", str(seeds.start), "--seeds", str(len(seeds))]
    options += [option for fault in focus for option in ("--focus", fault)]
    ours, theirs = _PROCESSES.Pipe(duplex=False)
    with defective(name) as tree, ours:
        judging = _PROCESSES.Process(target=_run, args=(tree, options, theirs))
        judging.start()
        theirs.close()
        try:
            said = ours.recv()
        except EOFError:
            said = "its process ended"
        judging.join()
    try:
        found = json.loads(said)
    except ValueError:
        return Judgement("it does not run", 0, said[-2000:])
    return Judgement(found["invariant"], found["histories"], found["text"])


def _run(tree: Path, options: Sequence[str], told: Connection) -> None:
    """Run the simulation of a tree, in a process of its own, and tell what it prints."""
    os.chdir(tree)
    for name in [name for name in sys.modules if name.partition(".")[0] in _OURS]:
        del sys.modules[name]
    sys.path.insert(0, str(tree))
    sys.argv = ["tests.simulation", *options]
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
            runpy.run_module("tests.simulation", run_name="__main__", alter_sys=True)
        told.send(printed.getvalue())
    except Exception:  # noqa: BLE001  # whatever the defect did to it is said
        told.send(traceback.format_exc())
