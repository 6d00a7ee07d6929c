"""What users are told cannot drift from what there is: commands, error codes, make targets.

Settings and metrics have their own: test_settings_docs.py and test_metrics.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from gateway.cli.root import inkpush
from gateway.problems import PROBLEMS

ROOT = Path(__file__).parents[2]


def rows(readme: str) -> list[str]:
    lines = (ROOT / readme).read_text().splitlines()
    return [line for line in lines if line.startswith("| `")]


def commands(parent: click.Group, path: str = "inkpush ") -> Iterator[tuple[str, str]]:
    for name, command in sorted(parent.commands.items()):
        group = command if isinstance(command, click.Group) else None
        if group is None or group.invoke_without_command:
            first = (command.help or "").split("\n\n")[0]
            yield f"{path}{name}", " ".join(first.split())
        if group is not None:
            yield from commands(group, f"{path}{name} ")


def test_every_command_is_in_the_reference() -> None:
    assert rows("gateway/cli/README.md") == [
        f"| `{name}` | {text} |" for name, text in commands(inkpush)
    ]


@pytest.mark.parametrize(
    ("bare", "it_is"),
    [
        ("`inkpush lanes resume`", "without a name it resumes everything that anybody paused"),
        ("`inkpush events requeue`", "without --since it is refused"),
    ],
)
def test_no_advice_names_a_command_that_does_more_or_nothing(bare: str, it_is: str) -> None:
    files = [
        *(ROOT / "gateway").rglob("*.py"),
        ROOT / "deploy/docs/operations.md",
        *(ROOT / "deploy/docs/decisions").glob("*.md"),
    ]
    assert [str(file) for file in files if bare in file.read_text()] == [], it_is


def test_every_error_code_is_in_the_reference() -> None:
    assert [row for row in rows("gateway/README.md") if row.count("|") == 4] == [
        f"| `{code}` | {status} | {title} |" for code, (status, title) in PROBLEMS.items()
    ]


def test_every_room_of_the_gateway_is_in_its_readme() -> None:
    text = (ROOT / "gateway" / "README.md").read_text()
    rooms = {folder.name for folder in (ROOT / "gateway").iterdir() if any(folder.glob("*.py"))}
    assert rooms == set(re.findall(r"`(\w+)/`", text))


@pytest.mark.parametrize(
    "target", ["help", "demo", "test", "check", "bench", "format", "clean", "lock"]
)
def test_make_help_lists_the_targets(target: str) -> None:
    assert re.search(rf"^{target}:.*## \S", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_ci_runs_what_a_developer_runs() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    assert "\nmake test\n" in script
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111
