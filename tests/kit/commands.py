"""The command line as a user has it: a process of its own, with a configuration in a folder."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

INKPUSH = Path(sys.executable).with_name("inkpush")
SECRET = "whsec_" + base64.b64encode(b"a secret of twenty-four!").decode()
JWT_SECRET = "a secret that is long enough for HS256"
DEADLINE_S = 180.0
"""A command that takes longer hangs."""

_SECTIONS = f"""
[server]
host = "127.0.0.1"
port = 0
[ops]
port = 0
[webhook]
secrets = ["{SECRET}"]
[auth]
jwt_secret = "{JWT_SECRET}"
[log]
format = "json"
"""
_APP = """
[[apps]]
id = "agent"
fcm = { credentials_file = "fcm.json" }
apns = { key_file = "key.p8", key_id = "ABC123DEFG", team_id = "DEF123GHIJ", topic = "com.acme" }
"""


@dataclass(frozen=True, slots=True)
class Done:
    """What a command left behind."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The last line of its output, as JSON."""
        return json.loads(self.out.splitlines()[-1])


@dataclass(slots=True)
class Workplace:
    """A folder with a configuration, where commands run."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)

    @classmethod
    def make(cls, folder: Path, apps: str = _APP) -> Workplace:
        """Write a configuration; without `apps`, for vendors that are never called."""
        (folder / "fcm.json").write_text("{}")
        (folder / "key.p8").write_text("")
        (folder / "inkpush.toml").write_text(_SECTIONS + apps)
        return cls(folder)

    def run(self, *arguments: str, given: str | bytes = "") -> Done:
        """Run a command to its end, with `given` as its standard input."""
        done = subprocess.run(
            [INKPUSH, *arguments],
            cwd=self.folder,
            env=self._environment(),
            input=given.encode() if isinstance(given, str) else given,
            capture_output=True,
            timeout=DEADLINE_S,
            check=False,
        )
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode())

    @contextmanager
    def start(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Run a command beside the test; it is asked to end afterwards, and must do so well."""
        with subprocess.Popen(
            [INKPUSH, *arguments],
            cwd=self.folder,
            env=self._environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            except BaseException:
                process.kill()
                raise
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=DEADLINE_S)
            assert process.returncode == 0, err

    def _environment(self) -> dict[str, str]:
        return {**os.environ, **self.variables}


@contextmanager
def running_gateway(workplace: Workplace) -> Iterator[str]:
    """Serve; yields where the public listener is."""
    with workplace.start("serve") as process:
        assert process.stderr is not None
        for line in process.stderr:
            told = json.loads(line)
            if told["event"] == "ready":
                port = told["detail"].split()[1].rstrip(",")
                yield f"http://127.0.0.1:{port}"
                return
        raise AssertionError("the gateway ended before it was ready")
