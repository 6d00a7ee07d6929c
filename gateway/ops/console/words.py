"""What states mean, in words for people who do not know the gateway. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from gateway.core.model import Device, Record
from gateway.core.states import DeliveryState, DeviceState
from gateway.ports import LaneRow

_UNITS = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"))


def age(seconds: float) -> str:
    """Write a duration in its largest unit: `3 min`."""
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def meaning(state: DeliveryState) -> str:
    """What became of a push, in one sentence."""
    match state:
        case DeliveryState.PENDING:
            return "It waits for its turn or its next try."
        case DeliveryState.DELIVERED:
            return "The push service took it; showing it is up to the phone."
        case DeliveryState.PRUNED:
            return "The app is no longer on that phone."
        case DeliveryState.NO_DEVICE:
            return "No active device was registered when its turn came."
        case DeliveryState.EXPIRED:
            return "It was too old before it could be sent."
        case DeliveryState.REFUSED:
            return "The push service will not take it."
        case DeliveryState.DEAD:
            return "Given up after the last try; it can be replayed."
        case DeliveryState.CANCELLED:
            return "It was taken back, or a newer one was sent in its place."
        case DeliveryState.HELD_OUT:
            return "An experiment holds it back; the newest of a person is sent later."
        case _:
            assert_never(state)


def explain(
    devices: Sequence[Device],
    deliveries: Sequence[Record],
    lanes: Sequence[LaneRow],
    *,
    now: float,
) -> list[str]:
    """Why a user may not get pushes, the likeliest reason first; empty when nothing speaks so."""
    if not devices and not deliveries:
        return ["Nothing is known under this id: check the spelling, and which id the app sends."]
    reasons = []
    active = [device for device in devices if device.state is DeviceState.ACTIVE]
    if not devices:
        reasons.append("No device is registered: has the app been opened after the login?")
    elif not active:
        reasons.append(
            "No device is active: the app was removed, or has not registered again since."
        )
    elif all(device.profile.notifications == "denied" for device in active):
        reasons.append("Each phone in service says that its person has switched notifications off.")
    used = {(device.app, device.provider) for device in active}
    for lane in lanes:
        if (lane.app, lane.provider) in used:
            reasons += _in_the_way(lane, now)
    if devices and not deliveries:
        reasons.append("No notification for this user came in within the retention period.")
    if deliveries and deliveries[0].state is not DeliveryState.DELIVERED:
        latest = deliveries[0]
        reasons.append(f"The latest push is {latest.state.value}: {meaning(latest.state)}")
    return reasons


def _in_the_way(lane: LaneRow, now: float) -> list[str]:
    """What a lane's parts have to say of themselves, the open ones nothing."""
    said = []
    for part in lane.part_names:
        standing = lane.standing(part, now)
        if standing.state in ("held", "failing", "paused"):
            name = f"{lane.app}/{lane.provider}/{part}".rstrip("/")
            why = standing.reason or "no reason was given"
            said.append(f"The lane {name} is {standing.state}: {why}. {standing.hint}".rstrip())
    return said
