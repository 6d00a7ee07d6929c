"""A token in any wrapping that apps are known to send: one address, or a word on what was found."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.app.vendors import VENDORS
from gateway.core.model import Registration
from gateway.devices.records import BadRecord, registration_of
from gateway.devices.schema import read_registration
from gateway.problems import Problem
from tests.kit.json_values import json_values

APPS = {"agent": frozenset(VENDORS)}
RAW = bytes(range(0xE0, 0x100))
HEX = RAW.hex()
WORDS = " ".join(HEX[start : start + 8] for start in range(0, 64, 8))
FCM_TOKEN = "cY3mVq2kR1a:APA91bHun4MxP5egoKMwt2KZFBaFUH-1RYqx"

APNS_WRAPPINGS: list[Any] = [
    HEX,
    HEX.upper(),
    f"<{WORDS}>",
    f"<{WORDS.upper()}>",
    WORDS,
    f"0x{HEX}",
    ":".join(HEX[start : start + 2] for start in range(0, 64, 2)),
    "-".join(HEX[start : start + 2] for start in range(0, 64, 2)),
    f"{{length = 32, bytes = 0x{WORDS}}}",
    base64.b64encode(RAW).decode(),
    base64.b64encode(RAW).decode().rstrip("="),
    base64.urlsafe_b64encode(RAW).decode(),
    list(RAW),
    json.dumps(list(RAW)),
    {"type": "Buffer", "data": list(RAW)},
    {"type": "ios", "data": HEX},
    f'Optional("{HEX}")',
    f"Optional(<{WORDS}>)",
    f"\n{HEX[:32]}\r\n{HEX[32:]} ",
    f"\ufeff{HEX}\u200b",
    f"\u00a0{HEX}",
]
ANY_WRAPPINGS: list[Any] = [
    lambda token: f" {token}\n",
    lambda token: f"{token[:20]} \n{token[20:]}",
    json.dumps,
    lambda token: f"'{token}'",
    lambda token: f'Optional("{token}")',
    lambda token: {"token": token},
    lambda token: json.dumps({"token": token}),
    lambda token: json.dumps(json.dumps({"token": token})),
    lambda token: {"value": token},
    lambda token: {"registrationId": token, "registrationType": "FCM"},
    lambda token: {"type": "android", "data": token},
    lambda token: {"fcm_token": token, "token": token, "other": 7},
    lambda token: {"deviceToken": {"value": token}},
]
NOTHING = ["", " ", "null", "(null)", "undefined", "nil", "NaN", "None", "BLACKLISTED", "'null'"]


def read(provider: str, address: Any, **more: Any) -> Registration:
    platform = {"apns": "ios", "fcm": "android"}[provider]
    document = {"user_id": "u", "platform": platform, "provider": provider, "address": address}
    return read_registration("p", document | more, vendors=VENDORS, apps=APPS, proven=None)


def refused(provider: str, address: Any, field: str = "address", **more: Any) -> str:
    with pytest.raises(Problem) as caught:
        read(provider, address, **more)
    (error,) = caught.value.errors or []
    assert error["field"] == field
    return error["message"]


@pytest.mark.parametrize("wrapped", APNS_WRAPPINGS, ids=repr)
def test_an_apns_token_is_one_address_however_it_is_written(wrapped: Any) -> None:
    assert read("apns", wrapped).address == HEX
    assert read("apns", "ab" * 32, old_address=wrapped).old_address == HEX
    if isinstance(wrapped, str):
        record = {"installation_id": "p", "user_id": "u", "platform": "ios", "provider": "apns"}
        found = registration_of(record | {"address": wrapped}, vendors=VENDORS, apps=APPS)
        assert found.address == HEX


@pytest.mark.parametrize("number", range(len(ANY_WRAPPINGS)))
@pytest.mark.parametrize(("provider", "token"), [("fcm", FCM_TOKEN), ("apns", HEX)])
def test_any_token_comes_out_of_what_libraries_and_languages_put_it_in(
    number: int, provider: str, token: str
) -> None:
    wrapped = ANY_WRAPPINGS[number](token)
    assert read(provider, wrapped).address == token
    assert read(provider, token, old_address=wrapped).old_address == token


def test_the_colon_of_a_link_is_a_colon() -> None:
    assert read("fcm", FCM_TOKEN.replace(":", "%3A")).address == FCM_TOKEN
    assert read("fcm", "!#$%3A%&~/:").address == "!#$%3A%&~/:"


@pytest.mark.parametrize("provider", ["fcm", "apns"])
@pytest.mark.parametrize("word", NOTHING)
def test_a_word_for_no_token_is_none(provider: str, word: str) -> None:
    token = {"fcm": FCM_TOKEN, "apns": HEX}[provider]
    assert "no token" in refused(provider, word)
    assert read(provider, token, old_address=word).old_address is None
    assert read(provider, token, old_address=None).old_address is None


PRINTED = "{length = 32, bytes = 0xe0e1e2e3 e4e5e6e7 e8e9eaeb ... fcfdfeff }"


@pytest.mark.parametrize(
    ("provider", "sent", "said"),
    [
        ("apns", PRINTED, "leaves out its middle"),
        ("apns", FCM_TOKEN, "provider fcm"),
        ("apns", HEX[:-1], "63 of them"),
        ("apns", HEX[:20], "20 of them"),
        ("apns", base64.b64encode(RAW[:20]).decode(), "28 characters, not all of them hex"),
        ("apns", {"endpoint": "https://push.example/x", "keys": {}}, "Web Push subscription"),
        ("fcm", {"endpoint": "https://push.example/x", "keys": {}}, "Web Push subscription"),
        ("fcm", json.dumps({"endpoint": "https://p.example/", "keys": {}}), "Web Push"),
        ("fcm", "ExponentPushToken[xxxxxxxxxxxxxxxxxxxxxx]", "Expo's own token"),
        ("apns", "ExpoPushToken[xxxxxxxxxxxxxxxxxxxxxx]", "Expo's own token"),
        ("fcm", "[object Object]", "JavaScript"),
        ("fcm", f"<{WORDS}>", "APNs token"),
        ("fcm", list(RAW), "APNs token"),
        ("fcm", {"tokens": 1}, "no token in it"),
        ("fcm", {"token": "a" * 20, "fcmToken": "b" * 20}, "several tokens"),
        ("fcm", ["x", "y"], "is a list"),
        ("fcm", [1, 2, 3], "3 bytes"),
        ("fcm", 12345678, "must be a string"),
        ("fcm", True, "must be a string"),
        ("fcm", None, "must be a string"),
        ("fcm", "short", "8 to 2048"),
        ("fcm", "x" * 2049, "8 to 2048"),
        ("fcm", "x" * 9_000, "over 8192"),
        ("fcm", "ümlautadr", "8 to 2048"),
        ("fcm", "token\x00of mary", "8 to 2048"),
        ("fcm", [[[[[[["x" * 9]]]]]]], "is a list"),
    ],
)
def test_what_is_no_address_is_refused_with_what_was_found(
    provider: str, sent: Any, said: str
) -> None:
    message = refused(provider, sent)
    assert said in message
    assert "e0e1" not in message


@given(json_values | st.text(max_size=80), st.sampled_from(["fcm", "apns"]))
def test_anything_is_an_address_in_one_form_or_a_problem(sent: Any, provider: str) -> None:
    try:
        address = read(provider, sent).address
    except Problem:
        return
    assert address.isascii()
    assert 8 <= len(address) <= 2048
    assert not any(character.isspace() for character in address)
    assert read(provider, address).address == address


def test_an_import_says_what_was_found_too() -> None:
    record = {"installation_id": "p", "user_id": "u", "platform": "ios", "provider": "apns"}
    with pytest.raises(BadRecord, match="leaves out its middle") as caught:
        registration_of(record | {"address": PRINTED}, vendors=VENDORS, apps=APPS)
    assert "e0e1" not in str(caught.value)
