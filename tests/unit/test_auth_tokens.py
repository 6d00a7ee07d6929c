"""What a user token may and may not prove."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.model import UserRef
from gateway.devices.public_keys import load_pem, parse_jwks
from gateway.devices.tokens import LEEWAY_S, MAX_TOKEN, BadToken, TokenVerifier
from gateway.errors import ConfigurationError
from tests.kit.clocks import both

SECRET = "a secret of at least thirty-two bytes"
NOW = 1_800_000_000.0
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
P256_KEY = ec.generate_private_key(ec.SECP256R1())
P384_KEY = ec.generate_private_key(ec.SECP384R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()


def pem_of(key: Any) -> str:
    data: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return data.decode()


def verifier(**changed: Any) -> TokenVerifier:
    settings: dict[str, Any] = {
        "secret": SECRET,
        "keys": [],
        "remote": None,
        "issuer": "",
        "audience": "",
        "subject": "custom_id",
        "clocks": both(lambda: NOW),
    }
    return TokenVerifier(**(settings | changed))


def token(
    claims: dict[str, Any], key: Any = SECRET, algorithm: str = "HS256", **header: Any
) -> str:
    if algorithm in ("Ed25519", "Ed448"):  # names that PyJWT does not know
        head = encode_part(json.dumps({"alg": algorithm} | header).encode())
        signed = f"{head}.{encode_part(json.dumps(claims).encode())}"
        return f"{signed}.{encode_part(key.sign(signed.encode()))}"
    return jwt.encode(claims, key, algorithm=algorithm, headers=header)


def encode_part(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def handmade(header: Any, payload: Any, secret: bytes = SECRET.encode()) -> str:
    """A token that no library would make, with a right HS256 signature."""
    head = header if isinstance(header, bytes) else json.dumps(header).encode()
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    signed = f"{encode_part(head)}.{encode_part(body)}"
    signature = hmac.new(secret, signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{encode_part(signature)}"


async def test_sub_proves_the_configured_id_and_nothing_else() -> None:
    assert await verifier().verify(token({"sub": "mary"})) == UserRef(custom_id="mary")
    by_user = verifier(subject="user_id")
    assert await by_user.verify(token({"sub": "mary"})) == UserRef(user_id="mary")


async def test_a_signed_claim_proves_the_other_id() -> None:
    claims = {"sub": "mary", "user_id": "u1", "custom_id": "somebody else"}
    assert await verifier().verify(token(claims)) == UserRef("u1", "mary")
    by_user = await verifier(subject="user_id").verify(token(claims))
    assert by_user == UserRef("mary", "somebody else")


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        *[(RSA_KEY, name) for name in ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")],
        (P256_KEY, "ES256"),
        (P384_KEY, "ES384"),
        (ED_KEY, "EdDSA"),
        (ED_KEY, "Ed25519"),
    ],
)
async def test_a_configured_public_key_checks_its_own_algorithms(key: Any, algorithm: str) -> None:
    keys = load_pem([pem_of(RSA_KEY) + pem_of(P256_KEY), pem_of(P384_KEY), pem_of(ED_KEY)])
    assert len(keys) == 4
    good = token({"sub": "mary"}, key, algorithm, kid="any")
    assert await verifier(keys=keys, secret="").verify(good) == UserRef(custom_id="mary")
    with pytest.raises(BadToken):
        await verifier(keys=[], secret="").verify(good)


async def test_a_key_of_another_kind_does_not_get_in_the_way() -> None:
    pems = [pem_of(key) for key in (ED_KEY, P384_KEY, P256_KEY, RSA_KEY)]
    for ordered in (pems, pems[::-1]):
        keys = load_pem(ordered)
        for key, algorithm in ((RSA_KEY, "PS256"), (P256_KEY, "ES256"), (ED_KEY, "EdDSA")):
            good = token({"sub": "mary"}, key, algorithm)
            assert await verifier(keys=keys).verify(good) == UserRef(custom_id="mary")


async def test_a_token_signed_with_the_public_key_as_a_secret_is_refused() -> None:
    """The RS/HS confusion: the public key is known to everybody."""
    public = pem_of(RSA_KEY).encode()
    forged = handmade({"alg": "HS256", "typ": "JWT"}, {"sub": "mary"}, secret=public)
    keys = load_pem([public.decode()])
    for secret in ("", SECRET):
        with pytest.raises(BadToken):
            await verifier(keys=keys, secret=secret).verify(forged)


async def test_an_hs256_token_needs_a_configured_secret() -> None:
    for signed_with in (b"", b"\0" * 32):
        forged = handmade({"alg": "HS256"}, {"sub": "mary"}, secret=signed_with)
        with pytest.raises(BadToken):
            await verifier(secret="", keys=load_pem([pem_of(RSA_KEY)])).verify(forged)


async def test_a_short_secret_is_the_same_secret() -> None:
    short = handmade({"alg": "HS256"}, {"sub": "mary"}, secret=b"short")
    assert await verifier(secret="short").verify(short) == UserRef(custom_id="mary")
    with pytest.raises(BadToken):
        await verifier(secret="shirt").verify(short)


@pytest.mark.parametrize(
    "algorithm", ["none", "None", "NONE", "", "HS384", "HS512", "hs256", None, 5]
)
async def test_only_hs256_goes_with_the_secret(algorithm: object) -> None:
    right_mac = handmade({"alg": algorithm, "typ": "JWT"}, {"sub": "mary"})
    no_mac = right_mac.rpartition(".")[0] + "."
    for forged in (right_mac, no_mac):
        with pytest.raises(BadToken):
            await verifier(keys=load_pem([pem_of(RSA_KEY)])).verify(forged)


async def test_a_changed_claim_breaks_the_signature() -> None:
    head, _, mac = token({"sub": "mary"}).split(".")
    forged = ".".join([head, encode_part(b'{"sub":"john"}'), mac])
    with pytest.raises(BadToken, match="not signed"):
        await verifier().verify(forged)


@pytest.mark.parametrize(
    ("claims", "accepted"),
    [
        ({"exp": NOW + 1}, True),
        ({"exp": NOW - LEEWAY_S + 1}, True),
        ({"exp": NOW - LEEWAY_S}, False),
        ({"exp": NOW - LEEWAY_S + 0.5}, True),
        ({"nbf": NOW + LEEWAY_S}, True),
        ({"nbf": NOW + LEEWAY_S + 1}, False),
        ({"iat": NOW + 3600}, True),
        ({"exp": None}, True),
        ({"exp": "tomorrow"}, False),
        ({"exp": True}, False),
        ({"exp": {}}, False),
        ({"exp": float("nan")}, False),
        ({"exp": float("inf")}, False),
        ({"nbf": float("-inf")}, False),
        ({"nbf": 10**400}, False),
    ],
)
async def test_times_are_held_against_the_gateways_clock(
    claims: dict[str, Any], accepted: bool
) -> None:
    signed = handmade({"alg": "HS256"}, {"sub": "mary"} | claims)
    if accepted:
        assert await verifier().verify(signed) == UserRef(custom_id="mary")
    else:
        with pytest.raises(BadToken):
            await verifier().verify(signed)


@pytest.mark.parametrize(
    ("claims", "accepted"),
    [
        ({"iss": "acme", "aud": "inkpush"}, True),
        ({"iss": "acme", "aud": ["other", "inkpush"]}, True),
        ({"iss": "acme", "aud": "other"}, False),
        ({"iss": "acme", "aud": []}, False),
        ({"iss": "acme", "aud": {"inkpush": 1}}, False),
        ({"iss": "acme"}, False),
        ({"iss": "evil", "aud": "inkpush"}, False),
        ({"iss": ["acme"], "aud": "inkpush"}, False),
        ({"aud": "inkpush"}, False),
    ],
)
async def test_issuer_and_audience_are_demanded_when_configured(
    claims: dict[str, Any], accepted: bool
) -> None:
    strict = verifier(issuer="acme", audience="inkpush")
    signed = handmade({"alg": "HS256"}, {"sub": "mary"} | claims)
    if accepted:
        assert await strict.verify(signed) == UserRef(custom_id="mary")
    else:
        with pytest.raises(BadToken):
            await strict.verify(signed)
    assert await verifier().verify(signed) == UserRef(custom_id="mary")


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": ["mary"]},
        {"sub": {"$ne": ""}},
        {"sub": "m" * 257},
        {"sub": "ma\nry"},
        {"sub": "mary\ud800"},
        {"sub": "mary", "user_id": 7},
        {"sub": "mary", "user_id": ""},
        {"sub": "mary", "user_id": ["u1"]},
    ],
)
async def test_ids_must_be_ids(claims: dict[str, Any]) -> None:
    with pytest.raises(BadToken):
        await verifier().verify(handmade({"alg": "HS256"}, claims))


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "HS256", "crit": ["exp"]},
        {"alg": "HS256", "crit": []},
        {"alg": "HS256", "b64": False, "crit": ["b64"]},
        {"alg": "HS256", "b64": True},
        {"alg": "HS256", "kid": 5},
        {"alg": "HS256", "kid": ["../../etc/passwd"]},
        {"alg": ["HS256"]},
        {"typ": "JWT"},
        ["HS256"],
        "HS256",
        None,
        b"{",
        b"\xff\xfe",
        b'{"alg":"HS256","x":' + b"[" * 2500 + b"]" * 2500 + b"}",
        b'{"alg":"HS256","x":' + b"9" * 5000 + b"}",
    ],
)
async def test_an_odd_header_is_refused(header: Any) -> None:
    with pytest.raises(BadToken):
        await verifier().verify(handmade(header, {"sub": "mary"}))


@pytest.mark.parametrize(
    "payload",
    [b"", b"[]", b'"mary"', b"{", b"\xff", b"null", b'{"sub":' + b"[" * 2600 + b"]" * 2600 + b"}"],
)
async def test_an_odd_payload_is_refused(payload: bytes) -> None:
    with pytest.raises(BadToken):
        await verifier().verify(handmade({"alg": "HS256"}, payload))


@pytest.mark.parametrize(
    "kid", ["../../../../dev/null", "' OR 1=1 --", "http://evil/", "\0", "k" * 4000]
)
async def test_a_key_id_is_only_ever_compared(kid: str) -> None:
    """Nothing is opened, asked or fetched for it: the signature decides alone."""
    empty_file = handmade({"alg": "HS256", "kid": kid}, {"sub": "mary"}, secret=b"")
    with pytest.raises(BadToken):
        await verifier().verify(empty_file)
    signed = handmade({"alg": "HS256", "kid": kid}, {"sub": "mary"})
    assert await verifier().verify(signed) == UserRef(custom_id="mary")


async def test_keys_that_a_token_brings_along_are_not_used() -> None:
    jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(RSA_KEY.public_key()))
    for header in (
        {"jwk": jwk},
        {"jku": "http://127.0.0.1:1/keys"},
        {"x5u": "http://127.0.0.1:1/"},
    ):
        own = token({"sub": "mary"}, RSA_KEY, "RS256", **header)
        with pytest.raises(BadToken):
            await verifier(keys=load_pem([pem_of(P256_KEY)])).verify(own)


@pytest.mark.parametrize(
    "text",
    ["", ".", "..", "...", "a.b", "a.b.c", "a.b.c.d", "é.é.é", "e" * (MAX_TOKEN + 1), "\ud800"],
)
async def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(BadToken):
        await verifier().verify(text)


async def test_a_huge_token_is_refused_even_when_signed() -> None:
    with pytest.raises(BadToken):
        await verifier().verify(token({"sub": "mary", "x": "x" * MAX_TOKEN}))


@given(st.text(max_size=300) | st.tuples(*[st.text(max_size=60)] * 3).map(".".join))
async def test_no_text_makes_the_verifier_fail_otherwise(text: str) -> None:
    with pytest.raises(BadToken):
        await verifier(keys=load_pem([pem_of(P256_KEY)])).verify(text)


@given(st.binary(max_size=120), st.binary(max_size=120))
async def test_no_signed_bytes_make_the_verifier_fail_otherwise(head: bytes, body: bytes) -> None:
    with pytest.raises(BadToken):
        await verifier().verify(handmade(head, body))


KINDS = {
    "a text": "s3cr3t",
    "a number": 31337,
    "a truth value": True,
    "a list": ["s3cr3t"],
    "an object": {"s3cr3t": 31337},
    "null": None,
}


@pytest.mark.parametrize(("kind", "value"), KINDS.items())
@pytest.mark.parametrize("claim", ["sub", "user_id", "iss", "aud", "exp", "nbf"])
async def test_a_refusal_names_the_claim_and_what_kind_of_thing_it_holds(
    claim: str, kind: str, value: Any
) -> None:
    claims = {"sub": "mary", "iss": "acme", "aud": "inkpush"} | {claim: value}
    signed = handmade({"alg": "HS256"}, claims)
    strict = verifier(issuer="acme", audience="inkpush")
    good = {
        "sub": {"a text"},
        "user_id": {"a text", "null"},
        "exp": {"null"},
        "nbf": {"a number", "null"},
    }
    if kind in good.get(claim, ()):
        await strict.verify(signed)
        return
    with pytest.raises(BadToken) as caught:
        await strict.verify(signed)
    said = str(caught.value)
    assert f"`{claim}`" in said
    assert kind in said or (claim, kind) in {("exp", "a number"), ("sub", "null")}
    assert "s3cr3t" not in said
    assert "31337" not in said


@pytest.mark.parametrize("claim", ["sub", "iss", "aud"])
async def test_a_claim_that_is_lacking_is_named(claim: str) -> None:
    claims = {"sub": "mary", "iss": "acme", "aud": "inkpush"}
    del claims[claim]
    with pytest.raises(BadToken, match=f"lacks the claim `{claim}`"):
        await verifier(issuer="acme", audience="inkpush").verify(token(claims))


@pytest.mark.parametrize("label", [None, "EdDSA", "Ed25519"])
@pytest.mark.parametrize("algorithm", ["EdDSA", "Ed25519"])
async def test_ed25519_goes_by_its_old_name_and_its_new_one(
    label: str | None, algorithm: str
) -> None:
    jwk = json.loads(jwt.algorithms.OKPAlgorithm.to_jwk(ED_KEY.public_key()))
    keys = parse_jwks({"keys": [jwk | ({"alg": label} if label else {}) | {"kid": "1"}]})
    signed = token({"sub": "mary"}, ED_KEY, algorithm, kid="1")
    assert await verifier(keys=keys).verify(signed) == UserRef(custom_id="mary")


@pytest.mark.parametrize(
    ("label", "algorithm"), [("Ed448", "Ed448"), ("ES256", "EdDSA"), ("Ed25519", "Ed448")]
)
async def test_no_name_makes_a_key_fit_what_it_is_not(label: str, algorithm: str) -> None:
    jwk = json.loads(jwt.algorithms.OKPAlgorithm.to_jwk(ED_KEY.public_key()))
    keys = parse_jwks({"keys": [jwk | {"alg": label}]})
    with pytest.raises(BadToken):
        await verifier(keys=keys).verify(token({"sub": "mary"}, ED_KEY, algorithm))


async def test_reasons_hold_nothing_of_the_token() -> None:
    strict = verifier(issuer="acme", audience="inkpush")
    for claims in (
        {"sub": "s3cr3t", "iss": "s3cr3t", "aud": "inkpush"},
        {"sub": "s3cr3t", "iss": "acme", "aud": "s3cr3t"},
        {"sub": "s3cr3t\n", "iss": "acme", "aud": "inkpush"},
        {"sub": "x", "iss": "acme", "aud": "inkpush", "exp": "s3cr3t"},
    ):
        with pytest.raises(BadToken) as caught:
            await strict.verify(handmade({"alg": "HS256", "kid": "s3cr3t"}, claims))
        assert "s3cr3t" not in str(caught.value)


def test_a_key_set_gives_only_public_signing_keys() -> None:
    rsa_jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(RSA_KEY.public_key()))
    private = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(RSA_KEY))
    weak_key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    weak = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(weak_key.public_key()))
    found = parse_jwks(
        {
            "keys": [
                rsa_jwk | {"kid": "good", "alg": "RS256", "use": "sig"},
                rsa_jwk | {"kid": "for encryption", "use": "enc"},
                private | {"kid": "private"},
                {"kty": "oct", "k": "c2VjcmV0", "kid": "secret"},
                {"kty": "RSA", "n": "!", "e": "AQAB"},
                {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
                {"kty": ["RSA"]},
                "rubbish",
                weak | {"kid": "weak"},
            ]
        }
    )
    fitting = [key.kid for key in found if key.fits("RS256", None)]
    assert fitting == ["good"]
    assert not any(key.fits("RS512", "good") for key in found)
    assert not any(key.fits("RS256", "other") for key in found)


@pytest.mark.parametrize("document", [None, [], {}, {"keys": {}}, {"keys": "x"}, "x"])
def test_what_is_no_key_set_is_an_error(document: Any) -> None:
    with pytest.raises(ValueError, match="JWK set"):
        parse_jwks(document)


@pytest.mark.parametrize(
    "pem",
    [
        "rubbish",
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
        pem_of(rsa.generate_private_key(public_exponent=65537, key_size=1024)),
        pem_of(ec.generate_private_key(ec.SECP521R1())),
    ],
)
def test_an_unfit_public_key_is_a_configuration_error(pem: str) -> None:
    with pytest.raises(ConfigurationError, match="jwt_public_keys"):
        load_pem([pem])
