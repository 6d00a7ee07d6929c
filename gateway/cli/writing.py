"""Files that a command writes: whole under their name, or not there at all."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click


@contextlib.contextmanager
def whole_file(file: Path) -> Iterator[Any]:
    """Open a text file for writing, for its owner alone; `-` is standard output.

    What is written stands beside it under another name until the end, and takes its place then:
    whatever interrupts, an older file of this name stays as it was. What is no plain file (a pipe,
    a device) is written directly. Raises `click.ClickException` with what the system says.
    """
    if str(file) == "-":
        yield sys.stdout
        return
    target = Path(os.path.realpath(file))
    try:
        if target.exists() and not target.is_file():
            with target.open("w", encoding="utf-8", newline="") as out:
                yield out
            return
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", text=True)
    except OSError as error:
        raise _cannot(file, error) from error
    beside = Path(name)
    try:
        with open(descriptor, "w", encoding="utf-8", newline="") as out:  # noqa: PTH123 - no path
            yield out
            out.flush()
            os.fsync(descriptor)
        beside.replace(target)
    except OSError as error:
        raise _cannot(file, error) from error
    finally:
        beside.unlink(missing_ok=True)


def _cannot(file: Path, error: OSError) -> click.ClickException:
    return click.ClickException(f"{file} cannot be written: {error.strerror or error}")
