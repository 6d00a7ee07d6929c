"""Addresses on loopback that swallow connections, as a broken IPv6 does, and a DNS that has them.

A listener whose queue is full is one: the kernel answers no SYN to it.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from providers.http2.addresses import Place, Race

Known = tuple[int, str, int]
"""Family, address and port that DNS has for a name."""


@contextmanager
def dead(family: int, count: int) -> Iterator[list[Known]]:
    """So many addresses of a family that answer nothing; they differ by their ports."""
    host = "::1" if family == socket.AF_INET6 else "127.0.0.1"
    with ExitStack() as stack:
        made: list[Known] = []
        for _ in range(count):
            listener = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
            listener.bind((host, 0))
            listener.listen(0)
            for _ in range(2):
                filler = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
                filler.setblocking(False)
                filler.connect_ex(listener.getsockname())
            made.append((family, host, listener.getsockname()[1]))
        yield made


def answer_dns(monkeypatch: pytest.MonkeyPatch, name: str, known: Sequence[Known]) -> list[str]:
    """Let the running loop find these under a name; returns the names that it is asked for."""
    loop = asyncio.get_running_loop()
    true, asked = loop.getaddrinfo, []

    async def getaddrinfo(host: Any, port: Any, **options: Any) -> Any:
        if host != name:
            return await true(host, port, **options)
        asked.append(host)
        return [
            (family, socket.SOCK_STREAM, 6, "", (address, number))
            for family, address, number in known
        ]

    monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo)
    return asked


def note_connects(monkeypatch: pytest.MonkeyPatch) -> list[Place]:
    """The addresses that are tried from now on, in their order."""
    true, tried = Race._start, []

    def start(race: Race, place: Place) -> None:
        tried.append(place)
        true(race, place)

    monkeypatch.setattr(Race, "_start", start)
    return tried
