"""The pigeons' loft, on loopback: takes birds, and knows which have flown."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.test_utils import TestServer


@dataclass
class Loft:
    """`letters` are what the birds carried; one of `flown` has no bird any more."""

    url: str = ""
    letters: list[dict[str, str]] = field(default_factory=list)
    whistles: set[str] = field(default_factory=set)
    flown: set[str] = field(default_factory=set)

    async def take(self, request: web.Request) -> web.Response:
        letter = await request.json()
        self.whistles.add(request.headers["whistle"])
        if letter["ring"] in self.flown:
            return web.Response(status=404)
        self.letters.append(letter)
        return web.Response(text=f"bird {len(self.letters)}")


@asynccontextmanager
async def open_loft() -> AsyncIterator[Loft]:
    """A loft that takes birds until the block ends."""
    loft = Loft()
    application = web.Application()
    application.add_routes([web.post("/birds", loft.take)])
    async with TestServer(application, host="127.0.0.1") as server:
        loft.url = str(server.make_url("")).rstrip("/")
        yield loft
