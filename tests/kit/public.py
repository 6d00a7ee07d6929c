"""The public listener on a free port of loopback, with an embedded store: what apps and backends
talk to. The clock is the test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from multidict import CIMultiDictProxy
from yarl import URL

from gateway.app.cors import allow_origins
from gateway.app.door import Door, DoorRunner
from gateway.app.skin import BODY_S, OVERLOADED, Intake, add_routes, problem_middleware, unread
from gateway.app.vendors import VENDORS
from gateway.core.bodies import Bodies
from gateway.core.remote import networks
from gateway.devices.auth import Authenticator, AuthRules
from gateway.ops.openapi import OpenApiRoutes
from gateway.store.sqlite import open_sqlite
from tests.kit.clocks import both
from tests.kit.handlers import JWT_SECRET, PublicHandlers, TestClock
from tests.kit.stores import SECRET, fresh_secret, sqlite_queue

BODY_MEMORY = 128 * 1024 * 1024
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

    @property
    def port(self) -> int:
        """Where it listens on loopback."""
        port = self.client.port
        assert port is not None
        return port

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


class _Server(TestServer):
    """aiohttp's test server behind the gateway's own door."""

    async def _make_runner(self, **_settings: Any) -> DoorRunner:
        return DoorRunner(self.app, _door, shutdown_timeout=5.0)


def _door(behind: web.Application) -> Door:
    return Door(
        behind, unread=unread, overloaded=OVERLOADED, most=1_000, observer=lambda _event: None
    )


@asynccontextmanager
async def public_listener(
    folder: Path,
    *,
    rules: AuthRules | None = None,
    apps: Mapping[str, frozenset[str]] = ONE_APP,
    proxies: Sequence[str] = (),
    body_s: float = BODY_S,
    origins: Collection[str] = (),
) -> AsyncIterator[PublicListener]:
    """Run a public listener on a new store in this folder."""
    clock = TestClock()
    store = await open_sqlite(folder / "inkpush.db", fresh=fresh_secret)
    await store.secret(SECRET)
    rules = AuthRules(jwt_secret=JWT_SECRET) if rules is None else rules
    authenticator = Authenticator(rules, store.keys, clocks=both(clock))
    errors: list[BaseException] = []
    app = web.Application(middlewares=[problem_middleware(errors.append)])
    client = TestClient(_Server(app))
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
    believed = networks(tuple(proxies))
    intake = Intake(
        Bodies(lambda: BODY_MEMORY),
        proxies=lambda: believed,
        monotonic=both(clock).monotonic,
        body_s=body_s,
    )
    add_routes(app, listener.routes, intake)
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
