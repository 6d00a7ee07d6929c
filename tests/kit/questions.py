"""What is asked of the public listener's handlers, and what the contract has them answer.

A question is put to handlers with or without a server before them: the answers must be the same.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from gateway.core.clocks import Unsure
from gateway.devices.auth import WRONG_KEYS_PER_MINUTE
from gateway.devices.exports import EXPORTS_PER_HOUR
from gateway.devices.routes import ERASES_PER_HOUR
from gateway.devices.routes import MAX_BODY as MAX_REGISTRATION
from gateway.exchange import Answer
from gateway.ingest.signature import sign
from tests.kit.events import EXAMPLE
from tests.kit.handlers import BAD_RECEIPTS, MAX_BODY, WEBHOOK_KEY, PublicHandlers, user_token
from tests.kit.signers import headers_of

T0 = 1_800_000_000
"""The time of every question, in epoch seconds."""

WEBHOOK = "/webhooks/learnink"
PHONE = "/v1/devices/phone"
EXPERIMENTS = "/v1/users/mary/experiments"
NOTIFICATIONS = "/v1/notifications"
RECEIPTS = "/v1/receipts"
MARY = user_token("mary")
EVE = user_token("eve")
DEVICE = {"platform": "android", "provider": "fcm", "address": "fcm-address-1"}
LATELY = json.dumps(json.loads(EXAMPLE) | {"timestamp": T0}).encode()
"""The documented event, of now."""
ITEM = {"title": "Hi", "body": "", "path": "/", "user_id": "mary"}


@dataclass(frozen=True)
class Sent:
    """What goes over, or would go over, the wire."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True)
class Question:
    """What is sent, once `prepare` has made things so, and the answer: a status, and the problem's
    code or the document's status, if it has one."""

    status: int
    says: str | None
    prepare: Callable[[PublicHandlers], Awaitable[Sent]]


def posted(body: bytes = EXAMPLE, *, at: int = T0, key: bytes = WEBHOOK_KEY) -> Sent:
    """A signed webhook."""
    headers = headers_of("svix", "msg_1", at, sign(key, "msg_1", at, body))
    return Sent("POST", WEBHOOK, headers, body)


