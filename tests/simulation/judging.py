"""Judging the judges: the simulation on a copy of the code that has a defect put back.

Owns the copy, and the question put to it: after how many histories does which invariant speak.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.simulation.plan import Tier

ROOT = Path(__file__).parents[2]
PATCHES = Path(__file__).parent / "defects"
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
        leave = shutil.ignore_patterns("__pycache__", "histories", "*.patch")
        for part in _COPIED:
            shutil.copytree(ROOT / part, tree / part, ignore=leave)
        command = ["git", "apply", "-p1", str(PATCHES / f"{name}.patch")]
        # A repository around the folder for temporary files is none of git's business.
        env = os.environ | {"GIT_CEILING_DIRECTORIES": str(tree.parent)}
        subprocess.run(command, cwd=tree, env=env, check=True, capture_output=True, text=True)
        yield tree


def judge(name: str, seeds: range, focus: Sequence[str] = (), tier: Tier = "scripted") -> Judgement:
    """Run histories on a defective copy until an invariant speaks that is not expected to."""
    with defective(name) as tree:
        command = [sys.executable, "-m", "tests.simulation", "--until-found"]
        command += ["--first", str(seeds.start), "--seeds", str(len(seeds))]
        command += ["--tier", tier]
        command += [option for fault in focus for option in ("--focus", fault)]
        done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
    if done.returncode or not done.stdout:
        return Judgement("it does not run", 0, done.stderr[-2000:])
    found = json.loads(done.stdout)
    return Judgement(found["invariant"], found["histories"], found["text"])
