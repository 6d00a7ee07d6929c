"""Two relays of which one is cut off from a vendor: what it cannot send, the other does."""

from __future__ import annotations

from collections import Counter

import pytest

from gateway.core.pace import Pace
from gateway.relay import elsewhere
from tests.kit.audience import androids
from tests.kit.gateway import eventually
from tests.kit.nats_cluster import free_ports
from tests.kit.relay_rig import RelayRig

SOON = Pace(silent_s=0.5)


async def test_what_one_relay_cannot_send_another_does(
    shared_rig: RelayRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elsewhere, "KEEP_S", 0.5)
    phones, (nobody,) = androids(range(40)), free_ports(1)
    alone = shared_rig.settings(
        fcm={"rate_per_s": 0, "endpoint": f"https://127.0.0.1:{nobody}", "timeout_s": 2}
    )
    async with shared_rig.gateway(alone, SOON) as cut_off:
        await cut_off.register(*phones)
        await cut_off.queue_for("msg_1", phones)

        async def fails() -> bool:
            return any(
                one.state == "failing" for one in cut_off.gateway.gauges.lane_states().values()
            )

        await eventually("it notices that the vendor is not reached", fails)
        async with shared_rig.gateway(shared_rig.settings(), SOON) as reaches:
            for number in range(2, 6):
                await cut_off.queue_for(f"msg_{number}", phones)
            for number in range(1, 6):
                assert await reaches.settled(f"msg_{number}") == {"delivered": 40}
    assert shared_rig.times_delivered() == Counter({1: 5 * 40})
