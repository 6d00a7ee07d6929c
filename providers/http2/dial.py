"""Making a connection: a fresh lookup of the name, through a proxy if there is one, TLS on top.

Owns the way from a host's name to a connected protocol. Refuses to know what is spoken.
Sources: RFC 9110, 9.3.6 (CONNECT); Apple asks for a fresh lookup before each connection.
"""

from __future__ import annotations

import asyncio
import base64
import random
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol, TypeVar
from urllib.parse import unquote, urlsplit

from providers.errors import CredentialError

DIAL_S = 10.0
"""Seconds after which an attempt to connect has failed."""

CLOSE_S = 1.0
"""How long the closing of TLS may take, in seconds."""

_ADDRESS_S = 4.0
_LONGEST_REPLY = 16_384

P = TypeVar("P", bound=asyncio.Protocol)


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
    """Connect. Raises OSError, also for timeouts and failures of TLS."""
    async with asyncio.timeout(DIAL_S):
        proxy = origin.proxy
        connected = await _connect(*((proxy.host, proxy.port) if proxy else _place(origin)))
        try:
            if proxy is not None:
                await _ask(connected, origin, proxy)
            return await _speak(connected, origin, protocol)
        except BaseException:
            _let_go(connected)
            raise


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


def _place(origin: Origin) -> tuple[str, int]:
    return origin.host, origin.port


async def _connect(host: str, port: int) -> socket.socket:
    """A socket to the first address that answers. Addresses of one family are tried in random
    order, so that many connections reach many of the vendor's machines."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    families = list(dict.fromkeys(info[0] for info in found))
    order = sorted(found, key=lambda info: (families.index(info[0]), random.random()))  # noqa: S311
    failure: OSError = OSError("the name has no address")
    for family, kind, number, _, address in order:
        tried = socket.socket(family, kind, number)
        try:
            tried.setblocking(False)
            tried.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            async with asyncio.timeout(_ADDRESS_S):
                await loop.sock_connect(tried, address)
        except OSError as error:
            tried.close()
            failure = error
        except BaseException:
            tried.close()
            raise
        else:
            return tried
    raise failure


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
