"""Which devices are an item's, and which are left out, against the rule as the contract has it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.model import STATED_CUSTOM_ID, STATED_USER_ID, Item, Target
from gateway.store.targets import per_item
from providers.contract import Address
from tests.kit.build import item

IDS = st.none() | st.sampled_from(["mary", "bob", "eve"])


@st.composite
def devices(draw: st.DrawFn) -> Target:
    """A device with ids of which any may have been stated; the number comes later."""
    user_id, custom_id = draw(IDS), draw(IDS)
    stated = 0
    if user_id is not None and draw(st.booleans()):
        stated |= STATED_USER_ID
    if custom_id is not None and draw(st.booleans()):
        stated |= STATED_CUSTOM_ID
    address = Address("address")
    return Target(0, "agent", "fcm", address, user_id, custom_id, 0.0, stated, user_id, custom_id)


def is_found(device: Target, one: Item) -> bool:
    """By either id."""
    by_user = one.user_id is not None and device.user_id == one.user_id
    by_custom = one.custom_id is not None and device.custom_id == one.custom_id
    return by_user or by_custom


def contradicts(device: Target, one: Item) -> bool:
    """The item says an id of which the device's latest registration stated another value."""
    other_user = (
        bool(device.stated & STATED_USER_ID)
        and one.user_id is not None
        and device.user_id != one.user_id
    )
    other_custom = (
        bool(device.stated & STATED_CUSTOM_ID)
        and one.custom_id is not None
        and device.custom_id != one.custom_id
    )
    return other_user or other_custom


@given(st.lists(devices(), max_size=8), st.lists(st.tuples(IDS, IDS), max_size=6))
def test_an_item_reaches_those_that_it_finds_and_does_not_contradict(
    drawn: list[Target], wanted: list[tuple[str | None, str | None]]
) -> None:
    found = [device._replace(device_id=number) for number, device in enumerate(drawn, 1)]
    items = [item(n, user_id=user, custom_id=custom) for n, (user, custom) in enumerate(wanted)]
    answer = per_item(iter(found), items)
    assert len(answer) == len(items)
    for place, one in enumerate(items):
        theirs = [device for device in found if is_found(device, one)]
        reached = [device.device_id for device in theirs if not contradicts(device, one)]
        left_out = [device.device_id for device in theirs if contradicts(device, one)]
        assert sorted(device.device_id for device in answer[place]) == reached
        told = answer.contradicting.get(place, [])
        assert sorted(device.device_id for device in told) == left_out
        assert bool(told) == (place in answer.contradicting)
        for device in answer[place]:
            assert device.word_for(one) == one.user_id or device.word_for(one) == one.custom_id
            if device.user_id == one.user_id is not None:
                assert device.word_for(one) == device.user_word
