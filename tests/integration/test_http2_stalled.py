"""Connections that stay up and give no room: others take their place, and they go.

Servers on loopback, over TLS. The first connections are bad in one way, the later ones are good.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hyperframe.frame import WindowUpdateFrame

from providers.http2.exchange import NotProcessed, Response
from tests.kit.pool_rig import PoolRig, assert_trouble, numbered, pool_rig, statuses
from tests.kit.provider_rig import until
from tests.kit.scripted_server import STREAMS, WINDOW, Http2Server, Peer, Trust, greet

ALLOWED = 4
"""The most connections of a pool here."""

BODY = b"x" * 1_000


@dataclass(frozen=True)
class Stall:
    """A way to stall: `greets` and `answers` are a bad connection's."""

    name: str
    greets: Callable[[Peer], None]
    answers: Callable[[Peer, int], None]
    receive_buffer: int = 0

    def server(self, bad: int) -> Http2Server:
        """A server whose first connections are bad."""

        def on_connect(peer: Peer) -> None:
            (self.greets if peer.number < bad else greet)(peer)

        def answer(peer: Peer, stream: int, _body: bytes) -> None:
            if peer.number < bad:
                self.answers(peer, stream)
            else:
                peer.reply(stream)

        return Http2Server(on_connect=on_connect, answer=answer)


def no_stream_after_some(peer: Peer, stream: int) -> None:
    peer.reply(stream)
    if len(peer.requests) == 20:
        peer.settings({STREAMS: 0})


def no_stream_at_first(peer: Peer) -> None:
    peer.settings({STREAMS: 0})


def no_credit(peer: Peer) -> None:
    """The connection's window is never widened."""
    peer.settings({STREAMS: 100, WINDOW: 65_535})


def read_no_more_after_two(peer: Peer, stream: int) -> None:
    peer.reply(stream)
    if len(peer.requests) == 2:
        peer.stop_reading()


def half_an_answer_after_two(peer: Peer, stream: int) -> None:
    if len(peer.requests) <= 2:
        peer.reply(stream)
    else:
        peer.send(b"\x00\x00\x05")


STALLS = (
    Stall("a stream limit of 0 after 20 answers", greet, no_stream_after_some),
    Stall("a stream limit of 0 from the start", no_stream_at_first, Peer.reply),
    Stall("a window that is never credited", no_credit, Peer.reply),
    Stall("a reader that stops after two", greet, read_no_more_after_two, receive_buffer=4_096),
    Stall("an answer that stops in the middle", greet, half_an_answer_after_two),
)


async def deliver(rig: PoolRig, wanted: list[bytes], at_once: int) -> None:
    """Hand requests over as the relay does: only as many as are free; what failed goes again."""
    waiting = list(wanted)

    def all_answered() -> bool:
        for body in [body for body, end in rig.ends.items() if not isinstance(end, Response)]:
            del rig.ends[body]
            assert rig.times.pop(body) == 1
            waiting.append(body)
        share = waiting[: min(rig.pool.free, at_once)]
        del waiting[: len(share)]
        rig.submit(*share)
        return len(rig.ends) == len(wanted)

    await until(all_answered)


