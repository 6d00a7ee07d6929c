"""APNs: `POST /3/device/<token>`, once per environment.

Owns Apple's rules for headers, address and payload, and the words of its answers. Facts:
"Sending notification requests to APNs" and "Handling notification responses from APNs".
"""

from __future__ import annotations

import json
import re
from typing import Any, Literal, assert_never
from uuid import uuid4

from providers.sandbox.answers import Answer
from providers.sandbox.exchange import Handling, Headers, Reply, Request, Session
from providers.sandbox.parcels import bundle_of
from providers.sandbox.provider_tokens import ProviderTokens
from providers.sandbox.received import Draft
from providers.sandbox.responder import Rendered, Responder

MAX_PAYLOAD_BYTES = 4096
MAX_VOIP_PAYLOAD_BYTES = 5120
MAX_COLLAPSE_ID_BYTES = 64
PUSH_TYPES = frozenset(
    b"alert background voip complication fileprovider mdm liveactivity controls location "
    b"pushtotalk widgets".split()
)

_PREFIX = "/3/device/"
_DEVICE_TOKEN = re.compile(r"(?:[0-9a-fA-F]{2}){16,100}\Z")
_UUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")
_EPOCH = re.compile(rb"[0-9]{1,18}\Z")
_SINGLE = frozenset(
    b"authorization apns-id apns-topic apns-push-type apns-priority apns-expiration "
    b"apns-collapse-id".split()
)

ApnsEnvironment = Literal["production", "sandbox"]


class Addresses:
    """What is known of device tokens; the environments of one sandbox share it.

    Every well-formed token is known everywhere, unless it was tied to one environment or topic.
    """

    def __init__(self, topic: str) -> None:
        self.topics = {topic}
        self.environments: dict[str, str] = {}
        self.bound_topics: dict[str, str] = {}


class Apns:
    """One environment of Apple's push service."""

    def __init__(
        self,
        responder: Responder,
        tokens: ProviderTokens,
        addresses: Addresses,
        environment: ApnsEnvironment,
    ) -> None:
        self._responder = responder
        self._tokens = tokens
        self._addresses = addresses
        self._environment = environment

    @property
    def stream_limit(self) -> int:
        """What APNs allows a sender it knows."""
        return self._responder.settings.stream_limit

    @property
    def first_stream_limit(self) -> int:
        """What APNs allows a sender that has not proven itself."""
        return self._responder.settings.stream_limit_before_auth

    @property
    def receive_window(self) -> int:
        """As set."""
        return self._responder.settings.receive_window

    def handle(self, request: Request, session: Session) -> Handling:
        """Judge a request: form, sender, headers, address, payload, script."""
        headers = request.headers
        given_id = headers.get(b"apns-id", b"")
        draft = Draft("apns", self._environment)
        draft.id = given_id.decode("latin-1") if _UUID.match(given_id) else str(uuid4())
        fault = _request_fault(request)
        if fault is None:
            draft.address = request.path[len(_PREFIX) :].lower()
            fault = self._tokens.fault(headers.get(b"authorization", b""), session)
        if fault is not None:
            return self._responder.refuse(draft, error(*fault, draft.id), authenticated=False)
        _describe_headers(draft, headers)
        fault = self._fault(draft, request)
        if fault is not None:
            return self._responder.refuse(draft, error(*fault, draft.id), authenticated=True)
        draft.delivery_id = draft.id

        def render(answer: Answer) -> Rendered:
            return self._scripted(answer, draft.id)

        return self._responder.answer(draft, render)

    def _fault(self, draft: Draft, request: Request) -> tuple[int, str] | None:
        reason = self._topic_fault(draft, request.headers) or _header_fault(request.headers)
        if reason is None:
            reason = self._address_fault(draft.address)
        if reason is not None:
            return 400, reason
        push_type = request.headers.get(b"apns-push-type")
        limit = MAX_VOIP_PAYLOAD_BYTES if push_type == b"voip" else MAX_PAYLOAD_BYTES
        if request.body_size > limit:
            return 413, "PayloadTooLarge"
        payload = _payload(request.body)
        if payload is None:
            return 400, "PayloadEmpty"
        _describe_payload(draft, payload)
        return None

    def _topic_fault(self, draft: Draft, headers: dict[bytes, bytes]) -> str | None:
        topic = headers.get(b"apns-topic", b"").decode("latin-1")
        if not topic:
            return "MissingTopic"
        base = bundle_of(topic)
        if base not in self._addresses.topics:
            return "BadTopic"
        if self._addresses.bound_topics.get(draft.address, base) != base:
            return "DeviceTokenNotForTopic"
        return None

    def _address_fault(self, address: str) -> str | None:
        home = self._addresses.environments.get(address, self._environment)
        if home != self._environment or not _DEVICE_TOKEN.match(address):
            return "BadDeviceToken"
        return None

    def _scripted(self, answer: Answer, apns_id: str) -> Rendered:
        match answer.kind:
            case "ok" | "stream_limit" | "goaway" | "hang" | "reset" | "drop":
                return Reply(200, _headers(apns_id)), ""
            case "unregistered":
                since = answer.timestamp_ms
                if since is None:
                    since = int(self._responder.clock() * 1000)
                return error(410, "Unregistered", apns_id, since)
            case "throttled":
                whole = answer.scope == "project"
                reason = "TooManyProviderTokenUpdates" if whole else "TooManyRequests"
                return error(429, reason, apns_id, retry_after=answer.retry_after)
            case "unavailable":
                return error(503, "ServiceUnavailable", apns_id, retry_after=answer.retry_after)
            case "internal":
                return error(500, "InternalServerError", apns_id)
            case "bad_token":
                return error(400, "BadDeviceToken", apns_id)
            case "apns_error":
                return error(answer.code, answer.reason, apns_id)
            case "empty":
                return Reply(answer.code, _headers(apns_id)), ""
            case "status":
                return _any_status(answer, apns_id)
            case _:
                assert_never(answer.kind)


