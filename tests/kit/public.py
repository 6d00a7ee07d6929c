"""The public listener on a free port of loopback, with an embedded store: what apps and backends
talk to. The clock is the test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from multidict import CIMultiDictProxy
from yarl import URL

from gateway.app.cors import allow_origins
from gateway.app.skin import add_routes, problem_middleware
from gateway.app.vendors import VENDORS
from gateway.devices.auth import Authenticator, AuthRules
from gateway.ops.openapi import OpenApiRoutes
from gateway.store.sqlite import open_sqlite
from tests.kit.clocks import both
from tests.kit.handlers import JWT_SECRET, PublicHandlers, TestClock
from tests.kit.stores import sqlite_queue

ONE_APP = {"agent": frozenset(VENDORS)}


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


@dataclass(kw_only=True)
class PublicListener(PublicHandlers):
    """A running public listener, and what is behind it."""

    client: TestClient[web.Request, web.Application]
    app: web.Application
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

    async def devices_of(self, user: str, *, token: str) -> list[dict[str, Any]]:
        """What GET /v1/users/{id}/devices says."""
        answer = await self.call("GET", f"/v1/users/{user}/devices", token=token)
        assert answer.status == 200
        devices: list[dict[str, Any]] = answer.json["devices"]
        return devices


@asynccontextmanager
async def public_listener(
    folder: Path,
    *,
    rules: AuthRules | None = None,
    apps: Mapping[str, frozenset[str]] = ONE_APP,
    origins: Collection[str] = (),
) -> AsyncIterator[PublicListener]:
    """Run a public listener on a new store in this folder."""
    clock = TestClock()
    store = await open_sqlite(folder / "inkpush.db")
    rules = AuthRules(jwt_secret=JWT_SECRET) if rules is None else rules
    authenticator = Authenticator(rules, store.keys, clocks=both(clock))
    errors: list[BaseException] = []
    app = web.Application(middlewares=[problem_middleware(errors.append)])
    client = TestClient(TestServer(app))
    listener = PublicListener(
        store=store,
        queue=sqlite_queue(store, clock=clock),
        authenticator=authenticator,
        clock=clock,
        apps=dict(apps),
        client=client,
        app=app,
        errors=errors,
    )
    add_routes(app, listener.routes)
    app.add_routes(OpenApiRoutes().routes())
    allow_origins(app, lambda: origins)
    try:
        await client.start_server()
        yield listener
    finally:
        await client.close()
        await authenticator.aclose()
        await store.aclose()
    assert errors == []
