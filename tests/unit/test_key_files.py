"""Keys as people save and paste them are read; what is another thing is named, and never quoted."""

from __future__ import annotations

import base64
import contextlib
import json
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    pkcs12,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from providers import pasted
from providers.apns.credentials import ApnsCredentials
from providers.errors import CredentialError
from providers.fcm.credentials import FcmCredentials
from providers.transport.trust import client_context

EC = ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
P8 = EC.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
SEC1 = EC.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
LOCKED = EC.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
OLD_LOCKED = EC.private_bytes(
    Encoding.PEM, PrivateFormat.TraditionalOpenSSL, BestAvailableEncryption(b"x")
)
PUBLIC = EC.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
RSA_PEM = RSA.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
NAME = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "somebody")])
CERTIFICATE = (
    x509.CertificateBuilder()
    .subject_name(NAME)
    .issuer_name(NAME)
    .public_key(EC.public_key())
    .serial_number(1)
    .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
    .not_valid_after(datetime(2050, 1, 1, tzinfo=UTC))
    .sign(EC, hashes.SHA256())
)
CSR = x509.CertificateSigningRequestBuilder().subject_name(NAME).sign(EC, hashes.SHA256())
P12 = pkcs12.serialize_key_and_certificates(
    b"push", EC, CERTIFICATE, None, BestAvailableEncryption(b"x")
)
PROFILE = bytes.fromhex("3082028006092a864886f70d010702a0820271") + bytes(range(256)) * 2
ACCOUNT = {
    "type": "service_account",
    "project_id": "inkpush-demo",
    "private_key_id": "1",
    "private_key": RSA_PEM.decode(),
    "client_email": "push@inkpush-demo.iam.gserviceaccount.com",
    "token_uri": "https://oauth2.googleapis.com/token",
}
JSON = json.dumps(ACCOUNT, indent=2).encode()


def inside(pem: bytes) -> bytes:
    return b"".join(pem.splitlines()[1:-1])


Shape = Callable[[bytes], bytes]
WRAPPED: dict[str, Shape] = {
    "as it is": lambda raw: raw,
    "with a byte order mark": lambda raw: b"\xef\xbb\xbf" + raw,
    "UTF-16 of PowerShell": lambda raw: raw.decode().encode("utf-16"),
    "UTF-16 big endian": lambda raw: b"\xfe\xff" + raw.decode().encode("utf-16-be"),
    "UTF-16 without a mark": lambda raw: raw.decode().encode("utf-16-le"),
    "CRLF": lambda raw: raw.replace(b"\n", b"\r\n"),
    "CR": lambda raw: raw.replace(b"\n", b"\r"),
    "trailing blanks": lambda raw: raw.replace(b"\n", b" \t\n") + b"\n \n\x1a",
    "indented": lambda raw: b"\n".join(b"    " + line for line in raw.splitlines()),
    "base64": base64.b64encode,
    "base64 in lines": base64.encodebytes,
    "base64 of the URL kind, unpadded": lambda raw: base64.urlsafe_b64encode(raw).rstrip(b"="),
    "base64 twice": lambda raw: base64.b64encode(base64.b64encode(raw)),
    "base64 with a mark": lambda raw: b"\xef\xbb\xbf" + base64.b64encode(raw),
}
KEYS: dict[str, Shape] = WRAPPED | {
    "literal line ends": lambda raw: raw.replace(b"\n", b"\\n"),
    "literal CRLF": lambda raw: raw.replace(b"\n", b"\\r\\n"),
    "line ends escaped twice": lambda raw: raw.replace(b"\n", b"\\\\n"),
    "in quotes": lambda raw: b'"' + raw.strip().replace(b"\n", b"\\n") + b'"',
    "blanks for line ends": lambda raw: raw.replace(b"\n", b" "),
    "one line": lambda raw: raw.replace(b"\n", b"").replace(b"KEY-----M", b"KEY-----\nM"),
    "no line end at all": lambda raw: raw.replace(b"\n", b""),
    "text before and after": lambda raw: b"Key: AuthKey\n" + raw + b"\nkeep it safe\n",
    "without armour": inside,
    "without armour, in lines": lambda raw: b"\n".join(raw.splitlines()[1:-1]),
    "DER": lambda raw: base64.b64decode(inside(raw)),
    "a value of JSON": lambda raw: json.dumps({"key": raw.decode()}).encode(),
    "a line of an .env file": lambda raw: b'APNS_KEY="' + raw.replace(b"\n", b"\\n") + b'"\n',
}
ACCOUNTS: dict[str, Shape] = WRAPPED | {
    "in another object": lambda raw: b'{"firebase": {"key": ' + raw + b"}}",
    "in a list": lambda raw: b"[" + raw + b"]",
    "as text in JSON": lambda raw: json.dumps(raw.decode()).encode(),
    "as text in an object": lambda raw: json.dumps({"data": {"fcm.json": raw.decode()}}).encode(),
    "an assignment": lambda raw: b"const serviceAccount = " + raw + b";\n",
    "a line of an .env file": lambda raw: b"FCM='" + json.dumps(json.loads(raw)).encode() + b"'",
    "base64 in an .env file": lambda raw: b"FCM=" + base64.b64encode(raw) + b"\n",
    "escaped quotes": lambda _raw: json.dumps(json.dumps(ACCOUNT)).encode()[1:-1],
    "line ends inside the key": lambda raw: raw.replace(b"\\n", b"\n"),
    "key with line ends escaped twice": lambda raw: raw.replace(b"\\n", b"\\\\n"),
    "key without armour": lambda _raw: json.dumps(
        {**ACCOUNT, "private_key": inside(RSA_PEM).decode()}
    ).encode(),
    "key with blanks for line ends": lambda raw: raw.replace(b"\\n", b" "),
    "blanks around values": lambda _raw: json.dumps(
        {name: f" {value}\n" if name != "type" else value for name, value in ACCOUNT.items()}
    ).encode(),
}


