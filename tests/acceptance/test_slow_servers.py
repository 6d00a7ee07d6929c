"""Database and broker at a distance: how long a webhook of 1 000 waits for them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from tests.kit.audience import androids, notifications_to
from tests.kit.cut_line import Line
from tests.kit.figures import Figures
from tests.kit.gateway import Installation, Process
from tests.kit.nats_cluster import running_cluster
from tests.kit.postgres import databases
from tests.kit.sender import event

ONE_WAY_S = 0.1
ITEMS = 1000
AT_ONCE = 8
#: what is promised on PostgreSQL, and with NATS
PROMISED_S = {"postgres": 1.0, "nats": 2.0}
#: when such a process has opened its connections, in round trips there
WARM_S = 2 * ONE_WAY_S * 40


@dataclass
class Far:
    """A gateway whose servers are 100 ms away, each way."""

    gateway: Process
    lines: Sequence[Line]
    url: str
    body: bytes
    posted: int = 0

    async def webhook(self) -> float:
        """Post one; how long its answer took."""
        self.posted += 1
        name, begun = f"msg-{self.posted}", time.monotonic()
        reply = await self.gateway.post(name, self.body)
        took = time.monotonic() - begun
        assert (reply.status, reply.json["status"]) == (200, "accepted"), reply.text
        return took

    async def cut(self) -> None:
        """Let the database end all connections of the gateway."""
        connection = await asyncpg.connect(self.url)
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'inkpush' AND datname = current_database()"
        )
        await connection.close()


@asynccontextmanager
async def far(installation: Installation, folder: Path, queue: str) -> AsyncIterator[Far]:
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(databases().using(folder))
        there = databases().cluster.port
        database = await stack.enter_async_context(Line(there).running())
        lines, broker = [database], {"url": "store"}
        if queue == "nats":
            nodes = [Line(node.port) for node in running_cluster().nodes]
            lines += [await stack.enter_async_context(line.running()) for line in nodes]
            servers = ",".join(f"127.0.0.1:{line.port}" for line in lines[1:])
            broker = {
                "url": f"nats://{servers}",
                "stream": f"far{time.monotonic_ns()}",
                "max_bytes": str(64 * 1024**2),
            }
        near = url.replace(f":{there}/", f":{database.port}/")
        installation.configure(store={"url": near}, queue=broker)
        phones = androids(range(ITEMS))
        await installation.register(phones)
        for line in lines:
            line.delay_s = ONE_WAY_S
        gateway = await stack.enter_async_context(
            installation.serving({"INKPUSH_SERVER__ROLE": "ingest"})
        )
        yield Far(gateway, lines, url, event(notifications_to(phones)))


@pytest.mark.parametrize("queue", ["postgres", "nats"])
async def test_a_webhook_of_1000_waits_for_a_few_round_trips(
    installation: Installation, tmp_path: Path, queue: str, figures: Figures
) -> None:
    async with far(installation, tmp_path, queue) as site:
        first = await site.webhook()
        second = await site.webhook()
        await asyncio.sleep(WARM_S)
        idle = await site.webhook()
        together = await asyncio.gather(*(site.webhook() for _ in range(AT_ONCE)))
        await site.cut()
        lost = await site.webhook()
        await asyncio.sleep(WARM_S)
        again = await site.webhook()
        figures(
            f"{queue}: first {first:.2f} s, second {second:.2f}, after a pause {idle:.2f}, "
            f"{AT_ONCE} at once {max(together):.2f}, "
            f"when all connections were lost this moment {lost:.2f}, a moment later {again:.2f}"
        )
        # a busy machine adds its own time; the round trips themselves are counted by other tests
        assert max(first, second, idle, again, *together) <= 2 * PROMISED_S[queue]
