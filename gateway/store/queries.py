"""Named SQL: each query stands in a .sql file under a line `-- name: the_name`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources

_NAME = re.compile(r"^-- name: (\w+)[ \t]*$", re.MULTILINE)


@cache
def load_queries(dialect: str) -> Mapping[str, str]:
    """Read all named queries of a dialect; a name stands for one query in one file."""
    queries: dict[str, str] = {}
    for entry in resources.files("gateway.store").joinpath("sql", dialect).iterdir():
        if not entry.name.endswith(".sql"):
            continue
        parts = _NAME.split(entry.read_text())
        for name, text in zip(parts[1::2], parts[2::2], strict=True):
            if name in queries:
                raise ValueError(f"the query {name} is written twice")
            queries[name] = text.strip().rstrip(";")
    return queries


def load_migrations(dialect: str) -> list[tuple[int, str]]:
    """Read the migrations of a dialect: (number, script), ascending. Files of one number are one
    migration."""
    folder = resources.files("gateway.store").joinpath("sql", dialect, "migrations")
    scripts: dict[int, str] = {}
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.name.endswith(".sql"):
            number = int(entry.name.split("_")[0])
            scripts[number] = scripts.get(number, "") + entry.read_text()
    return sorted(scripts.items())
