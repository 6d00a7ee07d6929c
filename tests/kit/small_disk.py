"""Disks that a test can fill: a small file system of its own, or a limit on the size of files."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

SIZE_MIB = 64


class Disk(Protocol):
    """Where a database lies, and what happens when there is no room for it."""

    folder: Path

    def fill(self, pid: int, /) -> None:
        """Leave the process no room to write in."""

    def make_room(self, pid: int, /) -> None:
        """Let it write again."""


class SmallFileSystem:
    """A tmpfs, filled to its last byte: SQLite sees ENOSPC."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def fill(self, _pid: int, /) -> None:
        with self._filler.open("wb", buffering=0) as filler:
            for size in (1 << 20, 1 << 12):
                while _write(filler.fileno(), size):
                    pass

    def make_room(self, _pid: int, /) -> None:
        self._filler.unlink()


class SizeLimit:
    """RLIMIT_FSIZE of the running process: SQLite sees EFBIG. Needs no privilege."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self, pid: int, /) -> None:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, _hard_limit()))

    def make_room(self, pid: int, /) -> None:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (_hard_limit(), _hard_limit()))


@contextmanager
def small_file_system(folder: Path) -> Iterator[SmallFileSystem | None]:
    """Mount one in this folder; None where that is not allowed."""
    options = ["-t", "tmpfs", "-o", f"size={SIZE_MIB}m", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(["mount", *options], capture_output=True, check=False)
    except FileNotFoundError:
        yield None
        return
    if mounted.returncode:
        yield None
        return
    try:
        yield SmallFileSystem(folder)
    finally:
        # lazily: a process that was killed a moment ago may still be on its way out
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _write(descriptor: int, size: int) -> bool:
    """Write so many bytes; False when there is no room for them."""
    try:
        return os.write(descriptor, bytes(size)) == size
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return False


def _hard_limit() -> int:
    return resource.getrlimit(resource.RLIMIT_FSIZE)[1]
