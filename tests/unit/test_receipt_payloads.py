"""The word of a receipt in what goes to the vendors: where it is, and that all still fits."""

from __future__ import annotations

import json
from typing import Any

import pytest
from firebase_admin import messaging
from hypothesis import given
from hypothesis import strategies as st

from providers.apns import payload as apns
from providers.contract import LONGEST_RECEIPT, Address, AddressKind, Message, Platform, Push
from providers.fcm import payload as fcm
from providers.fcm.sdk import _sdk_message
from providers.wording.fitting import PAYLOAD_LIMIT, fit_message
from providers.wording.text import encode

ID = "3c2143e4-3e8e-478a-bf0b-9dc6e284fa33"
NOW = 1_762_423_138.5
MESSAGE = Message("msg_1", "Hi Mary!", "Don't forget your training", "/learning")
texts = st.text(st.characters(codec="utf-8"), max_size=2_000)
messages = st.builds(
    Message, event_id=st.just("msg_1"), title=texts, body=texts, path=st.none() | st.just("/a")
)


def push(
    platform: Platform, *, receipt: str, mutable: bool = False, message: Message = MESSAGE
) -> Push:
    address = Address("address", AddressKind.TOKEN, platform)
    return Push(ID, address, message, NOW + 600, word="w" * 16, receipt=receipt, mutable=mutable)


def apns_body(one: Push) -> Any:
    return json.loads(
        apns.render_body(
            one.message,
            one.delivery_id,
            one.word,
            apns.ApnsStyle(),
            receipt=one.receipt,
            mutable=one.mutable,
        )
    )


def fcm_message(one: Push) -> dict[str, Any]:
    return fcm.render(one.message, one, fcm.FcmStyle(), NOW)


@pytest.mark.parametrize("platform", Platform)
def test_it_stands_in_the_data_and_nowhere_where_nobody_asks(platform: Platform) -> None:
    asked, silent = push(platform, receipt="a-word"), push(platform, receipt="")
    assert fcm_message(asked)["data"]["receipt"] == "a-word"
    assert "receipt" not in fcm_message(silent)["data"]
    assert apns_body(asked)["data"]["receipt"] == "a-word"
    assert "receipt" not in apns_body(silent)["data"]


def test_only_where_the_extension_is_wanted_an_iphone_asks_it() -> None:
    for mutable in (True, False):
        one = push(Platform.IOS, receipt="a-word", mutable=mutable)
        expected = 1 if mutable else None
        assert apns_body(one)["aps"].get("mutable-content") == expected
        aps = fcm_message(one)["apns"]["payload"]["aps"]
        assert aps.get("mutable-content") == expected


@pytest.mark.parametrize("mutable", [True, False])
@pytest.mark.parametrize("receipt", ["", "a-word"])
@pytest.mark.parametrize("platform", Platform)
def test_the_sdk_encodes_what_was_rendered(
    platform: Platform,
    receipt: str,
    mutable: bool,  # of a table
) -> None:
    rendered = fcm_message(push(platform, receipt=receipt, mutable=mutable))
    encoded = messaging._MessagingService.encode_message(_sdk_message(rendered))
    assert encoded == rendered


@given(messages, st.booleans(), st.sampled_from(["", LONGEST_RECEIPT]))
def test_whatever_fits_is_within_the_limit_with_the_word(
    message: Message,
    mutable: bool,  # of hypothesis
    receipt: str,
) -> None:
    with_receipt = receipt != ""
    fitted = fit_message(message, apns.frame_size(apns.ApnsStyle(), with_receipt=with_receipt))
    assert isinstance(fitted, Message)
    one = push(Platform.IOS, receipt=receipt, mutable=mutable and with_receipt, message=fitted)
    assert len(encode(apns_body(one))) <= PAYLOAD_LIMIT
    fitted = fit_message(message, fcm.frame_size(fcm.FcmStyle(), with_receipt=with_receipt))
    assert isinstance(fitted, Message)
    for platform in Platform:
        one = push(platform, receipt=receipt, mutable=mutable and with_receipt, message=fitted)
        rendered = fcm_message(one)
        del rendered["token"]
        assert len(encode(rendered)) <= PAYLOAD_LIMIT


@given(
    st.lists(
        st.tuples(messages, st.sampled_from(["", "a-word", "b-word"]), st.booleans()), max_size=5
    ),
    st.sampled_from(Platform),
)
def test_a_filled_template_is_what_is_rendered(
    sent: list[tuple[Message, str, bool]], platform: Platform
) -> None:
    of_apns, of_fcm = apns.BodyTemplates(apns.ApnsStyle()), fcm.BodyTemplates(fcm.FcmStyle())
    for message, receipt, mutable in sent:
        one = push(platform, receipt=receipt, mutable=mutable, message=message)
        body = of_apns.fill(message, ID, one.word, receipt, mutable)
        assert json.loads(body) == apns_body(one)
        assert of_fcm.fill(message, one, NOW) == fcm.send_request(fcm_message(one))
