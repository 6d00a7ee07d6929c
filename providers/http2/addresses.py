"""From a host's name to a connected socket: which of its addresses are tried, and in what order.

Owns the order and the race. Refuses to know proxies and TLS: whoever goes on with a socket says
whether its address was good for something.
Sources: RFC 8305 (Happy Eyeballs), 4 and 5; Apple asks for a fresh lookup before each connection.
"""

from __future__ import annotations

import asyncio
import errno
import os
import random
import socket
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import chain, zip_longest
from typing import Any, NamedTuple

STAGGER_S = 0.25
"""Seconds until the next address is tried beside those that have not answered (RFC 8305, 8)."""

_MOST_HOSTS = 64
_UNDER_WAY = frozenset({errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EINTR})


class Place(NamedTuple):
    """One address of a host, in the system's own form."""

    family: int
    address: tuple[Any, ...]

    def __str__(self) -> str:
        return str(self.address[0])


class NoAddress(OSError):
    """The name has no address."""


class Known:
    """What was learnt of one host's addresses, for the next connection to it."""

    def __init__(self) -> None:
        self._worked: set[Place] = set()
        self._failed: set[Place] = set()
        self._family: int | None = None

    def order(self, found: Iterable[Place]) -> list[Place]:
        """The order in which to try addresses.

        Families take turns, beginning with the one that worked last, else with the system's choice.
        Within a family chance decides, so that many connections reach many of the vendor's
        machines. Once an address has failed, those that worked go first, and those that failed go
        last of all.
        """
        places = list(dict.fromkeys(found))
        self._worked.intersection_update(places)
        self._failed.intersection_update(places)

        def turn(place: Place) -> tuple[bool, float]:
            later = bool(self._failed) and place not in self._worked
            return later, random.random()  # noqa: S311 - not a secret

        families = list(dict.fromkeys(place.family for place in places))
        families.sort(key=lambda family: family != self._family)
        ordered: list[Place] = []
        for group in ([one for one in places if one not in self._failed], self._failed):
            queues = [sorted((p for p in group if p.family == one), key=turn) for one in families]
            ordered += [one for one in chain(*zip_longest(*queues)) if one is not None]
        return ordered

    def worked(self, place: Place) -> None:
        """A connection to this address was good for something."""
        self._failed.discard(place)
        self._worked.add(place)
        self._family = place.family

    def failed(self, places: Iterable[Place]) -> None:
        """These addresses did not answer, or slower than another, or nothing came of it."""
        self._failed.update(places)
        self._worked.difference_update(places)


class Hosts:
    """What is known of the hosts that this process connects to."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], Known] = {}

    def known(self, host: str, port: int) -> Known:
        """What is known of a host."""
        while len(self._known) > _MOST_HOSTS:
            del self._known[next(iter(self._known))]
        return self._known.setdefault((host, port), Known())


async def look_up(host: str, port: int) -> list[Place]:
    """The addresses of a host, in the system's order. Raises OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    if not found:
        raise NoAddress
    return [Place(family, address) for family, _, _, _, address in found]


class Race:
    """Tries addresses one beside the other: the next one starts 250 ms later, or when one fails.

    The first that connects wins, and the others are closed. `tried` are those that were tried, and
    `slow` those that were still silent when a later one won.
    """

    def __init__(self, order: Sequence[Place]) -> None:
        self._loop = asyncio.get_running_loop()
        self._left = deque(order)
        self._running: dict[Place, socket.socket] = {}
        self._ended: deque[tuple[Place, OSError | None]] = deque()
        self._news = asyncio.Event()
        self.tried: list[Place] = []
        self.slow: list[Place] = []

    async def run(self) -> tuple[Place, socket.socket]:
        """Connect. Raises the last failure where all addresses fail."""
        failure: OSError = NoAddress()
        try:
            while self._left or self._running:
                if self._left:
                    self._start(self._left.popleft())
                await self._wait()
                while self._ended:
                    place, error = self._ended.popleft()
                    if error is None:
                        return place, self._win(place)
                    failure = error
            raise failure
        finally:
            for place in [*self._running]:
                self._stop(place).close()

    def _start(self, place: Place) -> None:
        self.tried.append(place)
        try:
            tried = socket.socket(place.family, socket.SOCK_STREAM)
        except OSError as error:  # the system does not have this family
            self._ended.append((place, error))
            return
        self._running[place] = tried
        try:
            tried.setblocking(False)
            tried.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            code = tried.connect_ex(place.address)
        except OSError as error:
            self._end(place, error.errno or errno.EIO)
            return
        if code in _UNDER_WAY:
            self._loop.add_writer(tried, self._look, place, tried)
        else:
            self._end(place, code)

    def _look(self, place: Place, tried: socket.socket) -> None:
        """Called by the loop: a try has come to something."""
        self._loop.remove_writer(tried)
        self._end(place, tried.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
        self._news.set()

    def _end(self, place: Place, code: int) -> None:
        if code:
            self._stop(place).close()
        self._ended.append((place, OSError(code, os.strerror(code)) if code else None))

    async def _wait(self) -> None:
        """Wait for a try to come to something, no longer than until the next may start."""
        if self._ended:
            return
        self._news.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(STAGGER_S if self._left else None):
                await self._news.wait()

    def _win(self, place: Place) -> socket.socket:
        won = self._stop(place)
        ended = {other for other, _ in self._ended}
        earlier = self.tried[: self.tried.index(place)]
        self.slow = [one for one in earlier if one in self._running and one not in ended]
        return won

    def _stop(self, place: Place) -> socket.socket:
        stopped = self._running.pop(place)
        self._loop.remove_writer(stopped)
        return stopped
