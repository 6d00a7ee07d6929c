"""Receipts: what phones tell of pushes, on a route of its own and with a registration.

Owns what a receipt must say and how it is answered. The word that came with the push is all that
proves it: it is checked before anything is looked up, and a receipt whose word holds is never
refused for how many there are. What becomes of it then is the store's matter.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from gateway.core.clocks import Clocks
from gateway.core.instants import read_instant
from gateway.core.receipts import KINDS, Measure, ReceiptWords, Told, told_of
from gateway.dating import time_to_keep
from gateway.devices.limits import CallerLimits
from gateway.events import Observer, ReceiptsTold
from gateway.exchange import Answer, Request, Route, read_object
from gateway.ports import KeptReceipt, Receipts
from gateway.problems import Problem

MAX_BODY = 64 * 1024
"""Bytes of a request: a hundred receipts take a quarter of it."""
MOST = 100
"""Receipts in one request."""
BAD_PER_MINUTE = 60_000
BAD_AT_ONCE = 2_000
"""Requests from one address in which no word holds. Thousands of phones share a carrier's address,
so that words are always looked at; over this, those who prove nothing are told to wait."""

_TOGETHER = 500
"""Receipts that share a transaction: enough to spread what one costs, few enough to answer soon."""


class Ignored(NamedTuple):
    """A receipt that is not kept: its place in the request, and why."""

    index: int  # type: ignore[assignment]  # not the method of a tuple, which nobody needs
    reason: str


class Taken(NamedTuple):
    """What became of a request's receipts. `proven`: how many words held."""

    accepted: int
    ignored: Sequence[Ignored]
    proven: int

    def view(self) -> dict[str, Any]:
        """How the answer says it."""
        ignored = [{"index": one.index, "reason": one.reason} for one in self.ignored]
        return {"accepted": self.accepted, "ignored": ignored}


class ReceiptBook:
    """Takes receipts, and has those of several requests kept together. `rule` says whose are kept.

    Receipts that come while the store is busy wait for it, and go in one transaction.
    """

    def __init__(
        self,
        receipts: Receipts,
        words: ReceiptWords,
        *,
        rule: Callable[[], Measure],
        observer: Observer,
        clocks: Clocks,
    ) -> None:
        self._receipts = receipts
        self._words = words
        self._rule = rule
        self._observer = observer
        self._clocks = clocks
        self._waiting: list[tuple[Sequence[Told], asyncio.Future[Sequence[KeptReceipt]]]] = []
        self._keeping: asyncio.Task[None] | None = None

    async def take(self, entries: Sequence[Any], sent_at: object) -> Taken:
        """Keep what holds; `sent_at` is when the phone sent it, by its clock."""
        received = await time_to_keep(self._clocks)
        sent = read_instant(sent_at)
        ignored: list[Ignored] = []
        told: list[Told] = []
        places: list[int] = []
        for place, entry in enumerate(entries):
            found = self._read(entry, sent, received)
            if isinstance(found, str):
                ignored.append(Ignored(place, found))
            else:
                told.append(found)
                places.append(place)
        kept = await self._keep(told) if told else ()
        for place, one in zip(places, kept, strict=True):
            if one.refusal:
                ignored.append(Ignored(place, one.refusal))
        self._tell(told, kept)
        return Taken(len(entries) - len(ignored), sorted(ignored), len(told))

    def _read(self, entry: Any, sent: float | None, received: float) -> Told | str:
        """The receipt, or why it is ignored."""
        if not isinstance(entry, dict):
            return "invalid"
        event_id, word, kind = entry.get("event_id"), entry.get("receipt"), entry.get("kind")
        if not isinstance(event_id, str) or not isinstance(word, str) or not isinstance(kind, str):
            return "invalid"
        known = KINDS.get(kind)
        if known is None:
            return "invalid"
        key = self._words.read(event_id, word)
        if key is None:
            return "not_proven"
        at = read_instant(entry.get("at"))
        return told_of(key, known, at=at, sent_at=sent, received=received)

    async def _keep(self, told: Sequence[Told]) -> Sequence[KeptReceipt]:
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[Sequence[KeptReceipt]] = loop.create_future()
        self._waiting.append((told, answered))
        if self._keeping is None:
            self._keeping = loop.create_task(self._keep_all())
        return await answered

    async def _keep_all(self) -> None:
        try:
            while self._waiting:
                await self._keep_some()
        finally:
            self._keeping = None

    async def _keep_some(self) -> None:
        """Keep what waits, and answer those who told it."""
        some = [self._waiting.pop(0)]
        room = _TOGETHER - len(some[0][0])
        while self._waiting and len(self._waiting[0][0]) <= room:
            some.append(self._waiting.pop(0))
            room -= len(some[-1][0])
        told = [one for each, _ in some for one in each]
        try:
            kept = await self._receipts.keep(told, rule=self._rule())
        except BaseException as error:
            for _, answered in some:
                if not answered.done():
                    answered.set_exception(error)
            if not isinstance(error, Exception):
                raise
            return
        start = 0
        for each, answered in some:
            if not answered.done():
                answered.set_result(kept[start : start + len(each)])
            start += len(each)

    def _tell(self, told: Sequence[Told], kept: Sequence[KeptReceipt]) -> None:
        """Let metrics know of what is new."""
        counts = Counter(
            (now.app, now.platform, one.kind.value)
            for one, now in zip(told, kept, strict=True)
            if now.is_new
        )
        if counts:
            self._observer(ReceiptsTold([(*key, count) for key, count in counts.items()]))


class ReceiptRoutes:
    """`POST /v1/receipts` of the public listener."""

    def __init__(
        self, book: ReceiptBook, *, clocks: Clocks, bad_at_once: int = BAD_AT_ONCE
    ) -> None:
        self._book = book
        self._bad = CallerLimits(BAD_PER_MINUTE, burst=bad_at_once, monotonic=clocks.monotonic)

    def routes(self) -> list[Route]:
        """What to add to the public listener."""
        return [Route("POST", "/v1/receipts", self.post_receipts)]

    async def post_receipts(self, request: Request) -> Answer:
        """Take what a phone tells of pushes: 202, also where nothing of it is kept."""
        document = await read_object(request, limit=MAX_BODY)
        entries = entries_in(document)
        if entries is None:
            message = f"must be a list of at most {MOST} receipts"
            raise Problem("invalid", errors=[{"field": "receipts", "message": message}])
        taken = await self._book.take(entries, document.get("sent_at"))
        if entries and not taken.proven and request.remote:
            wait = self._bad.take(request.remote)
            if wait:
                raise Problem("too_many_requests", retry_after=wait)
        return Answer(202, taken.view())


def entries_in(document: Mapping[str, Any]) -> list[Any] | None:
    """The receipts of a body; None where there is no list of a size that is taken."""
    entries = document.get("receipts")
    return entries if isinstance(entries, list) and len(entries) <= MOST else None


def sent_with(document: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The receipts that come with a registration, as a body of their own; None: there are none, or
    they cannot be read. Both forms are known: the list alone, and the whole body."""
    given = document.get("receipts")
    if isinstance(given, list):
        given = {"receipts": given, "sent_at": document.get("sent_at")}
    if not isinstance(given, dict) or entries_in(given) is None:
        return None
    return given if "sent_at" in given else {**given, "sent_at": document.get("sent_at")}
