"""The back-off that vendors ask for."""

from __future__ import annotations

import pytest

from gateway.core.clocks import Monotonic
from gateway.relay.silence import Silence
from tests.kit.build import NOW


@pytest.mark.parametrize("waits", [(60.0, 300.0), (300.0, 60.0), (300.0, 300.0)])
def test_a_shorter_wait_of_a_device_does_not_end_a_longer_one(waits: tuple[float, float]) -> None:
    silence = Silence("agent", "fcm", lambda _event: None)
    for wait in waits:
        silence.ask_device(1, NOW + wait)
    silence.ask_device(2, NOW + 5.0)
    assert silence.devices == {1: NOW + 300.0, 2: NOW + 5.0}


def test_the_reason_of_the_longest_silence_is_told() -> None:
    silence = Silence("agent", "fcm", lambda _event: None)
    for until, reason in [(60.0, "QUOTA_EXCEEDED"), (30.0, "UNAVAILABLE")]:
        silence.ask(Monotonic(0.0), Monotonic(until), reason)
    assert (silence.left(Monotonic(0.0)), silence.reason) == (60.0, "QUOTA_EXCEEDED")
