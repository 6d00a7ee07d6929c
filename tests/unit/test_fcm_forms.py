"""What FCM is told in each form that a push can have: by platform, kind of message and collapse.

A table of all of them, held against what is promised for each.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from firebase_admin import _messaging_encoder as encoder

from providers.contract import Address, Message, Platform, Push
from providers.fcm.payload import LONGEST_TTL_S, FcmStyle, frame_size, render
from providers.fcm.sdk import _sdk_message
from providers.wording.fitting import PAYLOAD_LIMIT, fit_message
from providers.wording.text import encode

NOW = 1_762_423_138.5
ID = "3c2143e4-3e8e-578a-bf0b-9dc6e284fa33"
OTHER = "7d444840-9dc0-5d1e-b245-5ffdce74fad2"
MESSAGE = Message("msg_1", "Hi Mary!", "Your training waits", "/learning")
STYLE = FcmStyle(android_channel_id="learning")
FORMS = list(product(Platform, ("", OTHER), (True, False), (True, False)))


def rendered(
    platform: Platform = Platform.ANDROID,
    style: FcmStyle = STYLE,
    *,
    message: Message = MESSAGE,
    life_s: float = 600.0,
    **way: Any,
) -> dict[str, Any]:
    push = Push(ID, Address("a", platform=platform), message, NOW + life_s, word="w", **way)
    return render(message, push, style, NOW)


def tag_of(message: dict[str, Any]) -> str:
    """By what the phone replaces one that it shows."""
    android, web = message.get("android", {}), message.get("webpush", {})
    return str(
        android.get("notification", web.get("notification", {})).get("tag")
        or message.get("apns", {}).get("headers", {}).get("apns-collapse-id")
        or message["data"]["tag"]
    )


@pytest.mark.parametrize(("platform", "collapse_id", "has_key", "is_data"), FORMS)
def test_every_form_keeps_its_own_id_and_replaces_by_one_other(
    platform: Platform, collapse_id: str, has_key: bool, is_data: bool
) -> None:
    message = rendered(platform, collapse_id=collapse_id, has_key=has_key, is_data=is_data)
    by = collapse_id or ID

    assert message["data"]["delivery_id"] == ID
    assert tag_of(message) == by
    key = message.get("android", {}).get("collapse_key")
    assert key == (by if has_key and platform is Platform.ANDROID else None)
    topic = message.get("webpush", {}).get("headers", {}).get("Topic")
    assert topic == (by.replace("-", "") if platform is Platform.WEB else None)


@pytest.mark.parametrize("platform", [Platform.ANDROID, Platform.WEB])
def test_a_data_message_has_all_that_is_shown_in_its_data_and_nothing_the_system_shows(
    platform: Platform,
) -> None:
    message = rendered(platform, is_data=True, collapse_id=OTHER)

    assert "notification" not in message
    assert "notification" not in message.get("android", {})
    assert "notification" not in message.get("webpush", {})
    assert message["data"] == {
        "title": "Hi Mary!",
        "body": "Your training waits",
        "channel": "learning",
        "tag": OTHER,
        "path": "/learning",
        "event_id": "msg_1",
        "delivery_id": ID,
        "for": "w",
    }


def test_an_iphone_is_never_sent_data_alone_which_it_would_not_show() -> None:
    assert rendered(Platform.IOS, is_data=True) == rendered(Platform.IOS)


@pytest.mark.parametrize("platform", Platform)
def test_what_is_no_data_message_has_no_texts_in_its_data(platform: Platform) -> None:
    assert not {"title", "body", "channel", "tag"} & rendered(platform)["data"].keys()


def test_without_a_key_nothing_else_is_another() -> None:
    with_key, without = rendered(), rendered(has_key=False)

    del with_key["android"]["collapse_key"]
    assert without == with_key


@pytest.mark.parametrize("life_s", [-5.0, 10.0, 1e7])
@pytest.mark.parametrize("kept_s", [0, 60, 259_200, LONGEST_TTL_S])
def test_google_keeps_a_push_as_long_as_the_style_says(kept_s: int, life_s: float) -> None:
    style = FcmStyle(kept_s=kept_s)

    assert rendered(style=style, life_s=life_s)["android"]["ttl"] == f"{kept_s}s"
    web = rendered(Platform.WEB, style, life_s=life_s)["webpush"]
    assert web["headers"]["TTL"] == str(kept_s)
    apns = rendered(Platform.IOS, style, life_s=life_s)["apns"]
    until = str(int(NOW) + kept_s) if kept_s else "0"  # 0: try once and forget, as with the others
    assert apns["headers"]["apns-expiration"] == until


@pytest.mark.parametrize(
    ("name", "style"),
    [
        ("bandwidth_constrained_ok", replace(STYLE, bandwidth_constrained_ok=True)),
        ("restricted_satellite_ok", replace(STYLE, restricted_satellite_ok=True)),
    ],
)
def test_networks_that_are_short_are_for_android_and_only_where_the_style_says(
    name: str, style: FcmStyle
) -> None:
    assert name not in rendered()["android"]

    assert rendered(style=style)["android"][name] is True
    for platform in (Platform.IOS, Platform.WEB):
        assert rendered(platform, style) == rendered(platform)


@pytest.mark.parametrize("platform", Platform)
def test_the_label_is_for_every_platform_and_left_out_where_there_is_none(
    platform: Platform,
) -> None:
    assert rendered(platform, FcmStyle(label="agent"))["fcm_options"] == {
        "analytics_label": "agent"
    }
    assert "fcm_options" not in rendered(platform)


@pytest.mark.parametrize(("platform", "collapse_id", "has_key", "is_data"), FORMS)
def test_every_form_of_a_message_that_fits_is_within_the_limit(
    platform: Platform, collapse_id: str, has_key: bool, is_data: bool
) -> None:
    style = FcmStyle("c" * 40, label="l" * 50, bandwidth_constrained_ok=True)
    fitted = fit_message(Message("m", "t" * 900, "b" * 5000, "/p"), frame_size(style))
    assert isinstance(fitted, Message)

    message = rendered(
        platform,
        style,
        message=fitted,
        collapse_id=collapse_id,
        has_key=has_key,
        is_data=is_data,
    )
    assert len(encode(message)) <= PAYLOAD_LIMIT


@pytest.mark.parametrize(("platform", "collapse_id", "has_key", "is_data"), FORMS)
@pytest.mark.parametrize(
    "style",
    [
        FcmStyle(),
        FcmStyle(
            "learning",
            kept_s=259_200,
            bandwidth_constrained_ok=True,
            restricted_satellite_ok=True,
            label="agent",
        ),
    ],
    ids=["plain", "all of it"],
)
def test_the_sdk_says_the_same_in_every_form(
    style: FcmStyle, platform: Platform, collapse_id: str, has_key: bool, is_data: bool
) -> None:
    message = rendered(platform, style, collapse_id=collapse_id, has_key=has_key, is_data=is_data)

    assert encoder.MessageEncoder().default(_sdk_message(message)) == message
