"""A door that has no memory left says 503, whatever of it ran out where."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from gateway.app.skin import Intake, add_routes, problem_middleware
from gateway.core.bodies import Bodies
from gateway.exchange import Answer, Request, Route

Client = TestClient[web.Request, web.Application]


async def at_once(_request: Request) -> Answer:
    raise MemoryError


async def after_the_body(request: Request) -> Answer:
    await request.body(1_000)
    raise MemoryError


async def in_the_answer(_request: Request) -> Answer:
    class Large:
        def __iter__(self) -> Any:
            raise MemoryError

    return Answer(200, {"rows": list(Large())})


async def beside_the_skin(_request: web.Request) -> web.Response:
    raise MemoryError


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    app = web.Application(middlewares=[problem_middleware(lambda _error: None)])
    handlers: dict[str, Callable[..., Any]] = {
        "at-once": at_once,
        "after-the-body": after_the_body,
        "in-the-answer": in_the_answer,
    }
    intake = Intake(Bodies(lambda: 1_000_000))
    add_routes(app, [Route("POST", f"/{name}", one) for name, one in handlers.items()], intake)
    app.router.add_post("/beside", beside_the_skin)
    async with TestClient(TestServer(app)) as running:
        yield running


@pytest.mark.parametrize("place", ["at-once", "after-the-body", "in-the-answer", "beside"])
async def test_memory_that_runs_out_at_a_door_is_a_503(client: Client, place: str) -> None:
    async with client.post(f"/{place}", data=b"some") as response:
        assert response.status == 503
        assert response.headers["Retry-After"] == "5"
        assert (await response.json(content_type=None))["code"] == "overloaded"
