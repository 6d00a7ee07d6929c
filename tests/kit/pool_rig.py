"""A pool of connections and what came of the requests that were given to it."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from providers.http2.connection import Connection
from providers.http2.dial import Origin, Proxy
from providers.http2.exchange import Channel, End, Ends, NotProcessed, Request, Response
from providers.http2.headers import ConstantFields, literal
from providers.http2.http1 import Http1Connection
from providers.http2.pool import Pool, PoolLimits
from providers.http2.wire import Wire
from providers.transport.trust import client_context
from tests.kit.provider_rig import until

AGREE = ("h2", "http/1.1")


@dataclass
class PoolRig:
    """Requests are known by their bodies. Checks that each comes to one end."""

    pool: Pool
    ends: dict[bytes, End] = field(default_factory=dict)
    times: Counter[bytes] = field(default_factory=Counter)
    by_wire: Counter[Wire | None] = field(default_factory=Counter)

    def submit(self, *bodies: bytes, deadline: float | None = None) -> None:
        """Hand requests over."""
        fields = literal("apns-id", "1")
        self.pool.submit([Request(fields, body, body) for body in bodies], deadline)

    async def ended(self, *bodies: bytes) -> list[End]:
        """Wait for the ends of these requests."""
        await until(lambda: all(body in self.ends for body in bodies))
        return [self.ends[body] for body in bodies]

    async def send(self, *bodies: bytes) -> list[End]:
        """Hand over and wait."""
        self.submit(*bodies)
        return await self.ended(*bodies)

    async def fill(self, body: bytes) -> int:
        """Hand over large requests until the transport of a peer that does not read is full, and
        its room is gone; returns how many."""
        sent = 0
        while self.pool.free > 500:
            self.submit(*(b"%d-%b" % (sent + number, body) for number in range(50)))
            sent += 50
            await asyncio.sleep(0)
        return sent

    async def send_until(self, condition: Any, prefix: bytes = b"flow") -> list[bytes]:
        """Keep a few requests under way until a condition holds; returns their bodies."""
        sent: list[bytes] = []

        def step() -> bool:
            if self.pool.in_flight < 5 and self.pool.free:
                sent.append(b"%b-%d" % (prefix, len(sent)))
                self.submit(sent[-1])
            return bool(condition())

        await until(step)
        return sent

    def took(self, ends: Ends, wire: Wire | None) -> None:
        for request, end in ends:
            self.ends[request.context] = end
            self.times[request.context] += 1
            self.by_wire[wire] += 1


def numbered(prefix: str, count: int) -> list[bytes]:
    """Bodies that are all different."""
    return [b"%b-%d" % (prefix.encode(), number) for number in range(count)]


def statuses(ends: Sequence[End]) -> Counter[int]:
    """How many were answered with which status; 0 is no answer."""
    return Counter(end.status if isinstance(end, Response) else 0 for end in ends)


def unreachable(end: End) -> float:
    """Assert that a request ended because nobody could be reached; returns the wait."""
    assert isinstance(end, NotProcessed), end
    assert end.reason == "Unreachable"
    assert end.retry_after is not None
    return end.retry_after


def limits(**values: Any) -> PoolLimits:
    """Four connections and ten seconds, unless told otherwise."""
    return PoolLimits(**({"max_connections": 4, "timeout_s": 10.0} | values))


@asynccontextmanager
async def pool_rig(
    port: int,
    ca_file: Path | str | None,
    *,
    host: str = "127.0.0.1",
    proxy: Proxy | None = None,
    alpn: tuple[str, ...] = AGREE,
    fallback: bool = True,
    grace_s: float = 1.0,
    **values: Any,
) -> AsyncIterator[PoolRig]:
    """A pool for this place, closed at the end. Without `ca_file` there is no TLS.

    `fallback`: HTTP/1.1 is spoken where nothing else was agreed on; `values` are its limits.
    """
    context: ssl.SSLContext | None = None
    if ca_file is not None:
        context = client_context(str(ca_file), alpn=alpn)
    origin = Origin(host, port, context, proxy)
    fields = [
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", origin.authority),
        (":path", "/3/device/1"),
        ("content-type", "application/json"),
    ]
    constant = ConstantFields(fields)

    def choose(agreed: str | None) -> Channel | None:
        if agreed == "h2":
            return Connection(constant)
        return Http1Connection(fields) if fallback else None

    def on_ends(ends: Ends, wire: Wire | None) -> None:
        made.took(ends, wire)

    made = PoolRig(Pool(origin, limits(**values), choose=choose, on_ends=on_ends))
    try:
        yield made
    finally:
        await made.pool.aclose(grace_s)
        assert made.pool.in_flight == 0
        assert made.pool.connections == 0
        assert set(made.times.values()) <= {1}, "a request came to more than one end"
        await asyncio.sleep(0)


def assert_trouble(pool: Pool, reason: str, hint: str) -> None:
    """Why there is no connection, and what to do, as people are told."""
    assert pool.trouble is not None
    assert reason in pool.trouble.reason
    assert hint in pool.trouble.hint