@pytest.mark.parametrize("at_once", [1, 100], ids=["a steady flow", "bursts"])
@pytest.mark.parametrize("bad", [1, ALLOWED // 2, ALLOWED])
@pytest.mark.parametrize("stall", STALLS, ids=lambda stall: stall.name)
async def test_all_is_delivered_by_other_connections_and_the_stalled_ones_go(
    trust: Trust, stall: Stall, bad: int, at_once: int
) -> None:
    server = stall.server(bad)
    bodies = [name + BODY for name in numbered("push", 400)]
    async with (
        server.running(trust.certificate, receive_buffer=stall.receive_buffer),
        pool_rig(server.port, trust.ca_file, max_connections=ALLOWED, timeout_s=1.0) as rig,
    ):
        await deliver(rig, bodies, at_once)

        assert statuses(list(rig.ends.values())) == {200: 400}
        # Only what has pushes to send finds out: on a slow machine the good ones take all before.
        # One that does not read does not see that it was closed.
        await rig.send_until(lambda: rig.pool.connections <= len(server.peers) - bad)
        assert rig.pool.trouble is None


async def test_a_connection_that_gets_room_again_is_used_again(trust: Trust) -> None:
    server = Http2Server()
    async with (
        server.running(trust.certificate),
        pool_rig(server.port, trust.ca_file, max_connections=1, timeout_s=5.0) as rig,
    ):
        await rig.send(b"first")
        (peer,) = server.peers
        peer.settings({STREAMS: 0})
        await until(lambda: rig.pool.trouble is not None)
        assert rig.pool.free == 1  # another connection may be made

        peer.settings({STREAMS: 100})
        await until(lambda: rig.pool.free > 1)
        assert statuses(await rig.send(*numbered("later", 50))) == {200: 50}
        assert server.peers == [peer]


async def test_where_nobody_gives_room_connections_are_few_and_the_trouble_is_told(
    trust: Trust,
) -> None:
    server = Http2Server(on_connect=no_stream_at_first)
    async with (
        server.running(trust.certificate),
        pool_rig(server.port, trust.ca_file, max_connections=2, timeout_s=0.5) as rig,
    ):
        for number in range(40):
            await rig.send(b"push-%d" % number)
            await asyncio.sleep(0.02)
        answered = [end for end in rig.ends.values() if isinstance(end, Response)]
        ended = [end for end in rig.ends.values() if isinstance(end, NotProcessed)]
        assert len(answered) + len(ended) == 40
        assert len(server.open) <= 4
        # a new connection is no trouble until it is seen to be like the others
        await until(lambda: rig.pool.trouble is not None)
        assert_trouble(rig.pool, "no stream and no window", "holds connections open")


async def test_a_window_that_comes_late_is_used(trust: Trust) -> None:
    server = Http2Server(on_connect=no_credit)
    async with (
        server.running(trust.certificate),
        pool_rig(server.port, trust.ca_file, max_connections=1, timeout_s=30.0) as rig,
    ):
        rig.submit(*[name + BODY for name in numbered("push", 70)])
        await until(lambda: len(server.bodies) == 65)
        (peer,) = server.peers
        peer.send(WindowUpdateFrame(0, window_increment=1_000_000))
        await until(lambda: len(rig.ends) == 70)
        assert statuses(list(rig.ends.values())) == {200: 70}
        assert server.peers == [peer]


async def test_a_connection_whose_peer_reads_again_is_used_again(trust: Trust) -> None:
    large = b"x" * 16_000

    def answer(peer: Peer, stream: int, _body: bytes) -> None:
        if len(peer.requests) == 2:
            peer.stop_reading()
        peer.reply(stream)

    server = Http2Server(answer=answer, streams=1000)
    async with (
        server.running(trust.certificate, receive_buffer=65_536),
        pool_rig(server.port, trust.ca_file, max_connections=1, timeout_s=30.0) as rig,
    ):
        await rig.send(b"first")
        sent = await rig.fill(large)
        (peer,) = server.peers
        peer.transport.resume_reading()
        await until(lambda: len(rig.ends) == sent + 1)

        assert statuses(await rig.send(*numbered("later", 50))) == {200: 50}
        assert server.peers == [peer]


async def test_a_peer_that_talks_and_does_not_read_is_left_before_it_fills_the_memory(
    trust: Trust,
) -> None:
    loop = asyncio.get_running_loop()
    pings = b"\x00\x00\x08\x06\x00\x00\x00\x00\x0012345678" * 200

    def talk(peer: Peer) -> None:
        if not peer.closed and not peer.transport.is_closing():
            peer.transport.write(pings)
            loop.call_later(0.002, talk, peer)

    def answer(peer: Peer, stream: int, _body: bytes) -> None:
        peer.reply(stream)
        if peer.number == 0:
            peer.stop_reading()
            talk(peer)

    server = Http2Server(answer=answer)
    async with (
        server.running(trust.certificate, receive_buffer=4_096),
        pool_rig(server.port, trust.ca_file, max_connections=1) as rig,
    ):
        assert statuses(await rig.send(b"first")) == {200: 1}
        (wire,) = rig.pool._live
        largest = 0

        def is_left() -> bool:
            nonlocal largest
            transport = wire._transport
            assert transport is not None
            largest = max(largest, transport.get_write_buffer_size())
            return rig.pool.connections == 0

        await until(is_left)
        assert largest < 300_000
        assert statuses(await rig.send(b"second")) == {200: 1}
    assert len(server.peers) == 2
