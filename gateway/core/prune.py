"""The prune brake: how many devices may go before a person has to look.

A wrong topic, a wrong project or a fault at the vendor looks as if all devices had died at once.
When more than a share of a lane's devices (and at least a minimum) would go within a window,
removals stop and are held back; pushes go on. What went is counted in the store, for all relays and
over their restarts, in the transaction that takes them out: see `gateway/store/removing.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.core.clocks import WallClock


@dataclass(frozen=True, slots=True)
class BrakeRule:
    """`share` of a lane's devices, `minimum` devices, within `window_s` seconds."""

    share: float = 0.05
    minimum: int = 50
    window_s: float = 600.0

    def threshold(self, devices: int) -> int:
        """How many removals the window may hold, for a lane of so many devices."""
        return max(self.minimum, int(devices * self.share))


LaneKey = tuple[str, str]
"""An app and its vendor."""


@dataclass(frozen=True, slots=True)
class Brake:
    """What a relay tells of a lane's brake: its rule, how many devices the lane has, whether they
    were `counted` just now, and the clock by which the window goes, unless the store has one."""

    rule: BrakeRule
    devices: int
    counted: bool
    clock: WallClock


NO_BRAKES: Mapping[LaneKey, Brake] = {}


@dataclass(frozen=True, slots=True)
class Gone:
    """What went of a lane within the window; `devices`: how many it had when the first went."""

    count: int = 0
    devices: int = 0


@dataclass(frozen=True, slots=True)
class Admission:
    """How many of the wanted removals may go; fewer than wanted: the brake is on.

    `tripped`: by this. `devices`: how many the lane had when the window began.
    """

    count: int
    tripped: bool
    devices: int


def admission(brake: Brake, wanted: int, gone: Gone, *, on: bool) -> Admission | None:
    """What the brake says to so many removals. `on`: it is on already.

    None: the devices have to be counted anew, because the brake would trip on an old count.
    """
    devices = max(brake.devices, gone.devices)
    if on:
        return Admission(0, tripped=False, devices=devices)
    count = min(wanted, max(0, brake.rule.threshold(devices) - gone.count))
    if count < wanted and not brake.counted:
        return None
    return Admission(count, tripped=count < wanted, devices=devices)
