"""The pipes of tier B: what asyncio and TCP promise, and what goes wrong on purpose."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

from tests.simulation.loop import Loop, Process
from tests.simulation.pipes import End, Pipe, join


class Told(asyncio.Protocol):
    """Notes what it hears."""

    def __init__(self) -> None:
        self.heard = b""
        self.pieces = 0
        self.ended: list[str] = []
        self.writing = ""

    def data_received(self, data: bytes) -> None:
        self.heard += data
        self.pieces += 1

    def eof_received(self) -> None:
        self.ended.append("eof")

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.append("lost" if exc is None else type(exc).__name__)

    def pause_writing(self) -> None:
        self.writing += "p"

    def resume_writing(self) -> None:
        self.writing += "r"


class Joined:
    """A pipe between a process and the world, with a protocol at each end."""

    def __init__(self, loop: Loop, room: int = 65_536) -> None:
        self.process = Process("gateway")
        lots = Random(2)
        near = End(loop, lots, self.process.context, (0.01, 0.1), room)
        far = End(loop, lots, contextvars.copy_context(), (0.01, 0.1), room)
        self.pipe = Pipe(1, "gateway", "vendor", near, far)
        self.client, self.server = Told(), Told()
        near.protocol = self.client
        join(loop, self.pipe, lambda _pipe: self.server, lambda: None)


def run(test: Callable[[Loop], Coroutine[Any, Any, None]]) -> None:
    loop = Loop(Random(1))  # type: ignore[abstract]
    try:
        loop.run(test(loop), until=lambda: False)
    finally:
        loop.end()


def test_bytes_arrive_in_order_in_pieces_and_the_end_comes_last() -> None:
    async def main(loop: Loop) -> None:
        joined = Joined(loop)
        await asyncio.sleep(1)
        sent = bytes(range(256)) * 4
        for at in range(0, len(sent), 32):
            joined.pipe.near.write(sent[at : at + 32])
        joined.pipe.near.close()
        await asyncio.sleep(5)
        assert joined.server.heard == sent
        assert joined.server.pieces > len(sent) / 32
        assert joined.server.ended == ["eof", "lost"]
        assert joined.client.ended == ["lost"]

    run(main)


def test_what_waits_in_a_stall_arrives_in_order_before_what_comes_after_it() -> None:
    async def main(loop: Loop) -> None:
        joined = Joined(loop)
        await asyncio.sleep(1)
        joined.pipe.stall("out")
        joined.pipe.near.write(b"first ")
        await asyncio.sleep(5)
        assert joined.server.heard == b""
        joined.pipe.near.write(b"second")
        joined.pipe.flow()
        await asyncio.sleep(1)
        assert joined.server.heard == b"first second"

    run(main)


def test_a_slow_reader_makes_the_writer_wait_and_go_on() -> None:
    async def main(loop: Loop) -> None:
        joined = Joined(loop, room=100)
        await asyncio.sleep(1)
        joined.pipe.near.write(b"x" * 1_000)
        assert joined.client.writing == "p"
        await asyncio.sleep(20)
        assert joined.client.writing == "pr"
        assert len(joined.server.heard) == 1_000

    run(main)


def test_nobody_is_told_of_swallowed_bytes_and_both_are_told_of_a_reset() -> None:
    async def main(loop: Loop) -> None:
        joined = Joined(loop)
        await asyncio.sleep(1)
        joined.pipe.swallow("both")
        joined.pipe.near.write(b"lost")
        joined.pipe.far.write(b"lost")
        await asyncio.sleep(100)
        assert joined.server.heard + joined.client.heard == b""
        assert not joined.server.ended
        assert not joined.client.ended
        joined.pipe.reset()
        await asyncio.sleep(1)
        assert joined.server.ended == joined.client.ended == ["ConnectionResetError"]

    run(main)


def test_bytes_wait_for_a_process_that_stands_still() -> None:
    async def main(loop: Loop) -> None:
        joined = Joined(loop)
        await asyncio.sleep(1)
        loop.freeze(joined.process)
        joined.pipe.far.write(b"hello")
        await asyncio.sleep(5)
        assert joined.client.heard == b""
        loop.thaw(joined.process)
        await asyncio.sleep(1)
        assert joined.client.heard == b"hello"

    run(main)


def test_a_dead_process_hears_nothing_and_its_peer_reads_to_the_end() -> None:
    async def main(loop: Loop) -> None:
        joined = Joined(loop)
        await asyncio.sleep(1)
        joined.pipe.near.write(b"its last words")
        loop.kill(joined.process)
        joined.pipe.near.hang_up()
        joined.pipe.far.write(b"too late")
        await asyncio.sleep(5)
        assert joined.client.heard == b""
        assert not joined.client.ended
        assert joined.server.heard == b"its last words"
        assert joined.server.ended == ["eof", "lost"]

    run(main)
