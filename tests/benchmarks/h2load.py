"""h2load, nghttp2's load generator in C: the rate that a client can reach at all.

It repeats one request: same path, same headers, same body. Its connections and streams are those of
the transport it is compared with.
"""

from __future__ import annotations

import re
import resource
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.benchmarks.clients.result import Took

_LIMIT_S = 120.0


def find_h2load() -> str | None:
    """The program, if it is installed."""
    return shutil.which("h2load")


def run_h2load(
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    requests: int,
    connections: int,
    streams: int,
    folder: Path,
) -> Took:
    """Send that many requests from one thread; all must be answered 2xx."""
    program = find_h2load()
    assert program is not None
    file = folder / "h2load-body"
    file.write_bytes(body)
    command = [program, "-n", str(requests), "-c", str(connections), "-m", str(streams)]
    command += ["-t", "1", "-d", str(file)]
    for name, value in headers.items():
        command += ["-H", f"{name}: {value}"]
    before = _children_cpu_s()
    done = subprocess.run(
        [*command, url], capture_output=True, text=True, timeout=_LIMIT_S, check=True
    )
    cpu_s = _children_cpu_s() - before
    rate = re.search(r"finished in .*?, ([\d.]+) req/s", done.stdout)
    good = re.search(r"status codes: (\d+) 2xx", done.stdout)
    assert rate is not None, done.stdout
    assert good is not None, done.stdout
    assert int(good[1]) == requests, done.stdout
    return Took(requests, requests / float(rate[1]), cpu_s)


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
