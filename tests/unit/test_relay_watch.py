"""What people are told of parts that fail: the last word is how it is."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from gateway.core.clocks import Clocks
from gateway.core.pace import Pace
from gateway.core.retry import Accuse
from gateway.events import GatewayEvent, LaneHeld, LaneResumed, PartsFailing, PartsReached
from gateway.relay.listeners import Listeners
from gateway.relay.part import Part
from gateway.relay.watch import Watch
from providers.contract import Trouble, Unavailable
from tests.kit.clocks import monotonic, wall

SILENT_S = Pace().silent_s


class Vendor:
    """A transport that has a connection, whatever comes of pushes."""

    async def reach(self, _part: str) -> Trouble | None:
        return None

    def trouble(self, _part: str) -> Trouble | None:
        return None


class Rig:
    """One part of a lane with a push on its way, and a watch on it."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.told: list[GatewayEvent] = []
        nobody = cast("Any", lambda *_: None)
        self.part = Part(
            "agent",
            "apns",
            "production",
            probe_s=600.0,
            clocks=Clocks(wall(lambda: self.now), monotonic(lambda: self.now)),
            pace=Pace(),
            listeners=Listeners(nobody, nobody, nobody, nobody, {}, self.told.append),
        )
        self.part.in_flight = 1
        lane = SimpleNamespace(parts={"production": self.part}, transport=Vendor())
        self._watch = Watch(
            {"agent/apns": cast("Any", lane)},
            observer=self.told.append,
            monotonic=monotonic(lambda: self.now),
            pace=Pace(),
        )

    def hears_nothing(self) -> None:
        """Two tries have no answer, for as long as it takes to fail."""
        for _ in range(2):
            self.part.heard(Unavailable.not_looked_at("Unreachable"), 1)
            self.now += SILENT_S

    def look(self) -> list[type[GatewayEvent]]:
        """What is told at a look."""
        self.told.clear()
        self._watch.look()
        return [type(one) for one in self.told]


async def test_a_part_that_fails_anew_before_the_next_look_is_told_as_failing_last() -> None:
    """The process may have stood still between the vendor's answer and the look."""
    rig = Rig()
    rig.hears_nothing()
    assert rig.look() == [PartsFailing]
    rig.part.took()
    rig.hears_nothing()
    assert rig.look() == [PartsReached, PartsFailing]
    assert rig.part.state == "failing"
    assert rig.look() == []
    rig.part.took()
    assert rig.look() == [PartsReached]
    assert rig.look() == []
    await asyncio.sleep(0)


async def test_a_part_that_is_held_when_its_vendor_answers_is_told_as_reached_in_the_end() -> None:
    rig = Rig()
    rig.hears_nothing()
    assert rig.look() == [PartsFailing]
    rig.part.in_flight = 0
    rig.part.accuse(cast("Any", delivery()), Accuse("InvalidProviderToken", "", "part"))
    assert rig.part.state == "held"
    assert [type(one) for one in rig.told] == [PartsFailing, LaneHeld]
    assert rig.look() == []
    rig.part.let_go()
    assert [type(one) for one in rig.told] == [LaneResumed]
    assert rig.look() == [PartsReached]
    await asyncio.sleep(0)


def delivery() -> Any:
    """A delivery to one device."""
    return SimpleNamespace(target=SimpleNamespace(device_id=1))
