"""Which messages the sandbox takes for FCM."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.sandbox.fcm_message import FcmMessage, InvalidMessage, parse

TOKEN = "fcm-token:0123456789"


def read(message: object, **top: object) -> FcmMessage:
    return parse(json.dumps({"message": message, **top}).encode())


def with_token(**fields: object) -> dict[str, Any]:
    return {"token": TOKEN, **fields}


def test_a_whole_message_is_understood() -> None:
    message = read(
        with_token(
            notification={"title": "Hi", "body": "Train!"},
            data={"path": "/learning"},
            android={
                "priority": "high",
                "ttl": "3600s",
                "collapse_key": "k",
                "notification": {"tag": "t", "channel_id": "c"},
            },
        )
    )
    assert (message.kind, message.address, message.address_is_possible) == ("token", TOKEN, True)
    assert (message.title, message.body, message.tag) == ("Hi", "Train!", "t")
    assert message.data == {"path": "/learning"}
    assert message.headers == {
        "priority": "high",
        "ttl": "3600s",
        "collapse_key": "k",
        "channel": "c",
    }


def test_names_may_be_written_as_proto_json_does() -> None:
    message = parse(
        b'{"validateOnly": true, "message": {"fid": "abcdefghijklmnopqrstuv",'
        b' "android": {"collapseKey": "k"}}}'
    )
    assert message.validate_only
    assert message.headers == {"collapse_key": "k"}


@pytest.mark.parametrize(
    ("block", "tag"),
    [
        ({"android": {"notification": {"tag": "t"}}}, "t"),
        ({"apns": {"headers": {"apns-collapse-id": "c"}}}, "c"),
        ({"webpush": {"notification": {"tag": "w"}}}, "w"),
        ({"webpush": {"notification": "free form"}}, ""),
        ({}, ""),
    ],
)
def test_what_replaces_a_notification_depends_on_the_platform(
    block: dict[str, Any], tag: str
) -> None:
    assert read(with_token(**block)).tag == tag


BAD: dict[str, tuple[object, str]] = {
    "no target": ({}, "message"),
    "two targets": ({"token": TOKEN, "fid": "x" * 22}, "message"),
    "a target that is a number": ({"token": 5}, "message"),
    "half a surrogate pair": ({"condition": "\ud800"}, "message.condition"),
    "data that is a list": (with_token(data=[1]), "message.data"),
    "a number in data": (with_token(data={"n": 1}), "message.data[n]"),
    "from": (with_token(data={"from": "x"}), "message.data[from]"),
    "gcm.x": (with_token(data={"gcm.x": "x"}), "message.data[gcm.x]"),
    "google.x": (with_token(data={"google.x": "x"}), "message.data[google.x]"),
    "an odd priority": (with_token(android={"priority": "HiGh"}), "message.android.priority"),
    "ttl as a number": (with_token(android={"ttl": 5}), "message.android.ttl"),
    "ttl without its s": (with_token(android={"ttl": "5"}), "message.android.ttl"),
    "a negative ttl": (with_token(android={"ttl": "-1s"}), "message.android.ttl"),
    "over four weeks": (with_token(android={"ttl": "2419201s"}), "message.android.ttl"),
    "a title that is none": (with_token(notification={"title": 1}), "message.notification.title"),
    "a tag that is none": (
        with_token(android={"notification": {"tag": 1}}),
        "message.android.notification.tag",
    ),
    "numbers as apns headers": (
        with_token(apns={"headers": {"apns-priority": 10}}),
        "message.apns.headers",
    ),
    "too much": (with_token(data={"k": "x" * 4096}), "message"),
    "too much for a topic": ({"topic": "news", "data": {"k": "x" * 2048}}, "message"),
    "too much for Apple": (with_token(apns={"payload": {"k": "x" * 4096}}), "message.apns.payload"),
}


@pytest.mark.parametrize(("message", "field"), BAD.values(), ids=BAD)
def test_a_message_against_the_rules_names_its_field(message: object, field: str) -> None:
    with pytest.raises(InvalidMessage) as caught:
        read(message)
    assert caught.value.coded
    assert [name for name, _ in caught.value.violations] == [field]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"[]",
        b'{"message": []}',
        b'{"message": {"token": "t", "android": 1}}',
        b'{"message": {"token": "t", "colour": "red"}}',
        b'{"massage": {}}',
        b"[" * 60_000,
    ],
)
def test_what_is_no_message_at_all_carries_no_fcm_error(body: bytes) -> None:
    with pytest.raises(InvalidMessage) as caught:
        parse(body)
    assert not caught.value.coded


def test_exactly_4096_bytes_fit() -> None:
    data = {"k": "x" * 4000, "l": "é" * 47}
    assert read(with_token(data=data)).data == data
    with pytest.raises(InvalidMessage):
        read(with_token(data={**data, "m": ""}))


@pytest.mark.parametrize("ttl", ["0s", "3.5s", "2419200s"])
def test_every_duration_within_four_weeks_is_taken(ttl: str) -> None:
    assert read(with_token(android={"ttl": ttl})).headers == {"ttl": ttl}


@pytest.mark.parametrize("address", ["short", "with space 123", "ümlaut-abcdefg", "x" * 4097])
def test_some_addresses_can_never_have_been_issued(address: str) -> None:
    assert not read({"token": address}).address_is_possible


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
NAMES = st.sampled_from(
    ["token", "fid", "topic", "data", "notification", "android", "apns", "webpush", "ttl",
     "headers", "payload", "tag", "title", "priority", "collapse_key"]
)  # fmt: skip
MESSAGES = st.recursive(
    JSON, lambda inner: st.dictionaries(NAMES, inner, max_size=4), max_leaves=20
)


@given(MESSAGES)
def test_no_message_brings_the_sandbox_down(message: object) -> None:
    with contextlib.suppress(InvalidMessage):
        assert read(message).address
