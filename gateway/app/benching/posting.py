"""The sender of a benchmark: LearnInk's batches, signed as Svix signs them, and how soon each was
answered.

Owns the shape of the load. Bodies are made before anything is measured.
"""

from __future__ import annotations

import asyncio
import json
import math
import secrets
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import aiohttp

from gateway.app.benching.failure import BenchFailure
from gateway.ingest.signature import decode_secret, sign

_POST_S = 60.0
_TOGETHER = 4


@dataclass(frozen=True, slots=True)
class Batch:
    """A webhook that is ready to be signed and posted."""

    event_id: str
    body: bytes
    notifications: int


def new_secret() -> str:
    """A signing secret as the dashboard shows it."""
    return "whsec_" + b64encode(secrets.token_bytes(24)).decode()


def make_batches(users: Sequence[str], size: int) -> Iterator[Batch]:
    """One notification for each of the users (`custom_id`), `size` of them a webhook."""
    run = secrets.token_hex(6)
    for number, start in enumerate(range(0, len(users), size)):
        part = users[start : start + size]
        envelope = {
            "api_version": "2022-11-15",
            "object": "event",
            "type": "notifications.sent",
            "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "data": {"notifications": [_notification(user) for user in part]},
        }
        body = json.dumps(envelope, separators=(",", ":")).encode()
        yield Batch(f"msg_{run}_{number}", body, len(part))


def _notification(user: str) -> dict[str, str | None]:
    return {
        "title": "Hi Mary!",
        "body": "Don't forget to complete your training today",
        "path": "/learning",
        # both are looked up, and apps mostly register the one that their own backend knows
        "user_id": f"le2bB6Fi4CMgrIOI{user}",
        "custom_id": user,
        "phone_number": "+254705408079",
    }


class Sender:
    """Posts batches to one webhook and remembers the seconds until each answer."""

    def __init__(self, http: aiohttp.ClientSession, url: str, secret: str) -> None:
        self._http = http
        self._url = f"{url}/webhooks/learnink"
        self._key = decode_secret(secret)

    async def post(self, batch: Batch) -> float:
        """Sign and post; raises BenchFailure for any other answer than 200 `accepted`."""
        now = int(time.time())
        headers = {
            "content-type": "application/json",
            "svix-id": batch.event_id,
            "svix-timestamp": str(now),
            "svix-signature": sign(self._key, batch.event_id, now, batch.body),
        }
        started = time.perf_counter()
        try:
            async with self._http.post(self._url, data=batch.body, headers=headers) as answer:
                text = await answer.text()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise BenchFailure(f"a webhook was not answered: {error!r}") from error
        if answer.status != 200 or (text and "accepted" not in text):
            raise BenchFailure(f"a webhook was answered {answer.status}: {text[:200]}")
        return time.perf_counter() - started

    async def post_all(self, batches: Sequence[Batch], *, together: int = _TOGETHER) -> list[float]:
        """Post them as fast as answers come, a few at a time."""
        waiting = iter(batches)
        took: list[float] = []

        async def one_after_the_other() -> None:
            for batch in waiting:
                took.append(await self.post(batch))  # noqa: PERF401 - as they come

        await asyncio.gather(*(one_after_the_other() for _ in range(together)))
        return took

    async def post_paced(self, batches: Sequence[Batch], *, per_s: float) -> list[float]:
        """Post them at a steady pace, whether or not the answers keep up with it.

        Seconds count from when each was due: a sender that is held up does not hide the wait.
        """
        began = time.perf_counter()

        async def one(number: int, batch: Batch) -> float:
            due = began + number / per_s
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            await self.post(batch)
            return time.perf_counter() - due

        return await asyncio.gather(*(one(*pair) for pair in enumerate(batches)))


@asynccontextmanager
async def open_sender(url: str, secret: str) -> AsyncIterator[Sender]:
    """A sender to the gateway at this URL."""
    timeout = aiohttp.ClientTimeout(total=_POST_S)
    async with aiohttp.ClientSession(timeout=timeout) as http:
        yield Sender(http, url, secret)


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of all values does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
