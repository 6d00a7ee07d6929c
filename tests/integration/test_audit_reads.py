"""Who read when somebody saw a push, and who exported what: each has a row of the audit table.

The tables here name every route, page and command that looks: each shows people's times or exports,
and then its row is looked for; or it does not, and then there is none. On both engines.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aiohttp import DummyCookieJar, web
from aiohttp.test_utils import TestClient, TestServer

from gateway.app.skin import problem_middleware
from gateway.app.vendors import taken_by
from gateway.core.audit import Row
from gateway.core.learnt import Learnt
from gateway.core.model import Event, UserRef, day_of
from gateway.core.receipts import Key, Kind, Told
from gateway.core.seen import Asking
from gateway.devices.auth import Authenticator, AuthRules
from gateway.errors import StoreUnavailable
from gateway.ops.console.pages import COOKIE, ConsoleRoutes, ConsoleSources
from gateway.ops.console.session import seal
from gateway.store.postgres import PostgresStore
from tests.kit.build import NOW
from tests.kit.clocks import both, wall
from tests.kit.commands import Workplace
from tests.kit.handlers import JWT_SECRET, PublicHandlers, TestClock, user_token
from tests.kit.stores import BACKENDS, Handle, record, register

MARY, OTIS = UserRef(custom_id="mary"), UserRef(custom_id="otis")
SECRET = b"s" * 32
COMPLETED = "user.course.completed"


class Wanted(NamedTuple):
    """A row: what was done, to what, how many it were, and whether it is about Mary."""

    what: str
    object: str
    affected: int
    about_mary: bool


TIMES = Wanted("users.read", "times", 1, True)
OF_ONE = Wanted("users.read", "msg_one", 1, True)
OF_TWO = Wanted("users.read", "msg_two", 2, False)
HERS = Wanted("events.read", "", 1, True)
ALL = Wanted("events.read", "", 2, False)
EXPORT = Wanted("users.export", "", 1, True)
DEVICES = Wanted("devices.export", "", 2, False)


@pytest.fixture(params=["sqlite", "postgres"])
async def handle(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Handle]:
    """Mary opened a push of her own and one that Otis opened as well; nobody told of the third.
    Each of them completed a course."""
    async with BACKENDS[request.param].open(tmp_path, lambda: NOW) as opened:
        phones = {}
        for who in ("mary", "otis"):
            given: dict[str, Any] = {"user_id": None, "custom_id": who}
            phones[who] = await register(opened, f"phone-{who}", f"address-{who}", **given)
        for event_id, people in (
            ("msg_none", ["zoe"]),
            ("msg_one", ["mary"]),
            ("msg_two", ["mary", "otis"]),
        ):
            event = Event(event_id, "notifications.sent", "accepted", NOW - 9.0)
            await opened.queue.accept(event, [])
            for index, who in enumerate(people):
                device_id = phones[who].id if who in phones else 0
                day = day_of(NOW)
                row = record(event_id, index, device_id, user_id=None, custom_id=who, day=day)
                await opened.journal.record([row], [])
                if device_id:
                    key = Key(event_id, index, device_id, day, "granted")
                    told = Told(key, Kind.OPENED, NOW + 60.0, 5.0, True)
                    await opened.store.receipts.keep([told], rule="opt_out")
        for who in ("mary", "otis"):
            learnt = Learnt(None, who, "course_1", salt=SECRET)
            event = Event(f"evt_{who}", COMPLETED, "ignored", NOW, NOW, body=b"{}", learnt=learnt)
            await opened.queue.accept(event, [])
        await opened.store.learning.chain(now=NOW, limit=10, salt=lambda: SECRET)
        yield opened


async def rows(handle: Handle) -> list[Row]:
    return await handle.audit.page(limit=100)


async def said(handle: Handle) -> list[Wanted]:
    """The rows, oldest first."""
    hers = await handle.audit.page(limit=100, user=MARY)
    found = [Wanted(*row[2:4], row.affected, row in hers) for row in await rows(handle)]
    return found[::-1]


# --- routes -----------------------------------------------------------------------------------

SEES = ("deliveries:read", "receipts:read")
LEARNS = ("events:read",)


@dataclass(frozen=True)
class Call:
    """A GET, by its route, and what it leaves. `scopes` None: without a key."""

    route: str
    path: str
    row: Wanted | None = None
    scopes: tuple[str, ...] | None = SEES
    status: int = 200


CALLS = (
    Call("/v1/users/{id}/deliveries", "/v1/users/mary/deliveries", TIMES),
    Call("/v1/users/{id}/deliveries", "/v1/users/mary/deliveries", TIMES, ("admin",)),
    Call("/v1/users/{id}/deliveries", "/v1/users/mary/deliveries", None, ("deliveries:read",)),
    Call("/v1/users/{id}/deliveries", "/v1/users/zoe/deliveries"),
    Call("/v1/users/{id}/deliveries", "/v1/users/mary/deliveries?limit=0", status=422),
    Call("/v1/users/{id}/why", "/v1/users/mary/why", TIMES),
    Call("/v1/users/{id}/why", "/v1/users/mary/why?event=msg_one", TIMES),
    Call("/v1/users/{id}/why", "/v1/users/mary/why", None, ("deliveries:read",)),
    Call("/v1/users/{id}/why", "/v1/users/zoe/why"),
    Call("/v1/users/{id}/why", "/v1/users/mary/why?event=msg_9", status=404),
    Call("/v1/events/{event_id}", "/v1/events/msg_one?items=1", OF_ONE),
    Call("/v1/events/{event_id}", "/v1/events/msg_two?items=1", OF_TWO),
    Call("/v1/events/{event_id}", "/v1/events/msg_two?items=1", None, ("deliveries:read",)),
    Call("/v1/events/{event_id}", "/v1/events/msg_one"),
    Call("/v1/events/{event_id}", "/v1/events/msg_none?items=1"),
    Call("/v1/events/{event_id}", "/v1/events/msg_9?items=1", status=404),
    Call("/v1/users/{id}/events", "/v1/users/mary/events", HERS, LEARNS),
    Call("/v1/users/{id}/events", "/v1/users/zoe/events", None, LEARNS),
    Call("/v1/users/{id}/events", "/v1/users/mary/events?limit=0", None, LEARNS, 422),
    Call("/v1/events", "/v1/events", ALL, LEARNS),
    Call("/v1/events", "/v1/events?user=mary", HERS, LEARNS),
    Call("/v1/events", "/v1/events?type=user.badge.earned", None, LEARNS),
    Call("/v1/users/{id}", "/v1/users/mary", EXPORT, ("admin",)),
    Call("/v1/users/{id}", "/v1/users/mary?by=phone", None, ("admin",), 422),
    # of a device it is shown when its app was last heard of, which is no push that somebody saw
    Call("/v1/users/{id}/devices", "/v1/users/mary/devices", None, ("devices:read",)),
    Call("/v1/users/{id}/erasure", "/v1/users/mary/erasure", None, ("admin",), 404),
)
REFUSED = tuple(
    Call(one.route, one.path, None, scopes, status)
    for one in CALLS
    if one.row is not None
    for scopes, status in ((None, 401), (("devices:read", "receipts:read"), 403))
)


def handlers(handle: Handle) -> PublicHandlers:
    store: Any = handle.store
    queue: Any = handle.queue
    clock = TestClock(NOW + 3_600.0)
    keys = Authenticator(AuthRules(jwt_secret=JWT_SECRET), store.keys, clocks=both(clock))
    return PublicHandlers(store=store, queue=queue, authenticator=keys, clock=clock)


async def test_what_a_call_shows_of_people_s_times_has_a_row_and_nothing_else(
    handle: Handle,
) -> None:
    public, wanted = handlers(handle), []
    for one in (*CALLS, *REFUSED):
        public.clock.now += 1.0
        headers = {}
        if one.scopes is not None:
            headers["Authorization"] = f"Bearer {await public.key(*one.scopes)}"
        answer = await public.ask("GET", one.path, headers=headers)
        assert answer.status == one.status, one
        wanted += [] if one.row is None else [one.row]
        assert await said(handle) == wanted, one
        if one.row is not None:
            newest = (await rows(handle))[0]
            assert newest.at == public.clock.now
            assert newest.who.startswith("test (key ")
            assert newest.origin == "api"
            # what a backend does all day goes with the journal, an export does not
            assert newest.routine == (newest.what in {"users.read", "events.read"})
    for row in await rows(handle):
        assert not {"mary", "otis"} & set(str(row).replace("'", " ").split())


async def test_no_route_that_looks_is_forgotten(handle: Handle) -> None:
    found = {one.path for one in handlers(handle).routes if one.method == "GET"}
    assert found == {one.route for one in CALLS}


async def test_a_person_s_own_export_has_a_row_and_a_stranger_s_try_none(handle: Handle) -> None:
    public = handlers(handle)
    for who, status in (("otis", 403), ("mary", 200)):
        headers = {"Authorization": f"Bearer {user_token(who)}"}
        assert (await public.ask("GET", "/v1/users/mary", headers=headers)).status == status
    assert await said(handle) == [EXPORT]
    assert [(row.who, row.remote) for row in await rows(handle)] == [("the user", "")]


async def test_nothing_is_shown_of_which_no_row_could_be_written(
    handle: Handle, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_args: object, **_more: object) -> None:
        raise StoreUnavailable("the disk is full")

    monkeypatch.setattr(type(handle.audit), "note", fail)
    public = handlers(handle)
    headers = {"Authorization": f"Bearer {await public.key('admin')}"}
    for path in {one.path for one in CALLS if one.row is not None}:
        answer = await public.ask("GET", path, headers=headers)
        assert (answer.status, answer.code) == (503, "unavailable"), path


# --- pages ------------------------------------------------------------------------------------

PAGES: dict[str, Wanted | None] = {
    "/console": None,
    "/console/user?id=mary": TIMES,
    "/console/user?id=zoe": None,
    "/console/event?id=msg_one": OF_ONE,
    "/console/event?id=msg_two": OF_TWO,
    "/console/event?id=msg_none": None,
    "/console/event?id=msg_9": None,
    "/console/style.css": None,
}


async def test_what_a_page_shows_of_people_s_times_has_a_row(handle: Handle) -> None:
    public = handlers(handle)
    await public.key("admin")
    (key,) = await handle.keys.all()
    sources = ConsoleSources(
        devices=dict,
        registry=handle.registry,
        journal=handle.journal,
        receipts=handle.store.receipts,
        asking=lambda: Asking({}, "opt_in"),
        taken_by=taken_by,
        lanes=handle.lanes,
        queue=handle.queue,
        keys=handle.keys,
        audit=handle.audit,
        log_in=public.authenticator.log_in,
        remote=lambda _request: "192.0.2.7",
    )
    routes = ConsoleRoutes(sources, secret=SECRET, clock=wall(public.clock)).routes()
    paths: set[str] = {one.path for one in routes if one.method == "GET"}
    assert {path.partition("?")[0] for path in PAGES} == paths
    app = web.Application(middlewares=[problem_middleware(lambda _error: None)])
    app.add_routes(routes)
    wanted: list[Wanted] = []
    async with TestClient(TestServer(app), cookie_jar=DummyCookieJar()) as client:
        for path, row in PAGES.items():
            for cookie in ("", seal(key.id, now=public.clock(), secret=SECRET)):
                public.clock.now += 1.0
                async with client.get(path, headers={"Cookie": f"{COOKIE}={cookie}"}) as answer:
                    await answer.read()
                assert await said(handle) == wanted + ([row] if row and cookie else []), path
            wanted += [row] if row else []
    for one in await rows(handle):
        assert (one.who, one.origin) == (f"test (key {key.id})", "console")
        assert (one.remote, one.routine) == ("192.0.2.7", False)


# --- commands ---------------------------------------------------------------------------------

COMMANDS: dict[str, Wanted | None] = {
    "why mary": TIMES,
    "why mary --event msg_one": TIMES,
    "why mary --event msg_9": None,
    "why zoe": None,
    "deliveries show --user mary": TIMES,
    "deliveries show --user zoe": None,
    "events show msg_one --items": OF_ONE,
    "events show msg_two --items": OF_TWO,
    "events show msg_two": None,
    "events show msg_none --items": None,
    "users export mary": EXPORT,
    "devices export phones.ndjson": DEVICES,
    "devices export --app agent -": DEVICES._replace(object="agent"),
    "devices export no/such/folder/phones.ndjson": DEVICES._replace(affected=0),
    "devices list --user mary": None,
}


async def test_what_a_command_shows_of_people_s_times_or_exports_has_a_row(
    handle: Handle, tmp_path: Path
) -> None:
    place = Workplace.make(tmp_path)
    if isinstance(handle.store, PostgresStore):
        place.variables["INKPUSH_STORE__URL"] = handle.store.database.url
    wanted: list[Wanted] = []
    for command, row in COMMANDS.items():
        done = await asyncio.to_thread(place.run, *command.split())
        assert done.status == ("msg_9" in command or "no/such" in command), (command, done.err)
        wanted += [] if row is None else [row]
        assert await said(handle) == wanted, command
    assert {(one.origin, one.routine) for one in await rows(handle)} == {("cli", False)}
