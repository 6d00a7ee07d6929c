"""The shape of the code base, held by a machine: rooms, imports, dependencies, sizes."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
OURS = ("gateway", "providers", "config")
MOST_LINES = 400
TOP_LEVEL = {
    "LICENSE",
    "Makefile",
    "README.md",
    "config",
    "deploy",
    "gateway",
    "providers",
    "pyproject.toml",
    "tests",
}
#: a name that another declared distribution is the interface of
PARTS_OF = {"multidict": "aiohttp", "yarl": "aiohttp", "pydantic-core": "pydantic"}


def sources(*rooms: str) -> Iterator[Path]:
    for room in rooms:
        yield from (ROOT / room).rglob("*.py")


def imported(file: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found - set(sys.stdlib_module_names) - {*OURS, "tests"}


def declared(requirements: list[str]) -> set[str]:
    names = (re.match(r"[\w.-]+", line) for line in requirements)
    return {_normal(match.group()) for match in names if match}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def undeclared(rooms: tuple[str, ...], known: set[str]) -> set[str]:
    distributions = packages_distributions()
    wanted = {name for file in sources(*rooms) for name in imported(file)}
    missing = set()
    for name in wanted:
        owners = {_normal(owner) for owner in distributions.get(name, [name])}
        owners |= {PARTS_OF[owner] for owner in owners if owner in PARTS_OF}
        if not owners & known:
            missing.add(name)
    return missing


def test_imports_go_one_way() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [linter, "--no-logo", "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_import_is_a_declared_dependency() -> None:
    runtime = declared(PROJECT["project"]["dependencies"])
    development = declared(PROJECT["project"]["optional-dependencies"]["dev"])
    assert undeclared(OURS, runtime) == set()
    assert undeclared(("tests",), runtime | development) == set()


def test_every_dependency_is_locked() -> None:
    lines = (ROOT / "deploy" / "constraints.txt").read_text().splitlines()
    locked = {_normal(line.partition("==")[0]) for line in lines if "==" in line}
    project = PROJECT["project"]
    wanted = declared(project["dependencies"] + project["optional-dependencies"]["dev"])
    assert wanted <= locked


def test_the_top_level_is_the_one_that_was_agreed() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout: nothing says which files belong to the project")
    tops = {Path(name).parts[0] for name in listed.stdout.split("\0") if name}
    assert {top for top in tops if not top.startswith(".")} <= TOP_LEVEL
    assert ".venv" not in tops


def rooms() -> Iterator[Path]:
    for top in (*OURS, "tests"):
        yield ROOT / top
        yield from (folder for folder in (ROOT / top).iterdir() if any(folder.glob("*.py")))


def test_every_room_explains_itself() -> None:
    silent = [str(room.relative_to(ROOT)) for room in rooms() if not (room / "README.md").is_file()]
    assert silent == []


@pytest.mark.parametrize("room", OURS)
def test_no_module_outgrows_what_one_can_hold_in_mind(room: str) -> None:
    long = {
        str(file.relative_to(ROOT)): lines
        for file in sources(room)
        if (lines := len(file.read_text().splitlines())) > MOST_LINES
    }
    assert long == {}


@pytest.mark.parametrize("room", OURS)
def test_every_module_says_what_it_owns(room: str) -> None:
    mute = [file.name for file in sources(room) if not ast.get_docstring(_tree(file))]
    assert mute == []


def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text())


def test_nothing_is_left_for_later_and_nothing_silenced_without_a_reason() -> None:
    marks = re.compile(r"\b(TO" r"DO|FIX" r"ME|XXX)\b|# (type: ignore|noqa)\s*$")
    bare = re.compile(r"# type: ignore(?!\[)|# noqa(?!:)")
    found = [
        f"{file.relative_to(ROOT)}:{number}"
        for file in sources(*OURS, "tests")
        if file != Path(__file__)
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if marks.search(line) or bare.search(line)
    ]
    assert found == []


def _unpacked(target: ast.expr) -> list[ast.expr]:
    return target.elts if isinstance(target, ast.Tuple | ast.List) else [target]


def written_fields(file: Path, names: set[str]) -> list[str]:
    """Attributes of variables with these names that a file assigns to, as "line: name.field"."""
    targets: list[ast.expr] = []
    for node in ast.walk(ast.parse(file.read_text())):
        match node:
            case ast.Assign():
                targets += node.targets
            case ast.AugAssign() | ast.AnnAssign():
                targets.append(node.target)
            case _:
                pass
    flat = [each for one in targets for each in _unpacked(one) if isinstance(each, ast.Attribute)]
    return [
        f"{each.lineno}: {each.value.id}.{each.attr}"
        for each in flat
        if isinstance(each.value, ast.Name) and each.value.id in names
    ]


def test_no_file_but_their_own_writes_a_field_of_a_lane_or_of_a_part() -> None:
    """What may be done to them is a method, which tells the observer itself."""
    own = {ROOT / "gateway" / "relay" / name for name in ("lane.py", "part.py")}
    found = {
        str(file.relative_to(ROOT)): written
        for file in sources("gateway")
        if file not in own and (written := written_fields(file, {"lane", "part"}))
    }
    assert found == {}