def apns(file: Path) -> ApnsCredentials:
    return ApnsCredentials.load(file, "ABC123DEFG", "DEF123GHIJ", clock=lambda: 1.8e9)


def fcm(file: Path) -> FcmCredentials:
    return FcmCredentials.load(file, clock=lambda: 1.8e9)


@pytest.mark.parametrize("form", [P8, SEC1], ids=["PKCS8", "SEC1"])
@pytest.mark.parametrize("shape", KEYS.values(), ids=KEYS)
def test_a_key_of_apples_is_read_in_every_shape(tmp_path: Path, shape: Shape, form: bytes) -> None:
    file = tmp_path / "AuthKey.p8"
    file.write_bytes(shape(form))

    assert apns(file)._key.private_numbers() == EC.private_numbers()


@pytest.mark.parametrize("shape", ACCOUNTS.values(), ids=ACCOUNTS)
def test_a_service_accounts_key_is_read_in_every_shape(tmp_path: Path, shape: Shape) -> None:
    file = tmp_path / "fcm.json"
    file.write_bytes(shape(JSON))

    loaded = fcm(file)

    assert loaded.project_id == "inkpush-demo"
    assert loaded.account.service_account_email == ACCOUNT["client_email"]
    assert loaded.account.signer.sign(b"x")


#: what the file is, and the words that name it
OTHER_THINGS: list[tuple[str, bytes, str]] = [
    ("OAuth client", b'{"installed": {"client_id": "hush-hush"}}', "an OAuth client file"),
    ("OAuth web client", b'{"web": {"client_secret": "hush-hush"}}', "an OAuth client file"),
    ("google-services", b'{"project_info": {"x": "hush-hush"}, "client": []}', "google-services"),
    ("web configuration", b'{"apiKey": "hush-hush", "authDomain": "x"}', "of a web app"),
    ("plist", b'<?xml version="1.0"?><plist><string>hush-hush</string></plist>', "GoogleService"),
    ("binary plist", b"bplist00hush-hush", "GoogleService-Info.plist"),
    ("gcloud", b'{"type": "authorized_user", "refresh_token": "hush-hush"}', "a person's login"),
    ("federation", b'{"type": "external_account", "x": "hush-hush"}', "workload identity"),
    ("p12", P12, "a .p12 file"),
    ("p12 in base64", base64.b64encode(P12), "a .p12 file"),
    ("cer", CERTIFICATE.public_bytes(Encoding.DER), "a certificate"),
    ("pem certificate", CERTIFICATE.public_bytes(Encoding.PEM), "a certificate"),
    ("request", CSR.public_bytes(Encoding.PEM), "a request for a certificate"),
    ("profile", PROFILE, "a provisioning profile"),
    ("public key", PUBLIC, "a public key"),
    ("locked", LOCKED, "locked with a passphrase"),
    ("locked, old form", OLD_LOCKED, "locked with a passphrase"),
    ("cut off", P8[:120], "cut off"),
    ("damaged", P8.replace(b"M", b"!"), "a damaged or cut off key"),
    ("archive", b"PK\x03\x04hush-hush", "a packed archive"),
    ("web page", b"<html>hush-hush</html>", "a web page"),
    ("empty", b"\xef\xbb\xbf\r\n", "empty"),
    ("API key", b"AIza" + b"h" * 35, "an API key"),
    ("server key", b"AAAAhush-hu:APA91b" + b"h" * 134, "a legacy server key"),
]
FOR_FCM = [*OTHER_THINGS, ("a key of Apple's", P8, "a private key")]
FOR_APNS = [*OTHER_THINGS, ("a service account's key", JSON, "a service account's key")]


