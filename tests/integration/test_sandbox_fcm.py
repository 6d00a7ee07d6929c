"""FCM and its token endpoint, as a real HTTP client finds them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from providers.sandbox import Answer
from providers.sandbox.fcm import FOREIGN_PROJECT
from tests.kit.sandbox_rig import SandboxRig, http_client, sandbox_rig, until

TOKEN = "fcm-token:0123456789"
MESSAGE: dict[str, Any] = {"token": TOKEN, "notification": {"title": "Hi Mary!", "body": "Train!"}}


@pytest.fixture
async def rig() -> AsyncIterator[SandboxRig]:
    async with sandbox_rig() as rig:
        yield rig


def code_of(response: httpx.Response) -> str | None:
    """The FcmError's errorCode, if there is one."""
    for detail in response.json()["error"].get("details", []):
        if detail["@type"].endswith("fcm.v1.FcmError"):
            return str(detail["errorCode"])
    return None


def detail_of(response: httpx.Response, kind: str) -> dict[str, Any]:
    details = response.json()["error"]["details"]
    return next(dict(each) for each in details if each["@type"].endswith(kind))


# --- tokens -----------------------------------------------------------------------------------


async def test_a_good_grant_buys_a_token_that_works(rig: SandboxRig) -> None:
    response = await rig.fcm(MESSAGE)
    assert response.http_version == "HTTP/2"
    assert response.status_code == 200
    assert response.json()["name"].startswith(f"projects/{rig.files.project_id}/messages/")


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"iss": "nobody@example.com"}, "invalid_grant"),
        ({"aud": "https://example.com/token"}, "invalid_grant"),
        ({"iat": 1, "exp": 2}, "invalid_grant"),
        ({"exp": 4_000_000_000}, "invalid_grant"),
        ({"exp": "soon"}, "invalid_grant"),
        ({"scope": "https://www.googleapis.com/auth/drive"}, "invalid_scope"),
    ],
)
async def test_a_grant_with_a_wrong_claim_buys_nothing(
    rig: SandboxRig, changes: dict[str, Any], error: str
) -> None:
    response = await rig.http.post(f"{rig.sandbox.control_url}/token", data=rig.grant(**changes))
    assert (response.status_code, response.json()["error"]) == (400, error)
    assert rig.sandbox.stats()["oauth_refused"] == {error: 1}


async def test_a_grant_signed_with_another_key_buys_nothing(rig: SandboxRig) -> None:
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = other.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    response = await rig.http.post(
        f"{rig.sandbox.control_url}/token", data=rig.grant(key=pem.decode())
    )
    assert response.json()["error_description"] == "Invalid JWT Signature."


@pytest.mark.parametrize("form", [{}, {"grant_type": "password"}])
async def test_the_token_endpoint_knows_one_kind_of_grant(
    rig: SandboxRig, form: dict[str, str]
) -> None:
    response = await rig.http.post(f"{rig.sandbox.control_url}/token", data=form)
    assert (response.status_code, response.json()["error"]) == (400, "unsupported_grant_type")


async def test_a_token_ends_when_it_said_it_would(rig: SandboxRig) -> None:
    rig.sandbox.settings.oauth_expires_in = 100
    token = await rig.access_token()
    rig.clock.ahead_s = 99
    assert (await rig.fcm(MESSAGE, token=token)).status_code == 200
    rig.clock.ahead_s = 101
    assert (await rig.fcm(MESSAGE, token=token)).status_code == 401


async def test_a_revoked_token_is_a_401_without_an_fcm_error(rig: SandboxRig) -> None:
    token = await rig.access_token()
    rig.sandbox.revoke_tokens()
    response = await rig.fcm(MESSAGE, token=token)
    assert response.status_code == 401
    assert response.json()["error"]["status"] == "UNAUTHENTICATED"
    assert code_of(response) is None
    assert "www-authenticate" in response.headers


