"""What hooks are told, by the rules alone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.core import hooks
from gateway.core.erased import words_of
from gateway.core.hooks import Hook, Plan, emptied, erasures, of_delivery, told_in, wait_s, whole
from gateway.core.model import Record, UserRef
from gateway.core.states import DeliveryState

SECRET = b"s" * 32
EVERYTHING = Hook("crm", ("delivery.*", "receipt.*"), identify=True)


def record(state: DeliveryState = DeliveryState.DELIVERED, **changed: Any) -> Record:
    values: dict[str, Any] = {
        "event_id": "staging:msg_1",
        "index": 3,
        "device_id": 7,
        "state": state,
        "attempts": 1,
        "at": 1_700_000_000.5,
        "user_id": "mary",
        "custom_id": "m-1",
        "app": "agent",
        "provider": "fcm",
        "address_hash": "hash-of-an-address",
        "vendor_id": "projects/x/messages/1",
    }
    return Record(**(values | changed))


def told(plan: Plan, *records: Record) -> dict[str, list[dict[str, Any]]]:
    happened = [one for row in records for one in of_delivery(row, "phone-1", plan)]
    found: dict[str, list[dict[str, Any]]] = {}
    for group in plan.groups(happened, SECRET):
        body = json.loads(whole(group.hook, group.lines))
        assert body["hook"] == group.hook
        assert len(body["events"]) == group.size
        found.setdefault(group.hook, []).extend(body["events"])
    return found


def test_a_delivery_says_ids_times_and_states_and_no_address() -> None:
    (event,) = told(Plan([EVERYTHING]), record())["crm"]
    assert event.pop("id")
    assert event == {
        "type": "delivery.settled",
        "at": "2023-11-14T22:13:20.500Z",
        "source": "staging",
        "event_id": "staging:msg_1",
        "item": 3,
        "app": "agent",
        "provider": "fcm",
        "state": "delivered",
        "reason": None,
        "attempts": 1,
        "user_id": "mary",
        "custom_id": "m-1",
        "installation_id": "phone-1",
    }


def test_without_identify_people_are_hashes_that_stay_the_same_at_one_hook_alone() -> None:
    plan = Plan([Hook("a", ("delivery.*",)), Hook("b", ("delivery.*",))])
    first, again = told(plan, record(index=1), record(index=2))["a"]
    (other,) = told(plan, record())["b"]
    for name in ("user_id", "custom_id", "installation_id"):
        assert first[name] == again[name] != other[name]
        assert first[name] not in ("mary", "m-1", "phone-1")
    assert len({first["user_id"], first["custom_id"], first["installation_id"]}) == 3


def test_nothing_is_written_for_who_did_not_ask() -> None:
    plan = Plan([Hook("sms", ("delivery.no_device",)), Hook("sheet", ("device.pruned",))])
    assert not plan.settled
    assert plan.deliveries
    assert told(plan, record()) == {}
    nobody = told(plan, record(DeliveryState.NO_DEVICE, device_id=0))
    assert [one["type"] for one in nobody["sms"]] == ["delivery.no_device"]
    assert list(nobody) == ["sms"]
    assert not Plan([Hook("sheet", ("device.pruned",))]).deliveries


@pytest.mark.parametrize(
    ("pattern", "kind", "wanted"),
    [
        ("delivery.settled", "delivery.settled", True),
        ("delivery.settled", "delivery.settled.late", False),
        ("delivery.*", "delivery.no_device", True),
        ("learnink.*", "learnink.user.course.completed", True),
        ("learnink.user.course.*", "learnink.user.group.joined", False),
        ("*", "device.silent", True),
    ],
)
def test_a_type_may_end_in_a_star(pattern: str, kind: str, wanted: bool) -> None:
    assert Hook("crm", (pattern,)).wants(kind) is wanted


def test_the_same_happening_has_the_same_id_and_another_state_another_one() -> None:
    plan = Plan([EVERYTHING])
    ids = [
        told(plan, one)["crm"][0]["id"]
        for one in (record(), record(at=1.0, attempts=9), record(DeliveryState.DEAD))
    ]
    assert ids[0] == ids[1] != ids[2]


def test_a_portion_is_no_larger_than_the_batch() -> None:
    plan = Plan([Hook("crm", ("delivery.settled",), batch=2)])
    happened = [one for n in range(5) for one in of_delivery(record(index=n), None, plan)]
    assert [group.size for group in plan.groups(happened, SECRET)] == [2, 2, 1]


def test_who_was_erased_is_emptied_and_the_others_stay() -> None:
    plan = Plan([EVERYTHING])
    rows = [record(), record(index=4, user_id="joe", custom_id=None)]
    happened = [one for row in rows for one in of_delivery(row, None, plan)]
    (group,) = plan.groups(happened, SECRET)
    word_of_mary, _ = words_of("mary", None, SECRET)
    assert word_of_mary in told_in(group.people)
    erased = erasures([(word_of_mary, "", 1_700_000_001.0)])
    found = emptied(group.lines, group.people, erased)
    assert found is not None
    lines, people = found
    assert b"mary" not in lines
    assert b"m-1" not in lines
    assert word_of_mary not in people
    mary, joe = json.loads(whole("crm", lines))["events"]
    assert mary == {name: mary[name] for name in ("id", "type", "at")} | {"erased": True}
    assert joe["user_id"] == "joe"
    assert emptied(lines, people, erased) is None


def test_what_happened_after_an_erase_is_of_somebody_who_came_back() -> None:
    plan = Plan([EVERYTHING])
    (group,) = plan.groups(of_delivery(record(), None, plan), SECRET)
    word, _ = words_of("mary", None, SECRET)
    assert emptied(group.lines, group.people, {word: 1_699_999_999.0}) is None


def test_an_erase_is_told_by_the_names_that_a_hook_knows() -> None:
    plan = Plan([EVERYTHING, Hook("sheet", ("delivery.*",)), Hook("new", ("*",))])
    word, _ = words_of("mary", None, SECRET)
    gone = [("crm", word, True), ("sheet", word, False), ("removed", word, True)]
    groups = plan.erased(gone, UserRef("mary", "mary"), now=5.0, secret=SECRET)
    crm, sheet = (json.loads(whole(one.hook, one.lines))["events"][0] for one in groups)
    assert [one.hook for one in groups] == ["crm", "sheet"]
    assert all(one.must and told_in(one.people) == [] for one in groups)
    assert (crm["type"], crm["user_id"], crm["custom_id"]) == ("user.erased", "mary", None)
    known = told(plan, record())["sheet"][0]
    assert sheet["user_id"] == known["user_id"] != "mary"
    assert {one["at"] for one in (crm, sheet)} == {"1970-01-01T00:00:05.000Z"}


def test_a_hook_that_fails_is_tried_ever_later_and_never_before_it_asks() -> None:
    waits = [wait_s(failures, None, 0.999) for failures in range(1, 12)]
    assert waits == sorted(waits)
    assert hooks.FIRST_WAIT_S / 2 <= wait_s(1, None, 0.0) < waits[0] <= hooks.FIRST_WAIT_S
    assert waits[-1] <= hooks.MOST_WAIT_S
    assert wait_s(1, 120.0, 0.0) == 120.0


def test_half_of_a_character_in_a_reason_does_no_harm() -> None:
    (event,) = told(Plan([EVERYTHING]), record(reason="odd \ud83d"))["crm"]
    assert event["reason"] == "odd \ud83d"
