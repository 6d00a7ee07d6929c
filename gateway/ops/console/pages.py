"""The console's routes: who may look, and what each page is made of.

Owns login and logout. Only an API key of scope `admin` gets in; the cookie is HttpOnly, SameSite
strict and ends after half an hour, and at once with its key. Nothing can be changed here. That
somebody reads people's times is in the audit table.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import jinja2
from aiohttp import web

import gateway
from gateway.core.audit import Actor, key_holder, reading
from gateway.core.clocks import WallClock
from gateway.core.instants import to_iso
from gateway.core.model import Record, UserRef
from gateway.core.seen import Asking, Sight
from gateway.core.sources import source_of
from gateway.ops.console.session import LIFE_S, seal, unseal
from gateway.ops.console.words import age, explain, meaning
from gateway.ops.people import deliveries_of, people_of
from gateway.ports import ApiKey, Audit, Journal, Keys, Lanes, Queue, Receipts, Registry
from gateway.problems import Problem

COOKIE = "inkpush_console"
_EVENTS = 25
_DELIVERIES = 100
_ITEMS = 500
_MAX_LOGIN_BYTES = 4_096
_HERE = Path(__file__).parent
_KEY: web.RequestKey[ApiKey] = web.RequestKey("key", ApiKey)
"""Whose session a request has."""
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class ConsoleSources:
    """What the pages read. `log_in` gives the API key in force with a text from somewhere, or a
    problem for too many wrong ones; `remote` says from where a request came; `devices` has the last
    count by (provider, app, state), for counting takes long; `taken_by` says who took a provider's
    pushes."""

    devices: Callable[[], Mapping[tuple[str, str, str], int]]
    registry: Registry
    journal: Journal
    receipts: Receipts
    asking: Callable[[], Asking]
    taken_by: Callable[[str], str]
    lanes: Lanes
    queue: Queue
    keys: Keys
    audit: Audit
    log_in: Callable[[str, str], Awaitable[ApiKey | None]]
    remote: Callable[[web.Request], str]


class ConsoleRoutes:
    """`/console` of the ops listener. `secret` signs the cookies: 32 random bytes."""

    def __init__(self, sources: ConsoleSources, *, secret: bytes, clock: WallClock) -> None:
        self._sources = sources
        self._secret = secret
        self._clock = clock
        self._style = (_HERE / "style.css").read_text(encoding="utf-8")
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters |= {
            "iso": to_iso,
            "age": age,
            "meaning": meaning,
            "source": source_of,
            "taken_by": sources.taken_by,
        }

    def routes(self) -> list[web.RouteDef]:
        """What to add to the ops application."""
        return [
            web.get("/console", self._guarded(self.overview)),
            web.get("/console/user", self._guarded(self.user)),
            web.get("/console/event", self._guarded(self.event)),
            web.get("/console/style.css", self.style),
            web.post("/console/login", self.login),
            web.post("/console/logout", self.logout),
        ]

    async def login(self, request: web.Request) -> web.Response:
        """Exchange an API key for a session."""
        text = await _sent_key(request)
        try:
            key = await self._sources.log_in(text, self._sources.remote(request))
        except Problem as problem:
            response = self._page(
                "login.html", status=problem.status, message="Too many wrong keys came from here."
            )
            response.headers.update(problem.headers)
            return response
        if key is None or not key.grants("admin"):
            message = "This API key is unknown, revoked, over or lacks the `admin` scope."
            return self._page("login.html", status=401, message=message)
        response = web.Response(status=303, headers={**_HEADERS, "Location": "/console"})
        response.set_cookie(
            COOKIE,
            seal(key.id, now=self._clock(), secret=self._secret),
            max_age=LIFE_S,
            path="/console",
            httponly=True,
            samesite="Strict",
            secure=request.secure,
        )
        return response

    async def logout(self, _request: web.Request) -> web.Response:
        """End the session of this browser."""
        response = web.Response(status=303, headers={**_HEADERS, "Location": "/console"})
        response.del_cookie(COOKIE, path="/console", httponly=True, samesite="Strict")
        return response

    async def style(self, _request: web.Request) -> web.Response:
        """The style sheet; it tells nothing, so it is open to all."""
        return web.Response(text=self._style, content_type="text/css", headers=_HEADERS)

    async def overview(self, _request: web.Request) -> web.Response:
        """Lanes, queue, devices, and what came in last."""
        sources = self._sources
        lanes, depth, events = await asyncio.gather(
            sources.lanes.all(),
            sources.queue.depth(),
            sources.journal.events(limit=_EVENTS),
        )
        states: dict[str, int] = {}
        for (_, _, state), count in sources.devices().items():
            states[state] = states.get(state, 0) + count
        response = self._page(
            "overview.html", lanes=lanes, depth=depth, devices=states, events=events
        )
        response.headers["Refresh"] = "15"
        return response

    async def user(self, request: web.Request) -> web.Response:
        """Why did Mary not get it?"""
        identifier = request.query.get("id", "").strip()
        if not identifier:
            raise web.HTTPSeeOther("/console")
        who, sources = UserRef.either(identifier), self._sources
        devices, lanes = await asyncio.gather(sources.registry.devices_of(who), sources.lanes.all())
        people = people_of(who, devices)
        deliveries = await deliveries_of(sources.journal, people, limit=_DELIVERIES)
        sight = await self._sight(deliveries)
        if sight.shown_of(deliveries):
            act = self._actor(request).does("users.read", "times", at=self._clock(), about=who)
            await sources.audit.note(act)
        return self._page(
            "user.html",
            identifier=identifier,
            devices=devices,
            deliveries=deliveries,
            sight=sight,
            reasons=explain(devices, deliveries, lanes, now=self._clock()),
        )

    async def event(self, request: web.Request) -> web.Response:
        """One event, its counts, and what became of its items."""
        event_id = request.query.get("id", "").strip()
        summary = await self._sources.journal.event(event_id)
        if summary is None:
            return self._page("missing.html", status=404, event_id=event_id)
        records = await self._sources.journal.items_of(event_id)
        shown = records[:_ITEMS]
        sight = await self._sight(shown)
        if people := sight.shown_of(shown):
            act = reading(self._actor(request), event_id, people, at=self._clock())
            await self._sources.audit.note(act, count=len(people))
        return self._page(
            "event.html",
            summary=summary,
            records=shown,
            sight=sight,
            hidden=len(records) - _ITEMS,
        )

    async def _sight(self, records: Sequence[Record]) -> Sight:
        """What the phones told of these; who gets in here may know when."""
        told = await self._sources.receipts.of(records)
        return self._sources.asking().sight(told, exact=True)

    def _actor(self, request: web.Request) -> Actor:
        """Who looks, for the audit table."""
        key = request[_KEY]
        return Actor(key_holder(key.id, key.name), "console", self._sources.remote(request))

    def _guarded(self, handler: Handler) -> Handler:
        """Let in who has a session whose key is still in force; show the login to all others."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            cookie = request.cookies.get(COOKIE, "")
            key_id = unseal(cookie, now=self._clock(), secret=self._secret)
            key = None if key_id is None else await self._in_force(key_id)
            if key is None:
                return self._page("login.html", status=401, message="")
            request[_KEY] = key
            return await handler(request)

        return guarded

    async def _in_force(self, key_id: str) -> ApiKey | None:
        keys = await self._sources.keys.all()
        now = self._clock()
        mine = (key for key in keys if key.id == key_id)
        return next((key for key in mine if key.in_force(now) and key.grants("admin")), None)

    def _page(self, name: str, *, status: int = 200, **values: Any) -> web.Response:
        html = self._templates.get_template(name).render(
            now=self._clock(), version=gateway.__version__, inside=name != "login.html", **values
        )
        return web.Response(text=html, content_type="text/html", status=status, headers=_HEADERS)


async def _sent_key(request: web.Request) -> str:
    """The key from the login form; "" when there is none. aiohttp's own form reader would let a
    hostile body, such as multipart without a boundary, become a 500."""
    if (request.content_length or 0) > _MAX_LOGIN_BYTES:
        raise Problem("body_too_large")
    try:
        form = parse_qs((await request.read()).decode(), max_num_fields=2)
    except ValueError:
        return ""
    return form.get("key", [""])[0].strip()
