"""A machine whose clock is wrong: from the start, for a while, for ever; alone, and one of two.

The wrong clock is libfaketime's, in the gateway's process alone: the true one is the sandbox's, the
sender's and PostgreSQL's. CLOCK_CASES=all takes all of them; else a few that differ in all.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from providers.sandbox import Answer, Sandbox
from providers.sandbox.received import ReceivedPush
from tests.kit.audience import androids, iphones, notifications_to
from tests.kit.clocks import FAKETIME_LIBRARY
from tests.kit.figures import Figures
from tests.kit.gateway import Installation, Process, eventually
from tests.kit.postgres import databases
from tests.kit.sender import event

DAY_S = 86_400.0
LIFE_S = DAY_S
PHONES = 100
OFFSETS = {"+2d": 2 * DAY_S, "+1h": 3_600.0, "-1h": -3_600.0, "1970": -(time.time() - 1_000)}
WHENS = ("from the start", "for 5 s", "for ever")
PLACES = ("alone", "one of two")


class Case(NamedTuple):
    """What is wrong with the clock."""

    offset: str
    when: str
    place: str


EVERY = [Case(offset, when, place) for offset in OFFSETS for when in WHENS for place in PLACES]
FEW = [
    Case("+2d", "from the start", "alone"),
    Case("+1h", "for 5 s", "one of two"),
    Case("-1h", "for ever", "alone"),
]
CASES = EVERY if os.environ.get("CLOCK_CASES") == "all" else FEW


class WrongClock:
    """The clock of a process, which the test moves."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self.set(0.0)

    def set(self, offset: float) -> None:
        """Let the clock be so many seconds ahead of the true one."""
        self._file.write_text(f"{offset:+.0f}\n")

    @property
    def variables(self) -> Mapping[str, str]:
        """What lets a process go by it."""
        return {
            "LD_PRELOAD": FAKETIME_LIBRARY,
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }


@asynccontextmanager
async def gateways(
    installation: Installation, clock: WrongClock, place: str
) -> AsyncIterator[list[Process]]:
    """The gateways; the clock of the first is the wrong one."""
    async with AsyncExitStack() as stack:
        if place == "one of two":
            url = await stack.enter_async_context(databases().using(installation.folder))
            installation.configure(store={"url": url})
            assert (await installation.run("migrate")).status == 0
        running = [await stack.enter_async_context(installation.serving(clock.variables))]
        if place == "one of two":
            running.append(await stack.enter_async_context(installation.serving()))
        yield running


async def accepted(gateway: Process, name: str, body: bytes) -> None:
    """Post until it is accepted, as LearnInk does: refused is no more than a while."""

    async def is_accepted() -> bool:
        reply = await gateway.post(name, body)
        assert reply.status in (200, 503), (reply.status, reply.text)
        if reply.status == 503:
            assert reply.json["code"] == "clock_doubted", reply.text
        return reply.status == 200

    await eventually(f"{name} is accepted", is_accepted, every_s=0.5)


def life_left(push: ReceivedPush) -> float:
    """How long the vendor keeps a push, from when it took it, in seconds."""
    if push.provider == "fcm":
        return float(push.headers["ttl"].removesuffix("s"))
    return float(push.headers["expiration"]) - push.at


@pytest.mark.skipif(not FAKETIME_LIBRARY, reason="needs libfaketime: apt-get install faketime")
@pytest.mark.parametrize("case", CASES, ids=[", ".join(case) for case in CASES])
async def test_a_wrong_clock_expires_prunes_and_repeats_nothing(
    installation: Installation, sandbox: Sandbox, figures: Figures, tmp_path: Path, case: Case
) -> None:
    wrong, clock = OFFSETS[case.offset], WrongClock(tmp_path)
    audience = androids(range(PHONES // 2)) + iphones(range(PHONES // 2, PHONES))
    if case.when == "from the start":
        clock.set(wrong)
    occurred: dict[str, float] = {}

    async def post(gateway: Process, name: str) -> None:
        notifications = [one | {"title": name} for one in notifications_to(audience)]
        occurred[name] = time.time()
        await accepted(gateway, name, event(notifications))

    async with gateways(installation, clock, case.place) as running:
        await installation.register(audience)
        key = await installation.key()
        # one push of each event is taken at the second attempt
        sandbox.script(audience[0].address, *[Answer.unavailable(), Answer.ok()] * 3)
        began = time.monotonic()
        await post(running[0], "msg_before")
        if case.when != "from the start":
            assert await running[0].settled("msg_before", key) == {"delivered": PHONES}
            clock.set(wrong)
        said: list[str] = []
        until = time.monotonic() + 5.0
        number = 0
        while time.monotonic() < until:
            await post(running[-1], f"msg_{number}")
            number += 1
            parts = (await running[0].ops("/readyz")).json["parts"]
            said += [parts["clock"]["reason"]] if "clock" in parts else []
            await asyncio.sleep(0.5)
        # in 1970 no certificate is valid yet: others send, or nobody until the clock is put right
        if case.when == "for 5 s" or (case.offset, case.place) == ("1970", "alone"):
            clock.set(0.0)
        await post(running[0], "msg_after")
        for name in occurred:
            assert await running[-1].settled(name, key) == {"delivered": PHONES}, name
        took = time.monotonic() - began

        async def is_said() -> bool:
            parts = (await running[0].ops("/readyz")).json["parts"]
            said.extend([parts["clock"]["reason"]] if "clock" in parts else [])
            return bool(said)

        await eventually("the wrong clock is said", is_said)
        assert await installation.installations("active") == {
            phone.installation for phone in audience
        }
        for gateway in running:
            assert await gateway.terminate() == 0

    taken = [push for push in sandbox.pushes if push.accepted]
    assert set(Counter((push.title, push.address) for push in taken).values()) == {1}
    assert len(taken) == PHONES * len(occurred)
    # what is told to the vendors: the life that is left, whatever the machine's clock says
    off = max(abs(push.at + life_left(push) - occurred[push.title] - LIFE_S) for push in taken)
    assert off <= 5.0
    figures(
        f"{said[-1]}; {len(occurred)} events of {PHONES} settled {took:.0f} s after the first; "
        f"0 expired, 0 pruned, 0 repeated, TTL off by {off:.1f} s at most"
    )