async def test_the_token_endpoint_fails_when_told_to(rig: SandboxRig) -> None:
    rig.sandbox.settings.oauth_status = 503
    response = await rig.http.post(f"{rig.sandbox.control_url}/token", data=rig.grant())
    assert response.status_code == 503


# --- what FCM refuses by itself ---------------------------------------------------------------


async def test_another_project_is_forbidden_and_an_unknown_one_is_not_found(
    rig: SandboxRig,
) -> None:
    forbidden = await rig.fcm(MESSAGE, project=FOREIGN_PROJECT)
    unknown = await rig.fcm(MESSAGE, project="no-such-project")
    assert (forbidden.status_code, code_of(forbidden)) == (403, None)
    assert (unknown.status_code, code_of(unknown)) == (404, None)
    assert rig.sandbox.phone(TOKEN) == []


async def test_a_bad_field_is_named_and_is_no_verdict_on_the_address(rig: SandboxRig) -> None:
    response = await rig.fcm(MESSAGE | {"android": {"ttl": "soon"}})
    assert (response.status_code, code_of(response)) == (400, "INVALID_ARGUMENT")
    assert detail_of(response, "BadRequest")["fieldViolations"][0]["field"] == "message.android.ttl"


async def test_an_impossible_address_is_no_fault_of_the_message(rig: SandboxRig) -> None:
    response = await rig.fcm({"token": "not a token"})
    assert (response.status_code, code_of(response)) == (400, "INVALID_ARGUMENT")
    error = response.json()["error"]
    assert error["message"] == "The registration token is not a valid FCM registration token"
    assert len(error["details"]) == 1


async def test_other_paths_and_methods_are_not_found(rig: SandboxRig) -> None:
    for method, path in (
        ("GET", f"/v1/projects/{rig.files.project_id}/messages:send"),
        ("POST", "/batch"),
    ):
        response = await rig.http.request(method, rig.sandbox.fcm_url + path)
        assert response.status_code == 404


# --- what it says when told to ----------------------------------------------------------------

