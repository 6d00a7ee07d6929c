"""What an app may say of its device."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.app.vendors import VENDORS
from gateway.core.model import Profile, Registration, UserRef
from gateway.devices.schema import read_registration
from gateway.problems import Problem
from providers.contract import AddressKind, Environment, Platform
from tests.kit.json_values import json_values

BOTH = frozenset(VENDORS)
ONE_APP = {"agent": BOTH}
FCM_TOKEN = "cX1:APA91b-_token"
APNS_TOKEN = "AB" * 32
FCM = {"user_id": "u1", "platform": "android", "provider": "fcm", "address": FCM_TOKEN}
APNS = {"user_id": "u1", "platform": "ios", "provider": "apns", "address": APNS_TOKEN}


def read(
    document: dict[str, Any],
    *,
    installation_id: str = "phone-1",
    apps: dict[str, frozenset[str]] = ONE_APP,
    proven: UserRef | None = None,
) -> Registration:
    return read_registration(installation_id, document, vendors=VENDORS, apps=apps, proven=proven)


def fields_of(problem: Problem) -> list[str]:
    assert problem.code == "invalid"
    assert problem.errors is not None
    return [error["field"] for error in problem.errors]


def wrong_fields(document: dict[str, Any], **given: Any) -> list[str]:
    with pytest.raises(Problem) as caught:
        read(document, **given)
    return fields_of(caught.value)


def test_the_smallest_registration() -> None:
    assert read(FCM) == Registration(
        "phone-1", "agent", Platform.ANDROID, "fcm", FCM_TOKEN, user_id="u1"
    )


def test_the_largest_registration() -> None:
    asked = APNS | {
        "custom_id": "mary",
        "app": "agent",
        "address_kind": "token",
        "environment": "sandbox",
        "old_address": "CD" * 32,
        "locale": "sw_KE",
        "timezone": "Africa/Nairobi",
        "app_version": "1.2.3",
        "os_version": "18.1",
        "device_model": "iPhone 15 Pro",
        "notifications": "granted",
        "measure": "denied",
        "can": ["received", "opened"],
    }
    assert read(asked) == Registration(
        installation_id="phone-1",
        app="agent",
        platform=Platform.IOS,
        provider="apns",
        address="ab" * 32,
        user_id="u1",
        custom_id="mary",
        address_kind=AddressKind.TOKEN,
        environment=Environment.SANDBOX,
        old_address="cd" * 32,
        profile=Profile(
            "sw-KE",
            "Africa/Nairobi",
            "1.2.3",
            "18.1",
            "iPhone 15 Pro",
            "granted",
            "denied",
            "received opened",
        ),
    )


def test_fields_of_later_app_versions_are_ignored() -> None:
    assert read(FCM | {"battery": 7, "nested": {"deep": []}}) == read(FCM)


def test_null_and_empty_mean_absent() -> None:
    optional = [
        "custom_id",
        "app",
        "address_kind",
        "environment",
        "old_address",
        "locale",
        "timezone",
        "app_version",
        "os_version",
        "device_model",
    ]
    for nothing in (None, ""):
        assert read(FCM | dict.fromkeys(optional, nothing)) == read(FCM)


def test_everything_wrong_is_named_at_once() -> None:
    bad = {"platform": "symbian", "provider": 7, "address": "short", "user_id": 5}
    assert set(wrong_fields(bad, installation_id="a b")) == {"installation_id", *bad}
    assert wrong_fields({}) == ["platform", "provider", "address"]


@pytest.mark.parametrize("value", ["a", "A1._:-z", "0" * 128])
def test_installation_ids_that_fit(value: str) -> None:
    assert read(FCM, installation_id=value).installation_id == value


@pytest.mark.parametrize("value", ["", "0" * 129, "a/b", "a b", "ä", "a\n", ".", ".."])
def test_installation_ids_that_do_not_fit(value: str) -> None:
    assert wrong_fields(FCM, installation_id=value) == ["installation_id"]


@pytest.mark.parametrize("value", ["u", "Üser / 1 {x} %", "u" * 256])
@pytest.mark.parametrize("name", ["user_id", "custom_id"])
def test_user_ids_that_fit(name: str, value: str) -> None:
    assert getattr(read(FCM | {name: value}), name) == value


@pytest.mark.parametrize("value", ["u" * 257, "a\x00b", "a\nb", "\ud800", 1, True, ["u"]])
@pytest.mark.parametrize("name", ["user_id", "custom_id"])
def test_user_ids_that_do_not_fit(name: str, value: Any) -> None:
    assert wrong_fields(FCM | {name: value}) == [name]


@pytest.mark.parametrize("value", ["x" * 8, "x" * 2048, "fid-_22charsabcdefghij", "!#$%&~/:"])
def test_fcm_addresses_are_opaque(value: str) -> None:
    assert read(FCM | {"address": value, "old_address": value}).address == value


@pytest.mark.parametrize(
    "value",
    [
        "x" * 7,
        "x" * 4097,
        "with \x00",
        "ümlautadr",
        12345678,
    ],
)
@pytest.mark.parametrize("name", ["address", "old_address"])
def test_addresses_that_do_not_fit(name: str, value: Any) -> None:
    assert wrong_fields(FCM | {name: value}) == [name]


@pytest.mark.parametrize("value", ["ab" * 16, "0f" * 100, "A1" * 32])
def test_apns_tokens_of_any_sensible_length_in_one_spelling(value: str) -> None:
    assert read(APNS | {"address": value}).address == value.lower()


@pytest.mark.parametrize("value", ["ab" * 15, "ab" * 101, "a" * 65, "xy" * 32, "../" * 12])
def test_apns_tokens_that_do_not_fit(value: str) -> None:
    assert wrong_fields(APNS | {"address": value}) == ["address"]


def test_an_app_that_moves_from_fcm_to_apns_may_name_its_fcm_token() -> None:
    assert read(APNS | {"old_address": FCM_TOKEN}).old_address == FCM_TOKEN


@pytest.mark.parametrize(
    ("document", "field"),
    [
        (APNS | {"platform": "android"}, "platform"),
        (APNS | {"platform": "web"}, "platform"),
        (APNS | {"address_kind": "fid"}, "address_kind"),
        (FCM | {"environment": "sandbox"}, "environment"),
        (APNS | {"environment": "development"}, "environment"),
        (FCM | {"address_kind": "uuid"}, "address_kind"),
        (FCM | {"platform": 1}, "platform"),
        (FCM | {"provider": None}, "provider"),
    ],
)
def test_combinations_that_cannot_work(document: dict[str, Any], field: str) -> None:
    assert wrong_fields(document) == [field]


@pytest.mark.parametrize("platform", ["android", "ios", "web"])
@pytest.mark.parametrize("kind", ["token", "fid"])
def test_fcm_reaches_every_platform_by_token_and_fid(platform: str, kind: str) -> None:
    asked = read(FCM | {"platform": platform, "address_kind": kind})
    assert (asked.platform, asked.address_kind) == (Platform(platform), AddressKind(kind))


def test_the_app_may_be_left_out_only_where_there_is_one() -> None:
    two = {"agent": BOTH, "field": frozenset({"fcm"})}
    assert wrong_fields(FCM, apps=two) == ["app"]
    assert wrong_fields(FCM, apps={}) == ["app"]
    assert wrong_fields(FCM | {"app": "other"}, apps=two) == ["app"]
    assert wrong_fields(FCM | {"app": "other"}) == ["app"]
    assert read(FCM | {"app": "field"}, apps=two).app == "field"
    assert wrong_fields(APNS | {"app": "field"}, apps=two) == ["provider"]


def test_words_of_closed_sets_are_read_in_any_case() -> None:
    asked = {"platform": "iOS", "provider": "APNs ", "environment": "Sandbox"}
    assert read(APNS | asked) == read(APNS | {"environment": "sandbox"})
    assert read(FCM | {"platform": "Android", "address_kind": "FID"}).address_kind == "fid"


def test_what_describes_a_phone_never_refuses_it() -> None:
    told = {"locale": "!", "os_version": 34, "can": ["opened", "flown"], "measure": {}}
    asked = read(FCM | told)
    assert asked.profile == Profile(os_version="34", can="opened")
    assert asked.ignored == ("locale", "measure", "can")


def test_fields_that_are_not_known_are_named() -> None:
    asked = read(FCM | {"enviroment": "sandbox", "x" * 200: 1, "locale": "sw"})
    assert asked.ignored == ("enviroment", "x" * 96)
    assert len(read(FCM | {f"f{number}": 1 for number in range(500)}).ignored) == 100


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"platform": "symbian"}, "must be android, ios or web"),
        ({"environment": "dev"}, "must be production or sandbox"),
        ({"provider": 7}, "must be a string"),
        ({"address": None}, "must be a string, and no word for no token"),
    ],
)
def test_what_is_wrong_is_said_in_one_voice(change: dict[str, Any], message: str) -> None:
    with pytest.raises(Problem) as caught:
        read(FCM | change)
    assert caught.value.errors == [{"field": next(iter(change)), "message": message}]
    with pytest.raises(Problem) as caught:
        read({})
    assert {error["message"] for error in caught.value.errors or []} == {"is missing"}


def test_a_backend_must_name_a_user() -> None:
    assert wrong_fields(FCM | {"user_id": None}) == ["user_id"]
    assert read(FCM | {"user_id": None, "custom_id": "mary"}).custom_id == "mary"


def test_a_token_fills_in_what_it_proves() -> None:
    nobody = FCM | {"user_id": None}
    asked = read(nobody, proven=UserRef("u1", "mary"))
    assert (asked.user_id, asked.custom_id) == ("u1", "mary")
    asked = read(nobody, proven=UserRef(custom_id="mary"))
    assert (asked.user_id, asked.custom_id) == (None, "mary")


@pytest.mark.parametrize(
    "named",
    [
        {"custom_id": "john"},
        {"user_id": "u1"},
        {"user_id": "mary"},  # the right word in the column that is not proven
        {"user_id": "u2", "custom_id": "mary"},
    ],
)
def test_an_id_that_the_token_does_not_prove_is_refused(named: dict[str, str]) -> None:
    with pytest.raises(Problem) as caught:
        read(FCM | {"user_id": None} | named, proven=UserRef(custom_id="mary"))
    assert caught.value.code == "id_not_proven"


def test_errors_quote_nothing_of_what_was_sent() -> None:
    secret = "S3CR3T VALUE\0"
    for name in (*FCM, "custom_id", "app", "old_address", "environment"):
        with pytest.raises(Problem) as caught:
            read(FCM | {name: secret})
        assert "S3CR3T" not in f"{caught.value}{caught.value.errors}{caught.value.__cause__}"
    assert FCM_TOKEN not in repr(read(FCM | {"old_address": FCM_TOKEN}))


@given(st.dictionaries(st.sampled_from([*FCM, "app", "old_address", "timezone", "x"]), json_values))
def test_any_body_is_a_registration_or_a_problem(document: dict[str, Any]) -> None:
    answer: Registration | Problem
    try:
        answer = read(FCM | document)
    except Problem as problem:
        answer = problem
    match answer:
        case Problem():
            assert fields_of(answer)
        case Registration():
            assert answer.user_id or answer.custom_id
