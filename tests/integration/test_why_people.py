"""`why` is right for each of forty prepared people, on every backend, under a second each."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.app.people import views_of
from gateway.app.vendors import VENDORS
from gateway.core.model import UserRef
from gateway.core.seen import Asking
from gateway.core.staleness import stale_before
from gateway.ops.waiting import WaitingLookup
from gateway.ops.whys import WhyLookup
from tests.kit.build import NOW
from tests.kit.forty import CASES, everybody
from tests.kit.stores import BACKENDS, Handle

QUICK_S = 1.0


def whys(handle: Handle) -> WhyLookup:
    views = views_of(
        VENDORS,
        asking=lambda: Asking(dict.fromkeys(("agent", "held"), "received"), "opt_in"),
        stale_before=lambda: stale_before(NOW, after_days=60, doubted=False),
    )
    return WhyLookup(handle.store, WaitingLookup(handle.store.people, handle.queue), views)


@pytest.fixture(params=sorted(BACKENDS))
async def handle(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Handle]:
    async with BACKENDS[request.param].open(tmp_path, lambda: NOW) as opened:
        yield opened


async def test_why_is_right_for_each_of_forty_people(handle: Handle) -> None:
    assert len(CASES) >= 40
    await everybody(handle)
    lookup = whys(handle)
    wrong, slow = {}, {}
    for who, (_, code) in CASES.items():
        began = time.perf_counter()
        found = await lookup.of(UserRef(user_id=who), now=NOW, exact=True)
        took = time.perf_counter() - began
        assert found is not None
        if found.answer.code != code:
            wrong[who] = (found.answer.code, code, found.answer.verdict)
        if took > QUICK_S:
            slow[who] = took
        shown = str(found.view())
        assert "address-" not in shown
        assert "Train!" not in shown
    assert wrong == {}
    assert slow == {}


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
