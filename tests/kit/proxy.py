"""A small HTTP proxy on loopback that is asked to CONNECT, and remembers what it was told."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.kit.stream_server import serving

OK = b"HTTP/1.1 200 Connection established\r\n\r\n"


@dataclass(eq=False)
class ConnectProxy:
    """`reply` answers each CONNECT; where it is 200 the tunnel is made.

    `login`: the Proxy-Authorization without which the answer is 407. `heads` are the requests as
    they came, `first_bytes` what each tunnel began with.
    """

    reply: bytes = OK
    login: str = ""
    heads: list[str] = field(default_factory=list)
    first_bytes: list[bytes] = field(default_factory=list)
    port: int = 0

    @property
    def places(self) -> list[str]:
        """The host:port of every request."""
        return [head.split()[1] for head in self.heads]

    def url(self, login: str = "") -> str:
        return f"http://{login}@127.0.0.1:{self.port}" if login else f"http://127.0.0.1:{self.port}"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[ConnectProxy]:
        """Serve; at the end every tunnel is cut."""
        async with serving(self._accept) as self.port:
            yield self

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._serve(reader, writer)
        finally:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        if self.login and f"Proxy-Authorization: {self.login}\r\n" not in head:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
            await writer.drain()
            writer.close()
            return
        writer.write(self.reply)
        await writer.drain()
        if not self.reply.startswith(b"HTTP/1.1 200"):
            writer.close()
            await writer.wait_closed()
            return
        host, _, port = head.split()[1].rpartition(":")
        there_reader, there_writer = await asyncio.open_connection(host, int(port))
        try:
            await asyncio.gather(
                _pump(reader, there_writer, self.first_bytes.append), _pump(there_reader, writer)
            )
        finally:
            there_writer.transport.abort()


async def _pump(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    tell_first: Callable[[bytes], None] | None = None,
) -> None:
    """Copy until one side ends; then both do. `tell_first` hears what came first."""
    while data := await reader.read(65_536):
        if tell_first is not None:
            tell_first(data)
            tell_first = None
        writer.write(data)
        await writer.drain()
    writer.close()


@asynccontextmanager
async def tls_front(certificate: Path, port: int) -> AsyncIterator[int]:
    """TLS on a port of its own, in front of a port without."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            await asyncio.gather(_pump(reader, there_writer), _pump(there_reader, writer))
        finally:
            there_writer.transport.abort()
            writer.transport.abort()

    async with serving(pass_on, context) as front:
        yield front
