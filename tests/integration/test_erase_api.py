"""DELETE /v1/users/{id} and what it tells of the rest, over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.devices.routes import ERASES_PER_HOUR
from gateway.errors import StoreUnavailable
from tests.kit.handlers import user_token
from tests.kit.public import PublicListener, public_listener
from tests.kit.stores import eraser_on

HERS = "/v1/users/mary"


@pytest.fixture
async def public(tmp_path: Path) -> AsyncIterator[PublicListener]:
    async with public_listener(tmp_path) as listener:
        yield listener


@pytest.mark.parametrize("by_key", [False, True])
async def test_an_erase_runs_and_is_done(public: PublicListener, by_key: bool) -> None:
    token = await public.key("devices:write") if by_key else user_token("mary")
    assert (await public.call("GET", f"{HERS}/erasure", token=token)).code == "not_found"
    public.clock.now = 1_800_000_000.25
    assert (await public.call("DELETE", HERS, token=token)).status == 204
    running = await public.call("GET", f"{HERS}/erasure", token=token)
    assert (running.status, running.json) == (
        200,
        {"state": "running", "asked_at": "2027-01-15T08:00:00.250Z", "done_at": None},
    )
    public.clock.now += 2
    await eraser_on(public.store, public.clock).carry_on()
    done = await public.call("GET", f"{HERS}/erasure", token=token)
    assert done.json == {
        "state": "done",
        "asked_at": "2027-01-15T08:00:00.250Z",
        "done_at": "2027-01-15T08:00:02.250Z",
    }


async def test_a_user_erases_herself_a_few_times_an_hour_and_a_backend_at_will(
    public: PublicListener,
) -> None:
    token, key = user_token("mary"), await public.key("devices:write")
    answers = [await public.call("DELETE", HERS, token=token) for _ in range(ERASES_PER_HOUR + 1)]
    assert [answer.status for answer in answers] == [204] * ERASES_PER_HOUR + [429]
    assert answers[-1].code == "too_many_requests"
    wait = int(answers[-1].headers["Retry-After"])
    assert 0 < wait <= 3_600 / ERASES_PER_HOUR
    assert (await public.call("DELETE", "/v1/users/eve", token=user_token("eve"))).status == 204
    for _ in range(ERASES_PER_HOUR * 2):
        assert (await public.call("DELETE", HERS, token=key)).status == 204
    public.clock.now += wait
    assert (await public.call("DELETE", HERS, token=token)).status == 204
    assert (await public.call("DELETE", HERS, token=token)).status == 429


async def test_an_erase_that_failed_does_not_count(
    public: PublicListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any, **__: Any) -> Any:
        raise StoreUnavailable("away")

    token = user_token("mary")
    with monkeypatch.context() as patch:
        patch.setattr(public.store.registry, "erase", away)
        for _ in range(ERASES_PER_HOUR * 2):
            assert (await public.call("DELETE", HERS, token=token)).status == 503
    assert (await public.call("DELETE", HERS, token=token)).status == 204
