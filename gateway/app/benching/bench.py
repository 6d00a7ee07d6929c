"""`inkpush bench`: what this machine can do, for somebody with no account.

A stand-in for the vendors and a gateway run as processes of their own in a folder that goes away;
devices are registered, signed batches posted, and what it took is read from outside.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gateway.app.benching.posting import make_batches, new_secret, quantile
from gateway.app.benching.served import APP, running_gateway, write_config
from gateway.app.benching.vendors import running_vendors
from gateway.app.benching.whole_way import Run, Say, run_whole_way
from gateway.app.settings import load
from gateway.app.storage import open_store
from gateway.core.model import Registration
from providers.sandbox.phones import PHONES

_BATCH = 1_000
#: share of the time that the gateway may wait for a core, its own stand-in and sender included
_CROWDED = 0.2
_REGISTERED_TOGETHER = 1_000


def run(*, pushes: int, provider: str, say: Say) -> dict[str, Any]:
    """Measure, and return the figures. Raises BenchFailure when not every push arrived.

    Ends all that it started, also when it is interrupted or asked to end.
    """
    os.environ["no_proxy"] = "*"  # the vendors are on this machine
    with _interruptible(), tempfile.TemporaryDirectory(prefix="inkpush-bench-") as name:
        folder = Path(name)
        with running_vendors(folder / "vendors") as vendors:
            say(f"The vendors' stand-in is {vendors.kind}; pushes go to its {provider}.")
            secret = new_secret()
            config = write_config(folder, vendors.places, secret)
            users = [f"person-{number}" for number in range(pushes)]
            asyncio.run(_register(config, users, provider))
            say(f"{pushes} devices are registered.")
            with running_gateway(config) as served:
                # Not part of the figures: it opens a connection and fetches the access token.
                first = list(make_batches(users[:1], 1))
                asyncio.run(
                    run_whole_way(served, vendors, secret, first, provider=provider, say=say)
                )
                say("The gateway is up; posting.")
                batches = list(make_batches(users, _BATCH))
                measured = asyncio.run(
                    run_whole_way(served, vendors, secret, batches, provider=provider, say=say)
                )
    return _figures(measured, provider, vendors.kind)


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C does, so that nothing is left running."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


async def _register(config: Path, users: list[str], provider: str) -> None:
    """Give each user one device, in the database of a gateway that does not run yet."""
    (kind,) = (kind for kind in PHONES if kind.provider == provider)
    async with open_store(load(config, {})) as stores:
        for start in range(0, len(users), _REGISTERED_TOGETHER):
            registrations = [
                Registration(
                    installation_id=f"phone-{number}",
                    app=APP,
                    platform=kind.platform,
                    provider=provider,
                    address=kind.address(number),
                    custom_id=users[number],
                )
                for number in range(start, min(start + _REGISTERED_TOGETHER, len(users)))
            ]
            await stores.registry.register_many(registrations, now=time.time())


def _figures(measured: Run, provider: str, kind: str) -> dict[str, Any]:
    limit = ""
    if measured.stand_in_was_the_limit:
        limit = f"the {kind} was the limit: the gateway can do more"
    elif measured.waited >= _CROWDED:
        limit = "other processes had the cores: repeat it on a quiet machine"
    return {
        "provider": provider,
        "stand_in": kind,
        "pushes": measured.pushes,
        "delivered": measured.delivered,
        "seconds": round(measured.seconds, 3),
        "pushes_per_second": round(measured.per_second),
        "cpu_us_per_push": round(measured.cpu_us, 1),
        "ack_p50_ms": round(quantile(measured.acks, 0.5) * 1000, 1),
        "ack_p99_ms": round(quantile(measured.acks, 0.99) * 1000, 1),
        "rss_mib": round(measured.rss_bytes / 2**20),
        "stand_in_cpu": round(measured.stand_in_busy, 2),
        "waited_for_cpu": round(measured.waited, 2),
        "limit": limit,
    }
