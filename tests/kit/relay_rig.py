"""A gateway in the test's own process, on a real database, against a vendor sandbox.

What is slow in life - a wait of minutes, a lease - is made quick by the clock, which the test owns
and which gateway and sandbox share. Google's library keeps to the machine's: FCM's access token is
good for an hour of the test's time, no more.
"""

from __future__ import annotations

import asyncio
import gc
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from config.settings import Settings
from gateway.app.clocks import SYSTEM
from gateway.app.gateway import Gateway, open_gateway
from gateway.app.settings import load
from gateway.app.storage import Stores
from gateway.app.timekeeping import Timekeeper
from gateway.core.clocks import Clocks
from gateway.core.model import Device, Record, UserRef
from gateway.core.pace import Pace
from gateway.events import GatewayEvent
from gateway.ingest.schema import understand
from gateway.ports import LaneRow
from gateway.relay.lane import Lane
from providers.sandbox import ReceivedPush, Sandbox
from providers.sandbox.describe import config_toml
from tests.kit.audience import APP, Phone, androids, iphones, notification
from tests.kit.clocks import Believer, wall
from tests.kit.gateway import JWT_SECRET, SECRET, eventually
from tests.kit.provider_rig import Clock
from tests.kit.sender import event

T = TypeVar("T")

DAY_S = 86_400.0


def both(numbers: Iterable[int]) -> list[Phone]:
    """Users who have an Android phone and an iPhone each."""
    owners = list(numbers)
    return androids(owners) + iphones(owners)


@dataclass
class Running:
    """A running gateway, what it tells, and the failures it was to end for."""

    gateway: Gateway
    clock: Clock
    events: list[GatewayEvent]
    failures: list[BaseException] = field(default_factory=list)

    @property
    def stores(self) -> Stores:
        return self.gateway.stores

    # --- what goes in -----------------------------------------------------------------------------

    async def register(self, *phones: Phone) -> None:
        """What the apps do at their start, all at once, now."""
        registrations = [phone.registration() for phone in phones]
        await self.stores.registry.register_many(registrations, now=self.clock())

    async def forget(self, phone: Phone) -> None:
        """What the app does when its user logs out."""
        await self.stores.registry.forget(phone.installation, proven=None, now=self.clock())

    async def queue(
        self, event_id: str, notifications: Sequence[dict[str, Any]], *, max_age_s: float = DAY_S
    ) -> None:
        """Make an event durable and wake the relay, as the webhook does."""
        now = self.clock()
        body = event(notifications, datetime.fromtimestamp(now, UTC))
        understood = understand(
            event_id,
            body,
            received_at=now,
            max_age_s=max_age_s,
            chunk_items=self.gateway.pace.chunk_items,
        )
        assert await self.stores.queue.accept(understood.event, understood.chunks)
        self.gateway.wake()

    async def queue_for(
        self, event_id: str, phones: Iterable[Phone], *, max_age_s: float = DAY_S
    ) -> None:
        """One notification for each owner of these phones."""
        owners = dict.fromkeys(phone.owner for phone in phones)
        await self.queue(event_id, [notification(each) for each in owners], max_age_s=max_age_s)

    # --- what comes out ---------------------------------------------------------------------------

    async def states(self, event_id: str) -> dict[str, int]:
        """The deliveries of an event, by state; only the states that some delivery is in."""
        summary = await self.stores.journal.event(event_id)
        assert summary is not None
        return {state: count for state, count in summary.deliveries.items() if count}

    async def settled(self, event_id: str) -> dict[str, int]:
        """Wait until an event is settled; its deliveries by state."""

        async def is_settled() -> bool:
            summary = await self.stores.journal.event(event_id)
            return summary is not None and summary.settled

        await eventually(f"{event_id} is settled", is_settled)
        return await self.states(event_id)

    async def rows(self, event_id: str) -> list[Record]:
        """The journal's lines about an event."""
        return await self.stores.journal.items_of(event_id)

    async def row(self, event_id: str, state: str) -> Record:
        """Wait until the only delivery of an event is in this state; the journal's line."""

        async def there() -> bool:
            return [row.state for row in await self.rows(event_id)] == [state]

        await eventually(f"{event_id} is {state}", there)
        (row,) = await self.rows(event_id)
        return row

    async def pending_for(self, event_id: str, reason: str) -> Record:
        """Wait until the only delivery of an event waits for this reason; the journal's line."""

        async def there() -> bool:
            return [(row.state, row.reason) for row in await self.rows(event_id)] == [
                ("pending", reason)
            ]

        await eventually(f"{event_id} waits because of {reason}", there)
        (row,) = await self.rows(event_id)
        return row

    async def device(self, phone: Phone) -> Device:
        """The registry's row of a phone."""
        devices = await self.stores.registry.devices_of(UserRef(**phone.user))
        (device,) = [each for each in devices if each.installation_id == phone.installation]
        return device

    async def lane(self, provider: str, app: str = APP) -> LaneRow:
        """A lane as the store knows it."""
        rows = {(row.app, row.provider): row for row in await self.stores.lanes.all()}
        return rows.get((app, provider), LaneRow(app, provider))

    def told(self, kind: type[T]) -> list[T]:
        """What the gateway told of this kind."""
        return [each for each in self.events if isinstance(each, kind)]

    async def held(self, provider: str, app: str = APP) -> str:
        """Who holds any part of a lane, as the store has it; "" when nobody does."""
        row = await self.lane(provider, app)
        return row.held or next((part.held for part in row.parts if part.held), "")

    def is_paused(self, provider: str, app: str = APP) -> bool:
        """Whether this process holds all of a lane because a person said so."""
        return all(part.is_paused for part in self.lane_in_memory(provider, app).parts.values())

    def load(self, provider: str, app: str = APP) -> int:
        """Deliveries of a lane in memory: waiting or in flight."""
        return sum(part.load for part in self.lane_in_memory(provider, app).parts.values())

    def backlog(self, provider: str, app: str = APP) -> int:
        """Deliveries of a lane that wait in memory."""
        lane = self.lane_in_memory(provider, app)
        return sum(len(part.backlog) for part in lane.parts.values())

    def lane_in_memory(self, provider: str, app: str = APP) -> Lane:
        """A lane of this process."""
        assert self.gateway.relay is not None
        return self.gateway.relay.lanes[f"{app}/{provider}"]

    async def reload(self, settings: Settings) -> None:
        """What SIGHUP does."""
        await self.gateway.reload(settings)

    async def empty(self) -> None:
        """Wait until nothing is queued or under a lease."""

        async def nothing_waits() -> bool:
            return (await self.stores.queue.depth()).notifications == 0

        await eventually("the queue is empty", nothing_waits)


