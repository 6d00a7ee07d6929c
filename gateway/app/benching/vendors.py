"""The vendors of a benchmark: nginx where there is one, else the sandbox, as a process of its own.

Owns the choice and what a gateway has to know of either.
"""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.app.benching.nginx import find_nginx, running_nginx
from gateway.app.benching.processes import Child, running, wait_for_line


@dataclass(frozen=True, slots=True)
class Vendors:
    """Running stand-ins. `kind` is `nginx` or `sandbox`; paths are text, as settings have them.

    `short_apns_url` ends each connection after 1 000 requests, `status_url` counts what was served;
    only nginx has them.
    """

    kind: str
    child: Child
    fcm_url: str
    apns_url: str
    ca_file: str
    fcm_file: str
    apns_key_file: str
    project_id: str
    key_id: str
    team_id: str
    topic: str
    short_apns_url: str = ""
    status_url: str = ""

    def requests(self) -> int:
        """How many requests were served so far; 0 where nobody counts."""
        if not self.status_url:
            return 0
        with urllib.request.urlopen(self.status_url, timeout=10.0) as answer:  # noqa: S310 - ours
            # the third of the three numbers under "accepts handled requests"
            return int(answer.read().decode().splitlines()[2].split()[2])


@contextmanager
def running_vendors(folder: Path, *, kind: str = "") -> Iterator[Vendors]:
    """Start stand-ins with keys of their own in `folder`; `kind` insists on one of them."""
    program = None if kind == "sandbox" else find_nginx()
    folder.mkdir(parents=True, exist_ok=True)
    if program is not None:
        with _nginx(program, folder) as vendors:
            yield vendors
    else:
        with _sandbox(folder) as vendors:
            yield vendors


@contextmanager
def _nginx(program: str, folder: Path) -> Iterator[Vendors]:
    with running_nginx(program, folder) as (child, places, credentials):
        yield Vendors(
            kind="nginx",
            child=child,
            fcm_url=f"https://127.0.0.1:{places.fcm_port}",
            apns_url=f"https://127.0.0.1:{places.apns_port}",
            ca_file=str(credentials.ca_file),
            fcm_file=str(credentials.fcm_file),
            apns_key_file=str(credentials.apns_key_file),
            project_id=credentials.project_id,
            key_id=credentials.key_id,
            team_id=credentials.team_id,
            topic=credentials.topic,
            short_apns_url=f"https://127.0.0.1:{places.short_port}",
            status_url=f"http://127.0.0.1:{places.status_port}/status",
        )


@contextmanager
def _sandbox(folder: Path) -> Iterator[Vendors]:
    command = [sys.executable, "-m", "gateway", "sandbox", "--json", "--directory", str(folder)]
    with running("sandbox", command, folder) as child:
        told = json.loads(wait_for_line(child, '"fcm_url"'))
        yield Vendors(
            kind="sandbox",
            child=child,
            **{
                name: told[name]
                for name in (
                    "fcm_url",
                    "apns_url",
                    "ca_file",
                    "fcm_file",
                    "apns_key_file",
                    "project_id",
                    "key_id",
                    "team_id",
                    "topic",
                )
            },
        )
