"""The pool: how many connections there are, which one a request takes, when they go.

Servers on loopback, over TLS.
"""

from __future__ import annotations

import asyncio
import time

import pytest

from providers.http2 import wire
from providers.http2.exchange import Lost, NotProcessed, Response
from tests.kit.pool_rig import assert_trouble, numbered, pool_rig, statuses, unreachable
from tests.kit.provider_rig import until
from tests.kit.scripted_server import (
    STREAMS,
    Http2Server,
    Peer,
    Trust,
    greet,
    keep_silent,
    take,
)

REFUSED_STREAM = 7


# --- how many ------------------------------------------------------------------------------------


async def test_nothing_is_opened_before_there_is_something_to_send(trust: Trust) -> None:
    server = Http2Server()
    async with server.running(trust.certificate), pool_rig(server.port, trust.ca_file) as rig:
        assert (rig.pool.free, rig.pool.connections, rig.pool.in_flight) == (1, 0, 0)
        assert statuses(await rig.send(b"first")) == {200: 1}
        assert (len(server.peers), rig.pool.connections) == (1, 1)


def answer_the_first(peer: Peer, stream: int, _body: bytes) -> None:
    """One answer for each connection; the rest waits."""
    if len(peer.requests) == 1:
        peer.reply(stream)


async def test_connections_open_one_at_a_time_and_never_more_than_allowed(trust: Trust) -> None:
    full: list[int] = []

    def note_the_others(peer: Peer) -> None:
        full.append(sum(len(other.requests) for other in server.peers[: peer.number]))
        greet(peer)

    server = Http2Server(streams=5, answer=answer_the_first, on_connect=note_the_others)
    async with (
        server.running(trust.certificate),
        pool_rig(server.port, trust.ca_file, max_connections=3) as rig,
    ):
        rig.submit(*numbered("request", 100))
        await until(lambda: len(server.bodies) == 3 * 6)

        server.answer = take
        for peer in server.peers:
            for stream, _ in peer.requests[1:]:
                peer.reply(stream)
        await until(lambda: len(rig.ends) == 100)

        assert statuses(list(rig.ends.values())) == {200: 100}
        # each was opened when the streams of those before it had run out, and not earlier
        assert full == [0, 6, 12]
        assert [peer.most_open for peer in server.peers] == [5, 5, 5]


async def test_a_new_connection_gets_one_stream_until_it_answered(trust: Trust) -> None:
    """APNs allows one to whom it does not know, and a thousand as soon as it knows its sender."""

    def answer_and_allow_more(peer: Peer, stream: int, _body: bytes) -> None:
        if len(peer.requests) == 1:
            peer.settings({STREAMS: 40})
            peer.reply(stream)

    server = Http2Server(streams=1, answer=keep_silent)
    async with (
        server.running(trust.certificate),
        pool_rig(server.port, trust.ca_file, max_connections=2) as rig,
    ):
        rig.submit(*numbered("request", 50))
        await until(lambda: len(server.bodies) == 1)
        # nothing else is tried while nobody knows what this one will allow
        assert (len(server.peers), rig.pool.free, rig.pool.in_flight) == (1, 0, 50)

        server.answer = answer_and_allow_more
        first = server.peers[0]
        first.settings({STREAMS: 40})
        first.reply(first.requests[0][0])
        await until(lambda: len(server.bodies) == 50)

        assert [peer.most_open for peer in server.peers] == [40, 8]
        server.answer = take
        for peer in server.peers:
            for stream, _ in peer.requests[1:]:
                peer.reply(stream)
        await until(lambda: rig.pool.in_flight == 0)


async def test_a_limit_that_is_lowered_and_raised_again_is_kept(trust: Trust) -> None:
    server = Http2Server(streams=30)
    async with (
        server.running(trust.certificate),
        pool_rig(server.port, trust.ca_file, max_connections=1) as rig,
    ):
        await rig.send(b"first")
        (peer,) = server.peers
        peer.settings({STREAMS: 3})
        await until(lambda: rig.pool.free == 3)
        peer.most_open = 0
        server.answer = keep_silent
        rig.submit(*numbered("few", 12))
        await until(lambda: peer.waiting == 3)
        peer.settings({STREAMS: 9})
        await until(lambda: peer.waiting == 9)
        assert peer.most_open == 9
        server.answer = take
        for stream, _ in peer.requests[1:]:
            peer.reply(stream)
        await until(lambda: rig.pool.in_flight == 0)
        assert statuses(list(rig.ends.values())) == {200: 13}


# --- which one -----------------------------------------------------------------------------------


