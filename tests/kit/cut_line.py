"""A line to a TCP server that can be held, cut, or made to lose an answer; a proxy on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.kit.stream_server import serving


@dataclass(eq=False)
class Line:
    """Forwards to `target` on loopback. While it is held, connections stay open and no byte passes,
    nor is one end told that the other has gone.

    `lose_answer_to`: the next request that has these bytes is forwarded, then its connection is cut
    on this side, before the answer. `lose_request`: the same, and it is not forwarded either.
    `hold_behind`: it is forwarded, and the line is held behind it, answer and all.
    """

    target: int
    port: int = 0
    lose_answer_to: bytes = b""
    lose_request: bytes = b""
    hold_behind: bytes = b""
    #: how many requests have met with one of these
    lost: int = 0
    #: seconds that a byte is on its way, each way; to open a connection takes there and back
    delay_s: float = 0.0
    #: how many connections were asked for
    opened: int = 0
    #: how often a client asked something, and waited for an answer before it asked more, on all
    #: connections together
    turns: int = 0
    _open: asyncio.Event = field(default_factory=asyncio.Event)

    def hold(self) -> None:
        """Let no byte pass, either way, on old connections and new ones."""
        self._open.clear()

    def resume(self) -> None:
        """Let all pass that waited."""
        self._open.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Line]:
        """Forward; at the end every connection is cut."""
        self._open.set()
        async with serving(self._accept) as self.port:
            yield self

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        try:
            await self._open.wait()
            await asyncio.sleep(2 * self.delay_s)
            there, back = await asyncio.open_connection("127.0.0.1", self.target)
        except BaseException:
            writer.transport.abort()
            raise
        deaf, asked = asyncio.Event(), asyncio.Event()
        ways = [
            asyncio.create_task(self._ask(reader, back, deaf, asked)),
            asyncio.create_task(self._answer(there, writer, deaf, asked)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            await self._open.wait()
        finally:
            # first, for whoever ends the test may cancel what is awaited here
            back.transport.abort()
            writer.transport.abort()
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _ask(
        self,
        reader: asyncio.StreamReader,
        there: asyncio.StreamWriter,
        deaf: asyncio.Event,
        asked: asyncio.Event,
    ) -> None:
        while data := await reader.read(1 << 16):
            await self._open.wait()
            if self.lose_request and self.lose_request in data:
                self.lose_request = b""
                self.lost += 1
                return
            loses = self.lose_answer_to and self.lose_answer_to in data
            if loses:
                self.lose_answer_to = b""
                self.lost += 1
                deaf.set()
            self.turns += not asked.is_set()
            asked.set()
            if self.hold_behind and self.hold_behind in data:
                self.hold_behind = b""
                self.lost += 1
                self.hold()
            await self._pass_on(there, data)
            if loses:
                # `_answer` ends the connection, when the server has done it
                await asyncio.Event().wait()

    async def _answer(
        self,
        there: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        deaf: asyncio.Event,
        asked: asyncio.Event,
    ) -> None:
        while data := await there.read(1 << 16):
            await self._open.wait()
            if deaf.is_set():
                return
            asked.clear()
            await self._pass_on(writer, data)

    async def _pass_on(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        if self.delay_s > 0:
            # what comes behind is on its way as well: nothing waits for its predecessor
            asyncio.get_running_loop().call_later(self.delay_s, _write, writer, data)
            return
        writer.write(data)
        await writer.drain()


def _write(writer: asyncio.StreamWriter, data: bytes) -> None:
    if not writer.transport.is_closing():
        writer.write(data)
