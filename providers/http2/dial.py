"""Making a connection: a fresh lookup of the name, through a proxy if there is one, TLS on top.

Owns the way from a host's name to a connected protocol, and how far it came where it ended. Refuses
to know what is spoken, and which of a host's addresses is tried: that is `addresses`.
Source: RFC 9110, 9.3.6 (CONNECT).
"""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, TypeVar
from urllib.parse import unquote, urlsplit

from providers.errors import CredentialError
from providers.http2.addresses import Hosts, Place, Race, look_up

DIAL_S = 10.0
"""Seconds after which an attempt to connect has failed: for the name, all its addresses, a proxy
and TLS together."""

CLOSE_S = 1.0
"""How long the closing of TLS may take, in seconds."""

_LONGEST_REPLY = 16_384

P = TypeVar("P", bound=asyncio.Protocol)

_hosts = Hosts()
"""What all connections of this process learn of addresses, so that the next one is quick."""


class Step(StrEnum):
    """How far an attempt came."""

    LOOKUP = "lookup"
    CONNECT = "connect"
    PROXY = "proxy"
    SPEAK = "speak"


class NotConnected(OSError):
    """An attempt failed at `step`; `places` are the addresses that it is about, of `host`.

    `host` is the proxy where there is one. The cause is what went wrong.
    """

    def __init__(self, step: Step, host: str, places: Sequence[Place]) -> None:
        super().__init__()
        self.step = step
        self.host = host
        self.places = places


class ProxyRefused(OSError):
    """The proxy does not connect us. The message has its status and nothing else of it."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy for CONNECT; `login` is the authorization header, or ""."""

    host: str
    port: int
    login: str = field(default="", repr=False)

    @classmethod
    def parse(cls, url: str) -> Proxy | None:
        """Read `http://user:password@host:port`; None for "". Raises CredentialError."""
        if not url:
            return None
        problem = "proxy: must look like http://host:port or http://user:password@host:port."
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise CredentialError([problem]) from None
        if parts.scheme != "http" or not host or parts.path not in ("", "/"):
            raise CredentialError([problem])
        login = ""
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            login = "Basic " + base64.b64encode(pair.encode()).decode()
        return cls(host, port or 8080, login)


@dataclass(frozen=True, slots=True)
class Origin:
    """The server to reach. Without `context` there is no TLS."""

    host: str
    port: int
    context: ssl.SSLContext | None
    proxy: Proxy | None = None

    @classmethod
    def of(cls, url: str, context: ssl.SSLContext, proxy: Proxy | None = None) -> Origin:
        """The origin of an http or https URL."""
        parts = urlsplit(url)
        is_tls = parts.scheme == "https"
        port = parts.port or (443 if is_tls else 80)
        return cls(parts.hostname or "", port, context if is_tls else None, proxy)

    @property
    def authority(self) -> str:
        """The host, with the port where it is not the usual one."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = 443 if self.context is not None else 80
        return host if self.port == usual else f"{host}:{self.port}"


class Dial(Protocol):
    """A way to make connections: `dial`, or one of a test's own that needs no socket."""

    async def __call__(self, origin: Origin, protocol: Callable[[], P], /) -> P:
        """Connect; see `dial`."""


async def dial(origin: Origin, protocol: Callable[[], P]) -> P:
    """Connect. Raises NotConnected, which is an OSError, also for timeouts and failures of TLS."""
    way = _Way(origin)
    try:
        async with asyncio.timeout(DIAL_S):
            return await way.go(protocol)
    except (OSError, ValueError) as error:  # a host that is no name is a ValueError
        way.failed()
        raise NotConnected(way.step, way.host, way.places) from error


class _Way:
    """One attempt to connect, and how far it has come."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        proxy = origin.proxy
        self.host, self._port = (proxy.host, proxy.port) if proxy else (origin.host, origin.port)
        self._known = _hosts.known(self.host, self._port)
        self.step = Step.LOOKUP
        self.places: list[Place] = []

    async def go(self, protocol: Callable[[], P]) -> P:
        """Go all of it."""
        order = self._known.order(await look_up(self.host, self._port))
        self.step = Step.CONNECT
        race = Race(order)
        self.places = race.tried
        place, connected = await race.run()
        self.places = [place]
        self._known.failed(race.slow)
        try:
            if self._origin.proxy is not None:
                self.step = Step.PROXY
                await _ask(connected, self._origin, self._origin.proxy)
            self.step = Step.SPEAK
            made = await _speak(connected, self._origin, protocol)
        except BaseException:
            _let_go(connected)
            raise
        self._known.worked(place)
        return made

    def failed(self) -> None:
        """Nothing came of it: the next attempt begins elsewhere."""
        self._known.failed(self.places)


async def _speak(connected: socket.socket, origin: Origin, protocol: Callable[[], P]) -> P:
    """Put TLS and the protocol on a socket.

    asyncio loses its transport when it is cancelled before the handshake begins. So it is not
    cancelled: the socket stops reading, which makes the handshake fail. (Writing stays open: uvloop
    loses the socket of a transport whose first write fails.)
    """
    loop = asyncio.get_running_loop()
    tls = origin.context is not None
    speaking = loop.create_task(
        loop.create_connection(
            protocol,
            sock=connected,
            ssl=origin.context,
            server_hostname=origin.host if tls else None,
            ssl_shutdown_timeout=CLOSE_S if tls else None,
        )
    )
    try:
        _, made = await asyncio.shield(speaking)
    except asyncio.CancelledError:
        with suppress(OSError):
            connected.shutdown(socket.SHUT_RD)
        while not speaking.done():
            # it ends soon; a second cancellation is covered by the `raise` below
            with suppress(asyncio.CancelledError):
                await asyncio.wait([speaking])
        if speaking.exception() is None:
            transport, _ = speaking.result()
            transport.abort()
        raise
    return made


def _let_go(connected: socket.socket) -> None:
    """Close a socket, unless the loop does.

    uvloop holds the descriptor as well and closes it; if the peer hung up quickly, the socket does
    not know. Closing the descriptor a second time could hit another connection's.
    """
    if getattr(connected, "_io_refs", 0):
        connected.detach()
    else:
        connected.close()


async def _ask(connected: socket.socket, origin: Origin, proxy: Proxy) -> None:
    """Have the proxy connect us. Its reply is read byte by byte: what follows is the server's."""
    loop = asyncio.get_running_loop()
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    place = f"{host}:{origin.port}"
    lines = [f"CONNECT {place} HTTP/1.1", f"Host: {place}"]
    if proxy.login:
        lines.append(f"Proxy-Authorization: {proxy.login}")
    await loop.sock_sendall(connected, "\r\n".join([*lines, "", ""]).encode())
    reply = bytearray()
    while not reply.endswith(b"\r\n\r\n"):
        byte = await loop.sock_recv(connected, 1)
        if not byte or len(reply) > _LONGEST_REPLY:
            raise ProxyRefused("the proxy gave no answer")
        reply += byte
    words = bytes(reply).split(maxsplit=2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].startswith(b"2"):
        status = words[1][:3].decode("ascii", "replace") if len(words) > 1 else ""
        raise ProxyRefused(f"the proxy answered {status if status.isdigit() else 'nonsense'}")
