"""Whether a request really comes from the sender; the signers are packages that are not ours."""

from __future__ import annotations

from base64 import b64encode

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from multidict import CIMultiDict

from gateway.ingest.signature import (
    BadSignature,
    Key,
    Verified,
    decode_key,
    decode_secret,
    sign,
    verify,
)
from tests.kit.signers import FAMILIES, SIGNERS, Signer, headers_of, secret_of, sign_as_svix

KEY = b"a signing key of 24 byte"
OLD_KEY = b"the key before this one!"
SECRET, OLD_SECRET = secret_of(KEY), secret_of(OLD_KEY)
MESSAGE_ID = "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W"
AT = 1_800_000_000
BODY = '{"type":"notifications.sent","data":{"title":"Habari \u2014 \u0921\u091f\u0947"}}'.encode()
SIGNATURE = sign_as_svix(SECRET, MESSAGE_ID, AT, BODY)


def verified(
    headers: dict[str, str],
    body: bytes = BODY,
    *,
    keys: tuple[Key, ...] = (KEY,),
    now: float = AT,
) -> Verified:
    return verify(CIMultiDict(headers), body, keys, now=now, tolerance_s=300.0)


def good(
    headers: dict[str, str],
    body: bytes = BODY,
    *,
    keys: tuple[Key, ...] = (KEY,),
    now: float = AT,
) -> bool:
    return verified(headers, body, keys=keys, now=now).message_id == headers["svix-id"]


def headers(
    signature: str = SIGNATURE, *, message_id: str = MESSAGE_ID, timestamp: int | str = AT
) -> dict[str, str]:
    return headers_of("svix", message_id, timestamp, signature)


# --- what is good ------------------------------------------------------------------------------


@pytest.mark.parametrize("signer", SIGNERS.values(), ids=SIGNERS)
@pytest.mark.parametrize("family", FAMILIES)
def test_what_an_independent_signer_signed_is_good_in_both_header_families(
    signer: Signer, family: str
) -> None:
    signature = signer(SECRET, MESSAGE_ID, AT, BODY)
    assert verified(headers_of(family, MESSAGE_ID, AT, signature)) == Verified(MESSAGE_ID, AT)


def test_header_names_are_case_insensitive() -> None:
    shouted = {name.upper(): value for name, value in headers().items()}
    assert verified(shouted) == Verified(MESSAGE_ID, AT)


def test_the_published_example_of_the_scheme_is_good() -> None:
    # docs.svix.com, "verifying payloads manually"
    key = decode_secret("whsec_plJ3nmyCDGBKInavdOK15jsl")
    example = headers_of(
        "svix",
        "msg_loFOjxBNrRLzqYUf",
        1731705121,
        "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0=",
    )
    body = b'{"event_type":"ping","data":{"success":true}}'
    assert good(example, body, keys=(key,), now=1731705121.0)


def test_our_own_signature_is_the_one_that_the_sender_would_make() -> None:
    assert sign(KEY, MESSAGE_ID, AT, BODY) == SIGNATURE


def test_any_of_several_secrets_may_have_signed() -> None:
    old = sign_as_svix(OLD_SECRET, MESSAGE_ID, AT, BODY)
    for keys in ((KEY, OLD_KEY), (OLD_KEY, KEY)):
        assert good(headers(SIGNATURE), keys=keys)
        assert good(headers(old), keys=keys)
    with pytest.raises(BadSignature):
        verified(headers(old), keys=(KEY,))


@pytest.mark.parametrize(
    "others",
    [
        "v1," + "A" * 43 + "=",  # another secret's
        "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==",
        "v2,c29tZXRoaW5nIG5ldw==",
        "v1a,no,base64,at,all",
        "v1",
        ",",
        "v1,not base64",
        "\u00e9",
        "",
    ],
)
def test_signatures_of_other_secrets_and_versions_beside_a_good_one_do_no_harm(
    others: str,
) -> None:
    assert good(headers(f"{others} {SIGNATURE}"))
    assert good(headers(f"{SIGNATURE} {others}"))


def test_a_body_need_not_be_text() -> None:
    body = b"\xff\xfe\x00 no text \x80"
    assert good(headers(sign(KEY, MESSAGE_ID, AT, body)), body)


