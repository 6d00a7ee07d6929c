"""Where it was measured: what figures of two runs must share to be compared."""

from __future__ import annotations

import os
import platform
import sqlite3
import ssl
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

from gateway import __version__
from gateway.app.benching.nginx import find_nginx
from tests.benchmarks.h2load import find_h2load
from tests.benchmarks.servers import find_postgres
from tests.kit.nats_cluster import SERVER as NATS_SERVER

_PACKAGES = (
    "aiohttp",
    "aioapns",
    "asyncpg",
    "firebase-admin",
    "h2",
    "hpack",
    "httpx",
    "nats-py",
    "uvloop",
)


def facts() -> dict[str, Any]:
    """Machine and versions."""
    return {
        "cpus": os.cpu_count(),
        "cpu_model": _cpu_model(),
        "kernel": platform.release(),
        "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
        "load_average": os.getloadavg(),
        "python": platform.python_version(),
        "openssl": ssl.OPENSSL_VERSION,
        "sqlite": sqlite3.sqlite_version,
        "inkpush": __version__,
        "nginx": _said(find_nginx(), "-v"),
        "h2load": _said(find_h2load(), "--version"),
        "postgres": _said(find_postgres(), "--version"),
        "nats_server": _said(NATS_SERVER, "--version"),
        "packages": {name: version(name) for name in _PACKAGES},
    }


def _cpu_model() -> str:
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith(("model name", "Model"))
    ]
    return names[0] if names else platform.machine()


def _said(program: str | None, option: str) -> str:
    if program is None:
        return ""
    done = subprocess.run([program, option], capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).strip()
