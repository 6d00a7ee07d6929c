"""Who posts webhooks as Svix does: again and again until one is taken, at any ingest."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import NamedTuple, Protocol

import aiohttp

from tests.kit.gateway import Reply, eventually

EVENT = "soak-{}"
"""The quick vendor knows events by their number."""


class Ingest(Protocol):
    """Where webhooks are posted; the process behind it may change."""

    async def post(self, message_id: str, body: bytes) -> Reply:
        """Deliver a webhook."""


class Answer(NamedTuple):
    """What the sender got: a status, or 0 for none."""

    asked_at: float
    at: float
    event: int
    status: int


@dataclass
class RetryingSender:
    """Posts an event to one ingest after the other until it is taken; Svix does so more slowly."""

    ingests: Sequence[Ingest]
    body: Callable[[], bytes]
    answers: list[Answer] = field(default_factory=list)
    every_s: float = 0.2
    _turns: count[int] = field(default_factory=count)

    async def send(self, number: int) -> None:
        """Post until it is taken."""
        body = self.body()
        await eventually("it is taken", lambda: self._posted(number, body), self.every_s, 180.0)

    async def send_all(self, numbers: Sequence[int], *, ready: Callable[[int], bool]) -> None:
        """Post one event after the other, each when it may go."""
        for number in numbers:
            await eventually("the next may go", partial(ready, number), 0.01, 180.0)
            await self.send(number)

    def failed(self) -> Counter[int]:
        """How often an attempt got another status than 200."""
        return Counter(one.status for one in self.answers if one.status != 200)

    def slowest_s(self) -> float:
        """The longest time from an event's first attempt until it was taken."""
        began: dict[int, float] = {}
        for one in self.answers:
            began[one.event] = min(one.asked_at, began.get(one.event, one.asked_at))
        return max(one.at - began[one.event] for one in self.answers if one.status == 200)

    def refusals(self, start: float, end: float) -> int:
        """503s within a stretch of time."""
        return sum(1 for one in self.answers if start <= one.at < end and one.status == 503)

    def first_taken(self, after: float) -> float | None:
        """When the first event was taken of those that were posted after a moment."""
        times = [one.at for one in self.answers if one.asked_at > after and one.status == 200]
        return times[0] if times else None

    @property
    def taken(self) -> set[int]:
        return {one.event for one in self.answers if one.status == 200}

    async def _posted(self, number: int, body: bytes) -> bool:
        ingest = self.ingests[next(self._turns) % len(self.ingests)]
        asked_at = time.monotonic()
        try:
            status = (await ingest.post(EVENT.format(number), body)).status
        except (aiohttp.ClientError, OSError):
            status = 0
        self.answers.append(Answer(asked_at, time.monotonic(), number, status))
        assert status in (0, 200, 503), status
        return status == 200
