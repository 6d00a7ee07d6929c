"""Pages of a WebView app may call the devices API, from the origins that are allowed alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.kit.handlers import user_token
from tests.kit.public import Answer, PublicListener, public_listener

ALLOWED = ["capacitor://localhost", "https://app.example.com", "null"]
STRANGERS = [
    "https://evil.example",
    "https://app.example.com.evil.example",
    "https://app.example.com:8443",
    "http://app.example.com",
    "capacitor://localhost.evil",
    "HTTPS://APP.EXAMPLE.COM",
    "",
    "*",
]
DEVICE = {"platform": "android", "provider": "fcm", "address": "fcm-address-1"}
PHONE = "/v1/devices/phone"
ORIGIN, METHODS = "Access-Control-Allow-Origin", "Access-Control-Allow-Methods"


@pytest.fixture
async def public(tmp_path: Path) -> AsyncIterator[PublicListener]:
    async with public_listener(tmp_path, origins=ALLOWED) as listener:
        yield listener


async def preflight(public: PublicListener, origin: str, path: str = PHONE) -> Answer:
    headers = {"Origin": origin, "Access-Control-Request-Method": "PUT"}
    asks = {"Access-Control-Request-Headers": "authorization,content-type"}
    return await public.call("OPTIONS", path, headers=headers | asks)


@pytest.mark.parametrize("origin", ALLOWED)
async def test_a_page_of_an_allowed_origin_registers_its_phone(
    public: PublicListener, origin: str
) -> None:
    asked = await preflight(public, origin)
    assert (asked.status, asked.json) == (204, None)
    assert asked.headers[ORIGIN] == origin
    assert asked.headers[METHODS] == "PUT, DELETE"
    assert asked.headers["Access-Control-Allow-Headers"] == "Authorization, Content-Type"
    assert int(asked.headers["Access-Control-Max-Age"]) > 600
    for method, body, status in (("PUT", DEVICE, 201), ("DELETE", None, 204)):
        answer = await public.call(
            method, PHONE, token=user_token("mary"), json=body, headers={"Origin": origin}
        )
        assert (answer.status, answer.headers[ORIGIN]) == (status, origin)
        assert answer.headers["Vary"] == "Origin"


@pytest.mark.parametrize("origin", ALLOWED)
async def test_a_page_of_an_allowed_origin_tells_of_its_pushes(
    public: PublicListener, origin: str
) -> None:
    asked = await preflight(public, origin, "/v1/receipts")
    assert (asked.status, asked.headers[ORIGIN]) == (204, origin)
    assert asked.headers[METHODS] == "POST"
    assert "Content-Type" in asked.headers["Access-Control-Allow-Headers"]
    headers = {"Origin": origin}
    for body, status in (({"receipts": []}, 202), ({"receipts": 1}, 422)):
        answer = await public.call("POST", "/v1/receipts", json=body, headers=headers)
        assert (answer.status, answer.headers[ORIGIN]) == (status, origin)
        assert answer.headers["Vary"] == "Origin"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"json": DEVICE}, 401),
        ({"json": DEVICE, "token": "x.y.z"}, 401),
        ({"json": {}, "token": user_token("mary")}, 422),
        ({"json": DEVICE | {"user_id": "bob"}, "token": user_token("mary")}, 403),
        ({"data": b" " * 70_000, "token": user_token("mary")}, 413),
    ],
)
async def test_a_page_can_read_what_went_wrong(
    public: PublicListener, sent: dict[str, Any], status: int
) -> None:
    answer = await public.call("PUT", PHONE, headers={"Origin": ALLOWED[0]}, **sent)
    assert (answer.status, answer.headers[ORIGIN]) == (status, ALLOWED[0])
    assert answer.code is not None
    wrong = await public.call("PATCH", PHONE, headers={"Origin": ALLOWED[0]})
    assert (wrong.status, wrong.headers[ORIGIN]) == (405, ALLOWED[0])


@pytest.mark.parametrize("origin", STRANGERS)
async def test_no_other_origin_is_let_in(public: PublicListener, origin: str) -> None:
    asked = await preflight(public, origin)
    assert asked.code == "method_not_allowed"
    answer = await public.call(
        "PUT", PHONE, token=user_token("mary"), json=DEVICE, headers={"Origin": origin}
    )
    for one in (asked, answer):
        assert not [name for name in one.headers if name.startswith("Access-Control-")]
        assert one.headers["Vary"] == "Origin"


@pytest.mark.parametrize("path", ["/v1/users/mary/devices", "/v1/notifications", "/openapi.json"])
async def test_no_other_route_is_open_to_pages(public: PublicListener, path: str) -> None:
    assert (await preflight(public, ALLOWED[0], path)).status == 405
    answer = await public.call("GET", path, headers={"Origin": ALLOWED[0]})
    assert ORIGIN not in answer.headers


async def test_no_origin_is_allowed_unless_one_is_named(tmp_path: Path) -> None:
    async with public_listener(tmp_path) as public:
        asked = await preflight(public, ALLOWED[0])
        assert asked.code == "method_not_allowed"
        assert ORIGIN not in asked.headers


async def test_options_without_a_question_is_no_preflight(public: PublicListener) -> None:
    answer = await public.call("OPTIONS", PHONE, headers={"Origin": ALLOWED[0]})
    assert answer.code == "method_not_allowed"