SAID: dict[str, tuple[Answer, int, str, str | None]] = {
    "unregistered": (Answer.unregistered(), 404, "NOT_FOUND", "UNREGISTERED"),
    "device quota": (Answer.throttled(7), 429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"),
    "unavailable": (Answer.unavailable(), 503, "UNAVAILABLE", "UNAVAILABLE"),
    "internal": (Answer.internal(), 500, "INTERNAL", "INTERNAL"),
    "bad token": (Answer.bad_token(), 400, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
    "dead at Apple's": (Answer.apns_error(), 400, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
    "other sender": (
        Answer.status(403, "SENDER_ID_MISMATCH"),
        403,
        "PERMISSION_DENIED",
        "SENDER_ID_MISMATCH",
    ),
    "no code": (Answer.status(404), 404, "NOT_FOUND", None),
    "odd status": (Answer.status(418), 418, "UNKNOWN", None),
}


@pytest.mark.parametrize(("answer", "status", "name", "code"), SAID.values(), ids=SAID)
async def test_a_scripted_answer_comes_in_fcms_words(
    rig: SandboxRig, answer: Answer, status: int, name: str, code: str | None
) -> None:
    rig.sandbox.script(TOKEN, answer)
    response = await rig.fcm(MESSAGE)
    assert response.status_code == status
    assert response.json()["error"]["code"] == status
    assert response.json()["error"]["status"] == name
    assert code_of(response) == code
    [push] = rig.sandbox.pushes
    assert (push.status, push.reason, push.accepted) == (status, code or name, False)


async def test_an_exceeded_quota_says_whose_and_until_when(rig: SandboxRig) -> None:
    rig.sandbox.script(TOKEN, Answer.throttled(7), Answer.throttled(scope="project"))
    device, project = await rig.fcm(MESSAGE), await rig.fcm(MESSAGE)
    assert device.headers["retry-after"] == "7"
    assert "retry-after" not in project.headers
    subjects = [
        detail_of(each, "QuotaFailure")["violations"][0]["subject"].split(":")[0]
        for each in (device, project)
    ]
    assert subjects == ["device", "project"]
    assert TOKEN not in device.text


async def test_apples_refusal_is_passed_on(rig: SandboxRig) -> None:
    rig.sandbox.script(TOKEN, Answer.apns_error(410, "Unregistered"))
    detail = detail_of(await rig.fcm(MESSAGE), "ApnsError")
    assert (detail["statusCode"], detail["reason"]) == (410, "Unregistered")


async def test_a_proxys_html_and_an_empty_error_are_neither_json(rig: SandboxRig) -> None:
    rig.sandbox.script(TOKEN, Answer.status(502, html=True), Answer.empty(500))
    proxy, empty = await rig.fcm(MESSAGE), await rig.fcm(MESSAGE)
    assert (proxy.status_code, proxy.headers["content-type"][:9]) == (502, "text/html")
    assert (empty.status_code, empty.content) == (500, b"")


async def test_a_dry_run_reaches_nobody_and_uses_up_no_answer(rig: SandboxRig) -> None:
    rig.sandbox.script(TOKEN, Answer.unregistered(), Answer.ok())
    dry = await rig.fcm(MESSAGE, validate_only=True)
    assert dry.status_code == 404
    rig.sandbox.script(TOKEN, Answer.ok())
    dry = await rig.fcm(MESSAGE, validate_only=True)
    assert dry.json()["name"].endswith("/fake_message_id")
    assert rig.sandbox.phone(TOKEN) == []


async def test_a_phone_shows_one_notification_for_each_tag(rig: SandboxRig) -> None:
    for title, tag in (("a1", "a"), ("b", "b"), ("a2", "a")):
        message = {
            "token": TOKEN,
            "notification": {"title": title},
            "android": {"notification": {"tag": tag}},
        }
        await rig.fcm(message)
    assert [push.title for push in rig.sandbox.phone(TOKEN)] == ["b", "a2"]
    assert rig.sandbox.stats()["largest_repeat"] == 2


# --- HTTP/1.1 ---------------------------------------------------------------------------------


@pytest.fixture
async def old_rig(rig: SandboxRig) -> AsyncIterator[SandboxRig]:
    """A sender that offers no HTTP/2."""
    async with http_client(rig.files, http2=False) as http:
        yield replace(rig, http=http)


async def test_a_sender_without_http2_is_served_all_the_same(old_rig: SandboxRig) -> None:
    old_rig.sandbox.script(TOKEN, Answer.ok(), Answer.unregistered(), Answer.goaway())
    responses = [await old_rig.fcm(MESSAGE | {"data": {"k": "x" * 3000}}) for _ in range(3)]
    assert [response.http_version for response in responses] == ["HTTP/1.1"] * 3
    assert [response.status_code for response in responses] == [200, 404, 200]


async def test_without_http2_what_ends_a_stream_ends_the_connection(old_rig: SandboxRig) -> None:
    token = await old_rig.access_token()
    for answer in (Answer.drop(), Answer.reset(), Answer.goaway(process_current=False)):
        old_rig.sandbox.script(TOKEN, answer)
        with pytest.raises(httpx.TransportError):
            await old_rig.fcm(MESSAGE, token=token)


async def test_a_sender_that_hung_up_on_a_hanging_answer_is_forgotten(
    old_rig: SandboxRig,
) -> None:
    old_rig.sandbox.script(TOKEN, Answer.hang())
    token = await old_rig.access_token()
    old_rig.http.timeout = httpx.Timeout(0.2)
    with pytest.raises(httpx.ReadTimeout):
        await old_rig.fcm(MESSAGE, token=token)
    await until(lambda: old_rig.sandbox.stats()["connections_open"]["fcm"] == 0)
