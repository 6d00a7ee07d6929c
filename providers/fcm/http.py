"""The HTTP client that firebase-admin is given instead of its own.

Owns connections and what a failed request says of the push. Refuses to know the SDK. The SDK's own
client repeats 500 and 503 up to four times whatever Retry-After says, blocks the event loop while
it refreshes its token, and repeats a 401 twice; this one sends a request once.

httpx opens one HTTP/2 connection per client, so there are several clients. After a request was
given up, httpcore leaves its stream open for ever and the connection has one less: such a client
takes nothing new.
"""

from __future__ import annotations

import asyncio
import logging
import math
import ssl
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any

import httpx

from providers.contract import NOT_STARTED, Delivered, Unavailable, Verdict
from providers.fcm.codec import Codec
from providers.fcm.credentials import FcmCredentials
from providers.fcm.dates import Dates
from providers.fcm.options import FcmOptions
from providers.http2.dial import Proxy
from providers.http2.exchange import NEVER_SENT_S, Response
from providers.wording.text import encode

STREAMS = 100
"""Streams on a connection, at most: httpcore's own limit, and about Google's."""

CONNECT_TIMEOUT_S = 10.0
KEEP_ALIVE_S = 240.0
_REFUSED_STREAM = 7

START_BY: ContextVar[float] = ContextVar("start_by", default=math.inf)
"""`Push.start_by` of the push that a task sends."""

# At DEBUG hpack logs header blocks, and those hold access tokens.
logging.getLogger("hpack").setLevel(logging.INFO)


class Judged(Exception):
    """A request that did not succeed, with its verdict."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(type(verdict).__name__)
        self.verdict = verdict


class HttpClient:
    """Sends each request once, with the token in force; takes the place of `HttpxAsyncClient`."""

    def __init__(
        self,
        options: FcmOptions,
        codec: Codec,
        context: ssl.SSLContext,
        clock: Callable[[], float],
    ) -> None:
        self._codec = codec
        self._credentials: FcmCredentials = options.credentials
        self._clock = clock
        self._dates = Dates(clock)
        self._context = context
        self._multiplexed = options.url.startswith("https:")
        self._proxy = _proxy_of(options.proxies.to(options.url))
        self._max_connections = options.max_connections
        self._lines: list[_Line] = []
        self._ending: dict[_Line, None] = {}

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return sum(line.connections for line in [*self._lines, *self._ending])

    @property
    def capacity(self) -> int:
        """How many requests can be on their way at once."""
        if not self._multiplexed:
            return self._max_connections
        unused = self._max_connections - len(self._lines)
        return sum(line.streams for line in self._lines) + unused * STREAMS

    async def request(
        self, _method: str, url: str, *, headers: Mapping[str, str], json: Mapping[str, Any]
    ) -> httpx.Response:
        """Post once. Returns FCM's receipt; everything else raises Judged."""
        token = self._credentials.held
        if token is None:
            raise Judged(Unavailable.not_looked_at("UNAUTHENTICATED"))
        response = await self._post(
            url, encode(json), {**headers, **_JSON, "authorization": f"Bearer {token.value}"}
        )
        if self._dates.wanted(now := self._clock()):
            headers_seen = {b"date": response.headers.get("date", "").encode("latin-1")}
            self._dates.read([Response(response.status_code, headers=headers_seen)], now)
        verdict = self._codec.judge(
            response.status_code,
            response.content,
            response.headers.get("retry-after"),
            token,
            now,
        )
        if isinstance(verdict, Delivered):
            return response
        raise Judged(verdict)

    async def aclose(self) -> None:
        """Close all connections. May be called again: the SDK does, from a thread of its own."""
        lines = [*self._lines, *self._ending]
        self._lines.clear()
        self._ending.clear()
        for line in lines:
            await line.client.aclose()

    async def _post(self, url: str, body: bytes, headers: Mapping[str, str]) -> httpx.Response:
        line = self._pick()
        line.load += 1
        try:
            return await line.client.post(
                url, content=body, headers=headers, extensions={"trace": _check_start}
            )
        except httpx.HTTPError as error:
            if isinstance(error, httpx.LocalProtocolError):
                self._retire(line)
            raise Judged(_failure(error)) from None  # its request knows the address
        except asyncio.CancelledError:
            self._retire(line)
            raise
        finally:
            line.load -= 1
            if line in self._ending and not line.load:
                self._ending.pop(line, None)
                await line.client.aclose()

    def _pick(self) -> _Line:
        """The line with the most room; a new one when all are full."""
        best = max(self._lines, key=lambda line: line.streams - line.load, default=None)
        if best is not None and (best.load < best.streams or not self._may_add):
            return best
        line = _Line(self._context, self._multiplexed, self._max_connections, self._proxy)
        self._lines.append(line)
        return line

    @property
    def _may_add(self) -> bool:
        return self._multiplexed and len(self._lines) < self._max_connections

    def _retire(self, line: _Line) -> None:
        if self._multiplexed and line in self._lines:
            self._lines.remove(line)
            self._ending[line] = None


