"""The OpenAPI document against the running server: neither says more than the other.

Every route is documented, every documented answer is reached by a real request, and every answer
has the documented shape.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import jsonschema_rs
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

import gateway
from gateway.app.vendors import VENDORS
from gateway.core.learnt import Learnt
from gateway.core.model import Event, Record, Rejection, day_of
from gateway.core.receipts import Clock, Kind
from gateway.core.states import DeliveryState, DeviceState
from gateway.core.why_words import CODES
from gateway.devices.auth import AuthRules
from gateway.devices.profile import CAN, DESCRIPTIVE, MEASURE, NOTIFICATIONS
from gateway.devices.schema import DeviceBody
from gateway.errors import StoreUnavailable
from gateway.ops.openapi import load_document
from providers.contract import AddressKind, Environment, Platform
from tests.kit.handlers import JWT_SECRET, WEBHOOK_KEY, user_token
from tests.kit.public import Answer, PublicListener, public_listener

DOCUMENT = load_document()
METHODS = ("get", "put", "post", "delete", "patch", "head", "options")
OPERATIONS = [
    (method, path)
    for path, operations in DOCUMENT["paths"].items()
    for method in operations
    if method in METHODS
]
DEVICE = {"platform": "android", "provider": "fcm", "address": "fcm-address-1"}
ITEM = {"title": "Hi", "body": "", "path": "/", "user_id": "mary", "idempotency_key": "k1"}
ITEM_TEXTS = {"title": "Hello", "body": "", "path": None}
BODIES: dict[tuple[str, str], Any] = {
    ("put", "/v1/devices/{installation_id}"): DEVICE | {"custom_id": "mary"},
    ("post", "/v1/notifications"): ITEM,
    ("post", "/v1/receipts"): {"receipts": []},
    ("put", "/v1/users/{id}/experiments"): {"exempt": True},
    ("post", "/v1/events/{event_id}/cancel"): {"replace": {"title": "No"}},
}
OPEN = {"/openapi.json", "/webhooks/{source}", "/v1/receipts"}
AUTHENTICATED = [operation for operation in OPERATIONS if operation[1] not in OPEN]


@dataclass
class Walk:
    """Makes requests, and holds every answer against the document."""

    public: PublicListener
    reached: set[tuple[str, str, str]] = field(default_factory=set)

    async def go(
        self,
        method: str,
        path: str,
        *,
        query: str = "",
        event_id: str = "msg_1",
        source: str = "learnink",
        **sent: Any,
    ) -> Answer:
        filled = path.format(installation_id="phone", id="mary", event_id=event_id, source=source)
        answer = await self.public.call(method.upper(), filled + query, **sent)
        check_shape(method, path, answer)
        self.reached.add((method, path, str(answer.status)))
        return answer


def resolve(node: dict[str, Any]) -> dict[str, Any]:
    """Follow a reference inside the document."""
    while "$ref" in node:
        target: Any = DOCUMENT
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


def check_shape(method: str, path: str, answer: Answer) -> None:
    """The answer is documented: status, content type, body, headers, problem code."""
    responses = DOCUMENT["paths"][path][method]["responses"]
    assert str(answer.status) in responses, f"{method} {path} answers {answer.status}"
    documented = resolve(responses[str(answer.status)])
    for header in documented.get("headers", {}):
        assert header in answer.headers
    if "content" not in documented:
        assert answer.json is None
        return
    content_type = answer.headers["Content-Type"].partition(";")[0]
    schema = documented["content"][content_type]["schema"]
    whole = schema | {"components": DOCUMENT["components"]}
    jsonschema_rs.Draft202012Validator(whole, validate_formats=True).validate(answer.json)
    if answer.code is not None:
        assert f"`{answer.code}`" in documented["description"]


def signed(body: bytes, clock: float) -> dict[str, str]:
    """The headers of a webhook, made by hand."""
    content = b".".join([b"msg_9", str(int(clock)).encode(), body])
    mac = base64.b64encode(hmac.new(WEBHOOK_KEY, content, hashlib.sha256).digest()).decode()
    return {
        "webhook-id": "msg_9",
        "webhook-timestamp": str(int(clock)),
        "webhook-signature": f"v1,{mac}",
    }


@pytest.fixture
async def public(tmp_path: Path) -> AsyncIterator[PublicListener]:
    async with public_listener(tmp_path) as listener:
        yield listener


async def test_the_document_is_served_to_everybody(public: PublicListener) -> None:
    answer = await public.call("GET", "/openapi.json")
    assert answer.status == 200
    assert answer.json == DOCUMENT
    assert answer.json["info"]["version"] == gateway.__version__


async def test_every_route_is_documented_and_every_documented_route_exists(
    public: PublicListener,
) -> None:
    served = {
        (route.method.lower(), (route.resource.canonical if route.resource else ""))
        for route in public.app.router.routes()
    }
    assert served == set(OPERATIONS)


async def test_every_documented_answer_is_reached_and_shaped_as_documented(
    tmp_path: Path,
) -> None:
    reached: set[tuple[str, str, str]] = set()
    rules = AuthRules(
        jwt_secret=JWT_SECRET,
        jwks_url="http://127.0.0.1:9/nobody-listens-here",
        key_requests_per_minute=30,
    )
    async with public_listener(tmp_path, rules=rules, body_s=0.5) as public:
        walk = Walk(public, reached)
        await answers_to_the_slow(walk)
        await good_answers(walk)
        await answers_to_strangers(walk)
        await answers_to_bad_requests(walk)
        await answers_of_the_webhook(walk)
        await answers_to_the_impatient(walk)
    documented = {
        (method, path, status)
        for method, path in OPERATIONS
        for status in DOCUMENT["paths"][path][method]["responses"]
        if status != "default"
    }
    assert reached == documented


async def good_answers(walk: Walk) -> None:
    key = await walk.public.key("admin")
    device, event = "/v1/devices/{installation_id}", "/v1/events/{event_id}"
    told = {"locale": "sw_KE", "os_version": 34, "can": ["opened"], "measure": "yes", "more": 1}
    await walk.go("put", device, token=key, json=DEVICE | {"custom_id": "mary"})
    again = await walk.go("put", device, token=key, json=DEVICE | {"custom_id": "mary"} | told)
    assert again.json["ignored"] == ["more", "measure"]
    apns = {"platform": "ios", "provider": "apns", "address": "ab" * 32, "user_id": "u1"}
    await walk.public.call("PUT", "/v1/devices/iphone", token=key, json=apns)
    accepted = Event(
        "msg_1",
        "notifications.sent",
        "accepted",
        1.8e9,
        1.8e9,
        notifications=2,
        rejections=(Rejection(1, "the item is not an object"),),
    )
    await walk.public.queue.accept(accepted, [])
    record = Record("msg_1", 0, 1, DeliveryState.DELIVERED, 1, 1.8e9, "u1", "mary", "agent", "fcm")
    await walk.public.store.journal.record([record], [])
    listed = await walk.go("get", "/v1/users/{id}/devices", token=key)
    assert len(listed.json["devices"]) == 1
    listed = await walk.go("get", "/v1/users/{id}/deliveries", token=key)
    assert len(listed.json["deliveries"]) == 1
    assert (await walk.go("get", "/v1/users/{id}/why", token=key)).json["code"] == "taken"
    event_id = "?event=unknown"
    assert (await walk.go("get", "/v1/users/{id}/why", query=event_id, token=key)).status == 404
    held = await walk.go("get", "/v1/users/{id}", token=key)
    assert len(held.json["devices"]) == 1
    await answers_to_phones(walk)
    opened = await walk.go("get", "/v1/users/{id}/why", token=key)
    assert opened.json["code"] == "opened"
    await walk.go("get", event, token=key)
    shown = await walk.go("get", event, query="?items=1", token=key)
    assert len(shown.json["items"]) == 2
    cancel = "/v1/events/{event_id}/cancel"
    await walk.go("post", cancel, token=key, json={"dry_run": True})
    assert (await walk.go("get", event, token=key)).json["cancelled_at"] is None
    assert (await walk.go("post", cancel, token=key)).json["replaced_by"] is None
    assert (await walk.go("get", event, token=key)).json["cancelled_at"] is not None
    await walk.go("post", "/v1/notifications", token=key, json=ITEM)
    sent = await walk.go("post", "/v1/notifications", token=key, json=ITEM)
    own = sent.json["event_id"]
    corrected = await walk.go("post", cancel, event_id=own, token=key, json={"replace": ITEM_TEXTS})
    waits = await walk.go("get", event, event_id=corrected.json["replaced_by"], token=key)
    assert (waits.json["status"], waits.json["settled"]) == ("accepting", False)
    again = await walk.go("post", cancel, event_id=own, token=key, json={"replace": {"body": "x"}})
    assert again.code == "already_replaced"
    await learning_events(walk)
    await exemptions(walk)
    await walk.go("get", "/openapi.json")
    john = user_token("john")
    taken = await walk.go("put", device, token=john, json=DEVICE | {"address": "another-one"})
    assert taken.code == "installation_owned"
    await walk.go("delete", device, token=key)
    assert (await walk.go("get", "/v1/users/{id}/erasure", token=key)).code == "not_found"
    await walk.go("delete", "/v1/users/{id}", token=key)
    assert (await walk.go("get", "/v1/users/{id}/erasure", token=key)).json["state"] == "running"


async def exemptions(walk: Walk) -> None:
    key = await walk.public.key("ops")
    for exempt in (True, False):
        body = {"exempt": exempt}
        told = await walk.go("put", "/v1/users/{id}/experiments", token=key, json=body)
        assert told.json == body


async def learning_events(walk: Walk) -> None:
    for number, occurred_at in enumerate((1.7e9, None)):
        body = b'{"data":{"user_id":"u1","course":{"id":7}}}'
        event = Event(f"msg_l{number}", "user.course.completed", "ignored", 1.8e9, occurred_at)
        learnt = Learnt("u1", "mary", "7", bytes(32))
        await walk.public.queue.accept(replace(event, body=body, learnt=learnt), [])
    await walk.public.store.learning.chain(now=1.8e9, limit=10, salt=lambda: bytes(32))
    key = await walk.public.key("events:read")
    for path, query in (("/v1/events", "?user=mary"), ("/v1/users/{id}/events", "")):
        listed = await walk.go("get", path, query=query, token=key)
        assert [one["late"] for one in listed.json["events"]] == [True, False]
        assert listed.json["undated"] == 1
        assert listed.json["events"][0]["body"]["data"]["course"] == {"id": 7}


async def answers_to_phones(walk: Walk) -> None:
    public = walk.public
    word = public.receipt_words.of_event("msg_1", day_of(1.8e9))(0, 1, "granted")
    receipt = {"event_id": "msg_1", "receipt": word, "kind": "opened", "at": 1.8e9 + 5}
    sent = {"sent_at": 1.8e9 + 9, "receipts": [receipt, receipt | {"receipt": "no"}, 1]}
    told = await walk.go("post", "/v1/receipts", json=sent)
    assert told.json["ignored"] == [
        {"index": 0, "reason": "not_measured"},
        {"index": 1, "reason": "not_proven"},
        {"index": 2, "reason": "invalid"},
    ]
    key = await public.key("devices:write")
    device = DEVICE | {"custom_id": "mary", "measure": "granted"}
    told = await walk.go("put", "/v1/devices/{installation_id}", token=key, json=device | sent)
    assert told.json["receipts"]["accepted"] == 1

    async def fail(*_told: object, **_rule: object) -> None:
        raise StoreUnavailable("the disk is full")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(public.store.receipts, "keep", fail)
        assert (await walk.go("post", "/v1/receipts", json=sent)).code == "unavailable"
    looking = await public.key("deliveries:read")
    for token in (looking, await public.key("admin")):
        listed = await walk.go("get", "/v1/users/{id}/deliveries", token=token)
        assert listed.json["deliveries"][0]["clock"]


async def answers_to_strangers(walk: Walk) -> None:
    unknown_key = jwt.encode(
        {"sub": "mary"}, ec.generate_private_key(ec.SECP256R1()), algorithm="ES256"
    )
    scopeless = await walk.public.key("deliveries:read")
    other = await walk.public.key("devices:read")
    for method, path in AUTHENTICATED:
        body = BODIES.get((method, path))
        assert (await walk.go(method, path, json=body)).code == "unauthorized"
        assert (await walk.go(method, path, token="x.y.z", json=body)).code == "unauthorized"
        assert (await walk.go(method, path, token=unknown_key, json=body)).code == "unavailable"
        is_looking = any(one in path for one in ("deliveries", "events", "why"))
        token = other if is_looking else scopeless
        assert (await walk.go(method, path, token=token, json=body)).code == "forbidden"
    sent = DEVICE | {"custom_id": "john"}
    answer = await walk.go(
        "put", "/v1/devices/{installation_id}", token=user_token("mary"), json=sent
    )
    assert answer.code == "id_not_proven"


async def answers_to_bad_requests(walk: Walk) -> None:
    key = await walk.public.key("admin")
    for (method, path), size in (
        (("put", "/v1/devices/{installation_id}"), 70_000),
        (("post", "/v1/receipts"), 70_000),
        (("post", "/v1/notifications"), 100_001),
        (("post", "/v1/events/{event_id}/cancel"), 600_000),
        (("put", "/v1/users/{id}/experiments"), 10_000),
    ):
        await walk.go(method, path, token=key, data=b"{")
        await walk.go(method, path, token=key, data=b" " * size)
        answer = await walk.go(method, path, token=key, json={"replace": {}})
        assert answer.json["errors"]
    await walk.go("get", "/v1/users/{id}/deliveries", query="?limit=0", token=key)
    for phone, ids in (("one", {"user_id": "mary"}), ("two", {"custom_id": "mary"})):
        device = {"platform": "android", "provider": "fcm", "address": f"fcm-address-{phone}"}
        await walk.public.call("PUT", f"/v1/devices/{phone}", token=key, json=device | ids)
    key = await walk.public.key("admin")  # a key has so many requests a minute
    for method, path in OPERATIONS:
        if path.startswith("/v1/users/"):
            body = BODIES.get((method, path))
            answer = await walk.go(method, path, token=key, json=body)
            assert answer.code == "ambiguous_id"
            answer = await walk.go(method, path, query="?by=name", token=key, json=body)
            assert answer.code == "invalid"
    assert (await walk.go("get", "/v1/events", query="?user=mary", token=key)).status == 409
    key = await walk.public.key("admin")  # a key has so many requests a minute
    await walk.go("get", "/v1/events", query="?after=1", token=key)
    await walk.go("get", "/v1/events/{event_id}", query="?items=all", token=key)
    await walk.go("get", "/v1/events/{event_id}", event_id="unknown", token=key)
    await walk.go("post", "/v1/events/{event_id}/cancel", event_id="unknown", token=key)


async def answers_of_the_webhook(walk: Walk) -> None:
    path = "/webhooks/{source}"
    body = json.dumps({"type": "notifications.sent", "data": {"notifications": []}}).encode()
    headers = signed(body, walk.public.clock())
    await walk.go("post", path, data=body)
    await walk.go("post", path, source="nobody", data=body, headers=headers)
    await walk.go("post", path, data=b" " * 100_001, headers=headers)
    walk.public.backlog = 1_000
    await walk.go("post", path, data=body, headers=headers)
    walk.public.backlog = 0
    for _ in range(2):
        await walk.go("post", path, data=body, headers=headers)


async def answers_to_the_slow(walk: Walk) -> None:
    """And to those who pack."""
    for method, path in OPERATIONS:
        packed = {"Content-Encoding": "gzip"}
        assert (await walk.go(method, path, headers=packed)).code == "unsupported_encoding"
    key = {"X-API-Key": await walk.public.key("admin")}
    headers = dict.fromkeys(BODIES, key)
    headers["post", "/webhooks/{source}"] = signed(b"", walk.public.clock())
    for (method, path), sent in headers.items():
        answer = await walk.go(method, path, data=never(), headers=sent)
        assert answer.code == "body_too_slow"


async def never() -> AsyncIterator[bytes]:
    """A body of which only the beginning comes."""
    yield b"{"
    await asyncio.sleep(30)


async def answers_to_the_impatient(walk: Walk) -> None:
    sent = {"receipts": [{"event_id": "msg_1", "receipt": "no", "kind": "opened"}]}
    while (await walk.go("post", "/v1/receipts", json=sent)).code != "too_many_requests":
        pass
    key = await walk.public.key("devices:write")
    for _ in range(30):
        assert (await walk.public.call("DELETE", "/v1/devices/x", token=key)).status == 204
    for method, path in AUTHENTICATED:
        answer = await walk.go(method, path, token=key, json=BODIES.get((method, path)))
        assert answer.code == "too_many_requests"


def properties(name: str) -> Mapping[str, Any]:
    found: dict[str, Any] = DOCUMENT["components"]["schemas"][name]["properties"]
    return found


def test_the_document_names_the_fields_that_the_gateway_reads() -> None:
    beside = {"receipts", "sent_at"}
    known = {*DeviceBody.model_fields, *DESCRIPTIVE}
    assert set(properties("DeviceRegistration")) == known | beside
    required = {name for name, field in DeviceBody.model_fields.items() if field.is_required()}
    assert set(DOCUMENT["components"]["schemas"]["DeviceRegistration"]["required"]) == required


@pytest.mark.parametrize(
    ("documented", "states"),
    [
        (DOCUMENT["components"]["schemas"]["DeliveryState"], DeliveryState),
        (properties("Device")["state"], DeviceState),
        (properties("Device")["platform"], Platform),
        (properties("Device")["provider"], VENDORS),
        (properties("Device")["address_kind"], AddressKind),
        (properties("DeviceRegistration")["environment"], Environment),
        (properties("Device")["notifications"], NOTIFICATIONS),
        (properties("Device")["measure"], MEASURE),
        (properties("Device")["can"]["items"], CAN),
        (properties("Receipt")["kind"], Kind),
        (properties("Delivery")["clock"], Clock),
        (properties("Why")["code"], CODES),
    ],
)
def test_closed_sets_are_documented_whole(documented: dict[str, Any], states: Any) -> None:
    assert [value for value in documented["enum"] if value] == [str(state) for state in states]


def test_every_operation_has_a_name_and_a_summary_of_its_own() -> None:
    operations = [DOCUMENT["paths"][path][method] for method, path in OPERATIONS]
    for name in ("operationId", "summary"):
        assert len({operation[name] for operation in operations}) == len(OPERATIONS)
