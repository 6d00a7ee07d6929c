"""A gateway process with a registry of the size that a benchmark asks for."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, get_args

from gateway.app.benching.served import SERVE, Served, running_gateway, write_config
from gateway.app.vendors import VENDORS
from tests.benchmarks.registry import fill, fill_postgres
from tests.benchmarks.stage import Stage

_COMMAND_S = 60.0


def settable_transports() -> list[str]:
    """What `transport` may be in the settings of this version, the default first."""
    setting = VENDORS["fcm"].settings.model_fields["transport"]
    return sorted(get_args(setting.annotation), key=lambda name: name != setting.default)


@contextmanager
def gateway_with(
    stage: Stage,
    devices: int,
    *,
    transport: str = "",
    database: str = "shared",
    relay: Mapping[str, Any] | None = None,
    store: str = "",
    queue: str = "store",
    command: Sequence[str] = SERVE,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Served]:
    """Run one; its database is made the first time, and kept for the next gateway of that size.

    `transport` is for another one than the default; `database` names one that is not shared, for
    who leaves a queue behind. `store` and `queue` are the URLs of servers; without them it has a
    SQLite file of its own.
    """
    folder = stage.folder / f"{database}-{devices}"
    chosen = {"transport": transport} if transport not in {"", stage.settings[0]} else {}
    changes: dict[str, Mapping[str, Any]] = {
        "apps.fcm": chosen,
        "apps.apns": chosen,
        "relay": relay or {},
        "store": {"url": store} if store else {},
        "queue": {"url": queue},
    }
    is_new = not folder.exists()
    folder.mkdir(exist_ok=True)
    config = write_config(folder, stage.vendors.places, stage.secret, changes=changes)
    if is_new:
        stage.say(f"registering {devices:,} devices")
        if store:
            fill_postgres(config, store, devices)
        else:
            fill(config, folder / "inkpush.db", devices)
    with running_gateway(config, command=command, environment=environment) as served:
        yield served


def lanes(served: Served, verb: str, provider: str) -> None:
    """Run `inkpush lanes pause` or `resume` on it."""
    command = [sys.executable, "-m", "gateway", "lanes", verb, f"bench/{provider}"]
    subprocess.run(
        [*command, "--config", str(served.config)],
        stdout=subprocess.DEVNULL,
        timeout=_COMMAND_S,
        check=True,
    )
