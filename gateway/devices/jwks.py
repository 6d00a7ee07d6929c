"""The customer's published keys: fetched once for all who wait, kept, and fetched anew when due.

Owns when the endpoint is asked. Only the configured address is ever asked: what a token's header
says of keys elsewhere (`jku`, `x5u`) is not even read, and redirects are not followed.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
from collections.abc import Mapping

import aiohttp
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random
from yarl import URL

from gateway.core.clocks import Monotonic, MonotonicClock, Told, ignored
from gateway.devices.public_keys import PublicKey, parse_jwks
from gateway.errors import ConfigurationError
from providers.contract import date_in

FRESH_S = 3600.0
"""How long a fetched set is used without asking again."""
PAUSE_S = 30.0
"""How long the endpoint is left alone, whatever unknown key ids come in."""

# A caller waits for this: two tries, five seconds in all.
_TIMEOUT = aiohttp.ClientTimeout(total=2.4)
_ATTEMPTS = 2
_MAX_BYTES = 256 * 1024


class KeysUnavailable(Exception):
    """The keys were never fetched, so no token can be judged now."""


class _FetchFailed(Exception):
    """One request for the key set did not give one."""


def check_jwks_url(text: str) -> URL:
    """Allow https, and http to this very machine. Raises `ConfigurationError`."""
    try:
        url = URL(text)
        plain_is_fine = url.scheme == "http" and _is_loopback(url.host or "")
    except ValueError as error:
        raise ConfigurationError(["auth.jwks_url: not a URL"]) from error
    if not url.host or not (url.scheme == "https" or plain_is_fine):
        raise ConfigurationError(["auth.jwks_url: expected https://..."])
    return URL(text, encoded=True)  # asked for as it is written, query and all


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class RemoteKeys:
    """The keys behind one JWKS address. `aclose` lets go of the connection."""

    def __init__(self, url: str, *, monotonic: MonotonicClock, told: Told = ignored) -> None:
        self.url = check_jwks_url(url)
        self._monotonic = monotonic
        self._told = told
        self._keys: list[PublicKey] = []
        self._fetched_at: float | None = None
        self._asked_at: float | None = None
        self._fetching: asyncio.Task[None] | None = None
        self._session: aiohttp.ClientSession | None = None

    async def find(self, algorithm: str, kid: str | None) -> list[PublicKey]:
        """The keys that fit a token's header; asks the endpoint when the set is old or lacks it.

        While the endpoint is away the old set serves. Raises `KeysUnavailable` without any set.
        """
        now = self._monotonic()
        if self._fetched_at is None or now - self._fetched_at >= FRESH_S:
            await self._refresh(now)
        found = self._fitting(algorithm, kid)
        if not found:
            await self._refresh(self._monotonic())
            found = self._fitting(algorithm, kid)
        if self._fetched_at is None:
            raise KeysUnavailable
        return found

    async def aclose(self) -> None:
        """Stop a fetch that is under way and close the connection."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait([self._fetching])
        if self._session is not None:
            await self._session.close()

    def _fitting(self, algorithm: str, kid: str | None) -> list[PublicKey]:
        return [key for key in self._keys if key.fits(algorithm, kid)]

    async def _refresh(self, now: Monotonic) -> None:
        """Join the fetch under way, or start one unless the last was a moment ago."""
        if self._fetching is None:
            if self._asked_at is not None and now - self._asked_at < PAUSE_S:
                return
            self._asked_at = now
            self._fetching = asyncio.create_task(self._fetch())
            self._fetching.add_done_callback(self._fetch_ended)
        # The shield: a caller that hangs up must not take the fetch from those who wait.
        await asyncio.shield(self._fetching)

    def _fetch_ended(self, _task: asyncio.Task[None]) -> None:
        self._fetching = None

    async def _fetch(self) -> None:
        waits = AsyncRetrying(
            retry=retry_if_exception_type(_FetchFailed),
            stop=stop_after_attempt(_ATTEMPTS),
            wait=wait_random(0.05, 0.2),
            reraise=True,
        )
        try:
            self._keys = await waits(self._fetch_once)
        except _FetchFailed:
            return  # the old set, when there is one, goes on serving
        self._fetched_at = self._monotonic()

    async def _fetch_once(self) -> list[PublicKey]:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=_TIMEOUT, trust_env=False)
        asked_at = self._monotonic()
        try:
            async with self._session.get(self.url, allow_redirects=False) as response:
                self._tell_time(response.headers, asked_at)
                if response.status != 200:
                    raise _FetchFailed(f"status {response.status}")
                body = bytearray()
                async for part in response.content.iter_any():
                    body += part
                    if len(body) > _MAX_BYTES:
                        raise _FetchFailed("the key set is too large")
            return parse_jwks(json.loads(body))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, RecursionError) as error:
            raise _FetchFailed(type(error).__name__) from error

    def _tell_time(self, headers: Mapping[str, str], asked_at: Monotonic) -> None:
        """What time it is at the endpoint; only over https is it the endpoint that says so."""
        at = date_in(headers) if self.url.scheme == "https" else None
        if at is not None:
            self._told(self.url.host or "", at, at + 1.0 + self._monotonic() - asked_at)
