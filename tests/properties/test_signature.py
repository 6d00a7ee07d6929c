"""Signatures under arbitrary input, and side by side with Svix's own verifier."""

from __future__ import annotations

import time
from base64 import b64encode

import svix.webhooks
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from gateway.ingest.signature import BadSignature, sign, verify
from tests.kit.signers import FAMILIES, headers_of, secret_of

KEY = b"a signing key of 24 byte"
OTHER_KEY = b"somebody else's key ....."
AT = 1_800_000_000

# Any text, lone surrogates included: that is how aiohttp hands on bytes that are no UTF-8.
anything = st.text(alphabet=st.characters(exclude_categories=()))
almost = st.sampled_from(
    ["", ",", "v1", "v1,", "v1,=", "v1,AA==", "v1a,AA==", "v1,\u00e9", f"{AT}", f"{AT}.5", "nan"]
)
header_texts = anything | almost | st.lists(almost).map(" ".join)
names = st.sampled_from(
    [f"{family}-{part}" for family in FAMILIES for part in ("id", "timestamp", "signature")]
)


@given(st.dictionaries(names, header_texts), st.binary(), st.lists(st.binary(min_size=1)))
def test_whatever_the_headers_hold_it_is_a_bad_signature_and_no_other_error(
    headers: dict[str, str], body: bytes, keys: list[bytes]
) -> None:
    try:
        verify(CIMultiDict(headers), body, keys, now=AT, tolerance_s=300.0)
    except BadSignature:
        return
    raise AssertionError("nobody signed this")


@given(
    body=st.binary(),
    message_id=st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1),
    off=st.integers(-300, 300),
    family=st.sampled_from(FAMILIES),
)
def test_whatever_bytes_were_signed_are_accepted(
    body: bytes, message_id: str, off: int, family: str
) -> None:
    headers = headers_of(family, message_id, AT, sign(KEY, message_id, AT, body))
    good = verify(CIMultiDict(headers), body, [OTHER_KEY, KEY], now=AT + off, tolerance_s=300.0)
    assert good.message_id == message_id


@given(body=st.binary(), at=st.integers(0), bit=st.integers(0, 7))
def test_one_flipped_bit_of_the_body_is_noticed(body: bytes, at: int, bit: int) -> None:
    signed = b"{" + body
    headers = CIMultiDict(headers_of("svix", "msg_1", AT, sign(KEY, "msg_1", AT, signed)))
    changed = bytearray(signed)
    changed[at % len(signed)] ^= 1 << bit
    try:
        verify(headers, bytes(changed), [KEY], now=AT, tolerance_s=300.0)
    except BadSignature:
        return
    raise AssertionError("a changed body was accepted")


# What a header of a real sender may hold, in any order and number.
kinds = st.lists(
    st.sampled_from(["good", "other key", "v1a", "v2", "other body"]), min_size=1, max_size=16
)


def entry(kind: str, message_id: str, timestamp: int, body: bytes) -> str:
    good = sign(KEY, message_id, timestamp, body)
    match kind:
        case "good":
            return good
        case "other key":
            return sign(OTHER_KEY, message_id, timestamp, body)
        case "other body":
            return sign(KEY, message_id, timestamp, body + b" ")
        case version:
            return f"{version},{b64encode(b'a signature of another kind').decode()}"


@given(
    kinds=kinds,
    body=st.text(),
    message_id=st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1),
    off=st.integers(-1000, -310) | st.integers(-290, 290) | st.integers(310, 1000),
    family=st.sampled_from(FAMILIES),
)
def test_we_accept_what_svix_accepts_and_nothing_else(
    kinds: list[str], body: str, message_id: str, off: int, family: str
) -> None:
    now = time.time()
    timestamp = int(now) + off
    data = body.encode()
    signature = " ".join(entry(kind, message_id, timestamp, data) for kind in kinds)
    headers = headers_of(family, message_id, timestamp, signature)
    assert accepted_by_us(headers, data, now) is accepted_by_svix(headers, data)


def accepted_by_us(headers: dict[str, str], body: bytes, now: float) -> bool:
    try:
        verify(CIMultiDict(headers), body, [KEY], now=now, tolerance_s=300.0)
    except BadSignature:
        return False
    return True


def accepted_by_svix(headers: dict[str, str], body: bytes) -> bool:
    try:
        svix.webhooks.Webhook(secret_of(KEY)).verify(body, headers)
    except svix.webhooks.WebhookVerificationError:
        return False
    return True