@dataclass
class RelayRig:
    """Where gateways run: a folder with configuration and database, a sandbox, a clock.

    With a `store_url` several may run at once on what it names; else there is one, on SQLite.
    `common` are sections of the configuration that all of them have.
    """

    folder: Path
    sandbox: Sandbox
    clock: Clock
    store_url: str = ""
    common: dict[str, Any] = field(default_factory=dict)
    _open: int = 0

    @property
    def database(self) -> Path:
        return self.folder / "inkpush.db"

    def settings(self, **overrides: Any) -> Settings:
        """Settings that point at the sandbox; see `config_toml` for the overrides.

        No ramp and no limit, so that a batch takes what it takes.
        """
        sections: dict[str, Any] = {
            "server": {"host": "127.0.0.1", "port": 0},
            "ops": {"port": 0},
            "webhook": {"secrets": [SECRET]},
            "auth": {"jwt_secret": JWT_SECRET},
            "store": {"url": self.store_url or f"sqlite:///{self.database}"},
            "fcm": {"rate_per_s": 0},
        }
        file = self.folder / "inkpush.toml"
        sections |= self.common | overrides
        file.write_text(config_toml(self.sandbox, self.sandbox.credentials, **sections))
        return load(file, {})

    @asynccontextmanager
    async def running(self, **overrides: Any) -> AsyncIterator[Running]:
        """A gateway that is ready; at the end it drains, and must leave nothing behind."""
        async with self.gateway(self.settings(**overrides)) as running:
            yield running

    @asynccontextmanager
    async def gateway(
        self, settings: Settings, pace: Pace = Pace(), timekeeper: Timekeeper | None = None
    ) -> AsyncIterator[Running]:
        """The same with settings that are made already, at any pace. It believes the rig's clock,
        unless it has a timekeeper of its own."""
        before = asyncio.all_tasks()
        self._open += 1
        events: list[GatewayEvent] = []
        failures: list[BaseException] = []
        timekeeper = timekeeper or Believer(Clocks(wall(self.clock), SYSTEM.monotonic))
        async with open_gateway(
            settings,
            log=events.append,
            on_failure=failures.append,
            timekeeper=timekeeper,
            pace=pace,
        ) as gateway:
            yield Running(gateway, self.clock, events, failures)
        assert failures == []
        self._open -= 1
        if self._open == 0:  # else some of the tasks may be those of another gateway
            # The sandbox's own tasks are among the new ones: they end with their connections.
            await eventually("every task ended", lambda: asyncio.all_tasks() <= before)
        gc.collect()  # what was not closed warns now, while it is known whose it is

    # --- the vendors' side ------------------------------------------------------------------------

    def sent_to(self, *phones: Phone) -> list[ReceivedPush]:
        """What arrived at the vendors for these phones, taken or not."""
        addresses = {phone.address for phone in phones}
        return [push for push in self.sandbox.pushes if push.address in addresses]

    def shown_by(self, phone: Phone) -> list[ReceivedPush]:
        """The notifications on a phone's screen."""
        return self.sandbox.phone(phone.address)

    async def arrived(self, phone: Phone, count: int = 1) -> None:
        """Wait until so many pushes for a phone came to its vendor, taken or not."""
        await eventually(f"{count} arrived", lambda: len(self.sent_to(phone)) >= count)

    def times_delivered(self) -> Counter[int]:
        """How many deliveries the vendors took once, twice ..."""
        taken = Counter(
            (push.address, push.collapse_id) for push in self.sandbox.pushes if push.accepted
        )
        return Counter(taken.values())

    # --- the database's side ----------------------------------------------------------------------

    def sql(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Do to the database what another process, or fate, might."""
        with closing(sqlite3.connect(self.database, timeout=10)) as connection, connection:
            return connection.execute(statement, parameters).fetchall()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Another process has the database: what is written waits, and does not fail yet."""
        with closing(sqlite3.connect(self.database, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("ROLLBACK")


@asynccontextmanager
async def relay_rig(folder: Path, vendor_keys: Path) -> AsyncIterator[RelayRig]:
    """A rig in this folder. `vendor_keys` keeps the sandbox's keys from test to test."""
    clock = Clock()
    async with Sandbox(credentials_dir=vendor_keys, clock=clock) as sandbox:
        yield RelayRig(folder, sandbox, clock)
