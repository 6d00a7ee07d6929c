"""What the simulation holds against its phones, and that it would be heard."""

from __future__ import annotations

import pytest

from providers.contract import Address, Environment, Message, Platform, Push
from providers.sandbox.handset import Kind, Parcel, Service
from tests.simulation.chance import Chance
from tests.simulation.handsets import Handsets, Pack, Sent, packed
from tests.simulation.invariants.findings import Findings
from tests.simulation.plan import Sizes
from tests.simulation.trace import Trace
from tests.simulation.truth import EPOCH, AddressStory, Batch, Truth

SENT = Sent("msg_1", "a-delivery")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Scene:
    """One phone, and one event that lives for ten seconds."""

    def __init__(self, *, is_prompt: bool = True) -> None:
        self.clock = Clock()
        self.truth = Truth(self.clock)
        self.findings = Findings(Sizes(timeout_s=2.0), self.truth, Trace(self.clock))
        self.handsets = Handsets(self.findings, Chance(1), is_prompt=is_prompt)
        self.truth.addresses["a"] = AddressStory(7, "demo", "fcm", "android")
        self.truth.batches["msg_1"] = Batch("msg_1", 0.0, 10.0, [1])

    def take(self, *, tag: str = "t", life: float = 10.0) -> None:
        self.handsets.took("a", pack(tag, life))

    @property
    def broken(self) -> str:
        violation = self.findings.violation
        return "" if violation is None else violation.invariant


def pack(tag: str, life: float) -> Pack:
    return lambda at: Parcel(SENT, Service.ANDROID, Kind.NOTIFICATION, at + life, tag=tag)


@pytest.mark.parametrize(("tag", "broken"), [("t", ""), ("another", "shown_once")])
def test_a_repeat_stands_in_the_place_of_its_first_copy(tag: str, broken: str) -> None:
    scene = Scene()
    scene.take()
    scene.take(tag=tag)
    assert scene.broken == broken


@pytest.mark.parametrize(("life", "broken"), [(10.0, ""), (3600.0, "shown_in_time")])
def test_a_phone_that_wakes_shows_nothing_after_its_time(life: float, broken: str) -> None:
    scene = Scene()
    scene.handsets.switch_off(7)
    scene.take(life=life)
    scene.clock.now = 60.0
    scene.handsets.wake_all()
    assert scene.broken == broken


def test_what_was_long_on_its_way_is_not_held_against_anybody() -> None:
    scene = Scene(is_prompt=False)
    scene.clock.now = 60.0
    scene.take()
    assert scene.broken == ""


@pytest.mark.parametrize("provider", ["fcm", "apns"])
def test_what_the_product_writes_ends_with_the_life_of_its_push(provider: str) -> None:
    address = Address("ab" * 32, platform=Platform.IOS, environment=Environment.PRODUCTION)
    push = Push("id", address, Message("msg_1", "Hi", "", None), expires_at=EPOCH + 60.0)
    parcel = packed(push, provider, EPOCH)(EPOCH + 1.0)
    assert parcel.push == Sent("msg_1", "id")
    assert (parcel.until, parcel.tag) == (EPOCH + 60.0, "id")