def test_each_attempt_has_a_timestamp_of_its_own_and_the_same_id() -> None:
    later = sign_as_svix(SECRET, MESSAGE_ID, AT + 3600, BODY)
    again = verified(headers(later, timestamp=AT + 3600), now=AT + 3600)
    assert again.message_id == MESSAGE_ID


@pytest.mark.parametrize("off", [-299.0, -1.0, 0.0, 1.0, 299.0])
def test_a_timestamp_299_seconds_off_either_way_is_good(off: float) -> None:
    assert good(headers(), now=AT + off)


# --- what is not -------------------------------------------------------------------------------


@pytest.mark.parametrize("off", [-301.0, 301.0, 1e6, -1e6])
def test_a_timestamp_301_seconds_off_either_way_is_stale(off: float) -> None:
    with pytest.raises(BadSignature, match="too far from now"):
        verified(headers(), now=AT + off)


def test_a_changed_body_id_or_timestamp_is_not_what_was_signed() -> None:
    for changed, body in (
        (headers(), BODY + b" "),
        (headers(message_id=MESSAGE_ID + "x"), BODY),
        (headers(timestamp=AT + 1), BODY),
        (headers(timestamp=f"0{AT}"), BODY),
    ):
        with pytest.raises(BadSignature, match="no signature matches"):
            verified(changed, body)


def test_the_parts_cannot_be_shifted_into_each_other() -> None:
    signed = sign(KEY, "msg_1", AT, b"2.body")
    with pytest.raises(BadSignature):
        verified(headers(signed, message_id=f"msg_1.{AT}"), b"body")


def test_a_signature_of_no_secret_is_worth_nothing() -> None:
    with pytest.raises(BadSignature):
        verified(headers(), keys=())


@pytest.mark.parametrize("missing", ["svix-id", "svix-timestamp", "svix-signature"])
@pytest.mark.parametrize("how", ["absent", "empty"])
def test_all_three_headers_are_needed(missing: str, how: str) -> None:
    partial = headers()
    if how == "absent":
        del partial[missing]
    else:
        partial[missing] = ""
    with pytest.raises(BadSignature, match="missing"):
        verified(partial)


def test_half_of_each_family_is_no_signature() -> None:
    mixed = headers() | headers_of("webhook", MESSAGE_ID, AT, SIGNATURE)
    for name in ("svix-signature", "webhook-id"):
        del mixed[name]
    with pytest.raises(BadSignature, match="missing"):
        verified(mixed)


@pytest.mark.parametrize(
    "signature",
    [
        "v1",
        "v1,",
        ",",
        " ",
        "v1 " + SIGNATURE.removeprefix("v1,"),  # no comma
        SIGNATURE.removeprefix("v1,"),  # no version
        SIGNATURE + ",",  # one comma too many
        "v1," + SIGNATURE,
        SIGNATURE.rstrip("="),  # padding lost
        SIGNATURE[:-5],
        SIGNATURE.replace("v1,", "V1,"),
        SIGNATURE.replace("v1,", "v1a,"),
        SIGNATURE.replace("v1,", "v2,"),
        "v1,!!!not base64!!!",
        "v1,\u00e9\u00e8",
        "v1,\udce9",  # what aiohttp makes of a byte that is no UTF-8
        "\x00",
        "v1,AAAA " * 16 + SIGNATURE,  # more than any sender has
        "A" * 10_240,
        "v1," + "A" * 10_240,
        " ".join(["v1,AA=="] * 1024),
        "," * 10_240,
    ],
)
def test_a_malformed_signature_is_a_bad_one(signature: str) -> None:
    with pytest.raises(BadSignature):
        verified(headers(signature))


@pytest.mark.parametrize(
    "timestamp",
    [
        "now",
        "nan",
        "inf",
        "-inf",
        f"{AT}.0",
        f"{AT}.9",
        f"+{AT}",
        f"-{AT}",
        "-1",
        "1.8e9",
        "1_800_000_000",
        f"0x{AT:x}",
        f" {AT}",
        "\u0661\u0668\u0660\u0660\u0660\u0660\u0660\u0660\u0660\u0660",  # Arabic digits
        "\u00b2",  # isdigit(), yet no int()
        "9" * 13,
        "9" * 10_240,
        "\x00",
        "\udcff",
    ],
)
def test_a_timestamp_that_is_no_plain_number_is_malformed(timestamp: str) -> None:
    # Even if somebody with the key had signed just that text.
    with pytest.raises(BadSignature, match="timestamp is malformed"):
        verified(headers(SIGNATURE, timestamp=timestamp))


