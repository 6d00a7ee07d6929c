"""The skin adds nothing and takes nothing away: handlers answer the same behind a server."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from gateway.app.skin import Intake, add_routes, problem_middleware
from gateway.core.bodies import Bodies
from gateway.exchange import Answer, Request, Route
from gateway.problems import Problem
from tests.kit.handlers import public_handlers
from tests.kit.public import public_listener
from tests.kit.questions import QUESTIONS, T0, Question, ask

JSON = {"Content-Type": "application/json; charset=utf-8"}
THE_SERVERS_OWN = {
    "Cache-Control",
    "Connection",
    "Content-Length",
    "Date",
    "X-Content-Type-Options",
}


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
async def test_an_answer_is_the_same_with_a_server_and_without(
    tmp_path: Path, question: Question
) -> None:
    async with public_handlers() as plain:
        plain.clock.now = T0
        answer = await ask(plain, await question.prepare(plain))
    async with public_listener(tmp_path) as public:
        public.clock.now = T0
        sent = await question.prepare(public)
        served = await public.call(sent.method, sent.path, headers=sent.headers, data=sent.body)
    assert (served.status, served.json) == (answer.status, answer.document)
    headers = {name: value for name, value in served.headers.items() if name not in THE_SERVERS_OWN}
    assert headers == ({} if answer.document is None else JSON) | dict(answer.headers)
    assert (public.events, public.woken) == (plain.events, plain.woken)


async def test_an_error_that_nobody_foresaw_is_a_500_and_goes_to_the_log_alone() -> None:
    async def broken(_request: Request) -> Answer:
        raise ZeroDivisionError("a secret")

    heard: list[Exception] = []
    app = web.Application(middlewares=[problem_middleware(heard.append)])
    add_routes(app, [Route("GET", "/broken", broken)], Intake(Bodies(lambda: 1)))
    async with TestClient(TestServer(app)) as client, client.get("/broken") as response:
        assert (response.status, response.content_type) == (500, "application/problem+json")
        assert await response.json(content_type=None) == Problem("internal").document()
    assert [str(error) for error in heard] == ["a secret"]
