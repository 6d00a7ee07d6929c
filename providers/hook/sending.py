"""Posting a hook: resolve, check, connect to the very address that was checked, read the answer.

Owns the connections of one hook. Every resolution is checked, and every connection once more, by
the address that its socket is made for: DNS that changes between the two leads nowhere. What is
private is refused before anything is written, unless the hook allows it. Redirects are not
followed.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any, Literal

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from multidict import CIMultiDict

from providers.contract import date_in
from providers.hook.addresses import Address, Target, read_address, refusal
from providers.hook.signing import headers
from providers.transport.trust import client_context
from providers.wording.retry_after import parse_retry_after

Kind = Literal["taken", "gone", "throttled", "failed", "refused"]
"""`gone`: 410, the receiver wants no more. `throttled`: 429 or 503. `refused`: the address is none
that may be reached."""

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Looks up a name; raises OSError where there is none."""

TIMEOUT_S = 15.0
"""How long an answer may take, from the look-up to its last byte."""
_MOST_BYTES = 64 * 1024
_IDLE_S = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a post, in words that name no address. `status` 0: there was no answer.
    `retry_after`: seconds that the receiver asks to wait. `date`: what time it is there."""

    kind: Kind
    reason: str
    status: int = 0
    retry_after: float | None = None
    date: float | None = None


class _Refused(OSError):
    """An address that nothing is posted to."""


async def look_up(host: str, port: int) -> Sequence[str]:
    """What the system's resolver says."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(info[4][0]) for info in found]


class _Checked(AbstractResolver):
    """A resolver whose answers may all be connected to. One address that may not be spoils all: a
    name that leads inside is a slip, or somebody's trick."""

    def __init__(self, resolve: Resolve, *, allow_private: bool) -> None:
        self._resolve = resolve
        self._allow_private = allow_private

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_INET,  # noqa: ARG002  # both are asked for
    ) -> list[ResolveResult]:
        found = [_found(text, self._allow_private) for text in await self._resolve(host, port)]
        if not found:
            raise OSError("no such host")
        return [
            ResolveResult(
                hostname=host,
                host=str(address),
                port=port,
                family=_family(address),
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in dict.fromkeys(found)
        ]

    async def close(self) -> None:
        """There is nothing to close."""


class HookSender:
    """Posts to one target, over connections that are kept. `wall` says what time it is."""

    def __init__(
        self,
        target: Target,
        keys: Sequence[bytes],
        *,
        wall: Callable[[], float],
        allow_private: bool = False,
        ca_file: str = "",
        timeout_s: float = TIMEOUT_S,
        resolve: Resolve = look_up,
    ) -> None:
        self._target = target
        self._keys = keys
        self._wall = wall
        self._allow_private = allow_private
        self._timeout_s = timeout_s
        self._resolve = resolve
        self._trust = client_context(ca_file) if target.is_secure else None
        self._session: aiohttp.ClientSession | None = None

    async def post(self, message_id: str, body: bytes) -> Answer:
        """Post a body, once. Never raises for what the receiver or the way there does."""
        if (why := self._refused()) is not None:
            return why
        now = self._wall()
        more = {"Content-Type": "application/json", "User-Agent": "Inkpush-Hook/1"}
        signed = {**headers(self._keys, message_id, body, timestamp=int(now)), **more}
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._posted(signed, body)
        except TimeoutError:
            return Answer("failed", f"no answer within {self._timeout_s:g} s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return _failed(error)

    async def aclose(self) -> None:
        """Close the connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    # --- inside -------------------------------------------------------------------------------

    def _refused(self) -> Answer | None:
        """An address in the URL is not resolved, so it is looked at here."""
        address = self._target.address
        if address is None or self._allow_private or not (kind := refusal(address)):
            return None
        return _refusal(kind)

    async def _posted(self, signed: Mapping[str, str], body: bytes) -> Answer:
        session = self._session or self._open()
        async with session.post(
            self._target.url, data=body, headers=signed, allow_redirects=False
        ) as answer:
            read = 0
            async for piece in answer.content.iter_chunked(_MOST_BYTES):
                read += len(piece)
                if read > _MOST_BYTES:
                    answer.close()
                    break
            return self._judged(answer.status, answer.headers)

    def _judged(self, status: int, told: Mapping[str, str]) -> Answer:
        date = date_in(CIMultiDict(told)) if self._target.is_secure else None
        wait = parse_retry_after(told.get("Retry-After"), self._wall())
        if 200 <= status < 300:
            return Answer("taken", "", status, date=date)
        if status == 410:
            return Answer("gone", "it answered 410: it wants no more", status, date=date)
        if 300 <= status < 400:
            return Answer("failed", f"it answered {status}, a redirect", status, date=date)
        if status in (429, 503):
            return Answer("throttled", f"it answered {status}", status, wait, date)
        return Answer("failed", f"it answered {status}", status, date=date)

    def _open(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            resolver=_Checked(self._resolve, allow_private=self._allow_private),
            use_dns_cache=False,
            socket_factory=self._socket,
            ssl=self._trust or True,
            keepalive_timeout=_IDLE_S,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            timeout=aiohttp.ClientTimeout(total=None),
            skip_auto_headers=("Accept-Encoding",),
        )
        return self._session

    def _socket(self, info: Any) -> socket.socket:
        """Make the socket for an address: the last look before the connection."""
        family, kind, protocol, _, where = info
        _found(where[0], self._allow_private)
        return socket.socket(family, kind, protocol)


def _found(text: str, allow_private: bool) -> Address:
    address = read_address(text)
    if address is None:
        raise _Refused("not an address")
    if not allow_private and (kind := refusal(address)):
        raise _Refused(kind)
    return address


def _family(address: Address) -> socket.AddressFamily:
    return socket.AF_INET if isinstance(address, IPv4Address) else socket.AF_INET6


def _refusal(kind: str) -> Answer:
    return Answer("refused", f"its host leads to an address that is {kind}")


def _failed(error: BaseException) -> Answer:
    """What went wrong on the way, in words without addresses and paths."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, _Refused):
            return _refusal(str(seen))
        if isinstance(seen, ssl.CertificateError):
            message = getattr(seen, "verify_message", "") or "it is not trusted"
            if not isinstance(seen, aiohttp.ClientConnectorCertificateError):
                return Answer("failed", f"its certificate does not hold: {message}")
        more = getattr(seen, "certificate_error", None) or getattr(seen, "os_error", None)
        seen = more or seen.__cause__ or seen.__context__
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return Answer("failed", "its host is not found")
    if isinstance(error, aiohttp.ClientConnectorError):
        why = os.strerror(error.errno) if error.errno else "it was refused"
        return Answer("failed", f"no connection: {why}")
    return Answer("failed", f"the connection broke: {type(error).__name__}")
