"""The receiving side of hooks: a server on loopback that does as a test says.

What it takes is checked by the `standardwebhooks` package, as a customer would.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import standardwebhooks
from aiohttp import web

SECRET = "whsec_" + base64.b64encode(b"a receiver's secret: 32 bytes ok").decode()
KEY = b"a receiver's secret: 32 bytes ok"


@dataclass
class Received:
    """A request whose signature holds."""

    id: str
    timestamp: str
    hook: str
    events: list[dict[str, Any]]


Answering = Callable[[Received], Awaitable[web.StreamResponse] | web.StreamResponse]


def takes(_received: Received) -> web.Response:
    return web.Response(status=204)


def says(status: int, **headers: str) -> Answering:
    """Answer with this status, always."""
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _received: web.Response(status=status, headers=told)


async def hangs(_received: Received) -> web.Response:
    """Answer never."""
    await asyncio.Event().wait()
    raise AssertionError


@dataclass
class Receiver:
    """A running receiver. `answer` may be replaced at any time; `unsigned` counts what proves
    nothing, `taken` are the requests that were answered 2xx, `seen` all of them."""

    secret: str = SECRET
    answer: Answering = takes
    seen: list[Received] = field(default_factory=list)
    taken: list[Received] = field(default_factory=list)
    unsigned: int = 0
    port: int = 0
    scheme: str = "http"

    @property
    def url(self) -> str:
        return self.at("127.0.0.1")

    def at(self, host: str) -> str:
        return f"{self.scheme}://{host}:{self.port}/inkpush?key=1"

    @property
    def events(self) -> list[dict[str, Any]]:
        """All events that it took, in the order in which they came."""
        return [event for one in self.taken for event in one.events]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        try:
            said = standardwebhooks.Webhook(self.secret).verify(
                body.decode(), {name.lower(): value for name, value in request.headers.items()}
            )
        except standardwebhooks.WebhookVerificationError:
            self.unsigned += 1
            return web.Response(status=401)
        headers = request.headers
        received = Received(
            headers["webhook-id"], headers["webhook-timestamp"], said["hook"], said["events"]
        )
        self.seen.append(received)
        answer = self.answer(received)
        if isinstance(answer, Awaitable):
            answer = await answer
        if 200 <= answer.status < 300:
            self.taken.append(received)
        return answer


@asynccontextmanager
async def receiving(
    *, answer: Answering = takes, trust: ssl.SSLContext | None = None, port: int = 0
) -> AsyncIterator[Receiver]:
    """Run a receiver on loopback. `trust`: over TLS."""
    receiver = Receiver(answer=answer, scheme="http" if trust is None else "https")

    application = web.Application()
    application.router.add_route("*", "/{tail:.*}", receiver.handle)
    runner = web.AppRunner(
        application, access_log=None, shutdown_timeout=0.1, handler_cancellation=True
    )
    async with AsyncExitStack() as stack:
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=trust)
        await site.start()
        server = site._server
        assert isinstance(server, asyncio.Server)
        receiver.port = server.sockets[0].getsockname()[1]
        yield receiver
