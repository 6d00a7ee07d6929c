"""The pool: every request comes to one end, in time, whatever becomes of its connection."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import time
from collections import Counter

import pytest
from hyperframe.frame import HeadersFrame

from providers.http2.exchange import NEVER_SENT_S, Lost, NotProcessed, Response
from tests.kit.pool_rig import numbered, pool_rig, statuses
from tests.kit.provider_rig import until
from tests.kit.scripted_server import Http2Server, Peer, Trust, keep_silent, take

PROTOCOL_ERROR, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, COMPRESSION_ERROR = 1, 3, 6, 9


# --- deadlines -----------------------------------------------------------------------------------


async def test_what_was_sent_and_not_answered_is_lost_and_what_was_not_sent_is_not(
    trust: Trust,
) -> None:
    server = Http2Server(answer=keep_silent, streams=2)
    async with (
        server.running(trust.certificate),
        pool_rig(server.port, trust.ca_file, timeout_s=2.0) as rig,
    ):
        began = time.monotonic()
        ends = await rig.send(*numbered("request", 5))
        took = time.monotonic() - began

        assert ends[:2] == [Lost("Timeout")] * 2
        assert ends[2:] == [NotProcessed("Timeout", NEVER_SENT_S)] * 3
        assert took > 1.99
        # a connection that answered nothing in all that time is not used again
        await until(lambda: server.peers[0].closed)
        server.answer = take
        await until(lambda: rig.pool.free > 0)
        assert statuses(await rig.send(b"next")) == {200: 1}
        assert [peer.bodies for peer in server.peers] == [numbered("request", 2), [b"next"]]


async def test_a_connection_that_answers_others_is_kept_when_one_answer_does_not_come(
    trust: Trust,
) -> None:
    def answer(peer: Peer, stream: int, body: bytes) -> None:
        if body != b"hangs":
            peer.reply(stream)

    server = Http2Server(answer=answer)
    async with (
        server.running(trust.certificate),
        pool_rig(server.port, trust.ca_file, timeout_s=2.0) as rig,
    ):
        await rig.send(b"first")
        rig.submit(b"hangs")
        flow = await rig.send_until(lambda: b"hangs" in rig.ends)

        assert rig.ends[b"hangs"] == Lost("Timeout")
        assert statuses(await rig.ended(*flow)) == {200: len(flow)}
        (peer,) = server.peers
        # the peer was told, so the stream is not used up
        await until(lambda: list(peer.resets.values()) == [8])


async def test_a_late_answer_is_nobodys(trust: Trust) -> None:
    server = Http2Server()
    async with (
        server.running(trust.certificate),
        pool_rig(server.port, trust.ca_file, timeout_s=2.0) as rig,
    ):
        await rig.send(b"first")
        server.answer = keep_silent
        rig.submit(b"late")
        peer = server.peers[0]
        await until(lambda: len(peer.requests) == 2)
        await rig.ended(b"late")
        server.answer = take
        if not peer.closed:
            peer.reply(peer.requests[1][0])
        assert statuses(await rig.send(*numbered("after", 10))) == {200: 10}
        assert rig.ends[b"late"] == Lost("Timeout")


async def test_a_deadline_of_ones_own_is_kept_before_there_is_a_connection() -> None:
    loop = asyncio.get_running_loop()
    # it listens, and nobody ever accepts: a handshake that does not end
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        async with pool_rig(port, "") as rig:
            rig.submit(*numbered("soon", 3), deadline=loop.time() + 0.2)
            ends = await rig.ended(*numbered("soon", 3))
            assert set(ends) == {NotProcessed("Timeout", NEVER_SENT_S)}
            assert rig.pool.in_flight == 0


# --- GOAWAY --------------------------------------------------------------------------------------


async def test_goaway_frees_the_streams_above_at_once_and_waits_for_those_below(
    trust: Trust,
) -> None:
    server = Http2Server()
    async with server.running(trust.certificate), pool_rig(server.port, trust.ca_file) as rig:
        await rig.send(b"first")
        server.answer = keep_silent
        (old,) = server.peers
        below, above = numbered("below", 3), numbered("above", 4)
        rig.submit(*below, *above)
        await until(lambda: old.waiting == 7)

        old.go_away(old.requests[3][0])
        assert set(await rig.ended(*above)) == {NotProcessed("GoAway")}
        assert not rig.ends.keys() & set(below)

        server.answer = take
        # the next ones go elsewhere, while those below may still be answered
        assert statuses(await rig.send(*(b"again-" + body for body in above))) == {200: 4}
        assert len(server.peers[1].requests) == 4
        for stream, _ in old.requests[1:4]:
            old.reply(stream)
        assert statuses(await rig.ended(*below)) == {200: 3}
        await until(lambda: old.closed)
        assert old.goaway == 0


async def test_a_goaway_in_two_steps_loses_nothing(trust: Trust) -> None:
    """First the announcement, with the largest id there is, then what was really looked at."""
    server = Http2Server()
    async with server.running(trust.certificate), pool_rig(server.port, trust.ca_file) as rig:
        await rig.send(b"first")
        server.answer = keep_silent
        (old,) = server.peers
        rig.submit(*numbered("under way", 4))
        await until(lambda: old.waiting == 4)
        old.go_away(2**31 - 1)
        await until(lambda: rig.pool.free == 1)
        assert rig.pool.in_flight == 4

        old.go_away(old.requests[2][0])
        above = numbered("under way", 4)[2:]
        assert set(await rig.ended(*above)) == {NotProcessed("GoAway")}
        for stream, _ in old.requests[1:3]:
            old.reply(stream)
        assert statuses(await rig.ended(*numbered("under way", 2))) == {200: 2}


async def test_a_connection_in_its_end_is_left_when_its_last_answer_does_not_come(
    trust: Trust,
) -> None:
    """It was heard of meanwhile, so it is not silent; yet nobody waits on it any more."""
    server = Http2Server()
    async with (
        server.running(trust.certificate),
        pool_rig(server.port, trust.ca_file, timeout_s=2.0) as rig,
    ):
        await rig.send(b"first")
        server.answer = keep_silent
        (old,) = server.peers
        rig.submit(b"hangs")
        await until(lambda: old.waiting == 1)
        old.go_away(old.requests[-1][0])

        assert await rig.ended(b"hangs") == [Lost("Timeout")]
        await until(lambda: rig.pool.connections == 0)
        await until(lambda: old.closed)


async def test_goaway_in_full_flow_repeats_nothing_that_was_taken(trust: Trust) -> None:
    """Every connection goes away in the middle; what was above is sent again by the next one."""
    loop = asyncio.get_running_loop()
    taken: Counter[bytes] = Counter()
    last_stream: dict[Peer, int] = {}

    def answer(peer: Peer, stream: int, body: bytes) -> None:
        if stream > last_stream.get(peer, stream):
            return  # never looked at
        taken[body.split(b"again-")[-1]] += 1
        loop.call_later(0.01, answer_later, peer, stream)
        if len(peer.requests) == 300:
            last_stream[peer] = stream
            peer.go_away(stream)

    def answer_later(peer: Peer, stream: int) -> None:
        if not peer.closed:
            peer.reply(stream)

    server = Http2Server(answer=answer, streams=70)
    async with (
        server.running(trust.certificate),
        pool_rig(server.port, trust.ca_file, max_connections=2) as rig,
    ):
        todo = numbered("push", 2000)
        repeated: set[bytes] = set()
        while todo or rig.pool.in_flight:
            for body in [*todo[: rig.pool.free]]:
                rig.submit(body)
                todo.remove(body)
            await asyncio.sleep(0)
            freed = {body for body, end in rig.ends.items() if isinstance(end, NotProcessed)}
            todo += [b"again-" + body for body in freed - repeated]
            repeated |= freed

        assert len(last_stream) >= 5
        assert repeated
        assert {rig.ends[body] for body in repeated} == {NotProcessed("GoAway")}
        assert taken == Counter(numbered("push", 2000))
        assert statuses(list(rig.ends.values()))[200] == 2000


# --- a peer that breaks the protocol -------------------------------------------------------------


BROKEN = {
    "DATA without a stream": (b"\0\0\1\0\0\0\0\0\0x", PROTOCOL_ERROR),
    "an answer to a stream of the future": (
        HeadersFrame(9_999, b"\x88", flags=["END_HEADERS", "END_STREAM"]).serialize(),
        PROTOCOL_ERROR,
    ),
    "SETTINGS of an odd length": (b"\0\0\x05\4\0\0\0\0\0" + b"x" * 5, FRAME_SIZE_ERROR),
    "a frame that is too large": (b"\xff\xff\xff\0\0\0\0\0\1", FRAME_SIZE_ERROR),
    "a window that opens too far": (
        b"\0\0\4\x08\0\0\0\0\0\x7f\xff\xff\xff",
        FLOW_CONTROL_ERROR,
    ),
    "a header block of nonsense": (
        HeadersFrame(3, b"\xff\xff\xff\xff\xff", flags=["END_HEADERS"]).serialize(),
        COMPRESSION_ERROR,
    ),
}


@pytest.mark.parametrize("what", BROKEN)
async def test_broken_frames_end_the_connection_and_all_on_it_and_the_next_goes_on(
    what: str, trust: Trust
) -> None:
    broken, code = BROKEN[what]
    server = Http2Server()
    async with server.running(trust.certificate), pool_rig(server.port, trust.ca_file) as rig:
        await rig.send(b"first")
        server.answer = keep_silent
        (peer,) = server.peers
        rig.submit(*numbered("on it", 3))
        await until(lambda: peer.waiting == 3)

        peer.send(broken)
        assert set(await rig.ended(*numbered("on it", 3))) == {Lost("ProtocolError")}
        await until(lambda: peer.closed)
        assert peer.goaway == code

        server.answer = take
        assert statuses(await rig.send(*numbered("next", 3))) == {200: 3}
        assert len(server.peers) == 2


async def test_a_peer_that_greets_with_nonsense_counts_as_none(trust: Trust) -> None:
    server = Http2Server(on_connect=lambda peer: peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
    async with server.running(trust.certificate), pool_rig(server.port, trust.ca_file) as rig:
        (end,) = await rig.send(b"request")
        assert not isinstance(end, Response)
        await until(lambda: rig.pool.connections == 0)
        assert rig.pool.free == 0  # until the next try
        assert len(server.peers) == 1


# --- closing -------------------------------------------------------------------------------------


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - only how many


async def test_closing_keeps_answers_that_come_in_time_and_loses_the_rest(trust: Trust) -> None:
    loop = asyncio.get_running_loop()

    def answer(peer: Peer, stream: int, body: bytes) -> None:
        if body.startswith(b"soon"):
            loop.call_later(0.1, peer.reply, stream)
        if body == b"first":
            peer.reply(stream)

    server = Http2Server(answer=answer, streams=8)
    async with (
        server.running(trust.certificate),
        pool_rig(server.port, trust.ca_file, max_connections=1) as rig,
    ):
        await rig.send(b"first")
        soon, never, unsent = numbered("soon", 4), numbered("never", 4), numbered("unsent", 5)
        rig.submit(*soon, *never)
        rig.submit(*unsent)
        await until(lambda: len(server.bodies) == 9)

        await rig.pool.aclose(0.5)

        assert statuses([rig.ends[body] for body in soon]) == {200: 4}
        assert {rig.ends[body] for body in never} == {Lost("Closed")}
        assert {rig.ends[body] for body in unsent} == {NotProcessed("Closed")}
        rig.submit(b"too late")
        assert await rig.ended(b"too late") == [NotProcessed("Closed")]
        assert rig.pool.free == 0


async def test_closing_leaves_no_task_transport_or_descriptor(trust: Trust) -> None:
    tasks = asyncio.all_tasks()
    server = Http2Server(answer=keep_silent)
    async with server.running(trust.certificate):
        before = descriptors()
        async with pool_rig(server.port, trust.ca_file, grace_s=0.1) as rig:
            server.answer = take
            await rig.send(*numbered("answered", 10))
            server.answer = keep_silent
            rig.submit(*numbered("never", 150))
            await until(lambda: len(server.bodies) >= 100)
        await until(lambda: not server.open)
        await until(lambda: descriptors() == before)
    await until(lambda: asyncio.all_tasks() <= tasks)
    gc.collect()  # what was not closed warns now, and warnings are errors


async def test_closing_does_not_wait_for_a_peer_that_says_no_goodbye(trust: Trust) -> None:
    server = Http2Server()
    async with server.running(trust.certificate):
        before = descriptors()
        async with pool_rig(server.port, trust.ca_file) as rig:
            await rig.send(b"first")
            server.peers[0].stop_reading()
            async with asyncio.timeout(60):
                await rig.pool.aclose(600.0)
            assert rig.pool.connections == 0
        # the server's side is left
        await until(lambda: descriptors() <= before + 1)


async def test_closing_in_the_middle_of_a_handshake_leaves_nothing(trust: Trust) -> None:
    tasks = asyncio.all_tasks()
    accepted = asyncio.Event()
    writers: list[asyncio.StreamWriter] = []

    def accept(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        accepted.set()

    silent = await asyncio.start_server(accept, "127.0.0.1", 0)
    async with silent:
        before = descriptors()
        async with pool_rig(silent.sockets[0].getsockname()[1], trust.ca_file) as rig:
            rig.submit(b"request")
            await accepted.wait()
            await rig.pool.aclose(0.1)
            assert isinstance((await rig.ended(b"request"))[0], NotProcessed)
        await until(lambda: descriptors() <= before + 1)
        writers[0].transport.abort()
    await until(lambda: asyncio.all_tasks() <= tasks)
