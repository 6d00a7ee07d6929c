"""The handlers of the public listener without a listener: no server, no socket, no thread.

The store is in memory and works on the event loop; the clock is the test's own.
"""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl, unquote

import jwt
from multidict import CIMultiDict

from gateway.app.holdings import SEARCH_S, collect
from gateway.app.people import views_of
from gateway.app.storage import Stores
from gateway.app.vendors import VENDORS
from gateway.core.clocks import Clocks, Unsure
from gateway.core.receipts import Measure, Mode, ReceiptWords
from gateway.core.seen import Asking
from gateway.core.sources import LEARNINK
from gateway.core.staleness import stale_before
from gateway.devices.api_keys import key_digest, new_key
from gateway.devices.auth import Authenticator, AuthRules
from gateway.devices.cancelling import CancelRoutes
from gateway.devices.exports import ExportRoutes
from gateway.devices.notifications import NotificationLimits, NotificationRoutes
from gateway.devices.receipts import ReceiptBook, ReceiptRoutes
from gateway.devices.routes import DeviceRoutes, DeviceRules
from gateway.events import GatewayEvent
from gateway.exchange import Answer, Request, Route, answered, too_large
from gateway.ingest.routes import WebhookLimits, WebhookRoute
from gateway.ops.experiments import ExperimentRoutes
from gateway.ops.learning import LearningRoutes
from gateway.ops.lookup import LookupRoutes
from gateway.ops.waiting import WaitingLookup
from gateway.ops.whys import Views, WhyLookup
from gateway.queue.in_store import InStoreQueue
from gateway.store.sqlite.database import SqliteDatabase
from gateway.store.sqlite.store import SqliteStore
from tests.kit.clocks import both
from tests.kit.engines import LoopEngine, in_memory
from tests.kit.stores import SECRET, fresh_secret, sqlite_queue

JWT_SECRET = "a secret of at least thirty-two bytes"
WEBHOOK_KEY = b"a webhook secret of some length"
MAX_BODY = 100_000
"""Bytes of a webhook, and of own notifications."""
REMOTE = "127.0.0.1"
BAD_RECEIPTS = 20
"""Requests without a receipt that holds, at once."""

Body = bytes | Callable[[int], Awaitable[bytes]]
"""A body that is all here, or what reads one up to so many bytes."""


@dataclass
class TestClock:
    """Epoch seconds that pass when the test says so."""

    __test__ = False
    now: float = field(default_factory=time.time)
    doubt: Unsure | None = None

    def __call__(self) -> float:
        return self.now


@dataclass(kw_only=True)
class PublicHandlers:
    """The handlers, and what is behind them."""

    store: SqliteStore
    queue: InStoreQueue
    authenticator: Authenticator
    clock: TestClock
    apps: dict[str, frozenset[str]] = field(default_factory=lambda: {"agent": frozenset(VENDORS)})
    backlog: int = 0
    stale_after_days: float = 60.0
    woken: int = 0
    modes: dict[str, Mode] = field(default_factory=dict)
    measure: Measure = "opt_in"
    receipt_words: ReceiptWords = field(default_factory=lambda: ReceiptWords(SECRET))
    events: list[GatewayEvent] = field(default_factory=list)
    routes: list[Route] = field(init=False)

    def __post_init__(self) -> None:
        self.routes = _routes(self)

    async def ask(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Body = b"",
    ) -> Answer:
        """Have the route's handler answer a request."""
        path, _, query = path.partition("?")
        handler, parts = next(
            (route.handler, match.groupdict())
            for route in self.routes
            if route.method == method and (match := _pattern(route).fullmatch(path))
        )
        request = request_of(
            body,
            headers=headers,
            path={name: unquote(part) for name, part in parts.items()},
            query=dict(parse_qsl(query)),
        )
        return await answered(handler, request)

    async def key(self, *scopes: str) -> str:
        """Make an API key with these scopes and give its text."""
        number = len(await self.store.keys.all())
        key, text = new_key(
            "test",
            scopes,
            now=self.clock(),
            random=lambda size: number.to_bytes(4, "big").rjust(size, b"k"),
        )
        await self.store.keys.add(key, key_digest(text))
        return text


