"""What APNs is told for a push."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.apns.payload import (
    LATEST_EXPIRATION,
    ApnsStyle,
    device_path,
    frame_size,
    kept_until,
    render_body,
    render_headers,
)
from providers.contract import Address, Message, Platform, Push, Refused
from providers.wording.fitting import PAYLOAD_LIMIT, TOO_LARGE, fit_message

ID = "3c2143e4-3e8e-478a-bf0b-9dc6e284fa33"
MESSAGE = Message("msg_1", "Hi Mary!", "Don't forget your training", "/learning")
STYLE = ApnsStyle()
WORD = "Zm9yLW1hcnktMTIz"
NOW = 1_762_420_000.5
OTHER = "7d444840-9dc0-5d1e-b245-5ffdce74fad2"


def fit(message: Message, style: ApnsStyle) -> Message | Refused:
    return fit_message(message, frame_size(style))


def body(message: Message = MESSAGE, style: ApnsStyle = STYLE) -> Any:
    return json.loads(render_body(message, ID, WORD, style))


def headers(
    expires_at: float = 1_762_423_138.9, style: ApnsStyle = STYLE, collapse_id: str = ""
) -> dict[str, str]:
    address = Address("ab" * 32, platform=Platform.IOS)
    one = Push(ID, address, MESSAGE, expires_at, collapse_id=collapse_id)
    return dict(render_headers(one, "com.acme.agent", kept_until(one, style, NOW)))


def test_the_body_is_an_alert_and_the_place_to_open() -> None:
    assert body() == {
        "aps": {
            "alert": {"title": "Hi Mary!", "body": "Don't forget your training"},
            "sound": "default",
        },
        "data": {"path": "/learning", "event_id": "msg_1", "delivery_id": str(ID), "for": WORD},
    }


def test_a_push_without_a_path_has_none_in_its_data() -> None:
    assert "path" not in body(Message("msg_1", "a", "b", None))["data"]


def test_the_style_says_how_it_sounds_and_is_grouped() -> None:
    assert body(style=ApnsStyle(sound="", thread_id="t"))["aps"].keys() == {"alert", "thread-id"}
    assert body(style=ApnsStyle(sound="bell.caf"))["aps"]["sound"] == "bell.caf"


def test_the_body_is_compact_utf_8() -> None:
    sent = render_body(Message("e", "é", "", None), ID, WORD, STYLE)

    assert "é".encode() in sent
    assert b'": ' not in sent


def test_the_headers_are_those_of_an_alert_with_an_id_of_its_own() -> None:
    assert headers() == {
        "apns-topic": "com.acme.agent",
        "apns-push-type": "alert",
        "apns-priority": "10",
        "apns-expiration": "1762423138",
        "apns-id": "3c2143e4-3e8e-478a-bf0b-9dc6e284fa33",
        "apns-collapse-id": "3c2143e4-3e8e-478a-bf0b-9dc6e284fa33",
    }


def test_the_collapse_id_is_within_apples_64_bytes() -> None:
    assert len(headers()["apns-collapse-id"].encode()) <= 64


def test_what_a_push_replaces_is_named_beside_its_own_id() -> None:
    sent = headers(collapse_id=OTHER)

    assert (sent["apns-id"], sent["apns-collapse-id"]) == (ID, OTHER)


@pytest.mark.parametrize(
    ("kept_s", "until"),
    [(259_200, str(int(NOW) + 259_200)), (60, str(int(NOW) + 60)), (0, "0")],
)
def test_apple_keeps_a_push_as_long_as_the_style_says(kept_s: int, until: str) -> None:
    for expires_at in (0.0, NOW + 10, NOW + 1e6):
        assert headers(expires_at, ApnsStyle(kept_s=kept_s))["apns-expiration"] == until


@pytest.mark.parametrize(
    ("expires_at", "seconds"),
    [
        (-1.0, 1),
        (0.0, 1),
        (0.4, 1),
        (1_762_423_138.9, 1_762_423_138),
        (float("inf"), LATEST_EXPIRATION),
    ],
)
def test_the_expiration_is_never_the_zero_that_means_try_once(
    expires_at: float, seconds: int
) -> None:
    assert headers(expires_at)["apns-expiration"] == str(seconds)


@pytest.mark.parametrize("value", ["ab" * 32, "AB12", "a" * 200, "inkpush-check"])
def test_device_tokens_of_any_length_make_a_path(value: str) -> None:
    assert device_path(Address(value)) == f"/3/device/{value}"


@pytest.mark.parametrize("value", ["", "ab/../cd", "ab\r\ncd", "ab cd", "ab?x", "é", "a" * 600])
def test_what_could_alter_the_path_makes_none(value: str) -> None:
    assert device_path(Address(value)) is None


def test_a_message_that_fits_is_passed_on_as_it_is() -> None:
    assert fit(MESSAGE, STYLE) is MESSAGE


@given(
    title=st.text(max_size=40).map(lambda part: part * 150),
    text=st.text(max_size=40).map(lambda part: part * 150),
    path=st.none() | st.text(max_size=300).map("/".__add__),
    style=st.builds(ApnsStyle, sound=st.text("abc", max_size=40), thread_id=st.text(max_size=40)),
)
def test_whatever_fits_is_within_the_limit(
    title: str, text: str, path: str | None, style: ApnsStyle
) -> None:
    fitted = fit(Message("msg_1", title, text, path), style)

    assert isinstance(fitted, Message)
    assert fitted.path == path
    assert len(render_body(fitted, ID, WORD, style)) <= PAYLOAD_LIMIT


def test_a_long_body_fills_the_room_there_is() -> None:
    fitted = fit(Message("msg_1", "Title", "x" * 5000, "/learning"), STYLE)

    assert isinstance(fitted, Message)
    assert fitted.title == "Title"
    assert len(render_body(fitted, ID, WORD, STYLE)) == PAYLOAD_LIMIT


def test_a_path_that_leaves_no_room_is_refused_not_cut() -> None:
    assert fit(Message("msg_1", "a", "b", "/" + "x" * 4000), STYLE) == TOO_LARGE


def test_a_path_that_utf_8_cannot_hold_is_refused() -> None:
    assert fit(Message("msg_1", "a", "b", "/\ud800"), STYLE) == Refused("InvalidText", "message")
