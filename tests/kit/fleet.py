"""Replicas of one deployment: processes with a role each, on one PostgreSQL and one JetStream."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from providers.sandbox import ReceivedPush, Sandbox
from tests.kit.gateway import Installation, Process, Reply, eventually
from tests.kit.nats_cluster import free_ports, running_cluster
from tests.kit.postgres import databases


@dataclass
class Replica:
    """A place in the fleet: a configuration with ports of its own, and the process that has it."""

    name: str
    installation: Installation
    process: Process

    async def restart(self) -> tuple[float, float]:
        """End in order, start again. How long each took, in seconds, until /readyz says so."""
        began = time.monotonic()
        assert await self.process.terminate() == 0, self.process.lines[-5:]
        await self.process.close()
        ended = time.monotonic()
        self.process = await self.installation.start()
        await self.ready()
        return ended - began, time.monotonic() - ended

    async def ready(self) -> None:
        """Wait until it is, as /readyz says."""
        await self.process.ready()
        await eventually(f"{self.name} is ready", self.process.is_ready)

    async def post(self, message_id: str, body: bytes) -> Reply:
        """Deliver a webhook to whoever runs here now."""
        return await self.process.post(message_id, body)


@dataclass
class Fleet:
    """Where replicas run. `common` are sections of the configuration that all of them have."""

    folder: Path
    sandbox: Sandbox
    http: aiohttp.ClientSession
    store_url: str
    stream: str
    stack: AsyncExitStack
    common: dict[str, Any] = field(default_factory=dict)

    def installation(self, name: str, role: str = "all") -> Installation:
        """A configuration of this fleet's; nobody runs it yet."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        made = Installation(folder, self.sandbox, self.http)
        public, ops = free_ports(2)
        sections = {
            "server": {"host": "127.0.0.1", "port": public, "role": role},
            "ops": {"port": ops},
            "store": {"url": self.store_url},
            "queue": {
                "url": running_cluster().url,
                "stream": self.stream,
                "max_bytes": 256 * 1024**2,
            },
        }
        made.configure(**(sections | self.common))
        return made

    async def start(self, name: str, role: str) -> Replica:
        """A replica that is ready; killed with the fleet unless it has ended."""
        installation = self.installation(name, role)
        replica = Replica(name, installation, await installation.start())

        async def close() -> None:
            await replica.process.close()

        self.stack.push_async_callback(close)
        await replica.ready()
        return replica


@asynccontextmanager
async def fleet(folder: Path, sandbox: Sandbox) -> AsyncIterator[Fleet]:
    """A fleet without replicas, on a database and a stream of its own."""
    async with (
        aiohttp.ClientSession() as http,
        databases().using(folder) as url,
        AsyncExitStack() as stack,
    ):
        yield Fleet(folder, sandbox, http, url, f"t{time.monotonic_ns()}", stack)


def times_sent(pushes: Iterable[ReceivedPush]) -> Counter[tuple[str, str]]:
    """How often each (event, address) came to the vendor."""
    return Counter((push.data["event_id"], push.address) for push in pushes)


def rate_between(times: Iterable[float], start: float, end: float) -> float:
    """Pushes a second, by the vendor's own time stamps."""
    return sum(start <= at < end for at in times) / (end - start)
