"""The distributed form on loopback: three NATS nodes, a PostgreSQL, and any number of gateways of
either role, with a vendor stand-in that has a listener for each relay.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import asyncpg

from gateway.core.pace import Pace
from providers.sandbox.credentials import server_file
from tests.kit.audience import Phone, androids, iphones
from tests.kit.cut_line import Line
from tests.kit.gateway import Installation, Process, eventually
from tests.kit.nats_cluster import NatsCluster, own_nats_cluster
from tests.kit.postgres import Databases, own_cluster
from tests.kit.push_log import LoggedPush, PushLog
from tests.kit.quick_vendor import Orders, quick_vendors

STREAM = "inkpush"
ANSWER_S = 0.02
"""How long the vendor takes to answer, so that some pushes are always in flight."""
JOURNAL_INTERVAL_S = Pace().flush_s + Pace().slow_s
"""What is taken is journaled every 20 ms; after 250 ms of waiting for it no push starts."""
BUSY_S = 1.0
"""What a busy machine may add."""
IN_DOUBT_S = JOURNAL_INTERVAL_S + ANSWER_S + BUSY_S
"""What went out within so long may be without a line in the journal when its relay is gone."""

Key = tuple[int, int]
"""A notification: the number of its event, and its place in it, which is its device's number."""


@dataclass
class Ways:
    """The lines by which one process reaches NATS and PostgreSQL."""

    nats: list[Line]
    postgres: Line
    variables: dict[str, str]


@dataclass
class Deployment:
    """What runs. `log` is what came to the vendor, `says` what it counted, after its end."""

    installation: Installation
    databases: Databases
    database_url: str
    nats: NatsCluster
    audience: list[Phone]
    endpoints: list[str]
    log: PushLog
    says: dict[str, float]
    stack: AsyncExitStack

    async def ingest(self) -> Process:
        """Start an ingest."""
        serving = self.installation.serving({"INKPUSH_SERVER__ROLE": "ingest"})
        return await self.stack.enter_async_context(serving)

    async def relay(self, place: int, ways: Ways | None = None) -> Process:
        """Start a relay that sends to the vendor's listener `place`."""
        variables = {
            "INKPUSH_SERVER__ROLE": "relay",
            "INKPUSH_APPS__0__FCM__ENDPOINT": self.endpoints[place],
            "INKPUSH_APPS__0__APNS__ENDPOINT": self.endpoints[place],
            **(ways.variables if ways else {}),
        }
        return await self.stack.enter_async_context(self.installation.serving(variables))

    async def ways(self) -> Ways:
        """Lines of one's own to all servers."""
        enter = self.stack.enter_async_context
        nats = [await enter(Line(node.port).running()) for node in self.nats.nodes]
        postgres = await enter(Line(self.databases.cluster.port).running())
        name = self.database_url.rpartition("/")[2]
        variables = {
            "INKPUSH_QUEUE__URL": "nats://" + ",".join(f"127.0.0.1:{line.port}" for line in nats),
            "INKPUSH_STORE__URL": self.databases.cluster.url(name, port=postgres.port),
        }
        return Ways(nats, postgres, variables)

    async def rows(self, sql: str, *values: Any) -> list[Any]:
        """Ask the database."""
        connection = await asyncpg.connect(self.database_url)
        try:
            found: list[Any] = await connection.fetch(sql, *values)
            return found
        finally:
            await connection.close()

    async def delivered(self) -> set[Key]:
        """What the journal says is delivered."""
        rows = await self.rows(
            "SELECT event_id, item_index FROM deliveries WHERE state = 'delivered'"
        )
        return {(int(event_id.rpartition("-")[2]), index) for event_id, index in rows}

    async def until_delivered(self, number: int, *, within_s: float) -> None:
        """Wait until the journal has so many."""

        async def enough() -> bool:
            sql = "SELECT count(*) FROM deliveries WHERE state = 'delivered'"
            return bool((await self.rows(sql))[0][0] >= number)

        await eventually(f"{number} delivered", enough, every_s=0.2, within_s=within_s)

    async def arrived(self, number: int, *, within_s: float = 60.0) -> None:
        """Wait until so many pushes have come to the vendor."""
        await eventually(f"{number} pushes", lambda: len(self.log) >= number, 0.002, within_s)

    async def not_journaled(self, place: int, until: float) -> list[LoggedPush]:
        """What a relay had sent until then and the journal does not say is delivered."""
        sent = [push for push in self.log.read() if push.place == place and push.at <= until]
        delivered = await self.delivered()
        return [push for push in sent if push.key not in delivered]


@asynccontextmanager
async def deployment(
    installation: Installation,
    keys: Path,
    *,
    devices: int,
    events: int,
    relays: int,
    rate_per_s: float,
    lease_s: float,
    duplicate_window_s: float = 7200.0,
) -> AsyncIterator[Deployment]:
    """Everything but the gateways; half of the devices are iPhones. A lane sends `rate_per_s`."""
    log = installation.folder / "pushes"
    orders = Orders(
        certificate=str(server_file(keys)),
        devices=devices,
        events=events,
        report=str(installation.folder / "taken"),
        longest_s=600.0,
        answer_s=ANSWER_S,
        wrong=False,
        listeners=relays,
        log=str(log),
    )
    audience = androids(range(devices // 2)) + iphones(range(devices // 2, devices))
    async with (
        own_cluster() as databases,
        own_nats_cluster() as nats,
        quick_vendors(orders) as (endpoints, says),
        AsyncExitStack() as stack,
    ):
        url = await databases.create()
        queue = {"url": nats.url, "stream": STREAM, "max_bytes": 256 * 1024**2}
        lane = {"rate_per_s": rate_per_s, "ramp_s": 0, "endpoint": endpoints[0]}
        installation.configure(
            store={"url": url},
            queue=queue | {"duplicate_window_s": duplicate_window_s},
            relay={"lease_s": lease_s},
            fcm=lane,
            apns=lane | {"sandbox_endpoint": None},
        )
        await installation.register(audience)
        yield Deployment(
            installation,
            databases,
            url,
            nats,
            audience,
            endpoints,
            PushLog(log),
            says,
            stack,
        )


def longest_gap(pushes: Sequence[LoggedPush], start: float, end: float) -> float:
    """The longest time within a stretch in which no push came."""
    times = [start, *sorted(p.at for p in pushes if start < p.at < end), end]
    return max(later - earlier for earlier, later in pairwise(times))


def repeats_of(pushes: Sequence[LoggedPush]) -> dict[Key, list[LoggedPush]]:
    """What came more than once, each with all its pushes; the ids must be the same."""
    by_key: dict[Key, list[LoggedPush]] = {}
    for push in pushes:
        by_key.setdefault(push.key, []).append(push)
    repeats = {key: each for key, each in by_key.items() if len(each) > 1}
    for each in repeats.values():
        assert len({push.name for push in each}) == 1, "a repeat under another id"
    return repeats


def all_of(events: int, devices: int) -> Collection[Key]:
    """Every notification there is."""
    return {(event, device) for event in range(events) for device in range(devices)}
