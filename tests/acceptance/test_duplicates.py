"""The same webhook, posted many times at once: Svix repeats what it had no answer to."""

from __future__ import annotations

import asyncio
from collections import Counter

from providers.sandbox import Sandbox
from tests.kit.audience import androids, iphones, notifications_to
from tests.kit.figures import Figures
from tests.kit.gateway import Installation
from tests.kit.sender import event

POSTS = 50


async def test_50_concurrent_posts_of_one_id_make_one_set_of_pushes(
    installation: Installation, sandbox: Sandbox, figures: Figures
) -> None:
    audience = androids(range(10)) + iphones(range(10, 20))
    await installation.register(audience)
    key = await installation.key()
    body = event(notifications_to(audience))
    async with installation.serving() as gateway:
        replies = await asyncio.gather(*(gateway.post("msg_same", body) for _ in range(POSTS)))
        assert await gateway.settled("msg_same", key) == {"delivered": len(audience)}
        assert (await gateway.post("msg_same", body)).json["status"] == "duplicate"
        assert await gateway.terminate() == 0
    # A restart has not forgotten it, and the end of the log is not the end of what was queued.
    async with installation.serving() as gateway:
        assert (await gateway.post("msg_same", body)).json["status"] == "duplicate"
        await gateway.post("msg_last", event(notifications_to(audience[:1])))
        assert await gateway.settled("msg_last", key) == {"delivered": 1}
    assert {reply.status for reply in replies} == {200}
    answers = Counter(reply.json["status"] for reply in replies)
    assert answers == {"accepted": 1, "duplicate": POSTS - 1}
    of_event = [push for push in sandbox.pushes if push.data["event_id"] == "msg_same"]
    assert sorted(push.address for push in of_event) == sorted(phone.address for phone in audience)
    figures(f"{dict(answers)}; {len(of_event)} pushes to {len(audience)} phones")
