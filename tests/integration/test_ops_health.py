"""/healthz, /readyz and /metrics over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from gateway.app.skin import problem_middleware
from gateway.errors import GatewayError, StoreUnavailable
from gateway.ops.health import CACHE_S, HealthRoutes, Probe
from gateway.ports import Standing
from tests.kit.clocks import monotonic

Client = TestClient[web.Request, web.Application]


@dataclass
class Parts:
    """What the gateway is made of, as a test says; counts the questions."""

    answers: dict[str, str | BaseException | None] = field(default_factory=dict)
    lanes: dict[str, Standing] = field(default_factory=dict)
    clock: Standing | None = None
    draining: bool = False
    standstill: str = ""
    now: float = 1_000.0
    asked: int = 0
    refresh_error: Exception | None = None
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def probes(self) -> dict[str, Probe]:
        return {name: self._probe(answer) for name, answer in self.answers.items()}

    def _probe(self, answer: str | BaseException | None) -> Probe:
        async def probe() -> str | None:
            self.asked += 1
            await self.gate.wait()
            if isinstance(answer, BaseException):
                raise answer
            return answer

        return probe

    async def refresh(self) -> None:
        if self.refresh_error is not None:
            raise self.refresh_error


@pytest.fixture
async def parts() -> Parts:
    made = Parts()
    made.gate.set()
    return made


@pytest.fixture
async def client(parts: Parts) -> AsyncIterator[Client]:
    routes = HealthRoutes(
        probes=parts.probes,
        lanes=lambda: parts.lanes,
        clock=lambda: parts.clock,
        draining=lambda: parts.draining,
        standstill=lambda: parts.standstill,
        render=lambda accept: (b"inkpush_up 1\n", f"text/plain; version=0.0.4; accepted={accept}"),
        refresh=parts.refresh,
        monotonic=monotonic(lambda: parts.now),
    )
    app = web.Application(middlewares=[problem_middleware(lambda _error: None)])
    app.add_routes(routes.routes())
    async with TestClient(TestServer(app)) as running:
        yield running


async def ready(client: Client) -> tuple[int, Any]:
    async with client.get("/readyz") as response:
        assert response.headers["Cache-Control"] == "no-store"
        return response.status, await response.json()


async def test_it_lives(client: Client) -> None:
    async with client.get("/healthz") as response:
        assert (response.status, await response.json()) == (200, {"status": "alive"})


async def test_it_does_not_live_while_a_thread_stands_still(client: Client, parts: Parts) -> None:
    parts.standstill = "the writer has not moved for 31 s"
    async with client.get("/healthz") as response:
        told = {"status": "stalled", "reason": "the writer has not moved for 31 s"}
        assert (response.status, await response.json()) == (503, told)
    parts.standstill = ""
    async with client.get("/healthz") as response:
        assert response.status == 200


async def test_it_is_ready_when_every_part_is(client: Client, parts: Parts) -> None:
    parts.answers = {"store": None, "queue": None}
    assert await ready(client) == (200, {"status": "ready", "parts": {}})


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("renew the APNs key", "renew the APNs key"),
        (StoreUnavailable("the disk is full"), "the disk is full"),
        (GatewayError(), "Something went wrong in the gateway."),
        (KeyError("s3cret"), "the check itself failed: KeyError"),
        (TimeoutError(), "no answer within 2 s"),
    ],
)
async def test_a_failing_part_is_named_with_what_to_do(
    client: Client, parts: Parts, answer: str | BaseException, told: str
) -> None:
    parts.answers = {"store": None, "apns": answer}
    body = {"status": "not_ready", "parts": {"apns": {"state": "failing", "reason": told}}}
    assert await ready(client) == (503, body)


async def test_a_part_that_never_answers_does_not_hold_up_the_others(
    client: Client, parts: Parts
) -> None:
    parts.gate.clear()
    parts.answers = {"store": None}
    status, body = await ready(client)
    failing = {"state": "failing", "reason": "no answer within 2 s"}
    assert (status, body["parts"]) == (503, {"store": failing})


async def test_draining_is_not_ready_while_all_is_well(client: Client, parts: Parts) -> None:
    parts.answers, parts.draining = {"store": None}, True
    assert await ready(client) == (503, {"status": "draining", "parts": {}})


async def test_many_who_ask_cost_one_question_a_second(client: Client, parts: Parts) -> None:
    parts.answers = {"store": None}
    await asyncio.gather(*(ready(client) for _ in range(20)))
    assert parts.asked == 1
    parts.answers = {"store": "the disk is full"}
    assert (await ready(client))[0] == 200
    parts.now += CACHE_S
    assert (await ready(client))[0] == 503
    assert parts.asked == 2


async def test_parts_that_a_reload_brings_are_asked(client: Client, parts: Parts) -> None:
    assert await ready(client) == (200, {"status": "ready", "parts": {}})
    parts.answers = {"lane field/apns": "held"}
    parts.now += CACHE_S
    assert (await ready(client))[0] == 503


@pytest.mark.parametrize(
    ("standing", "status"),
    [
        (Standing("held", "InvalidProviderToken", "check the key", 1_000.0), "degraded"),
        (Standing("failing", "no connection", "check the firewall", 1_000.0), "degraded"),
        (Standing("paused", "quota", since=1_000.0), "ready"),
        (Standing("quiet", "the vendor asked for silence", until=1_060.0), "ready"),
    ],
    ids=lambda value: value.state if isinstance(value, Standing) else value,
)
async def test_a_lane_that_does_not_send_takes_nothing_from_those_who_post(
    client: Client, parts: Parts, standing: Standing, status: str
) -> None:
    parts.answers, parts.lanes = {"store": None}, {"agent/fcm/ios": standing}
    code, body = await ready(client)
    assert (code, body["status"]) == (200, status)
    shown = body["parts"]["agent/fcm/ios"]
    assert (shown["state"], shown["reason"]) == (standing.state, standing.reason)
    assert shown.get("hint", "") == standing.hint
    assert ("since" in shown, "until" in shown) == (
        standing.since is not None,
        standing.until is not None,
    )


@pytest.mark.parametrize("error", [None, StoreUnavailable(), TimeoutError()])
async def test_metrics_are_served_even_while_the_store_is_away(
    client: Client, parts: Parts, error: Exception | None
) -> None:
    parts.refresh_error = error
    headers = {"Accept": "application/openmetrics-text"}
    async with client.get("/metrics", headers=headers) as response:
        assert response.status == 200
        assert await response.read() == b"inkpush_up 1\n"
        assert response.headers["Content-Type"].endswith("accepted=application/openmetrics-text")
