"""Processes that a benchmark starts: their CPU time and memory, and their end.

Owns the reading of /proc. A child is ended by its own pid, however the block around it ends.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.app.benching.failure import BenchFailure

_TICKS = os.sysconf("SC_CLK_TCK")
_END_S = 40.0
_TAIL = 2_000


@dataclass(frozen=True, slots=True)
class Child:
    """A running process and the file that its output goes to."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def cpu_s(self) -> float:
        """CPU seconds of all its threads so far, in user and system mode."""
        text = Path(f"/proc/{self.pid}/stat").read_text()
        # the name in parentheses may hold spaces; utime and stime are fields 14 and 15
        fields = text.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    @property
    def waited_s(self) -> float:
        """Seconds that its main thread was ready to run, and others had the cores; 0 if unknown."""
        try:
            text = Path(f"/proc/{self.pid}/schedstat").read_text()
        except FileNotFoundError:  # a kernel without scheduler statistics
            return 0.0
        return int(text.split()[1]) / 1e9

    @property
    def rss_bytes(self) -> int:
        """Memory that is in RAM now."""
        return self._status("VmRSS")

    @property
    def peak_rss_bytes(self) -> int:
        """The most memory that was in RAM since the start."""
        return self._status("VmHWM")

    def said(self) -> str:
        """Its output so far."""
        return self.log.read_text(errors="replace")

    def must_live(self) -> None:
        """Raise BenchFailure, with the end of what it said, when it has ended."""
        if self.process.poll() is not None:
            tail = self.said()[-_TAIL:].strip()
            raise BenchFailure(f"{self.name} ended by itself:\n{tail}")

    def _status(self, field: str) -> int:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) * 1024
        return 0


@contextmanager
def running(
    name: str,
    command: Sequence[str],
    folder: Path,
    *,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Child]:
    """Run a command in `folder` for the length of the block; it gets SIGTERM then, at last SIGKILL.

    It has a session of its own: Ctrl-C is for the benchmark, which then ends it in its turn.
    """
    log = folder / f"{name.replace(' ', '-')}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - commands of the benchmark's own
            command,
            cwd=folder,
            env=None if environment is None else {**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield Child(name, process, log)
    finally:
        process.terminate()
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for_line(child: Child, mark: str, *, within_s: float = 30.0) -> str:
    """Wait until it says a line with this mark in it, and return the line."""
    ends_at = time.monotonic() + within_s
    while time.monotonic() < ends_at:
        # only whole lines: the last one may still be written
        for line in child.said().split("\n")[:-1]:
            if mark in line:
                return line
        child.must_live()
        time.sleep(0.02)
    raise BenchFailure(f"{child.name} was not ready within {within_s:.0f} s")
