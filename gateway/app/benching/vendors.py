"""The vendors of a benchmark: nginx where there is one, else the sandbox, as a process of its own.

Owns the choice and what a gateway has to know of either.
"""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

from gateway.app.benching.failure import BenchFailure
from gateway.app.benching.nginx import find_nginx, running_nginx
from gateway.app.benching.processes import Child, running, wait_for_line


@dataclass(frozen=True, slots=True)
class Places:
    """Where stand-ins are, and the credentials they take; paths are text, as settings have them.

    `short_apns_url` ends each connection after 1 000 requests, `status_url` counts what was served;
    only nginx has them.
    """

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


@dataclass(frozen=True, slots=True)
class Vendors:
    """Running stand-ins. `kind` is `nginx` or `sandbox`."""

    kind: str
    child: Child
    places: Places

    def requests(self) -> int:
        """How many requests were served so far; 0 where nobody counts."""
        if not self.places.status_url:
            return 0
        address = self.places.status_url
        with urllib.request.urlopen(address, timeout=10.0) as answer:  # noqa: S310 - ours
            # the third of the three numbers under "accepts handled requests"
            return int(answer.read().decode().splitlines()[2].split()[2])


@contextmanager
def running_vendors(folder: Path, *, kind: str = "") -> Iterator[Vendors]:
    """Start stand-ins with keys of their own in `folder`; `kind` insists on one of them.

    Else it is nginx where there is one that can do it: not each is built with TLS and HTTP/2.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        yield _enter(stack, folder, kind)


def _enter(stack: ExitStack, folder: Path, kind: str) -> Vendors:
    program = find_nginx()
    if kind == "nginx" and program is None:
        raise BenchFailure("nginx is not installed: apt-get install nginx")
    if kind != "sandbox" and program is not None:
        try:
            return stack.enter_context(_nginx(program, folder))
        except BenchFailure:
            if kind == "nginx":
                raise
    return stack.enter_context(_sandbox(folder))


@contextmanager
def _nginx(program: str, folder: Path) -> Iterator[Vendors]:
    with running_nginx(program, folder) as (child, ports, credentials):
        places = Places(
            fcm_url=f"https://127.0.0.1:{ports.fcm}",
            apns_url=f"https://127.0.0.1:{ports.apns}",
            ca_file=str(credentials.ca_file),
            fcm_file=str(credentials.fcm_file),
            apns_key_file=str(credentials.apns_key_file),
            project_id=credentials.project_id,
            key_id=credentials.key_id,
            team_id=credentials.team_id,
            topic=credentials.topic,
            short_apns_url=f"https://127.0.0.1:{ports.short_lived}",
            status_url=f"http://127.0.0.1:{ports.status}/status",
        )
        yield Vendors("nginx", child, places)


@contextmanager
def _sandbox(folder: Path) -> Iterator[Vendors]:
    command = [sys.executable, "-m", "gateway", "sandbox", "--json", "--directory", str(folder)]
    with running("sandbox", command, folder) as child:
        told = json.loads(wait_for_line(child, '"fcm_url"'))
        places = Places(
            **{each.name: told[each.name] for each in fields(Places) if each.name in told}
        )
        yield Vendors("sandbox", child, places)
