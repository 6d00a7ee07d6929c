"""What FCM is told for a push."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.contract import Address, AddressKind, Message, Platform, Push, Refused
from providers.fcm.payload import (
    LONGEST_TTL_S,
    FcmStyle,
    frame_size,
    render,
    ttl_seconds,
)
from providers.wording.fitting import PAYLOAD_LIMIT, TOO_LARGE, fit_message
from providers.wording.text import encode

NOW = 1_762_423_138.5
ID = "3c2143e4-3e8e-478a-bf0b-9dc6e284fa33"
MESSAGE = Message("msg_1", "Hi Mary!", "Don't forget to complete your training today", "/learning")
STYLE = FcmStyle()
WORD = "Zm9yLW1hcnktMTIz"


def fit(message: Message, style: FcmStyle) -> Message | Refused:
    return fit_message(message, frame_size(style))


def push(
    platform: Platform = Platform.ANDROID,
    kind: AddressKind = AddressKind.TOKEN,
    message: Message = MESSAGE,
    life: float = 600.0,
) -> Push:
    return Push(ID, Address("address", kind, platform), message, NOW + life, word=WORD)


def rendered(
    platform: Platform = Platform.ANDROID,
    style: FcmStyle = STYLE,
    kind: AddressKind = AddressKind.TOKEN,
    message: Message = MESSAGE,
) -> dict[str, Any]:
    one = push(platform, kind, message)
    return render(one.message, one, style, NOW)


def test_every_platform_is_told_text_path_and_ids() -> None:
    for platform in Platform:
        message = rendered(platform)

        assert message["token"] == "address"
        assert message["notification"] == {
            "title": "Hi Mary!",
            "body": "Don't forget to complete your training today",
        }
        assert message["data"] == {
            "path": "/learning",
            "event_id": "msg_1",
            "delivery_id": str(ID),
            "for": WORD,
        }


def test_a_push_without_a_path_has_none_in_its_data() -> None:
    assert "path" not in rendered(message=Message("msg_1", "a", "b", None))["data"]


def test_a_firebase_installation_id_is_sent_as_fid() -> None:
    message = rendered(kind=AddressKind.FID)

    assert message["fid"] == "address"
    assert "token" not in message


def test_android_is_told_to_wake_up_and_to_replace_a_repeat() -> None:
    assert rendered()["android"] == {
        "collapse_key": str(ID),
        "priority": "high",
        "ttl": "600s",
        "notification": {"tag": str(ID)},
    }


def test_the_channel_of_the_style_is_named() -> None:
    android = rendered(style=FcmStyle(android_channel_id="learning"))["android"]

    assert android["notification"]["channel_id"] == "learning"


def test_an_iphone_behind_fcm_gets_apples_headers() -> None:
    apns = rendered(Platform.IOS, FcmStyle(thread_id="training"))["apns"]

    assert apns["headers"] == {
        "apns-push-type": "alert",
        "apns-priority": "10",
        "apns-expiration": str(int(NOW) + 600),
        "apns-collapse-id": str(ID),
    }
    assert apns["payload"] == {"aps": {"sound": "default", "thread-id": "training"}}


def test_a_browser_gets_a_topic_that_web_push_allows() -> None:
    webpush = rendered(Platform.WEB)["webpush"]

    assert webpush["headers"] == {"TTL": "600", "Urgency": "high", "Topic": ID.replace("-", "")}
    assert len(webpush["headers"]["Topic"]) <= 32


@pytest.mark.parametrize("platform", Platform)
def test_a_correction_replaces_what_has_its_collapse_id_and_keeps_an_id_of_its_own(
    platform: Platform,
) -> None:
    one = push(platform)
    one.collapse_id = other = "11111111-2222-5333-8444-555555555555"
    message = render(one.message, one, STYLE, NOW)
    text = encode(message).decode()

    assert message["data"]["delivery_id"] == ID
    assert text.count(ID) == 1
    assert ID.replace("-", "") not in text
    replaces: dict[Platform, list[tuple[str, ...]]] = {
        Platform.ANDROID: [("android", "collapse_key"), ("android", "notification", "tag")],
        Platform.IOS: [("apns", "headers", "apns-collapse-id")],
        Platform.WEB: [("webpush", "notification", "tag")],
    }
    for path in replaces[platform]:
        found: Any = message
        for name in path:
            found = found[name]
        assert found == other
    if platform is Platform.WEB:
        assert message["webpush"]["headers"]["Topic"] == other.replace("-", "")


@pytest.mark.parametrize("platform", Platform)
def test_only_the_block_of_the_platform_is_sent(platform: Platform) -> None:
    blocks = {"android", "apns", "webpush"} & rendered(platform).keys()

    assert len(blocks) == 1


@pytest.mark.parametrize(
    ("life", "seconds"),
    [
        (-5.0, 0),
        (0.0, 0),
        (0.9, 0),
        (1.0, 1),
        (59.99, 59),
        (float(LONGEST_TTL_S) + 1, LONGEST_TTL_S),
        (float("inf"), LONGEST_TTL_S),
    ],
)
def test_the_remaining_life_is_whole_seconds_within_fcms_bounds(life: float, seconds: int) -> None:
    assert ttl_seconds(NOW + life, NOW, STYLE) == seconds


def test_a_message_that_fits_is_passed_on_as_it_is() -> None:
    assert fit(MESSAGE, STYLE) is MESSAGE


@given(
    title=st.text(max_size=40).map(lambda part: part * 150),
    body=st.text(max_size=40).map(lambda part: part * 150),
    path=st.none() | st.text(max_size=300).map("/".__add__),
    style=st.builds(FcmStyle, android_channel_id=st.text("abc", max_size=40)),
)
def test_whatever_fits_is_within_the_limit_for_every_platform(
    title: str, body: str, path: str | None, style: FcmStyle
) -> None:
    fitted = fit(Message("msg_1", title, body, path), style)

    assert isinstance(fitted, Message)
    assert fitted.path == path
    for platform in Platform:
        message = render(fitted, push(platform, message=fitted), style, NOW)
        del message["token"]
        assert len(encode(message)) <= PAYLOAD_LIMIT


def test_a_long_body_is_cut_and_its_title_and_path_are_not() -> None:
    fitted = fit(Message("msg_1", "Title", "é" * 5000, "/learning"), STYLE)

    assert isinstance(fitted, Message)
    assert fitted.title == "Title"
    assert fitted.path == "/learning"
    assert fitted.body.endswith("é…")
    size = len(encode(render(fitted, push(Platform.WEB, message=fitted), STYLE, NOW)))
    assert size > PAYLOAD_LIMIT * 0.9  # not more is lost than has to be


def test_a_path_that_leaves_no_room_is_refused_not_cut() -> None:
    assert fit(Message("msg_1", "a", "b", "/" + "x" * 4000), STYLE) == TOO_LARGE


def test_a_path_that_utf_8_cannot_hold_is_refused() -> None:
    refused = fit(Message("msg_1", "a", "b", "/\ud800"), STYLE)

    assert refused == Refused("InvalidText", "message")


def test_texts_with_broken_surrogates_are_mended() -> None:
    fitted = fit(Message("msg_1", "a\ud800", "b\udc00", None), STYLE)

    assert isinstance(fitted, Message)
    assert encode(fitted.title + fitted.body)