def asked(method: str, path: str, token: str = "", document: Any = None) -> Sent:
    """A call of the API; `document` goes as JSON, and bytes as they are."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    if document is None:
        return Sent(method, path, headers)
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return Sent(method, path, headers, body)


async def ask(public: PublicHandlers, sent: Sent) -> Answer:
    """Put it to the handlers as they are."""
    return await public.ask(sent.method, sent.path, headers=sent.headers, body=sent.body)


def _plain(sent: Sent) -> Callable[[PublicHandlers], Awaitable[Sent]]:
    async def prepare(_public: PublicHandlers) -> Sent:
        return sent

    return prepare


def _after(first: Sent, then: Sent) -> Callable[[PublicHandlers], Awaitable[Sent]]:
    async def prepare(public: PublicHandlers) -> Sent:
        assert (await ask(public, first)).status < 300
        return then

    return prepare


def _with_backlog(sent: Sent) -> Callable[[PublicHandlers], Awaitable[Sent]]:
    async def prepare(public: PublicHandlers) -> Sent:
        public.backlog = 1_000
        return sent

    return prepare


def _in_doubt(sent: Sent) -> Callable[[PublicHandlers], Awaitable[Sent]]:
    async def prepare(public: PublicHandlers) -> Sent:
        public.clock.doubt = Unsure(public.clock())
        public.clock.now += 3_600.0
        return sent

    return prepare


def _without_store(sent: Sent) -> Callable[[PublicHandlers], Awaitable[Sent]]:
    async def prepare(public: PublicHandlers) -> Sent:
        await public.store.aclose()
        return sent

    return prepare


def _with_key(
    scope: str, method: str, path: str, document: Any = None, *, backlog: int = 0, before: int = 0
) -> Callable[[PublicHandlers], Awaitable[Sent]]:
    """By a backend, which has asked the same `before`."""

    async def prepare(public: PublicHandlers) -> Sent:
        public.backlog = backlog
        sent = asked(method, path, await public.key(scope), document)
        for _ in range(before):
            await ask(public, sent)
        return sent

    return prepare


async def _too_many_failures(public: PublicHandlers) -> Sent:
    sent = asked("PUT", PHONE, "ik_wrong", DEVICE)
    for _ in range(WRONG_KEYS_PER_MINUTE):
        assert (await ask(public, sent)).status == 401
    return sent


def _of_two(
    scope: str, method: str, path: str, document: Any = None
) -> Callable[[PublicHandlers], Awaitable[Sent]]:
    """About an id that is one person's user_id and another's custom_id."""

    async def prepare(public: PublicHandlers) -> Sent:
        key = await public.key("devices:write")
        for number, ids in enumerate(({"user_id": "mary"}, {"custom_id": "mary"})):
            device = {name: value for name, value in DEVICE.items() if name != "custom_id"} | ids
            address = {"address": f"fcm-address-{number}"}
            done = await ask(public, asked("PUT", f"{PHONE}-{number}", key, device | address))
            assert done.status == 201
        return asked(method, path, await public.key(scope), document)

    return prepare


async def _an_event(public: PublicHandlers) -> Sent:
    await ask(public, posted())
    return asked("GET", "/v1/events/msg_1?items=1", await public.key("deliveries:read"))


def _cancelling(document: Any, before: Any = None) -> Callable[[PublicHandlers], Awaitable[Sent]]:
    """Cancel an event that was posted, perhaps for the second time."""

    async def prepare(public: PublicHandlers) -> Sent:
        await ask(public, posted(LATELY))
        key, path = await public.key("notifications:write"), "/v1/events/msg_1/cancel"
        if before is not None:
            assert (await ask(public, asked("POST", path, key, before))).status == 200
        return asked("POST", path, key, document)

    return prepare


async def _erased_often(public: PublicHandlers) -> Sent:
    sent = asked("DELETE", "/v1/users/mary", MARY)
    for _ in range(ERASES_PER_HOUR):
        assert (await ask(public, sent)).status == 204
    return sent


async def _too_many_made_up(public: PublicHandlers) -> Sent:
    sent = asked("POST", RECEIPTS, "", {"receipts": [_RECEIPT]})
    for _ in range(BAD_RECEIPTS):
        assert (await ask(public, sent)).status == 202
    return sent


async def _a_receipt_without_store(public: PublicHandlers) -> Sent:
    word = public.receipt_words.of_event("msg_1", 0)(0, 1, "granted")
    await public.store.aclose()
    return asked("POST", RECEIPTS, "", {"receipts": [_RECEIPT | {"receipt": word}]})


_RECEIPT = {"event_id": "msg_1", "receipt": "made up", "kind": "opened"}


async def _exported_often(public: PublicHandlers) -> Sent:
    sent = asked("GET", "/v1/users/mary", MARY)
    for _ in range(EXPORTS_PER_HOUR):
        assert (await ask(public, sent)).status == 200
    return sent


_REGISTERED = asked("PUT", PHONE, MARY, DEVICE)
_OWN = ITEM | {"idempotency_key": "k1"}
_LARGE = b"{" + b" " * MAX_REGISTRATION

QUESTIONS = {
    "webhook": Question(200, "accepted", _plain(posted())),
    "webhook again": Question(200, "duplicate", _after(posted(), posted())),
    "webhook of another type": Question(200, "ignored", _plain(posted(b'{"type":"x"}'))),
    "webhook that is no JSON": Question(200, "quarantined", _plain(posted(b"{"))),
    "webhook of no source": Question(
        404, "not_found", _plain(replace(posted(), path="/webhooks/nobody"))
    ),
    "webhook unsigned": Question(401, "unauthorized", _plain(Sent("POST", WEBHOOK, {}, EXAMPLE))),
    "webhook by a stranger": Question(401, "unauthorized", _plain(posted(key=b"another's"))),
    "webhook that is stale": Question(401, "unauthorized", _plain(posted(at=T0 - 301))),
    "webhook too large": Question(413, "body_too_large", _plain(posted(b" " * (MAX_BODY + 1)))),
    "webhook with a backlog": Question(503, "unavailable", _with_backlog(posted())),
    "webhook by a clock that is doubted": Question(503, "clock_doubted", _in_doubt(posted())),
    "webhook without a store": Question(503, "unavailable", _without_store(posted())),
    "device": Question(201, None, _plain(_REGISTERED)),
    "device again": Question(200, None, _after(_REGISTERED, _REGISTERED)),
    "device without a token": Question(
        401, "unauthorized", _plain(asked("PUT", PHONE, "", DEVICE))
    ),
    "device with a bad token": Question(
        401, "unauthorized", _plain(asked("PUT", PHONE, "no token", DEVICE))
    ),
    "device after many wrong keys": Question(429, "too_many_requests", _too_many_failures),
    "device by a key of another scope": Question(
        403, "forbidden", _with_key("deliveries:read", "PUT", PHONE, DEVICE)
    ),
    "device for somebody else": Question(
        403, "id_not_proven", _plain(asked("PUT", PHONE, MARY, DEVICE | {"custom_id": "eve"}))
    ),
    "device of somebody else": Question(
        409,
        "installation_owned",
        _after(_REGISTERED, asked("PUT", PHONE, EVE, DEVICE | {"address": "fcm-address-2"})),
    ),
    "device too large": Question(413, "body_too_large", _plain(asked("PUT", PHONE, MARY, _LARGE))),
    "device that is no JSON": Question(400, "bad_request", _plain(asked("PUT", PHONE, MARY, b"{"))),
    "device that is a list": Question(400, "bad_request", _plain(asked("PUT", PHONE, MARY, []))),
    "device with wrong fields": Question(
        422, "invalid", _plain(asked("PUT", "/v1/devices/%7B%7D", MARY, {}))
    ),
    "device without a store": Question(503, "unavailable", _without_store(_REGISTERED)),
    "device logged out": Question(204, None, _after(_REGISTERED, asked("DELETE", PHONE, MARY))),
    "device logged out by a stranger": Question(
        204, None, _after(_REGISTERED, asked("DELETE", PHONE, EVE))
    ),
    "devices": Question(
        200, None, _after(_REGISTERED, asked("GET", "/v1/users/mary/devices", MARY))
    ),
    "devices of somebody else": Question(
        403, "forbidden", _plain(asked("GET", "/v1/users/mary/devices", EVE))
    ),
    "devices of two people": Question(
        409, "ambiguous_id", _of_two("devices:read", "GET", "/v1/users/mary/devices")
    ),
    "devices by a word": Question(
        422, "invalid", _with_key("devices:read", "GET", "/v1/users/mary/devices?by=name")
    ),
    "two people erased": Question(
        409, "ambiguous_id", _of_two("devices:write", "DELETE", "/v1/users/mary")
    ),
    "user erased by a word": Question(
        422, "invalid", _with_key("devices:write", "DELETE", "/v1/users/mary?by=name")
    ),
    "deliveries of two people": Question(
        409, "ambiguous_id", _of_two("deliveries:read", "GET", "/v1/users/mary/deliveries")
    ),
    "exempt": Question(200, None, _with_key("ops", "PUT", EXPERIMENTS, {"exempt": True})),
    "exempt by a user": Question(
        403, "forbidden", _plain(asked("PUT", EXPERIMENTS, MARY, {"exempt": True}))
    ),
    "exempt by a key of another scope": Question(
        403, "forbidden", _with_key("deliveries:read", "PUT", EXPERIMENTS, {"exempt": True})
    ),
    "exempt without a key": Question(
        401, "unauthorized", _plain(asked("PUT", EXPERIMENTS, "", {"exempt": True}))
    ),
    "exempt by what there is not": Question(
        422, "invalid", _with_key("ops", "PUT", EXPERIMENTS, {"exempt": "yes", "more": 1})
    ),
    "exempt of two people": Question(
        409, "ambiguous_id", _of_two("ops", "PUT", EXPERIMENTS, {"exempt": True})
    ),
    "learning events": Question(200, None, _with_key("events:read", "GET", "/v1/events")),
    "learning events by a user": Question(
        403, "forbidden", _plain(asked("GET", "/v1/events", MARY))
    ),
    "learning events by a key of another scope": Question(
        403, "forbidden", _with_key("deliveries:read", "GET", "/v1/events")
    ),
    "learning events without a key": Question(
        401, "unauthorized", _plain(asked("GET", "/v1/events"))
    ),
    "learning events by what there is not": Question(
        422, "invalid", _with_key("events:read", "GET", "/v1/events?kind=x&limit=0&after=1&type=*a")
    ),
    "learning events of two people": Question(
        409, "ambiguous_id", _of_two("events:read", "GET", "/v1/events?user=mary")
    ),
    "learning events of one person": Question(
        200, None, _with_key("events:read", "GET", "/v1/users/mary/events")
    ),
    "learning events of one of two people": Question(
        409, "ambiguous_id", _of_two("events:read", "GET", "/v1/users/mary/events")
    ),
    "user erased": Question(
        204, None, _after(_REGISTERED, asked("DELETE", "/v1/users/mary", MARY))
    ),
    "somebody else erased": Question(
        403, "forbidden", _plain(asked("DELETE", "/v1/users/mary", EVE))
    ),
    "user erased without a store": Question(
        503, "unavailable", _without_store(asked("DELETE", "/v1/users/mary", MARY))
    ),
    "user erased too often": Question(429, "too_many_requests", _erased_often),
    "erasure": Question(
        200,
        None,
        _after(
            asked("DELETE", "/v1/users/mary", MARY), asked("GET", "/v1/users/mary/erasure", MARY)
        ),
    ),
    "erasure of nobody": Question(
        404, "not_found", _plain(asked("GET", "/v1/users/mary/erasure", MARY))
    ),
    "erasure of somebody else": Question(
        403, "forbidden", _plain(asked("GET", "/v1/users/mary/erasure", EVE))
    ),
    "erasure of two people": Question(
        409, "ambiguous_id", _of_two("devices:write", "GET", "/v1/users/mary/erasure")
    ),
    "erasure by a word": Question(
        422, "invalid", _with_key("devices:write", "GET", "/v1/users/mary/erasure?by=name")
    ),
    "erasure without a store": Question(
        503, "unavailable", _without_store(asked("GET", "/v1/users/mary/erasure", MARY))
    ),
    "receipts": Question(202, None, _plain(asked("POST", RECEIPTS, "", {"receipts": [_RECEIPT]}))),
    "receipts of nothing": Question(
        202, None, _plain(asked("POST", RECEIPTS, "", {"receipts": []}))
    ),
    "receipts that are no list": Question(
        422, "invalid", _plain(asked("POST", RECEIPTS, "", {"receipts": _RECEIPT}))
    ),
    "receipts by the thousand": Question(
        422, "invalid", _plain(asked("POST", RECEIPTS, "", {"receipts": [_RECEIPT] * 101}))
    ),
    "receipts that are no JSON": Question(
        400, "bad_request", _plain(asked("POST", RECEIPTS, "", b"{"))
    ),
    "receipts too large": Question(
        413, "body_too_large", _plain(asked("POST", RECEIPTS, "", _LARGE))
    ),
    "receipts without a store": Question(503, "unavailable", _a_receipt_without_store),
    "receipts made up too often": Question(429, "too_many_requests", _too_many_made_up),
    "device with receipts": Question(
        201, None, _plain(asked("PUT", PHONE, MARY, DEVICE | {"receipts": [_RECEIPT]}))
    ),
    "notification": Question(
        200, "accepted", _with_key("notifications:write", "POST", NOTIFICATIONS, _OWN)
    ),
    "notification again": Question(
        200, "duplicate", _with_key("notifications:write", "POST", NOTIFICATIONS, _OWN, before=1)
    ),
    "notification without a key": Question(
        401, "unauthorized", _plain(asked("POST", NOTIFICATIONS, "", _OWN))
    ),
    "notification by a user": Question(
        403, "forbidden", _plain(asked("POST", NOTIFICATIONS, MARY, _OWN))
    ),
    "notifications too large": Question(
        413,
        "body_too_large",
        _with_key("notifications:write", "POST", NOTIFICATIONS, b" " * (MAX_BODY + 1)),
    ),
    "notification for nobody": Question(
        422,
        "invalid",
        _with_key("notifications:write", "POST", NOTIFICATIONS, {"idempotency_key": "k1"}),
    ),
    "notification with a backlog": Question(
        503,
        "unavailable",
        _with_key("notifications:write", "POST", NOTIFICATIONS, _OWN, backlog=500),
    ),
    "deliveries": Question(
        200, None, _with_key("deliveries:read", "GET", "/v1/users/mary/deliveries?limit=3&since=0")
    ),
    "why": Question(200, None, _with_key("deliveries:read", "GET", "/v1/users/mary/why")),
    "why of an event that nobody knows": Question(
        404, "not_found", _with_key("deliveries:read", "GET", "/v1/users/mary/why?event=msg_2")
    ),
    "why of two people": Question(
        409, "ambiguous_id", _of_two("deliveries:read", "GET", "/v1/users/mary/why")
    ),
    "why by a user": Question(403, "forbidden", _plain(asked("GET", "/v1/users/mary/why", MARY))),
    "all that is held": Question(
        200, None, _after(_REGISTERED, asked("GET", "/v1/users/mary", MARY))
    ),
    "all that is held, by a key": Question(
        403, "forbidden", _with_key("devices:read", "GET", "/v1/users/mary")
    ),
    "all that is held of somebody else": Question(
        403, "forbidden", _plain(asked("GET", "/v1/users/mary", EVE))
    ),
    "all that is held, too often": Question(429, "too_many_requests", _exported_often),
    "deliveries without end": Question(
        422, "invalid", _with_key("deliveries:read", "GET", "/v1/users/mary/deliveries?limit=0")
    ),
    "event": Question(200, "accepted", _an_event),
    "event cancelled": Question(200, None, _cancelling({"reason": "a mistake"})),
    "event cancelled without a body": Question(200, None, _cancelling(b"")),
    "event corrected in two ways": Question(
        409,
        "already_replaced",
        _cancelling({"replace": {"title": "B"}}, before={"replace": {"title": "A"}}),
    ),
    "event cancelled for no known reason": Question(
        422, "invalid", _cancelling({"because": "a mistake"})
    ),
    "event corrected by nothing": Question(422, "invalid", _cancelling({"replace": {}})),
    "event cancelled by a body that is no JSON": Question(400, "bad_request", _cancelling(b"{")),
    "event cancelled by a user": Question(
        403, "forbidden", _plain(asked("POST", "/v1/events/msg_1/cancel", MARY))
    ),
    "event cancelled that nobody knows": Question(
        404,
        "not_found",
        _with_key("notifications:write", "POST", "/v1/events/msg_2/cancel", {}),
    ),
    "event that nobody knows": Question(
        404, "not_found", _with_key("deliveries:read", "GET", "/v1/events/msg_2")
    ),
}
