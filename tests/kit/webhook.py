"""The webhook behind the gateway's own listener, with an embedded store: what the sender meets.

What was stored is read from the database file by a connection of the test's own: it sees what is
committed and nothing else.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, web
from multidict import CIMultiDictProxy

from gateway.app.clocks import SYSTEM
from gateway.app.door import HEAD_S, REQUEST_S
from gateway.app.listeners import listen
from gateway.app.skin import BODY_S, Intake, add_routes, problem_middleware
from gateway.core.bodies import Bodies
from gateway.core.clocks import MonotonicClock
from gateway.core.model import Item
from gateway.core.sources import LEARNINK
from gateway.core.stored import read_items
from gateway.events import ConnectionRefused, GatewayEvent, WebhookAnswered
from gateway.ingest.routes import WebhookLimits, WebhookRoute
from gateway.store.sqlite import SqliteDatabase, SqliteStore
from gateway.store.sqlite.engine import ThreadEngine
from gateway.store.sqlite.opening import open_connections
from tests.kit.engines import CountingEngine
from tests.kit.signers import headers_of, secret_of, sign_as_svix
from tests.kit.stores import fresh_secret, sqlite_queue

HOST = "127.0.0.1"
PATH = f"/webhooks/{LEARNINK}"
KEY = b"a signing key of 24 byte"
SECRET = secret_of(KEY)
LIMITS = WebhookLimits(
    keys=[KEY], tolerance_s=300.0, max_body_bytes=100_000, max_age_s=86_400.0, max_backlog=1_000
)

BODY_MEMORY = 128 * 1024 * 1024

Body = bytes | AsyncIterator[bytes]


@dataclass(frozen=True)
class Answer:
    """An HTTP answer, read to its end."""

    status: int
    headers: CIMultiDictProxy[str]
    json: Any

    @property
    def is_problem(self) -> bool:
        return self.headers["Content-Type"] == "application/problem+json"


@dataclass
class Webhook:
    """A running webhook, and what is behind it. `limits`, of LearnInk and the `others`, and
    `backlog` are read at each request."""

    session: ClientSession
    port: int
    store: SqliteStore
    engine: CountingEngine
    path: Path
    limits: WebhookLimits = LIMITS
    others: dict[str, WebhookLimits] = field(default_factory=dict)
    backlog: int = 0
    woken: int = 0
    heard: list[GatewayEvent] = field(default_factory=list)
    errors: list[BaseException] = field(default_factory=list)

    async def post(self, body: Body, headers: Mapping[str, str]) -> Answer:
        """Post a body under these headers."""
        url = f"http://{HOST}:{self.port}{PATH}"
        async with self.session.post(url, data=body, headers=headers) as response:
            return Answer(response.status, response.headers, await response.json(content_type=None))

    async def send(self, body: bytes, *, message_id: str = "msg_1") -> Answer:
        """Sign a body as LearnInk's sender does, now, and post it."""
        return await self.post(body, signed(body, message_id=message_id))

    def change(self, **limits: Any) -> None:
        """Reload with other limits."""
        self.limits = replace(self.limits, **limits)

    def results(self) -> list[str]:
        """What metrics and logs heard of the requests, in order."""
        return [event.result for event in self.heard if isinstance(event, WebhookAnswered)]

    def rows(self, query: str) -> Sequence[tuple[Any, ...]]:
        """Read what is committed."""
        with closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)) as connection:
            return connection.execute(query).fetchall()

    def refusals(self) -> list[str]:
        """Why connections were ended, in order."""
        return [event.reason for event in self.heard if isinstance(event, ConnectionRefused)]

    def events(self) -> Sequence[tuple[Any, ...]]:
        """(event id, type, status, notifications, rejected) of every stored event."""
        return self.rows("SELECT event_id, type, status, notifications, rejected FROM events")

    def queued(self) -> list[Item]:
        """The items of every queued chunk."""
        chunks = self.rows("SELECT items FROM queue ORDER BY event_id, number")
        return [entry.item for (items,) in chunks for entry in read_items(items)]


def signed(body: bytes, *, message_id: str = "msg_1", at: float | None = None) -> dict[str, str]:
    """The headers of LearnInk's sender for a body, signed now or `at` another time."""
    timestamp = int(time.time() if at is None else at)
    headers = headers_of(
        "svix", message_id, timestamp, sign_as_svix(SECRET, message_id, timestamp, body)
    )
    return headers | {"Content-Type": "application/json"}


@asynccontextmanager
async def running_webhook(
    folder: Path,
    *,
    body_timeout_s: float = BODY_S,
    body_memory: int = BODY_MEMORY,
    most: int = 1_000,
    head_s: float = HEAD_S,
    request_s: float = REQUEST_S,
    monotonic: MonotonicClock = SYSTEM.monotonic,
) -> AsyncIterator[Webhook]:
    """Run the webhook on a new store in this folder, for `most` connections and so many bytes of
    bodies, each header in `head_s` and all of a request in `request_s`; at the end nothing
    unforeseen may have happened in it."""
    path = folder / "inkpush.db"
    errors: list[BaseException] = []
    application = web.Application(middlewares=[problem_middleware(errors.append)])
    async with AsyncExitStack() as stack:
        connections = await asyncio.to_thread(open_connections, path)
        engine = CountingEngine(ThreadEngine(connections))
        store = SqliteStore(SqliteDatabase(engine), max_per_user=20, fresh=fresh_secret)
        stack.push_async_callback(store.aclose)
        session = await stack.enter_async_context(ClientSession())
        webhook = Webhook(session, 0, store, engine, path, errors=errors)
        intake = Intake(Bodies(lambda: body_memory), body_s=body_timeout_s, monotonic=monotonic)
        add_routes(application, _route(webhook).routes(), intake)
        webhook.port = await listen(
            stack,
            application,
            HOST,
            0,
            observer=webhook.heard.append,
            most=most,
            head_s=head_s,
            request_s=request_s,
        )
        yield webhook
    assert errors == []


def _route(webhook: Webhook) -> WebhookRoute:
    def woke() -> None:
        webhook.woken += 1

    def limits(source: str) -> WebhookLimits | None:
        return webhook.limits if source == LEARNINK else webhook.others.get(source)

    async def known(event_id: str) -> bool:
        return await webhook.store.journal.event(event_id) is not None

    return WebhookRoute(
        sqlite_queue(webhook.store, clock=SYSTEM.wall),
        limits=limits,
        backlog=lambda: webhook.backlog,
        known=known,
        wake=woke,
        observer=webhook.heard.append,
        clocks=SYSTEM,
        salt=lambda: bytes(32),
    )
