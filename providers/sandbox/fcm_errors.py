"""FCM's error bodies, word for word where they are known.

Owns the wording of FCM. Refuses to decide what is wrong. Facts: the ErrorCode and error-codes
pages of the FCM v1 reference; what those leave open (messages, quota subjects) is made up.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, assert_never

from providers.contract import address_hash
from providers.sandbox.answers import Answer
from providers.sandbox.exchange import Headers, Reply
from providers.sandbox.responder import Rendered

_JSON = (b"content-type", b"application/json; charset=UTF-8")
_HTML = (b"content-type", b"text/html; charset=UTF-8")

FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
APNS_ERROR = "type.googleapis.com/google.firebase.fcm.v1.ApnsError"
BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
QUOTA_FAILURE = "type.googleapis.com/google.rpc.QuotaFailure"

_STATUS_NAMES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}

_MESSAGES = {
    "UNREGISTERED": "Requested entity was not found.",
    "INVALID_ARGUMENT": "Request contains an invalid argument.",
    "SENDER_ID_MISMATCH": "SenderId mismatch",
    "QUOTA_EXCEEDED": "Resource has been exhausted (e.g. check quota).",
    "UNAVAILABLE": "The service is currently unavailable.",
    "INTERNAL": "Internal error encountered.",
    "THIRD_PARTY_AUTH_ERROR": "Request is missing required authentication credential. Expected "
    "OAuth 2 access token, login cookie or other valid authentication credential.",
}

INVALID_ADDRESS = "The registration token is not a valid FCM registration token"

_HTML_PAGE = (
    b"<html><head><title>502 Server Error</title></head><body><h1>Error: Server Error</h1>"
    b"<h2>The server encountered a temporary error and could not complete your request.</h2>"
    b"</body></html>"
)


def error(
    status: int,
    message: str,
    *,
    code: str = "",
    details: Sequence[Mapping[str, Any]] = (),
    retry_after: float | str | None = None,
    headers: Headers = (),
) -> Rendered:
    """An error response; `code` adds the FcmError detail in front of `details`."""
    name = _STATUS_NAMES.get(status, "UNKNOWN")
    content: dict[str, Any] = {"code": status, "message": message, "status": name}
    all_details = [*([{"@type": FCM_ERROR, "errorCode": code}] if code else []), *details]
    if all_details:
        content["details"] = all_details
    body = json.dumps({"error": content}, indent=2).encode()
    return Reply(status, (_JSON, *_retry_after(retry_after), *headers), body), code or name


def field_error(violations: Iterable[tuple[str, str]], *, code: str = "") -> Rendered:
    """400 for a request whose fields are wrong, as (field, description)."""
    found = [{"field": name, "description": text} for name, text in violations]
    return error(
        400,
        found[0]["description"],
        code=code,
        details=[{"@type": BAD_REQUEST, "fieldViolations": found}],
    )


def success(name: str) -> Rendered:
    """200 with the message's name."""
    return Reply(200, (_JSON,), b'{"name": "%s"}' % name.encode()), ""


def scripted(answer: Answer, *, name: str, project: str, address: str) -> Rendered:
    """The words FCM has for a scripted answer."""
    match answer.kind:
        case "ok" | "stream_limit" | "goaway" | "hang" | "reset" | "drop":
            return success(name)
        case "unregistered":
            return _coded(404, "UNREGISTERED", answer)
        case "throttled":
            return _coded(429, "QUOTA_EXCEEDED", answer, [_quota(answer, project, address)])
        case "unavailable":
            return _coded(503, "UNAVAILABLE", answer)
        case "internal":
            return _coded(500, "INTERNAL", answer)
        case "bad_token":
            return error(400, INVALID_ADDRESS, code="INVALID_ARGUMENT")
        case "apns_error":
            detail = {"@type": APNS_ERROR, "statusCode": answer.code, "reason": answer.reason}
            text = "APNs device token is disabled."
            return error(400, text, code="INVALID_ARGUMENT", details=[detail])
        case "empty":
            return Reply(answer.code, _retry_after(answer.retry_after)), ""
        case "status":
            return _any_status(answer, name)
        case _:
            assert_never(answer.kind)


def _coded(
    status: int, code: str, answer: Answer, details: Sequence[Mapping[str, Any]] = ()
) -> Rendered:
    if answer.details is not None:
        details = answer.details
    text = _MESSAGES.get(code, code)
    return error(status, text, code=code, details=details, retry_after=answer.retry_after)


def _any_status(answer: Answer, name: str) -> Rendered:
    if answer.html:
        headers = (_HTML, *_retry_after(answer.retry_after))
        return Reply(answer.code, headers, _HTML_PAGE), "html"
    if answer.code == 200:
        return success(name)
    return _coded(answer.code, answer.reason, answer)


def _quota(answer: Answer, project: str, address: str) -> dict[str, Any]:
    """Which quota it was. The subjects are this sandbox's: Google does not document them."""
    if answer.scope == "project":
        violation = {
            "subject": f"project:{project}",
            "description": "Message rate quota of the project exceeded",
        }
    else:
        violation = {
            "subject": f"device:{address_hash(address)}",
            "description": "Device message rate exceeded",
        }
    return {"@type": QUOTA_FAILURE, "violations": [violation]}


def _retry_after(value: float | str | None) -> Headers:
    if value is None:
        return ()
    text = value if isinstance(value, str) else f"{value:g}"
    return ((b"retry-after", text.encode()),)
