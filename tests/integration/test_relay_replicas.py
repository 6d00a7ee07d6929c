"""Relays that share a store: what each takes of the limits, and what becomes of a dead one's."""

from __future__ import annotations

from gateway.events import LaneHeld, RelaysCounted
from tests.kit.audience import iphones
from tests.kit.gateway import eventually
from tests.kit.relay_rig import RelayRig

LIMITED = {"fcm": {"rate_per_s": 900, "ramp_s": 0}}


async def test_a_relay_that_is_alone_has_all_of_its_limits(rig: RelayRig) -> None:
    async with rig.running(**LIMITED) as running:
        assert running.lane_in_memory("fcm").rate == 900
        assert running.told(RelaysCounted) == []


async def test_relays_share_a_rate_limit_as_they_come_and_go(shared_rig: RelayRig) -> None:
    async with shared_rig.running(**LIMITED) as first:
        lane = first.lane_in_memory("fcm")
        async with shared_rig.running(**LIMITED) as second:
            # it knows of the first before it sends, and the first hears of it at its next beat
            assert second.lane_in_memory("fcm").rate == 450
            await eventually("the first heard of it", lambda: lane.rate == 450)

            async def told_together() -> bool:
                return {(await each.lane("fcm")).rate for each in (first, second)} == {900}

            await eventually("people read what they have together", told_together)
            await second.reload(shared_rig.settings(fcm={"rate_per_s": 600, "ramp_s": 0}))
            assert second.lane_in_memory("fcm").rate == 300
        await eventually("it has all again", lambda: lane.rate == 900)
        assert [told.relays for told in first.told(RelaysCounted)] == [2, 1]


async def test_what_a_relay_found_wrong_with_its_own_key_is_forgotten_when_it_ends(
    shared_rig: RelayRig,
) -> None:
    """A rolling update that brings a new key: the last one with the old key says it is wrong."""
    credentials = shared_rig.sandbox.credentials
    assert credentials is not None
    old_key = {"key_file": str(credentials.wrong_apns_key_file)}
    no_probes = {"relay": {"probe_s": 3600}}
    async with shared_rig.running(**no_probes) as new:
        await new.register(*iphones([1]))
        events: list[str] = []
        async with shared_rig.running(apns=old_key, **no_probes) as old:

            async def old_is_refused() -> bool:
                events.append(f"msg_{len(events)}")
                await old.queue_for(events[-1], iphones([1]))
                return await old.held("apns") == "misconfigured"

            await eventually("the old one had a push, and was refused", old_is_refused)
        assert await new.held("apns") == ""
        assert new.told(LaneHeld) == []
        for event_id in events:
            assert await new.settled(event_id) == {"delivered": 1}
