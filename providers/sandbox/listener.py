"""A TLS port that serves one vendor, by HTTP/2 and, where the vendor does, by HTTP/1.1.

Owns the port and the connections on it. Refuses to know what is said on them.
"""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import cast

from aiohttp import web

from providers.sandbox.exchange import Handling, Request, Session, Vendor
from providers.sandbox.http2 import Http2Connection

_CLOSING_TIMEOUT_S = 2.0


class Listener:
    """One port. `http1` says whether a sender that offers no HTTP/2 is served all the same."""

    def __init__(self, vendor: Vendor, *, http1: bool) -> None:
        self._vendor = vendor
        self._http1 = (
            web.Server(self._serve_http1, access_log=None, handler_cancellation=True)
            if http1
            else None
        )
        self._server: asyncio.Server | None = None
        self._connections: dict[Http2Connection, None] = {}
        self._switches: dict[_Switch, None] = {}
        self._all_gone = asyncio.Event()
        self._all_gone.set()
        self._opened = 0
        self._port = 0

    async def start(self, host: str, port: int, server_file: Path) -> None:
        """Open the port; 0 takes a free one."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(server_file)
        context.set_alpn_protocols(["h2", "http/1.1"] if self._http1 is not None else ["h2"])
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Switch(self),
            host,
            port,
            ssl=context,
            backlog=512,
            ssl_shutdown_timeout=_CLOSING_TIMEOUT_S,
        )
        self._port = self._server.sockets[0].getsockname()[1]

    @property
    def port(self) -> int:
        """The port in use."""
        return self._port

    @property
    def opened(self) -> int:
        """How many connections were made so far."""
        return self._opened

    @property
    def open(self) -> int:
        """How many connections are open."""
        return len(self._switches)

    def drop_all(self) -> int:
        """Cut every connection. Returns how many."""
        switches = list(self._switches)
        for switch in switches:
            switch.transport.abort()
        return len(switches)

    def go_away_all(self, reason: str) -> int:
        """Send GOAWAY on every HTTP/2 connection. Returns how many."""
        connections = list(self._connections)
        for connection in connections:
            connection.go_away(reason=reason)
        return len(connections)

    async def aclose(self) -> None:
        """Close the port and cut what is open on it."""
        if self._server is not None:
            self._server.close()
            self.drop_all()
            await self._server.wait_closed()
        if self._http1 is not None:
            await self._http1.shutdown(0)
        # Transports report their end through the loop; without it they count as leaked.
        async with asyncio.timeout(_CLOSING_TIMEOUT_S):
            await self._all_gone.wait()

    def enter(self, switch: _Switch) -> asyncio.Protocol:
        """Choose the protocol of a new connection."""
        self._switches[switch] = None
        self._all_gone.clear()
        self._opened += 1
        offered = switch.transport.get_extra_info("ssl_object").selected_alpn_protocol()
        if offered == "h2" or self._http1 is None:
            # Senders to APNs that negotiate nothing speak HTTP/2 from the first byte (aioapns).
            return Http2Connection(self._vendor, self._connections)
        return self._http1()

    def leave(self, switch: _Switch) -> None:
        """Forget a connection that has ended."""
        self._switches.pop(switch, None)
        if not self._switches:
            self._all_gone.set()

    async def _serve_http1(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        headers = {name.lower().encode(): value.encode() for name, value in request.headers.items()}
        handling = self._vendor.handle(
            Request(request.method.encode(), request.path, headers, body, len(body)), Session()
        )
        if handling.delay_s > 0:
            await asyncio.sleep(handling.delay_s)
        return await _http1_response(request, handling)


async def _http1_response(request: web.BaseRequest, handling: Handling) -> web.StreamResponse:
    """HTTP/1.1 has no streams: what ends a stream ends the connection."""
    if handling.act == "hang":
        await asyncio.Event().wait()
    if handling.act not in ("reply", "goaway_after") and request.transport is not None:
        request.transport.abort()
    reply = handling.reply
    response = web.Response(status=reply.status, body=reply.body)
    for name, value in reply.headers:
        response.headers[name.decode()] = value.decode()
    if handling.act == "goaway_after":
        response.force_close()
    return response


class _Switch(asyncio.Protocol):
    """Hands a connection to the protocol that its TLS handshake agreed on."""

    transport: asyncio.Transport
    _inner: asyncio.Protocol

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._inner = self._listener.enter(self)
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._listener.leave(self)
        self._inner.connection_lost(exc)
