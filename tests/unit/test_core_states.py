"""The tables of states, and the names of deliveries."""

from __future__ import annotations

from uuid import UUID

import pytest

from gateway.core.instants import to_iso
from gateway.core.model import delivery_id, lane_name
from gateway.core.states import DELIVERY_STEPS, DEVICE_STEPS, DeliveryState, DeviceState


def test_every_delivery_state_has_its_steps_and_can_be_reached() -> None:
    assert set(DELIVERY_STEPS) == set(DeliveryState)
    assert DELIVERY_STEPS[DeliveryState.PENDING] == set(DeliveryState)


@pytest.mark.parametrize("state", DeliveryState)
def test_a_terminal_delivery_never_moves_but_for_a_dead_letter_that_is_replayed(
    state: DeliveryState,
) -> None:
    expected = {
        DeliveryState.PENDING: set(DeliveryState),
        DeliveryState.DEAD: {DeliveryState.PENDING},
    }
    assert DELIVERY_STEPS[state] == expected.get(state, set())
    assert state.is_terminal is (state is not DeliveryState.PENDING)


def test_the_states_are_those_of_the_contract() -> None:
    assert [state.value for state in DeliveryState] == [
        "pending", "delivered", "pruned", "no_device", "expired", "refused", "dead", "cancelled",
        "held_out",
    ]  # fmt: skip
    assert [state.value for state in DeviceState] == ["active", "quarantined", "pruned"]


def test_every_device_state_can_be_reached_and_any_device_can_come_back_to_life() -> None:
    assert set(DEVICE_STEPS) == set(DeviceState)
    assert set().union(*DEVICE_STEPS.values()) == set(DeviceState)
    for state in (DeviceState.QUARANTINED, DeviceState.PRUNED):
        assert DEVICE_STEPS[state] == {DeviceState.ACTIVE}


def test_a_delivery_has_the_same_name_in_every_process_and_release() -> None:
    # Written down: a release that changed this would repeat pushes that were in flight.
    assert delivery_id("msg_1", 0, 1) == "6daa6914-9fc9-58eb-8d8f-8b2bfa631c1e"


def test_a_delivery_id_is_the_canonical_uuid_that_apns_asks_for() -> None:
    for index in (0, 1, 2, 3, 99_999):
        name = delivery_id("msg_2KWPBgLlAfxdpx2AI54pPJ85f4W", index, 2**63 - 1)
        read = UUID(name)
        assert name == str(read)
        assert (read.version, read.variant) == (5, "specified in RFC 4122")


def test_deliveries_of_different_events_items_and_devices_have_different_names() -> None:
    parts = [("msg_1", 1, 11), ("msg_1", 11, 1), ("msg_11", 1, 1), ("msg_1", 1, 1)]
    assert len({delivery_id(*part) for part in parts}) == len(parts)


def test_a_lane_is_named_after_its_app_and_provider() -> None:
    assert lane_name("agent", "fcm") == "agent/fcm"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1_762_423_138.233, "2025-11-06T09:58:58.233Z"),
        (-1.5, "1969-12-31T23:59:58.500Z"),
    ],
)
def test_times_are_shown_in_utc_to_the_millisecond(seconds: float, text: str) -> None:
    assert to_iso(seconds) == text