async def test_a_connection_that_stopped_answering_gets_ever_less_and_holds_up_nobody(
    trust: Trust,
) -> None:
    def answer(peer: Peer, stream: int, _body: bytes) -> None:
        if peer.number or len(peer.requests) == 1:
            peer.reply(stream)

    server = Http2Server(answer=answer_the_first, streams=20)
    async with (
        server.running(trust.certificate),
        pool_rig(server.port, trust.ca_file, max_connections=2) as rig,
    ):
        rig.submit(*numbered("to both", 22))
        await until(lambda: len(server.peers) == 2)
        server.answer = answer
        slow, quick = server.peers
        for stream, _ in quick.requests[1:]:
            quick.reply(stream)
        await until(lambda: not quick.waiting)

        for number in range(20):
            # more than half of what is free: the slow one's streams have run out
            ends = await rig.send(*numbered(f"round-{number}", 15))
            assert statuses(ends) == {200: 15}

        assert len(slow.requests) == 21
        assert len(quick.requests) >= 300


@pytest.mark.parametrize("streams", [1, 100])
async def test_a_first_connection_that_never_answers_does_not_hold_the_rest(
    streams: int, trust: Trust
) -> None:
    def answer(peer: Peer, stream: int, _body: bytes) -> None:
        if peer.number:
            peer.settings({STREAMS: 100})
            peer.reply(stream)

    server = Http2Server(answer=answer, streams=streams)
    async with (
        server.running(trust.certificate),
        pool_rig(server.port, trust.ca_file, timeout_s=60.0) as rig,
    ):
        rig.submit(b"unlucky")
        await until(lambda: server.bodies == [b"unlucky"])
        if streams == 1:
            # whoever asks how many would leave at once is told none, and hands nothing over
            assert rig.pool.free == 0
        else:
            rig.submit(*numbered("unlucky", 99))
        await until(lambda: rig.pool.free > 0)

        assert statuses(await rig.send(*numbered("request", 50))) == {200: 50}
        assert len(server.peers[0].requests) == streams
        assert rig.pool.in_flight == streams


async def test_room_is_shared_between_a_slow_connection_and_a_quick_one(trust: Trust) -> None:
    loop = asyncio.get_running_loop()

    def answer(peer: Peer, stream: int, _body: bytes) -> None:
        delay_s = 0.01 if peer.number or len(peer.requests) == 1 else 0.5
        loop.call_later(delay_s, peer.reply, stream)

    server = Http2Server(answer=answer, streams=200)
    async with (
        server.running(trust.certificate),
        pool_rig(server.port, trust.ca_file, max_connections=2) as rig,
    ):
        rig.submit(*numbered("to open both", 202))
        await until(lambda: len(server.peers) == 2)
        for number in range(1000):
            if len(server.bodies) >= 1500:
                break
            await until(lambda: rig.pool.free > 0)
            rig.submit(*numbered(f"flow-{number}", rig.pool.free))
        await until(lambda: rig.pool.in_flight == 0)

        slow, quick = (len(peer.requests) for peer in server.peers)
        assert set(statuses(list(rig.ends.values()))) == {200}
        assert quick > 3 * (slow - 200)


async def test_a_connection_that_refuses_streams_is_retired(trust: Trust) -> None:
    def answer(peer: Peer, stream: int, _body: bytes) -> None:
        if peer.number or len(peer.requests) == 1:
            peer.reply(stream)
        else:
            peer.reset(stream, REFUSED_STREAM)

    server = Http2Server(answer=answer)
    async with server.running(trust.certificate), pool_rig(server.port, trust.ca_file) as rig:
        await rig.send(b"first")
        refused = await rig.send(*numbered("refused", 3))
        assert set(refused) == {NotProcessed("StreamRefused")}
        await until(lambda: server.peers[0].closed)

        assert statuses(await rig.send(*numbered("after", 20))) == {200: 20}
        assert len(server.peers[1].requests) == 20


async def test_a_peer_that_stops_reading_gets_no_more_while_others_go_on(trust: Trust) -> None:
    large = b"x" * 16_000

    def answer(peer: Peer, stream: int, _body: bytes) -> None:
        if peer.number == 0 and len(peer.requests) == 2:
            peer.stop_reading()
        if peer.number or len(peer.requests) == 1:
            peer.reply(stream)

    server = Http2Server(answer=answer, streams=1000)
    async with (
        server.running(trust.certificate, receive_buffer=65_536),
        pool_rig(server.port, trust.ca_file, max_connections=2, timeout_s=3.0) as rig,
    ):
        await rig.send(b"first")
        sent = await rig.fill(large)
        assert sent < 1000, "its transport was never full"
        # it has streams left, and the next requests go elsewhere
        assert statuses(await rig.send(*numbered("elsewhere", 100))) == {200: 100}
        assert len(server.peers[1].requests) >= 100

        await until(lambda: rig.pool.in_flight == 0)
        ends = [end for body, end in rig.ends.items() if body.endswith(large)]
        assert set(map(type, ends)) <= {Lost, NotProcessed, Response}
        # and it is not kept, although it never said goodbye
        await until(lambda: rig.pool.connections == 1)


# --- when they go --------------------------------------------------------------------------------


