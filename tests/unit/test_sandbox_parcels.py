"""What the sandbox reads from a request about its push's way to the phone."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from providers.apns.payload import ApnsStyle, render_body, render_headers
from providers.contract import Address, Message, Platform, Push
from providers.fcm.payload import FcmStyle, render
from providers.sandbox.handset import Kind, Parcel, Service
from providers.sandbox.parcels import APNS_LIFE_S, FCM_LIFE_S, apns_parcel, fcm_parcel

NOW = 1_800_000_000.0
PUSH = Push(
    "0a1b2c3d-0000-0000-0000-000000000000",
    Address("a"),
    Message("msg_1", "Hi", "Train!", "/learning"),
    expires_at=NOW + 3600,
    word="mary",
)
NOTE = {"title": "Hi"}


@pytest.mark.parametrize(
    ("platform", "service"),
    [(Platform.ANDROID, "android"), (Platform.IOS, "apns"), (Platform.WEB, "web")],
)
def test_what_the_gateway_sends_by_fcm_is_read_as_it_is_meant(
    platform: Platform, service: str
) -> None:
    push = replace(PUSH, address=Address("a", platform=platform))
    parcel = fcm_parcel(1, render(push.message, push, FcmStyle(), NOW), NOW)
    assert (parcel.service, parcel.kind) == (service, Kind.NOTIFICATION)
    assert (parcel.tag, parcel.word, parcel.until) == (push.delivery_id, "mary", NOW + 3600)
    assert bool(parcel.collapse_key) == (platform is not Platform.IOS)


def test_what_the_gateway_sends_by_apns_is_read_as_it_is_meant() -> None:
    headers = {
        name.removeprefix("apns-").replace("-", "_"): value
        for name, value in render_headers(PUSH, "com.acme.agent", PUSH.expires_at)
    }
    payload = json.loads(render_body(PUSH.message, PUSH.delivery_id, PUSH.word, ApnsStyle()))
    assert apns_parcel(1, headers, payload, payload["data"], NOW) == Parcel(
        1,
        Service.APNS,
        Kind.NOTIFICATION,
        NOW + 3600,
        app="com.acme.agent",
        tag=PUSH.delivery_id,
        word="mary",
    )


FCM: dict[str, tuple[dict[str, Any], Parcel[int]]] = {
    "nothing said": (
        {"data": {"k": "v"}},
        Parcel(1, Service.ANDROID, Kind.BACKGROUND, NOW + FCM_LIFE_S),
    ),
    "a data message that the app shows": (
        {
            "data": {"title": "Hi", "tag": "t", "for": "mary"},
            "android": {"ttl": "3.5s", "collapse_key": "k"},
        },
        Parcel(
            1,
            Service.ANDROID,
            Kind.DATA,
            NOW + 3.5,
            collapse_key="k",
            tag="t",
            word="mary",
        ),
    ),
    "Android's own data and notification come first": (
        {
            "data": {"for": "bob"},
            "android": {"data": {"for": "mary"}, "notification": {"title": "Hi", "tag": "t"}},
        },
        Parcel(1, Service.ANDROID, Kind.NOTIFICATION, NOW + FCM_LIFE_S, tag="t", word="mary"),
    ),
    "now or never": (
        {"notification": NOTE, "android": {"ttl": "0s"}},
        Parcel(1, Service.ANDROID, Kind.NOTIFICATION, NOW, is_kept=False),
    ),
    "an iPhone whose app looks first": (
        {
            "notification": NOTE,
            "apns": {
                "headers": {"apns-collapse-id": "c", "APNS-Expiration": str(int(NOW) + 60)},
                "payload": {"aps": {"mutable-content": 1}},
            },
        },
        Parcel(1, Service.APNS, Kind.MUTABLE, NOW + 60, tag="c"),
    ),
    "data alone for an iPhone": (
        {"data": {"title": "Hi"}, "apns": {"payload": {"aps": {"content-available": 1}}}},
        Parcel(1, Service.APNS, Kind.BACKGROUND, NOW + APNS_LIFE_S),
    ),
    "a browser": (
        {
            "data": {"for": "mary"},
            "webpush": {"headers": {"TTL": "60", "topic": "t"}, "notification": NOTE},
        },
        Parcel(
            1,
            Service.WEB,
            Kind.NOTIFICATION,
            NOW + 60,
            collapse_key="t",
            word="mary",
        ),
    ),
    "parts of other forms than they should have": (
        {"notification": NOTE, "android": {"ttl": 5, "notification": [1]}, "data": None},
        Parcel(1, Service.ANDROID, Kind.NOTIFICATION, NOW + FCM_LIFE_S),
    ),
}


@pytest.mark.parametrize("name", FCM)
def test_a_message_for_fcm(name: str) -> None:
    message, expected = FCM[name]
    assert fcm_parcel(1, message, NOW) == expected


def test_the_phone_decides_which_block_counts() -> None:
    message = {
        "notification": NOTE,
        "android": {"ttl": "1s"},
        "apns": {"headers": {"apns-expiration": "0"}},
        "webpush": {"headers": {"ttl": "2"}},
    }
    lives = {
        service: (parcel.is_kept, parcel.until - NOW)
        for service in Service
        for parcel in [fcm_parcel(1, message, NOW, service)]
    }
    assert lives == {
        Service.ANDROID: (True, 1.0),
        Service.APNS: (False, APNS_LIFE_S),
        Service.WEB: (True, 2.0),
    }
    assert fcm_parcel(1, message, NOW).service is Service.ANDROID


APNS: dict[str, tuple[dict[str, str], dict[str, Any], dict[str, Any]]] = {
    "no expiration": ({}, {"alert": "Hi"}, {"until": NOW + APNS_LIFE_S}),
    "expiration 0": (
        {"expiration": "0"},
        {"alert": "Hi"},
        {"is_kept": False, "until": NOW + APNS_LIFE_S},
    ),
    "later than APNs keeps anything": (
        {"expiration": "4102444800"},
        {"alert": "Hi"},
        {"until": NOW + APNS_LIFE_S},
    ),
    "past": ({"expiration": "1"}, {"alert": "Hi"}, {"until": 1.0}),
    "another kind of push to the same app": (
        {"topic": "com.acme.agent.voip"},
        {"alert": "Hi"},
        {"app": "com.acme.agent", "until": NOW + APNS_LIFE_S},
    ),
    "the app may look first": (
        {},
        {"alert": "Hi", "mutable-content": 1},
        {"kind": Kind.MUTABLE, "until": NOW + APNS_LIFE_S},
    ),
    "nothing to show": (
        {},
        {"content-available": 1},
        {"kind": Kind.BACKGROUND, "until": NOW + APNS_LIFE_S},
    ),
    "a background push": (
        {"push_type": "background"},
        {"alert": "Hi"},
        {"kind": Kind.BACKGROUND, "until": NOW + APNS_LIFE_S},
    ),
}


@pytest.mark.parametrize("name", APNS)
def test_a_push_for_apns(name: str) -> None:
    headers, aps, expected = APNS[name]
    plain = Parcel(1, Service.APNS, Kind.NOTIFICATION, 0.0)
    assert apns_parcel(1, headers, {"aps": aps}, {}, NOW) == replace(plain, **expected)
