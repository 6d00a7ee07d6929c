"""`why` is right for each of forty prepared people, on every backend."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.app.people import views_of
from gateway.app.vendors import VENDORS
from gateway.core.model import Item, UserRef
from gateway.core.seen import Asking
from gateway.core.staleness import stale_before
from gateway.ops.waiting import WaitingLookup
from gateway.ops.whys import WhyLookup
from gateway.ports.cancels import Cancelling
from tests.kit.build import NOW
from tests.kit.forty import CASES, everybody
from tests.kit.stores import BACKENDS, Handle, accept


def whys(handle: Handle) -> WhyLookup:
    views = views_of(
        VENDORS,
        asking=lambda: Asking(dict.fromkeys(("agent", "held"), "received"), "opt_in"),
        stale_before=lambda: stale_before(NOW, after_days=60, doubted=False),
    )
    waiting = WaitingLookup(handle.store.people, handle.queue, look_s=60.0)
    return WhyLookup(handle.store, waiting, views)


@pytest.fixture(params=sorted(BACKENDS))
async def handle(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Handle]:
    async with BACKENDS[request.param].open(tmp_path, lambda: NOW) as opened:
        yield opened


async def test_why_is_right_for_each_of_forty_people(handle: Handle) -> None:
    assert len(CASES) >= 40
    await everybody(handle)
    lookup = whys(handle)
    wrong, longest = {}, 0.0
    for who, (_, code) in CASES.items():
        began = time.perf_counter()
        found = await lookup.of(UserRef(user_id=who), now=NOW, exact=True)
        longest = max(longest, time.perf_counter() - began)
        assert found is not None
        if found.answer.code != code:
            wrong[who] = (found.answer.code, code, found.answer.verdict)
        shown = str(found.view())
        assert "address-" not in shown
        assert "Train!" not in shown
    assert wrong == {}
    print(  # noqa: T201  # the figure is wanted
        f"\n{len(CASES)} people, the longest answer took {longest * 1e3:.0f} ms"
    )


async def test_what_waits_of_a_cancelled_event_does_not_wait(handle: Handle) -> None:
    user = UserRef("u1", "c1")
    item = Item(0, "Hi", "Mary", None, "u1", "c1")
    body = b'{"data": {"notifications": [{"user_id": "u1", "custom_id": "c1"}]}}'
    await accept(handle, "msg_1", [item], body=body)
    before = await whys(handle).of(user, now=NOW, exact=True)
    await handle.store.cancels.cancel("msg_1", Cancelling(NOW, 3_600.0))
    after = await whys(handle).of(user, now=NOW, exact=True)
    assert before is not None
    assert after is not None
    assert before.answer.code != "cancelled"
    assert after.answer.code == "cancelled"


async def test_of_an_event_that_is_named_the_answer_is_about_that_one(handle: Handle) -> None:
    await everybody(handle)
    lookup, who = whys(handle), UserRef(user_id="queued_behind_an_older_one")
    older = "msg_queued_behind_an_older_one"
    found = await lookup.of(who, now=NOW, exact=True, event_id=older)
    assert found is not None
    assert found.answer.code == "taken"
    found = await lookup.of(who, now=NOW, exact=True, event_id=f"{older}_newer")
    assert found is not None
    assert found.answer.code == "queue"
    assert await lookup.of(who, now=NOW, exact=True, event_id="msg_opened") is None
    assert await lookup.of(who, now=NOW, exact=True, event_id="msg_unheard_of") is None