def error(
    status: int,
    reason: str,
    apns_id: str,
    timestamp_ms: int | None = None,
    *,
    retry_after: float | str | None = None,
) -> Rendered:
    """An error response in Apple's words; `timestamp_ms` belongs to 410 alone."""
    content: dict[str, Any] = {"reason": reason}
    if timestamp_ms is not None:
        content["timestamp"] = timestamp_ms
    body = json.dumps(content, separators=(",", ":")).encode()
    return Reply(status, _headers(apns_id, retry_after), body), reason


def _any_status(answer: Answer, apns_id: str) -> Rendered:
    if answer.html:
        page = b"<html><body><h1>%d</h1></body></html>" % answer.code
        return Reply(answer.code, ((b"content-type", b"text/html"),), page), "html"
    if answer.code == 200:
        return Reply(200, _headers(apns_id)), ""
    return error(
        answer.code,
        answer.reason,
        apns_id,
        answer.timestamp_ms,
        retry_after=answer.retry_after,
    )


def _headers(apns_id: str, retry_after: float | str | None = None) -> Headers:
    if retry_after is None:
        return ((b"apns-id", apns_id.encode()),)
    text = retry_after if isinstance(retry_after, str) else f"{retry_after:g}"
    return ((b"apns-id", apns_id.encode()), (b"retry-after", text.encode()))


def _request_fault(request: Request) -> tuple[int, str] | None:
    if request.method != b"POST":
        return 405, "MethodNotAllowed"
    if not request.path.startswith(_PREFIX) or "/" in request.path[len(_PREFIX) :]:
        return 404, "BadPath"
    if request.path == _PREFIX:
        return 400, "MissingDeviceToken"
    if not _SINGLE.isdisjoint(request.repeated):
        return 400, "DuplicateHeaders"
    return None


def _header_fault(headers: dict[bytes, bytes]) -> str | None:
    apns_id = headers.get(b"apns-id")
    if apns_id is not None and not _UUID.match(apns_id):
        return "BadMessageId"
    push_type = headers.get(b"apns-push-type", b"alert")
    if push_type not in PUSH_TYPES:
        return "InvalidPushType"
    priority = headers.get(b"apns-priority", b"10")
    if priority not in (b"1", b"5", b"10") or (push_type == b"background" and priority != b"5"):
        return "BadPriority"
    if not _EPOCH.match(headers.get(b"apns-expiration", b"0")):
        return "BadExpirationDate"
    if len(headers.get(b"apns-collapse-id", b"")) > MAX_COLLAPSE_ID_BYTES:
        return "BadCollapseId"
    return None


def _payload(body: bytes) -> dict[str, Any] | None:
    """The payload, if it is an object with an `aps` object: APNs calls all else empty."""
    try:
        payload = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(payload, dict) or not isinstance(payload.get("aps"), dict):
        return None
    return payload


def _describe_headers(draft: Draft, headers: dict[bytes, bytes]) -> None:
    draft.collapse_id = headers.get(b"apns-collapse-id", b"").decode("utf-8", "replace")
    draft.headers = {
        name: headers[header].decode("latin-1")
        for name, header in (
            ("topic", b"apns-topic"),
            ("push_type", b"apns-push-type"),
            ("priority", b"apns-priority"),
            ("expiration", b"apns-expiration"),
        )
        if header in headers
    }


def _describe_payload(draft: Draft, payload: dict[str, Any]) -> None:
    alert = payload["aps"].get("alert", "")
    if isinstance(alert, dict):
        draft.title = str(alert.get("title", ""))
        draft.body = str(alert.get("body", ""))
    else:
        draft.body = str(alert)
    data = payload.get("data")
    if not isinstance(data, dict):
        data = {name: value for name, value in payload.items() if name != "aps"}
    draft.data = data
    draft.raw = payload
