"""A gateway as a process of its own, configured for the stand-ins, and what it says of itself.

Owns the configuration of benchmarks and the reading of the gateway's metrics.
"""

from __future__ import annotations

import json
import re
import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.app.benching.processes import Child, running, wait_for_line
from gateway.app.benching.vendors import Places

APP = "bench"
SERVE = (sys.executable, "-m", "gateway", "serve")
_METRICS_S = 30.0


@dataclass(frozen=True, slots=True)
class Served:
    """A gateway that is ready. `url` is its public listener, `ops_url` the operators'."""

    child: Child
    url: str
    ops_url: str
    config: Path

    def metrics(self) -> str:
        """What /metrics shows."""
        address = f"{self.ops_url}/metrics"
        with urllib.request.urlopen(address, timeout=_METRICS_S) as answer:  # noqa: S310 - ours
            text: str = answer.read().decode()
        return text


def sum_of(metrics: str, name: str, **labels: str) -> float:
    """The sum of a metric's children that have these labels."""
    total = 0.0
    for line in metrics.splitlines():
        if line.startswith(name) and (match := re.match(r"(\w+)(?:\{(.*)\})? (\S+)", line)):
            has = dict(re.findall(r'(\w+)="([^"]*)"', match[2] or ""))
            if match[1] == name and labels.items() <= has.items():
                total += float(match[3])
    return total


def write_config(
    folder: Path,
    places: Places,
    secret: str,
    *,
    changes: Mapping[str, Mapping[str, Any]] | None = None,
) -> Path:
    """Write a configuration that sends as fast as it can. `changes` are added by section."""
    pace = {"ca_file": places.ca_file, "rate_per_s": 0, "ramp_s": 0}
    sections: dict[str, dict[str, Any]] = {
        "[server]": {"host": "127.0.0.1", "port": 0},
        "[ops]": {"port": 0},
        "[webhook]": {"secrets": [secret]},
        "[store]": {"url": f"sqlite:///{folder / 'inkpush.db'}"},
        "[relay]": {},
        "[log]": {"format": "json"},
        "[[apps]]": {"id": APP},
        "[apps.fcm]": {
            "credentials_file": places.fcm_file,
            "endpoint": places.fcm_url,
            **pace,
        },
        "[apps.apns]": {
            "key_file": places.apns_key_file,
            "key_id": places.key_id,
            "team_id": places.team_id,
            "topic": places.topic,
            "endpoint": places.apns_url,
            **pace,
        },
    }
    for name, values in (changes or {}).items():
        sections.setdefault(f"[{name}]", {}).update(values)
    # a JSON string, number or list of strings is the same in TOML
    lines = [
        line
        for heading, values in sections.items()
        for line in (heading, *(f"{key} = {json.dumps(value)}" for key, value in values.items()))
    ]
    file = folder / "inkpush.toml"
    file.write_text("\n".join(lines) + "\n")
    return file


@contextmanager
def running_gateway(
    config: Path,
    *,
    command: Sequence[str] = SERVE,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Served]:
    """Serve until the block ends; yields when both listeners are open."""
    whole = [*command, "--config", str(config)]
    with running("gateway", whole, config.parent, environment=environment) as child:
        line = wait_for_line(child, '"ready"', within_s=60.0)
        public, ops = re.findall(r"\d+", json.loads(line)["detail"])
        yield Served(child, f"http://127.0.0.1:{public}", f"http://127.0.0.1:{ops}", config)
