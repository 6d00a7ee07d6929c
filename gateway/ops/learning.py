"""Reading learning events over HTTP: by type, source, person and time, with a cursor.

Owns which parameters there are, and that a key that is limited sees what it may see alone. Who may
look is decided by `authorize`, which the composition root injects; who looked at one person's
events is in the audit table.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from gateway.core.audit import Actor
from gateway.core.clocks import Clocks
from gateway.core.event_types import type_fault
from gateway.core.instants import read_instant
from gateway.core.learning import Page, Wanted
from gateway.core.model import UserRef
from gateway.core.reading import cursor_of, event_view, place_of, undated
from gateway.exchange import Answer, Request, Route
from gateway.ops.people import people_of
from gateway.ports import Store
from gateway.ports.learning import Learning
from gateway.problems import Problem
from gateway.whose import by_of, find_user

SCOPE = "events:read"
DEFAULT_LIMIT = 100
MAX_LIMIT = 1_000
_OF_ONE = ("type", "source", "since", "until", "after", "limit", "by")
_OF_ALL = (*_OF_ONE, "user")


class Reader(Protocol):
    """Whoever reads."""

    @property
    def sources(self) -> Sequence[str]:
        """The sources whose events they may see; none: all."""

    @property
    def types(self) -> Sequence[str]:
        """The types of events that they may see; none: all."""

    def actor(self, request: Request) -> Actor:
        """Who acts, for the audit table."""


Authorize = Callable[[Request, str], Awaitable[Reader]]
"""Who asks; raises a `Problem` unless they have the scope."""


class LearningRoutes:
    """`GET /v1/events` and `GET /v1/users/{id}/events` of the public listener. `late_after_s` is
    asked at each request, so that a reload takes effect."""

    def __init__(
        self,
        store: Store,
        authorize: Authorize,
        *,
        late_after_s: Callable[[], float],
        clocks: Clocks,
    ) -> None:
        self._learning = store.learning
        self._registry = store.registry
        self._audit = store.audit
        self._authorize = authorize
        self._late_after_s = late_after_s
        self._clocks = clocks

    def routes(self) -> list[Route]:
        """What to add to the public listener."""
        return [
            Route("GET", "/v1/events", self.events),
            Route("GET", "/v1/users/{id}/events", self.user_events),
        ]

    async def events(self, request: Request) -> Answer:
        """Learning events, in an order that never grows behind the cursor."""
        reader = await self._authorize(request, SCOPE)
        user = request.query.get("user")
        return await self._answer(request, reader, _OF_ALL, user)

    async def user_events(self, request: Request) -> Answer:
        """One person's learning events."""
        reader = await self._authorize(request, SCOPE)
        return await self._answer(request, reader, _OF_ONE, request.path["id"])

    async def _answer(
        self, request: Request, reader: Reader, known: Sequence[str], user: str | None
    ) -> Answer:
        wanted, after, limit = asked(request.query, known)
        by = by_of(request.query)
        wanted = replace(wanted, sources=reader.sources, types=reader.types)
        about, people = None, list[UserRef]()
        if user is not None:
            about = await find_user(self._registry, user, by)
            people = people_of(about, await self._registry.devices_of(about))
        page = await read(self._learning, wanted, people, after=after, limit=limit)
        if page.events:
            await self._note(request, reader, about, len(page.events))
        late_after_s = self._late_after_s()
        views = [event_view(one, late_after_s=late_after_s) for one in page.events]
        told = {"after": cursor_of(page.after), "undated": undated(page.events)}
        return Answer(200, {"events": views, **told})

    async def _note(
        self, request: Request, reader: Reader, about: UserRef | None, count: int
    ) -> None:
        actor, at = reader.actor(request), self._clocks.wall()
        act = actor.does("events.read", at=at, routine=True, about=about)
        await self._audit.note(act, count=count)


async def read(
    learning: Learning, wanted: Wanted, people: Sequence[UserRef], *, after: int, limit: int
) -> Page:
    """A page of what is wanted; of these people, where there are any: all are one person."""
    if len(people) < 2:
        user = people[0] if people else None
        return await learning.page(replace(wanted, user=user), after=after, limit=limit)
    pages = [
        await learning.page(replace(wanted, user=one), after=after, limit=limit) for one in people
    ]
    found = {event.number: event for page in pages for event in page.events}
    events = [found[number] for number in sorted(found)][:limit]
    # a full page says nothing of what lies behind it
    end = events[-1].number if len(events) == limit else max(page.after for page in pages)
    return Page(events, end)


def asked(query: Mapping[str, str], known: Sequence[str]) -> tuple[Wanted, int, int]:
    """What a request asks for, behind which number, and how many. Raises a `Problem` with all that
    is wrong."""
    errors = [
        {"field": name[:64], "message": f"is no parameter; there are {', '.join(known)}"}
        for name in query
        if name not in known
    ]
    limit, after = _limit(query, errors), 0
    if (cursor := query.get("after")) is not None:
        place = place_of(cursor)
        if place is None:
            message = "is no cursor; send what `after` of an answer said, as it is"
            errors.append({"field": "after", "message": message})
        after = place or 0
    if (kind := query.get("type")) is not None and (fault := type_fault(kind)):
        errors.append({"field": "type", "message": fault})
    since, until = (_time(query, name, errors) for name in ("since", "until"))
    if errors:
        raise Problem("invalid", errors=errors)
    wanted = Wanted(type=kind, source=query.get("source"), since=since, until=until)
    return wanted, after, limit


def _limit(query: Mapping[str, str], errors: list[dict[str, str]]) -> int:
    text = query.get("limit", str(DEFAULT_LIMIT))
    limit = int(text) if text.isascii() and text.isdecimal() and len(text) < len("100000") else 0
    if not 1 <= limit <= MAX_LIMIT:
        errors.append({"field": "limit", "message": f"must be 1 to {MAX_LIMIT}"})
    return limit


def _time(query: Mapping[str, str], name: str, errors: list[dict[str, str]]) -> float | None:
    if (text := query.get(name)) is None:
        return None
    moment = 0.0 if text == "0" else read_instant(text)
    if moment is None:
        message = "must be ISO 8601, as 2026-11-23T10:00:00Z, or epoch seconds"
        errors.append({"field": name, "message": message})
    return moment