@pytest.mark.parametrize("timestamp", ["0", "1", str(AT * 1000)[:12]])
def test_a_timestamp_of_another_age_or_unit_is_stale(timestamp: str) -> None:
    with pytest.raises(BadSignature, match="too far"):
        verified(headers(timestamp=timestamp))


@pytest.mark.parametrize("message_id", ["m" * 257, "m" * 10_240, "msg_\u00e9", "a\x00b", "\udce9"])
def test_an_id_that_no_sender_makes_is_malformed(message_id: str) -> None:
    with pytest.raises(BadSignature, match="id is malformed"):
        verified(headers(message_id=message_id))


# --- v1a: a public key ---------------------------------------------------------------------------

PRIVATE = Ed25519PrivateKey.from_private_bytes(b"p" * 32)
OTHER = Ed25519PrivateKey.from_private_bytes(b"o" * 32)


def public_of(private: Ed25519PrivateKey) -> Key:
    return decode_key("whpk_" + b64encode(private.public_key().public_bytes_raw()).decode())


def sign_publicly(private: Ed25519PrivateKey = PRIVATE, body: bytes = BODY) -> str:
    signed = b".".join([MESSAGE_ID.encode(), str(AT).encode(), body])
    return "v1a," + b64encode(private.sign(signed)).decode()


def test_a_sender_may_sign_with_a_key_of_its_own() -> None:
    assert good(headers(sign_publicly()), keys=(public_of(PRIVATE),))


def test_secrets_and_public_keys_stand_beside_each_other() -> None:
    keys = (KEY, public_of(OTHER), public_of(PRIVATE))
    for signature in (
        SIGNATURE,
        sign_publicly(),
        sign_publicly(OTHER),
        f"v2,x v1a,AAAA {sign_publicly()} v9,{'A' * 99}",
        f"v1a,{'A' * 88} {SIGNATURE}",
    ):
        assert good(headers(signature), keys=keys)


@pytest.mark.parametrize(
    "signature",
    [
        sign_publicly(OTHER),
        sign_publicly(body=BODY + b" "),
        sign_publicly().replace("v1a,", "v1,"),
        SIGNATURE.replace("v1,", "v1a,"),
        "v1a,",
        "v1a",
        "v1a,AAAA " * 4 + sign_publicly(),  # more than any sender has, and each costs a pass
    ],
)
def test_what_the_key_did_not_sign_so_is_bad(signature: str) -> None:
    for keys in ((public_of(PRIVATE),), (KEY, public_of(PRIVATE))):
        with pytest.raises(BadSignature):
            verified(headers(signature), keys=keys)


def test_a_public_key_is_no_secret() -> None:
    """Whoever knows the public key could else sign with it."""
    raw = PRIVATE.public_key().public_bytes_raw()
    forged = sign(raw, MESSAGE_ID, AT, BODY)
    with pytest.raises(BadSignature):
        verified(headers(forged), keys=(public_of(PRIVATE),))


@pytest.mark.parametrize("text", ["whpk_", "whpk_AAAA", "whpk_not base64", "whpk_\u00e9"])
def test_what_is_no_public_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an Ed25519 public key"):
        decode_key(text)


# --- secrets -----------------------------------------------------------------------------------


def test_a_secret_is_the_base64_after_its_prefix() -> None:
    assert decode_secret(SECRET) == KEY
    assert decode_secret(SECRET.removeprefix("whsec_")) == KEY


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_not base64", "whsec_\u00e9", "whsec_AAA"])
def test_a_secret_that_is_none_is_refused_without_repeating_it(secret: str) -> None:
    with pytest.raises(ValueError, match=r"^(not base64 after whsec_|empty)$") as raised:
        decode_secret(secret)
    assert raised.value.__suppress_context__ or raised.value.__context__ is None
