"""What hooks cost a push: none, one that asks for nothing of every push, one that asks for all."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from gateway.app.benching.whole_way import Run
from tests.benchmarks.gateways import gateway_with
from tests.benchmarks.relaying import as_json, one_run, tell
from tests.benchmarks.report import at_most
from tests.benchmarks.stage import Stage

_SECRET = "whsec_aW5rcHVzaC1leGFtcGxlLXNlY3JldC0wMDAz"  # of the example
_CONTESTANTS: Mapping[str, str] = {
    "no hook": "",
    "a hook without delivery.settled": "device.pruned,delivery.no_device,receipt.*",
    "a hook with delivery.settled": "delivery.settled",
}
_LIMITS = {"a hook without delivery.settled": 1.05, "a hook with delivery.settled": 1.3}


class _Takes(BaseHTTPRequestHandler):
    """Takes everything, and keeps the connection."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_given: Any) -> None:
        """Say nothing."""


@contextmanager
def _receiver() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Takes)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def compare_hooks(stage: Stage) -> None:
    """The whole way with each of them, taking turns: the CPU of the gateway, posts included."""
    runs: dict[str, list[Run]] = {name: [] for name in _CONTESTANTS}
    devices = stage.sizes.devices
    with _receiver() as url:
        for _ in range(stage.sizes.runs):
            for name, several in runs.items():
                environment = _settings(url, _CONTESTANTS[name])
                with gateway_with(stage, devices, environment=environment) as served:
                    run = one_run(stage, served, "fcm", devices, stage.notifications)
                several.append(run)
                tell(stage, name, run)
    stage.report.rounds["hooks"] = {
        name: [as_json(run) for run in several] for name, several in runs.items()
    }
    without = [run.cpu_us for run in runs["no hook"]]
    for name, limit in _LIMITS.items():
        with_it = [run.cpu_us for run in runs[name]]
        stage.report.add(at_most(limit, f"whole way, {name}, CPU", with_it, "no hook", without))


def _settings(url: str, events: str) -> dict[str, str]:
    if not events:
        return {}
    values = {
        "ID": "bench",
        "URL": url,
        "SECRETS": _SECRET,
        "EVENTS": events,
        "BATCH": "1000",
        "RATE_PER_S": "0",
        "MAX_WAITING": "1000000",
        "ALLOW_PRIVATE": "true",
    }
    return {f"INKPUSH_HOOKS__0__{name}": value for name, value in values.items()}
