"""The console over HTTP: who gets in, what is shown, and that nothing shown can do harm."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import pytest
from aiohttp import DummyCookieJar, web
from aiohttp.test_utils import TestClient, TestServer

from gateway.app.skin import problem_middleware
from gateway.app.vendors import taken_by
from gateway.core.model import Device, Event, Profile, Record, Registration, Rejection
from gateway.core.seen import Asking
from gateway.core.states import DeliveryState, DeviceState
from gateway.devices.auth import WRONG_LOGINS_PER_MINUTE
from gateway.ops.console.pages import COOKIE, ConsoleRoutes, ConsoleSources
from gateway.ops.console.session import LIFE_S, seal, unseal
from gateway.ops.console.words import age, explain, meaning
from gateway.ports import LaneRow
from providers.contract import AddressKind, Environment, Platform
from tests.kit.clocks import wall
from tests.kit.public import PublicListener, public_listener

SECRET = b"s" * 32
ADDRESS = "fcm-address-of-mary"
NASTY = "<script>alert('x')</script>"
PAGES = ("/console", "/console/user?id=mary", "/console/event?id=msg_1")


@dataclass
class Browser:
    """Goes to pages of the console with the cookie it was given."""

    client: TestClient[web.Request, web.Application]
    behind: PublicListener
    cookie: str = ""

    async def get(self, path: str) -> tuple[int, str]:
        headers = {"Cookie": f"{COOKIE}={self.cookie}"} if self.cookie else {}
        async with self.client.get(path, headers=headers, allow_redirects=False) as response:
            if response.status != 303:
                policy = response.headers["Content-Security-Policy"]
                assert policy.startswith("default-src 'none'")
                assert "script" not in policy
                assert response.headers["Cache-Control"] == "no-store"
            return response.status, await response.text()

    async def log_in(self, key: str, *, remote: str = "192.0.2.1") -> int:
        async with self.client.post(
            "/console/login",
            data={"key": key},
            headers={"X-Remote": remote},
            allow_redirects=False,
        ) as response:
            cookies = SimpleCookie(response.headers.get("Set-Cookie", ""))
            if COOKIE in cookies:
                morsel = cookies[COOKIE]
                assert (morsel["httponly"], morsel["samesite"]) == (True, "Strict")
                assert (morsel["path"], morsel["max-age"]) == ("/console", str(LIFE_S))
                self.cookie = morsel.value
            return response.status


@pytest.fixture
async def browser(tmp_path: Path) -> AsyncIterator[Browser]:
    async with public_listener(tmp_path) as behind:
        sources = ConsoleSources(
            devices=lambda: {("fcm", "agent", "active"): 1, ("fcm", "agent", "pruned"): 2},
            registry=behind.store.registry,
            journal=behind.store.journal,
            receipts=behind.store.receipts,
            asking=lambda: Asking({}, "opt_in"),
            taken_by=taken_by,
            lanes=behind.store.lanes,
            queue=behind.queue,
            keys=behind.store.keys,
            audit=behind.store.audit,
            log_in=behind.authenticator.log_in,
            remote=lambda request: request.headers.get("X-Remote", "192.0.2.1"),
        )
        app = web.Application(middlewares=[problem_middleware(behind.errors.append)])
        app.add_routes(ConsoleRoutes(sources, secret=SECRET, clock=wall(behind.clock)).routes())
        async with TestClient(TestServer(app), cookie_jar=DummyCookieJar()) as client:
            yield Browser(client, behind)


@pytest.fixture
async def inside(browser: Browser) -> Browser:
    await fill(browser.behind)
    assert await browser.log_in(await browser.behind.key("admin")) == 303
    return browser


async def fill(behind: PublicListener) -> None:
    now = behind.clock()
    registration = Registration(
        "phone",
        "agent",
        Platform.ANDROID,
        "fcm",
        ADDRESS,
        user_id="u1",
        custom_id="mary",
        profile=Profile(device_model=NASTY),
    )
    await behind.store.registry.register(registration, proven=None, now=now)
    event = Event(
        "msg_1",
        "notifications.sent",
        "accepted",
        now,
        notifications=1,
        rejections=(Rejection(1, "title is not a string"),),
        body=b'{"title":"private words"}',
    )
    await behind.queue.accept(event, [])
    reason = f"INVALID_ARGUMENT {NASTY}"
    record = Record(
        "msg_1",
        0,
        1,
        DeliveryState.REFUSED,
        3,
        now,
        "u1",
        "mary",
        "agent",
        "fcm",
        "0123456789ab",
        reason,
    )
    await behind.store.journal.record([record], [])
    await behind.store.lanes.hold(
        "agent",
        "fcm",
        "android",
        by="misconfigured",
        reason="the key was revoked",
        hint="make a new key",
        now=now,
    )


async def test_wrong_keys_are_counted_by_address_and_then_not_looked_at(browser: Browser) -> None:
    good = await browser.behind.key("admin")
    statuses = [await browser.log_in("ik_wrong") for _ in range(WRONG_LOGINS_PER_MINUTE + 1)]
    assert statuses == [401] * WRONG_LOGINS_PER_MINUTE + [429]
    assert await browser.log_in(good) == 429
    assert await browser.log_in(good, remote="192.0.2.2") == 303
    for _ in range(3 * WRONG_LOGINS_PER_MINUTE):
        assert await browser.log_in("ik_wrong", remote="") == 401  # a proxy's own address
    browser.behind.clock.now += 60
    assert await browser.log_in(good) == 303


async def test_strangers_see_the_login_and_nothing_else(browser: Browser) -> None:
    await fill(browser.behind)
    for page in PAGES:
        status, html = await browser.get(page)
        assert status == 401
        assert 'action="/console/login"' in html
        assert "mary" not in html.replace("did Mary", "")
        assert "msg_1" not in html


async def test_an_admin_key_opens_every_page_and_logging_out_closes_them(
    inside: Browser,
) -> None:
    for page in PAGES:
        assert (await inside.get(page))[0] == 200
    async with inside.client.post("/console/logout", allow_redirects=False) as response:
        assert response.status == 303
        cookies = SimpleCookie(response.headers["Set-Cookie"])
        assert (cookies[COOKIE].value, cookies[COOKIE]["max-age"]) == ("", "0")


async def test_keys_of_other_scopes_and_other_texts_stay_outside(browser: Browser) -> None:
    lesser = await browser.behind.key("devices:read", "deliveries:read")
    for text in ("", "ik_", "admin", lesser, lesser[:-1] + "x", "\u00e9", "ik_" + "a" * 3_000):
        assert await browser.log_in(text) == 401
    assert browser.cookie == ""


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"\xff\xfe", "application/x-www-form-urlencoded", 401),
        (b"key", "multipart/form-data", 401),
        (b"a=1&b=2&c=3", "application/x-www-form-urlencoded", 401),
        (b"key=x", "application/x-www-form-urlencoded; charset=rubbish", 401),
        (b"key=" + b"x" * 5_000, "application/x-www-form-urlencoded", 413),
    ],
)
async def test_an_odd_login_is_refused(
    browser: Browser, body: bytes, content_type: str, status: int
) -> None:
    headers = {"Content-Type": content_type}
    async with browser.client.post("/console/login", data=body, headers=headers) as response:
        assert response.status == status


async def test_a_session_ends_after_half_an_hour(inside: Browser) -> None:
    inside.behind.clock.now += LIFE_S - 1
    assert (await inside.get("/console"))[0] == 200
    inside.behind.clock.now += 1
    assert (await inside.get("/console"))[0] == 401


async def test_a_session_ends_at_once_with_its_key(inside: Browser) -> None:
    (key,) = await inside.behind.store.keys.all()
    await inside.behind.store.keys.revoke(key.id, now=inside.behind.clock())
    assert (await inside.get("/console"))[0] == 401


async def test_a_forged_cookie_opens_nothing(inside: Browser) -> None:
    (key,) = await inside.behind.store.keys.all()
    good = inside.cookie
    forged = [
        good[:-1] + ("0" if good[-1] != "0" else "1"),
        good.replace(key.id, "11111111", 1),
        seal(key.id, now=inside.behind.clock(), secret=b"x" * 32),
        seal("ffffffff", now=inside.behind.clock(), secret=SECRET),
        "",
        ".",
        "..",
        "a.b.c",
        f"{key.id}.99999999999.",
    ]
    for cookie in forged:
        inside.cookie = cookie
        assert (await inside.get("/console"))[0] == 401


@pytest.mark.parametrize("cookie", ["\ud800.1.x", "\u00e9.1.\u00e9", "." * 50])
def test_any_text_may_come_as_a_cookie(cookie: str) -> None:
    assert unseal(cookie, now=0.0, secret=SECRET) is None


async def test_the_overview_tells_of_a_stopped_lane_and_what_to_do(inside: Browser) -> None:
    status, html = await inside.get("/console")
    assert status == 200
    for told in ("agent/fcm/android", "held", "the key was revoked", "make a new key", "msg_1"):
        assert told in html


@pytest.mark.parametrize("identifier", ["mary", "u1"])
async def test_looking_up_mary_tells_why_she_did_not_get_it(
    inside: Browser, identifier: str
) -> None:
    status, html = await inside.get(f"/console/user?id={identifier}")
    assert status == 200
    for told in ("Why pushes may not arrive", "the key was revoked", "refused", "INVALID_ARGUMENT"):
        assert told in html


async def test_an_unknown_user_and_an_unknown_event_are_said_to_be_unknown(
    inside: Browser,
) -> None:
    status, html = await inside.get("/console/user?id=nobody")
    assert (status, "Nothing is known under this id" in html) == (200, True)
    status, html = await inside.get("/console/event?id=%3Cb%3E")
    assert (status, "&lt;b&gt;" in html) == (404, True)
    assert (await inside.get("/console/user?id=+"))[0] == 303


async def test_an_event_shows_its_items_and_its_rejections(inside: Browser) -> None:
    _, html = await inside.get("/console/event?id=msg_1")
    for told in ("title is not a string", "refused", "#0123456789ab", "/console/user?id=mary"):
        assert told in html
    assert "from <code>learnink</code>" in html


async def test_lists_name_the_source_of_each_event(inside: Browser) -> None:
    for page in ("/console", "/console/user?id=mary"):
        _, html = await inside.get(page)
        assert "<th>Source</th>" in html
        assert "<td><code>learnink</code></td>" in html


async def test_pages_hold_no_address_no_text_and_no_live_markup(inside: Browser) -> None:
    for page in (*PAGES, "/console/user?id=%3Cscript%3E", "/console/event?id=%3Cscript%3E"):
        _, html = await inside.get(page)
        assert ADDRESS not in html
        assert "private words" not in html
        assert "<script" not in html


async def test_everything_the_pages_need_comes_from_here(inside: Browser) -> None:
    for page in PAGES:
        _, html = await inside.get(page)
        assert "//" not in html.replace("<!doctype", "")
    status, css = await inside.get("/console/style.css")
    assert status == 200
    assert "url(" not in css
    assert "@import" not in css


def device(state: DeviceState = DeviceState.ACTIVE, provider: str = "fcm") -> Device:
    return Device(
        id=1,
        installation_id="phone",
        app="agent",
        platform=Platform.IOS,
        provider=provider,
        address=ADDRESS,
        address_kind=AddressKind.TOKEN,
        environment=Environment.PRODUCTION,
        user_id="u1",
        custom_id=None,
        state=state,
        state_reason="",
        registered_at=0.0,
        last_seen_at=0.0,
        profile=Profile(),
    )


def delivery(state: DeliveryState) -> Record:
    return Record("msg_1", 0, 1, state, 1, 0.0)


HELD = LaneRow("agent", "fcm", held="operator", reason="night", hint="inkpush lanes resume")


@pytest.mark.parametrize(
    ("devices", "deliveries", "lanes", "said"),
    [
        ([], [], [], "check the spelling"),
        ([], [delivery(DeliveryState.NO_DEVICE)], [], "No device is registered"),
        ([device(DeviceState.PRUNED)], [delivery(DeliveryState.PRUNED)], [], "No device is active"),
        ([device()], [], [], "No notification for this user"),
        ([device()], [delivery(DeliveryState.PENDING)], [HELD], "is paused: night"),
        ([device()], [delivery(DeliveryState.EXPIRED)], [], "The latest push is expired"),
    ],
)
def test_the_likeliest_reason_comes_first(
    devices: list[Device], deliveries: list[Record], lanes: list[LaneRow], said: str
) -> None:
    assert said in explain(devices, deliveries, lanes, now=0.0)[0]


def test_no_reason_is_made_up() -> None:
    fine = [delivery(DeliveryState.DELIVERED), delivery(DeliveryState.EXPIRED)]
    assert explain([device()], fine, [], now=0.0) == []
    assert explain([device(provider="apns")], fine, [HELD], now=0.0) == []


def test_every_state_has_a_meaning_of_its_own() -> None:
    assert len({meaning(state) for state in DeliveryState}) == len(DeliveryState)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0 s"), (59.4, "59 s"), (60, "1 min"), (7_200, "2 h"), (200_000, "2 d")],
)
def test_durations_are_told_in_their_largest_unit(seconds: Any, text: str) -> None:
    assert age(seconds) == text
