"""SIGSTOP in full flight, for longer than any wait: what was answered meanwhile is not repeated."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import Any

import pytest

from providers.sandbox import Sandbox
from tests.kit.audience import androids, iphones, notifications_to
from tests.kit.figures import Figures
from tests.kit.gateway import Installation, eventually
from tests.kit.sender import event

HALF = int(os.environ.get("STANDSTILL_PUSHES", "2000")) // 2
STANDSTILL_S = float(os.environ.get("STANDSTILL_S", "5"))
"""How long the process is stopped; the release notes name 5, 20 and 60."""
TIMES = int(os.environ.get("STANDSTILLS", "1"))
TIMEOUT_S = 2.0
"""What a push may take: a standstill lasts longer."""
LEASE_S = 10.0
LATENCY_S = 0.3


@pytest.mark.parametrize("transport", ["native", "sdk"])
async def test_answers_that_came_in_a_standstill_are_read_before_anything_is_timed_out(
    installation: Installation, sandbox: Sandbox, figures: Figures, transport: str
) -> None:
    sandbox.latency_s = LATENCY_S
    lane: dict[str, Any] = {"transport": transport, "timeout_s": TIMEOUT_S, "rate_per_s": 0}
    installation.configure(fcm=lane, apns=lane, relay={"lease_s": LEASE_S})
    audience = androids(range(HALF)) + iphones(range(HALF, 2 * HALF))
    await installation.register(audience)
    key = await installation.key()
    in_flight: list[int] = []
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
            in_flight.append(sum(push.at > since for push in sandbox.pushes))
            await asyncio.sleep(STANDSTILL_S)
            gateway.signal(signal.SIGCONT)
            went_on = time.monotonic()
            assert await gateway.settled(name, key) == {"delivered": len(audience)}
            recovered.append(time.monotonic() - went_on)
        assert len(gateway.logged("stood still")) == TIMES
        assert await gateway.terminate() == 0
    stats = sandbox.stats()
    assert min(in_flight) > 0
    assert (stats["accepted"], stats["largest_repeat"]) == (TIMES * len(audience), 1)
    figures(
        f"{transport}, stopped {TIMES} times for {STANDSTILL_S:g} s with {in_flight} in flight and "
        f"{TIMEOUT_S:g} s of patience: repeated 0; all delivered {max(recovered):.1f} s after"
    )
