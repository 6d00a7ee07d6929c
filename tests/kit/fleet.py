"""Replicas of one deployment: processes with a role each, on one PostgreSQL and one JetStream."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from providers.sandbox import ReceivedPush, Sandbox
from tests.kit.gateway import Installation, Process, Reply, eventually
from tests.kit.nats_cluster import free_ports, running_cluster
from tests.kit.postgres import databases

GIVE_UP_S = 30.0
"""So long a sender repeats a webhook."""
_REPEAT_S = 0.2


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
        await self.process.ready()
        await self.is_ready()
        return ended - began, time.monotonic() - ended

    async def is_ready(self) -> None:
        """Wait until /readyz says so."""

        async def ready() -> bool:
            return (await self.process.ops("/readyz")).status == 200

        await eventually(f"{self.name} is ready", ready)


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
        await replica.process.ready()
        await replica.is_ready()
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


@dataclass
class Sender:
    """Who delivers webhooks as Svix does: again and again until one is taken, at any ingest."""

    ingests: Sequence[Replica]
    failed: Counter[str] = field(default_factory=Counter)
    given_up: list[str] = field(default_factory=list)
    slowest_s: float = 0.0

    async def deliver(self, number: int, message_id: str, body: bytes) -> None:
        """Deliver one; `number` says where it is tried first."""
        began = time.monotonic()
        while time.monotonic() - began < GIVE_UP_S:
            answer = await self._attempt(self.ingests[number % len(self.ingests)], message_id, body)
            if answer is not None and answer.status == 200:
                self.slowest_s = max(self.slowest_s, time.monotonic() - began)
                return
            self.failed["no answer" if answer is None else str(answer.status)] += 1
            number += 1
            await asyncio.sleep(_REPEAT_S)
        self.given_up.append(message_id)

    async def _attempt(self, ingest: Replica, message_id: str, body: bytes) -> Reply | None:
        with suppress(aiohttp.ClientError, OSError):
            return await ingest.process.post(message_id, body)
        return None


def times_sent(pushes: Iterable[ReceivedPush]) -> Counter[tuple[str, str]]:
    """How often each (event, address) came to the vendor."""
    return Counter((push.data["event_id"], push.address) for push in pushes)


def rate_between(times: Iterable[float], start: float, end: float) -> float:
    """Pushes a second, by the vendor's own time stamps."""
    return sum(start <= at < end for at in times) / (end - start)