_JSON = {"content-type": "application/json"}


async def _check_start(event: str, _: Mapping[str, Any]) -> None:
    """Called by httpcore at each step of a request."""
    late = asyncio.get_running_loop().time() > START_BY.get()
    if late and event.endswith(".send_request_headers.started"):
        raise Judged(NOT_STARTED)


class _Line:
    """One httpx client: one HTTP/2 connection, or all of HTTP/1.1's."""

    def __init__(
        self,
        context: ssl.SSLContext,
        multiplexed: bool,
        max_connections: int,
        proxy: httpx.Proxy | None,
    ) -> None:
        connections = 1 if multiplexed else max_connections
        transport = httpx.AsyncHTTPTransport(
            verify=context,
            http2=multiplexed,
            proxy=proxy,
            limits=httpx.Limits(
                max_connections=connections,
                max_keepalive_connections=connections,
                keepalive_expiry=KEEP_ALIVE_S,
            ),
        )
        # The caller's deadline ends a request. A read timeout of httpcore's would end all of them.
        timeout = httpx.Timeout(None, connect=CONNECT_TIMEOUT_S)
        self.client = httpx.AsyncClient(transport=transport, timeout=timeout)
        self.load = 0
        self._pool = transport._pool  # noqa: SLF001 - the only place that knows the connections
        self._multiplexed = multiplexed
        self._max_connections = max_connections

    @property
    def connections(self) -> int:
        return len(self._pool.connections)

    @property
    def streams(self) -> int:
        """As many as the peer's SETTINGS allow, of which httpcore keeps count."""
        if not self._multiplexed:
            return self._max_connections
        for connection in self._pool.connections:
            established = getattr(connection, "_connection", None)
            if established is not None:
                return min(STREAMS, getattr(established, "_max_streams", 1))
        return STREAMS


def _proxy_of(proxy: Proxy | None) -> httpx.Proxy | None:
    """A proxy as httpx takes it."""
    if proxy is None:
        return None
    host = f"[{proxy.host}]" if ":" in proxy.host else proxy.host
    headers = {"Proxy-Authorization": proxy.login} if proxy.login else {}
    return httpx.Proxy(f"http://{host}:{proxy.port}", headers=headers)


def _failure(error: httpx.HTTPError) -> Unavailable:
    """What a request without an answer says of its push."""
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout):
        # httpx waits for nothing between two tries
        return Unavailable.not_looked_at("Unreachable", NEVER_SENT_S)
    event = error.__cause__.args[0] if error.__cause__ and error.__cause__.args else None
    if getattr(event, "error_code", None) == _REFUSED_STREAM:
        return Unavailable.not_looked_at("StreamRefused")
    if getattr(event, "last_stream_id", None) == 0:
        # GOAWAY, and not one stream was looked at; what is above another id httpcore sends again
        return Unavailable.not_looked_at("GoAway")
    return Unavailable("ConnectionLost", outcome_known=False)
