"""A small HTTP proxy on loopback that is asked to CONNECT, and remembers what it was told."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

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
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def places(self) -> list[str]:
        """The host:port of every request."""
        return [head.split()[1] for head in self.heads]

    def url(self, login: str = "") -> str:
        return f"http://{login}@127.0.0.1:{self.port}" if login else f"http://127.0.0.1:{self.port}"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[ConnectProxy]:
        """Serve; at the end every tunnel is cut."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # an end went away, or the test is over
        finally:
            self._tasks.discard(task)
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
    tasks: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            await asyncio.gather(_pump(reader, there_writer), _pump(there_reader, writer))
        except (OSError, asyncio.CancelledError):
            pass  # an end went away, or the test is over
        finally:
            tasks.discard(task)
            there_writer.transport.abort()
            writer.transport.abort()

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()
