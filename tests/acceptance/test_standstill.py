"""SIGSTOP in full flight, for longer than any wait: what was answered meanwhile is not repeated."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter
from typing import Any

import pytest

from providers.sandbox import Sandbox
from tests.kit.audience import androids, iphones, notifications_to
from tests.kit.figures import Figures
from tests.kit.gateway import Installation, eventually
from tests.kit.sender import event

HALF = int(os.environ.get("STANDSTILL_PUSHES", "2000")) // 2
STANDSTILL_S = float(os.environ.get("STANDSTILL_S", "6"))
"""How long the process is stopped: longer than a push may take."""
TIMES = int(os.environ.get("STANDSTILLS", "1"))
TIMEOUT_S = 4.0
"""What a push may take."""
LEASE_S = 10.0
LATENCY_S = 0.3
GOES_ON_S = (0.0, 0.03)
"""For how long it goes on before it is stopped again: about as long as it reads before it does
anything else."""


@pytest.mark.parametrize("stops", [1, 3])
@pytest.mark.parametrize("transport", ["native", "sdk"])
async def test_answers_that_came_in_a_standstill_are_read_before_anything_is_timed_out(
    installation: Installation, sandbox: Sandbox, figures: Figures, transport: str, stops: int
) -> None:
    """`stops`: how often it is stopped before it has gone on for long."""
    sandbox.latency_s = LATENCY_S
    lane: dict[str, Any] = {"transport": transport, "timeout_s": TIMEOUT_S, "rate_per_s": 0}
    installation.configure(fcm=lane, apns=lane, relay={"lease_s": LEASE_S})
    audience = androids(range(HALF)) + iphones(range(HALF, 2 * HALF))
    await installation.register(audience)
    key = await installation.key()
    counts: list[int] = []
    recovered: list[float] = []
    async with installation.serving() as gateway:
        for number in range(TIMES):
            name, seen = f"msg_still_{number}", len(sandbox.pushes)
            await gateway.post(name, event(notifications_to(audience)))
            await eventually(
                "in full flight",
                lambda most=seen + HALF // 4: len(sandbox.pushes) >= most,
                every_s=0.001,
            )
            gateway.signal(signal.SIGSTOP)
            since = time.time() - LATENCY_S
            await asyncio.sleep(STANDSTILL_S)
            for _ in range(stops - 1):
                gateway.signal(signal.SIGCONT)
                await asyncio.sleep(random.uniform(*GOES_ON_S))
                gateway.signal(signal.SIGSTOP)
                await asyncio.sleep(STANDSTILL_S)
            # all of these are answered, and the answers are in the sockets
            answered = {push.collapse_id for push in sandbox.pushes if push.at > since}
            gateway.signal(signal.SIGCONT)
            went_on = time.monotonic()
            assert await gateway.settled(name, key) == {"delivered": len(audience)}
            recovered.append(time.monotonic() - went_on)
            times = Counter(push.collapse_id for push in sandbox.pushes if push.at > since)
            again = [one for one in answered if times[one] > 1]
            assert not again, f"{len(again)} of {len(answered)} were sent again"
            counts.append(len(answered))
        assert len(gateway.logged("stood still")) >= TIMES
        assert await gateway.terminate() == 0
    assert min(counts) > 0
    figures(
        f"{transport}, stopped {TIMES} x {stops} times for {STANDSTILL_S:g} s, a push may take "
        f"{TIMEOUT_S:g} s: of {counts} in flight 0 sent again; "
        f"all delivered {max(recovered):.1f} s after"
    )
