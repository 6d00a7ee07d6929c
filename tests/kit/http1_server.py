"""An HTTP/1.1 server that answers each request with the bytes a test gives it, on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.kit.stream_server import serving

Answer = Callable[["Http1Peer", bytes], Awaitable[bytes | None]]
"""Given the connection and the body of a request; None: nothing, and the connection ends."""


def ok(body: bytes = b"{}", *headers: bytes, status: bytes = b"200 OK") -> bytes:
    """A whole answer."""
    lines = [b"HTTP/1.1 " + status, b"content-length: %d" % len(body), *headers, b"", body]
    return b"\r\n".join(lines)


async def take(_peer: Http1Peer, _body: bytes) -> bytes:
    """Answer 200."""
    return ok()


@dataclass(eq=False)
class Http1Peer:
    """The server's side of one connection. `heads` and `bodies` are the requests as they came."""

    number: int
    writer: asyncio.StreamWriter
    heads: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    closed: bool = False


@dataclass(eq=False)
class Http1Server:
    """All connections there were."""

    answer: Answer = take
    peers: list[Http1Peer] = field(default_factory=list)
    port: int = 0

    @property
    def bodies(self) -> list[bytes]:
        return [body for peer in self.peers for body in peer.bodies]

    @property
    def open(self) -> list[Http1Peer]:
        return [peer for peer in self.peers if not peer.closed]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve without TLS; at the end every connection is cut."""
        async with serving(self._accept) as self.port:
            yield

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Http1Peer(len(self.peers), writer)
        self.peers.append(peer)
        try:
            await self._serve(peer, reader)
        finally:
            peer.closed = True
            writer.close()

    async def _serve(self, peer: Http1Peer, reader: asyncio.StreamReader) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            lines = head.decode().lower().splitlines()
            length = next(int(line[15:]) for line in lines if line.startswith("content-length:"))
            peer.heads.append(head.decode())
            peer.bodies.append(await reader.readexactly(length))
            answer = await self.answer(peer, peer.bodies[-1])
            if answer is None:
                return
            peer.writer.write(answer)
            await peer.writer.drain()