async def test_a_connection_that_grew_old_is_replaced_and_nothing_is_lost_or_comes_twice(
    trust: Trust,
) -> None:
    loop = asyncio.get_running_loop()

    def answer_a_little_later(peer: Peer, stream: int, _body: bytes) -> None:
        loop.call_later(0.02, peer.reply, stream)

    server = Http2Server(answer=answer_a_little_later)
    async with (
        server.running(trust.certificate),
        pool_rig(server.port, trust.ca_file, max_connections=1, max_age_s=0.3) as rig,
    ):
        sent = await rig.send_until(lambda: len(server.peers) >= 5)

        assert statuses(await rig.ended(*sent)) == {200: len(sent)}
        assert sorted(server.bodies) == sorted(sent)
        # each ended in order: it was told so, and closed when it had answered
        await until(lambda: all(peer.closed for peer in server.peers[:-1]))
        assert {peer.goaway for peer in server.peers[:-1]} == {0}


async def test_a_quiet_connection_is_pinged_and_kept(
    trust: Trust, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "PONG_S", 0.1)
    server = Http2Server()
    async with (
        server.running(trust.certificate),
        pool_rig(server.port, trust.ca_file, quiet_s=0.1) as rig,
    ):
        await rig.send(b"first")
        (peer,) = server.peers
        await until(lambda: peer.pings >= 3)

        assert statuses(await rig.send(b"second")) == {200: 1}
        assert (len(server.peers), rig.pool.connections) == (1, 1)


async def test_a_quiet_connection_that_answers_no_ping_leaves(
    trust: Trust, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "PONG_S", 0.1)
    server = Http2Server(answers_pings=False)
    async with (
        server.running(trust.certificate),
        pool_rig(server.port, trust.ca_file, quiet_s=0.1) as rig,
    ):
        await rig.send(b"first")
        await until(lambda: rig.pool.connections == 0)
        assert server.peers[0].pings == 1

        assert statuses(await rig.send(b"second")) == {200: 1}
        assert len(server.peers) == 2


async def test_a_connection_that_is_used_is_not_pinged(trust: Trust) -> None:
    server = Http2Server()
    async with (
        server.running(trust.certificate),
        pool_rig(server.port, trust.ca_file, quiet_s=0.4) as rig,
    ):
        began = time.monotonic()
        await rig.send_until(lambda: time.monotonic() - began > 1.0)
        assert server.peers[0].pings == 0


# --- none can be made ----------------------------------------------------------------------------


async def test_a_place_that_accepts_and_hangs_up_is_tried_ever_less_often(trust: Trust) -> None:
    tries: list[float] = []

    def hang_up(peer: Peer) -> None:
        tries.append(time.monotonic())
        peer.transport.close()

    server = Http2Server(on_connect=hang_up)
    async with server.running(trust.certificate), pool_rig(server.port, trust.ca_file) as rig:
        sent = await rig.send_until(lambda: len(tries) == 3)
        assert {end for end in await rig.ended(*sent) if isinstance(end, Response)} == set()
        assert rig.pool.free == 0

    # half a second to one after the first failure, then twice that; a busy machine is only slower
    assert tries[1] - tries[0] > 0.45
    assert tries[2] - tries[1] > 0.9


async def test_what_waits_ends_at_once_when_nobody_can_be_reached(trust: Trust) -> None:
    server = Http2Server()
    async with server.running(trust.certificate):
        port = server.port
    async with pool_rig(port, trust.ca_file) as rig:
        ends = await rig.send(*numbered("waits", 200))
        assert {unreachable(end) for end in ends} == {unreachable(ends[0])}
        assert 0 < unreachable(ends[0]) <= 1
        # until then nothing is tried, and the next ones hear of the same wait
        (end,) = await rig.send(b"later")
        assert 0 < unreachable(end) <= unreachable(ends[0])


async def test_a_connection_that_cannot_be_made_leaves_the_others_alone(trust: Trust) -> None:
    def greet_the_first(peer: Peer) -> None:
        if peer.number:
            peer.transport.abort()
        else:
            greet(peer)

    loop = asyncio.get_running_loop()

    def answer_a_little_later(peer: Peer, stream: int, _body: bytes) -> None:
        loop.call_later(0.01, peer.reply, stream)

    server = Http2Server(answer=answer_a_little_later, on_connect=greet_the_first, streams=4)
    async with server.running(trust.certificate), pool_rig(server.port, trust.ca_file) as rig:
        ends = await rig.send(*numbered("request", 100))
        # it had been given one request when it hung up, or none
        assert statuses(ends)[200] >= 99
        assert len(server.peers) == 2
        assert rig.pool.connections == 1


async def test_a_peer_that_speaks_another_protocol_is_given_nothing(trust: Trust) -> None:
    server = Http2Server(alpn=())
    async with (
        server.running(trust.certificate),
        pool_rig(server.port, trust.ca_file, fallback=False) as rig,
    ):
        unreachable((await rig.send(b"request"))[0])
        assert server.bodies == []
    assert_trouble(rig.pool, "it speaks another protocol", "untouched")
