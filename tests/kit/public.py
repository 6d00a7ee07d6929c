"""The public listener on a free port of loopback, with an embedded store: what apps and backends
talk to. The clock is the test's own."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from multidict import CIMultiDictProxy
from yarl import URL

from gateway.app.vendors import VENDORS
from gateway.devices.api_keys import key_digest, new_key
from gateway.devices.auth import Authenticator, AuthRules
from gateway.devices.notifications import NotificationLimits, NotificationRoutes
from gateway.devices.routes import DeviceRoutes
from gateway.events import GatewayEvent
from gateway.ingest.routes import WebhookLimits, WebhookRoute
from gateway.ops.lookup import LookupRoutes
from gateway.ops.openapi import OpenApiRoutes
from gateway.problems import problem_middleware
from gateway.queue.in_store import InStoreQueue
from gateway.store.sqlite import open_sqlite
from gateway.store.sqlite.store import SqliteStore
from tests.kit.clocks import both, wall
from tests.kit.stores import sqlite_queue

JWT_SECRET = "a secret of at least thirty-two bytes"
WEBHOOK_KEY = b"a webhook secret of some length"
ONE_APP = {"agent": frozenset(VENDORS)}


@dataclass
class TestClock:
    """Epoch seconds that pass when the test says so."""

    __test__ = False
    now: float = field(default_factory=time.time)

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class Answer:
    """An HTTP answer, read to its end. `json` is None without a body."""

    status: int
    headers: CIMultiDictProxy[str]
    json: Any

    @property
    def code(self) -> str | None:
        """The problem's stable code, for answers that are problems."""
        if self.headers.get("Content-Type") != "application/problem+json":
            return None
        code: str = self.json["code"]
        return code


@dataclass
class PublicListener:
    """A running public listener, and what is behind it."""

    client: TestClient[web.Request, web.Application]
    app: web.Application
    store: SqliteStore
    queue: InStoreQueue
    authenticator: Authenticator
    clock: TestClock
    apps: dict[str, frozenset[str]]
    backlog: int = 0
    woken: int = 0
    events: list[GatewayEvent] = field(default_factory=list)
    errors: list[BaseException] = field(default_factory=list)

    async def call(
        self,
        method: str,
        path: str,
        *,
        token: str | None = None,
        json: Any = None,
        data: bytes | AsyncIterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Make one request; `token` goes as bearer."""
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        url = URL(path, encoded=True)
        async with self.client.request(method, url, json=json, data=data, headers=sent) as response:
            is_json = response.content_type.endswith("json")
            body = await response.json(content_type=None) if is_json else None
            return Answer(response.status, response.headers, body)

    async def key(self, *scopes: str) -> str:
        """Make an API key with these scopes and give its text."""
        number = len(await self.store.keys.all())
        key, text = new_key(
            "test",
            scopes,
            now=self.clock(),
            random=lambda size: number.to_bytes(4, "big").rjust(size, b"k"),
        )
        await self.store.keys.add(key, key_digest(text))
        return text

    async def devices_of(self, user: str, *, token: str) -> list[dict[str, Any]]:
        """What GET /v1/users/{id}/devices says."""
        answer = await self.call("GET", f"/v1/users/{user}/devices", token=token)
        assert answer.status == 200
        devices: list[dict[str, Any]] = answer.json["devices"]
        return devices


def user_token(sub: str, **claims: Any) -> str:
    """A user token of the customer's backend."""
    return jwt.encode({"sub": sub} | claims, JWT_SECRET, algorithm="HS256")


@asynccontextmanager
async def public_listener(
    folder: Path,
    *,
    rules: AuthRules | None = None,
    apps: Mapping[str, frozenset[str]] = ONE_APP,
) -> AsyncIterator[PublicListener]:
    """Run a public listener on a new store in this folder."""
    clock = TestClock()
    store = await open_sqlite(folder / "inkpush.db")
    queue = sqlite_queue(store, clock=clock)
    rules = AuthRules(jwt_secret=JWT_SECRET) if rules is None else rules
    authenticator = Authenticator(rules, store.keys, clocks=both(clock))
    errors: list[BaseException] = []
    app = web.Application(middlewares=[problem_middleware(errors.append)])
    client = TestClient(TestServer(app))
    listener = PublicListener(
        client, app, store, queue, authenticator, clock, dict(apps), errors=errors
    )
    for routes in _routes(listener):
        app.add_routes(routes)
    try:
        await client.start_server()
        yield listener
    finally:
        await client.close()
        await authenticator.aclose()
        await store.aclose()
    assert errors == []


def _routes(listener: PublicListener) -> list[list[web.RouteDef]]:
    def woke() -> None:
        listener.woken += 1

    store, queue, clock = listener.store, listener.queue, listener.clock
    authenticator = listener.authenticator
    return [
        DeviceRoutes(
            store.registry, authenticator, VENDORS, lambda: listener.apps, wall(clock)
        ).routes(),
        NotificationRoutes(
            queue,
            authenticator,
            limits=lambda: NotificationLimits(3_600, 1_000, max_body_bytes=100_000),
            backlog=lambda: listener.backlog,
            wake=woke,
            observer=listener.events.append,
            clock=wall(clock),
        ).routes(),
        LookupRoutes(store.journal, store.registry, authenticator.authorize).routes(),
        OpenApiRoutes().routes(),
        WebhookRoute(
            queue,
            limits=lambda: WebhookLimits([WEBHOOK_KEY], 300, 100_000, 3_600, 1_000),
            backlog=lambda: listener.backlog,
            wake=woke,
            observer=listener.events.append,
            clocks=both(clock),
        ).routes(),
    ]
