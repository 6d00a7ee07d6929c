"""What a request stores is dated once what is stored already has been put right."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway import dating
from gateway.core.clocks import Unsure
from tests.kit.handlers import PublicHandlers, public_handlers
from tests.kit.questions import DEVICE, ITEM, MARY, PHONE, T0, Sent, ask, asked, posted

OFF = 200.0
OWN = ITEM | {"idempotency_key": "k1"}
DATED = {
    "webhook": (posted(), "SELECT received_at FROM events"),
    "notifications": (
        asked("POST", "/v1/notifications", "key", OWN),
        "SELECT first_seen FROM queue",
    ),
    "registration": (asked("PUT", PHONE, MARY, DEVICE), "SELECT last_seen_at FROM devices"),
    "logout": (asked("DELETE", PHONE, MARY), None),
    "erasure": (asked("DELETE", "/v1/users/mary", MARY), "SELECT asked_at FROM erasures"),
}
REQUESTS = pytest.mark.parametrize(("sent", "dates"), DATED.values(), ids=DATED)


@pytest.fixture
async def public() -> AsyncIterator[PublicHandlers]:
    async with public_handlers() as handlers:
        handlers.clock.now = T0 + OFF
        handlers.clock.doubt = Unsure(T0, settling=True)
        yield handlers


async def prepared(public: PublicHandlers, sent: Sent) -> Sent:
    if sent.headers.get("Authorization") != "Bearer key":
        return sent
    return asked(sent.method, sent.path, await public.key("notifications:write"), OWN)


async def stored(public: PublicHandlers, query: str) -> list[float]:
    rows = await public.store.database.read(lambda connection: connection.execute(query).fetchall())
    return [at for (at,) in rows]


@REQUESTS
async def test_it_waits_while_the_store_is_put_right(
    public: PublicHandlers, sent: Sent, dates: str | None
) -> None:
    asking = asyncio.create_task(ask(public, await prepared(public, sent)))
    await asyncio.sleep(5 * dating._LOOK_S)
    assert not asking.done()
    public.clock.now, public.clock.doubt = T0, None
    assert (await asking).status < 300
    if dates is not None:
        assert await stored(public, dates) == [T0]


@REQUESTS
async def test_it_is_to_be_repeated_where_that_takes_long(
    public: PublicHandlers, monkeypatch: pytest.MonkeyPatch, sent: Sent, dates: str | None
) -> None:
    monkeypatch.setattr(dating, "_WAIT_S", 2 * dating._LOOK_S)
    answer = await ask(public, await prepared(public, sent))
    assert (answer.status, answer.document["code"]) == (503, "clock_doubted")
    assert answer.headers["Retry-After"]
    if dates is not None:
        assert await stored(public, dates) == []