@pytest.mark.parametrize(("_name", "content", "named"), FOR_FCM, ids=[row[0] for row in FOR_FCM])
def test_what_is_no_service_accounts_key_is_named(
    tmp_path: Path, _name: str, content: bytes, named: str
) -> None:
    told = refused(fcm, tmp_path / "fcm.json", content)

    assert named in told
    assert "Generate new private key" in told


@pytest.mark.parametrize(("_name", "content", "named"), FOR_APNS, ids=[row[0] for row in FOR_APNS])
def test_what_is_no_key_of_apples_is_named(
    tmp_path: Path, _name: str, content: bytes, named: str
) -> None:
    told = refused(apns, tmp_path / "AuthKey.p8", content)

    assert named in told
    assert "p8" in told.replace(str(tmp_path / "AuthKey.p8"), "")


def refused(load: Callable[[Path], object], file: Path, content: bytes) -> str:
    file.write_bytes(content)
    with pytest.raises(CredentialError) as caught:
        load(file)
    (told,) = caught.value.problems
    assert str(file) in told
    assert "hush" not in told
    return told


def test_a_slip_in_the_json_is_told_with_its_place(tmp_path: Path) -> None:
    slipped = JSON.replace(b'"project_id"', b'project_id"')

    told = refused(fcm, tmp_path / "fcm.json", slipped)

    assert "line 3, column 3" in told


def test_two_accounts_in_one_file_are_no_choice(tmp_path: Path) -> None:
    told = refused(fcm, tmp_path / "fcm.json", json.dumps([ACCOUNT, ACCOUNT]).encode())

    assert "holds 2 service accounts' keys" in told


ANCHORS: dict[str, bytes] = {
    "PEM": CERTIFICATE.public_bytes(Encoding.PEM),
    "DER": CERTIFICATE.public_bytes(Encoding.DER),
    "PEM with a mark": b"\xef\xbb\xbf" + CERTIFICATE.public_bytes(Encoding.PEM),
    "beside its key": P8 + CERTIFICATE.public_bytes(Encoding.PEM),
    "two": CERTIFICATE.public_bytes(Encoding.PEM) * 2,
}


@pytest.mark.parametrize("content", ANCHORS.values(), ids=ANCHORS)
def test_a_trust_anchor_is_read_in_every_shape(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "ca.pem"
    file.write_bytes(content)
    own = ssl.create_default_context().cert_store_stats()["x509"]

    assert client_context(str(file)).cert_store_stats()["x509"] == own + 1


# --- whatever the bytes --------------------------------------------------------------------------

_mixed = st.sampled_from([P8, JSON, P12, PUBLIC, base64.b64encode(JSON)]).flatmap(
    lambda raw: st.tuples(
        st.just(raw), st.integers(0, len(raw)), st.integers(0, len(raw)), st.binary(max_size=8)
    )
)


@given(raw=st.binary(max_size=300) | _mixed.map(lambda cut: cut[0][: cut[1]] + cut[3]))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_a_key_or_are_refused_in_words(
    raw: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.getbasetemp() / "any"
    file.write_bytes(raw)
    for load in (fcm, apns):
        with contextlib.suppress(CredentialError):
            load(file)


# without NUL: behind UTF-16's mark it reads as UTF-32's
_TEXT = st.characters(blacklist_categories=["Cs"], blacklist_characters="\0")


@given(text=st.text(alphabet=_TEXT, max_size=50))
def test_a_text_is_the_same_in_every_encoding_an_editor_gives_it(text: str) -> None:
    plain = text.replace("\ufeff", "").replace("\r\n", "\n").replace("\r", "\n")
    for encoding in ("utf-8-sig", "utf-16", "utf-32"):
        assert pasted.text_of(text.encode(encoding)) == plain
