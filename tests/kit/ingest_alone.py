"""An `inkpush serve` of the role `ingest`, whose log is a file: what strangers are let at."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.kit.gateway import INKPUSH, JWT_SECRET, SECRET

_READY_S = 60.0
_CONFIGURATION = """\
[server]
host = "127.0.0.1"
port = 0
role = "ingest"
trusted_proxies = [{proxies}]
[ops]
port = 0
[webhook]
secrets = ["{secret}"]
[auth]
jwt_secret = "{jwt_secret}"
[log]
format = "json"
"""


class Ingest:
    """A running one."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self.log = log
        self.port, self.ops_port = self._ports()

    def _ports(self) -> tuple[int, int]:
        ends = time.monotonic() + _READY_S
        while time.monotonic() < ends and self.process.poll() is None:
            for line in self.logged("ready") if self.logged("files") else ():
                words = line.replace(",", "").split()
                public, ops = (int(word) for word in words if word.isdigit())
                return public, ops
            time.sleep(0.05)
        raise RuntimeError(f"it does not start: {self.log.read_text()}")

    def logged(self, event: str) -> list[str]:
        """The details of the lines that say so."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [line["detail"] for line in lines if line["event"] == event]

    def rss_mib(self) -> float:
        """What it has in memory now."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise RuntimeError("it is gone")


@contextmanager
def ingest_alone(
    folder: Path, *, files: tuple[int, int] = (1024, 4096), proxies: tuple[str, ...] = ()
) -> Iterator[Ingest]:
    """Run one in a folder, with a soft and a hard limit of open files."""
    quoted = ", ".join(f'"{one}"' for one in proxies)
    text = _CONFIGURATION.format(secret=SECRET, jwt_secret=JWT_SECRET, proxies=quoted)
    (folder / "inkpush.toml").write_text(text)
    soft, hard = files
    command = f"ulimit -Sn {soft} && ulimit -Hn {hard} && exec {shlex.quote(str(INKPUSH))} serve"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(["bash", "-c", command], cwd=folder, stderr=log)
    try:
        yield Ingest(process, folder / "log")
    finally:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=30)
        process.kill()
        process.wait()