@asynccontextmanager
async def public_handlers() -> AsyncIterator[PublicHandlers]:
    """The handlers on a new store."""
    clock = TestClock()
    database = SqliteDatabase(LoopEngine(in_memory()))
    store = SqliteStore(database, max_per_user=20, fresh=fresh_secret)
    await store.secret(SECRET)
    rules = AuthRules(jwt_secret=JWT_SECRET)
    authenticator = Authenticator(rules, store.keys, clocks=_clocks(clock))
    queue = sqlite_queue(store, clock=clock)
    try:
        yield PublicHandlers(store=store, queue=queue, authenticator=authenticator, clock=clock)
    finally:
        await authenticator.aclose()
        await store.aclose()


def request_of(
    body: Body = b"",
    *,
    headers: Mapping[str, str] | None = None,
    remote: str = REMOTE,
    path: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
) -> Request:
    """A request that came from no socket."""
    return Request(
        headers=CIMultiDict(headers or {}),
        remote=remote,
        path=path or {},
        query=query or {},
        body=_whole(body) if isinstance(body, bytes) else body,
    )


def user_token(sub: str, **claims: Any) -> str:
    """A user token of the customer's backend."""
    return jwt.encode({"sub": sub} | claims, JWT_SECRET, algorithm="HS256")


def _whole(body: bytes) -> Callable[[int], Awaitable[bytes]]:
    async def read(limit: int) -> bytes:
        if len(body) > limit:
            raise too_large(limit)
        return body

    return read


def _pattern(route: Route) -> re.Pattern[str]:
    return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", route.path))


def _clocks(clock: TestClock) -> Clocks:
    return replace(both(clock), doubt=lambda: clock.doubt)


def _views(public: PublicHandlers) -> Views:
    return views_of(
        VENDORS,
        asking=lambda: Asking(public.modes, public.measure),
        stale_before=lambda: stale_before(public.clock(), after_days=60, doubted=False),
    )


def _routes(public: PublicHandlers) -> list[Route]:
    def woke() -> None:
        public.woken += 1

    async def known(event_id: str) -> bool:
        return await public.store.journal.event(event_id) is not None

    store, queue, clock = public.store, public.queue, public.clock
    waiting = WaitingLookup(store.people, queue)
    authenticator = public.authenticator
    book = ReceiptBook(
        store.receipts,
        public.receipt_words,
        rule=lambda: public.measure,
        observer=public.events.append,
        clocks=_clocks(clock),
    )
    return [
        *DeviceRoutes(
            store.registry,
            store.erasures,
            authenticator,
            DeviceRules(VENDORS, lambda: public.apps, lambda: public.stale_after_days),
            _clocks(clock),
            receipts=book,
            changed=lambda _: None,
            erasing=lambda: None,
        ).routes(),
        *ReceiptRoutes(book, clocks=_clocks(clock), bad_at_once=BAD_RECEIPTS).routes(),
        *NotificationRoutes(
            queue,
            store.journal,
            authenticator,
            limits=lambda: NotificationLimits(3_600, 1_000, max_body_bytes=MAX_BODY),
            backlog=lambda: public.backlog,
            wake=woke,
            observer=public.events.append,
            clocks=_clocks(clock),
        ).routes(),
        *CancelRoutes(
            store.cancels,
            queue,
            authenticator,
            max_age_s=lambda: 3_600,
            kept_s=lambda: 0.0,
            cancelled=lambda _: None,
            observer=public.events.append,
            clocks=_clocks(clock),
        ).routes(),
        *LookupRoutes(
            store,
            authenticator.authorize,
            waiting=waiting,
            whys=WhyLookup(store, waiting, _views(public)),
            clocks=_clocks(clock),
            asking=lambda: Asking(public.modes, public.measure),
        ).routes(),
        *LearningRoutes(
            store, authenticator.authorize, late_after_s=lambda: 86_400.0, clocks=_clocks(clock)
        ).routes(),
        *ExperimentRoutes(
            store, authenticator.authorize, secret=SECRET, clocks=_clocks(clock)
        ).routes(),
        *ExportRoutes(
            store.registry,
            store.audit,
            authenticator,
            lambda user: collect(
                Stores(store, queue, "memory", ""),
                user,
                asking=Asking(public.modes, public.measure),
                vendors=VENDORS,
                search_s=SEARCH_S,
            ),
            _clocks(clock),
        ).routes(),
        *WebhookRoute(
            queue,
            limits={LEARNINK: WebhookLimits([WEBHOOK_KEY], 300, MAX_BODY, 3_600, 1_000)}.get,
            backlog=lambda: public.backlog,
            known=known,
            wake=woke,
            observer=public.events.append,
            clocks=_clocks(clock),
            salt=lambda: bytes(32),
        ).routes(),
    ]
