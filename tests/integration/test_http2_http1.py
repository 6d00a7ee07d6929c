"""What a peer gets that speaks only HTTP/1.1, as some proxies do: one request at a time each."""

from __future__ import annotations

import asyncio

from providers.http2.exchange import NEVER_SENT_S, Lost, NotProcessed, Response
from tests.kit.http1_server import Http1Peer, Http1Server, ok, take
from tests.kit.pool_rig import numbered, pool_rig, statuses
from tests.kit.provider_rig import until


async def never(_peer: Http1Peer, _body: bytes) -> bytes:
    await asyncio.Event().wait()
    return b""


async def test_a_request_is_whole_and_names_its_host_first() -> None:
    server = Http1Server()
    async with server.running(), pool_rig(server.port, None) as rig:
        (end,) = await rig.send(b'{"message":{}}')

        assert isinstance(end, Response)
        assert (end.status, end.body) == (200, b"{}")
        (peer,) = server.peers
        assert peer.heads[0].split("\r\n") == [
            "POST /3/device/1 HTTP/1.1",
            f"host: 127.0.0.1:{server.port}",
            "content-type: application/json",
            "apns-id: 1",
            "content-length: 14",
            "",
            "",
        ]
        assert peer.bodies == [b'{"message":{}}']


async def test_a_connection_is_used_again() -> None:
    server = Http1Server()
    async with server.running(), pool_rig(server.port, None, max_connections=1) as rig:
        assert statuses(await rig.send(*numbered("request", 30))) == {200: 30}
        assert [len(peer.bodies) for peer in server.peers] == [30]


async def test_as_many_connections_as_allowed_work_at_once_and_no_more() -> None:
    working = most = 0

    async def answer(_peer: Http1Peer, _body: bytes) -> bytes:
        nonlocal working, most
        working += 1
        most = max(most, working)
        await asyncio.sleep(0.02)  # the server thinks
        working -= 1
        return ok()

    server = Http1Server(answer)
    async with server.running(), pool_rig(server.port, None, max_connections=4) as rig:
        assert statuses(await rig.send(*numbered("request", 60))) == {200: 60}
        assert (len(server.peers), most) == (4, 4)


async def test_a_server_that_wants_to_close_is_let_go_and_nothing_is_lost() -> None:
    async def answer(_peer: Http1Peer, _body: bytes) -> bytes:
        return ok(b"{}", b"connection: close")

    server = Http1Server(answer)
    async with server.running(), pool_rig(server.port, None, max_connections=2) as rig:
        assert statuses(await rig.send(*numbered("request", 8))) == {200: 8}
        assert [len(peer.bodies) for peer in server.peers] == [1] * 8
        await until(lambda: not server.open)


async def test_an_answer_may_end_with_its_connection() -> None:
    async def answer(peer: Http1Peer, _body: bytes) -> None:
        peer.writer.write(b'HTTP/1.1 200 OK\r\n\r\n{"name":')
        await peer.writer.drain()
        peer.writer.write(b'"projects/p/messages/1"}')

    server = Http1Server(answer)
    async with server.running(), pool_rig(server.port, None, max_connections=1) as rig:
        for end in await rig.send(*numbered("request", 3)):
            assert end == Response(200, b'{"name":"projects/p/messages/1"}', {})


async def test_an_answer_may_come_in_chunks() -> None:
    async def answer(_peer: Http1Peer, _body: bytes) -> bytes:
        head = b"HTTP/1.1 503 Busy\r\ntransfer-encoding: chunked\r\n\r\n"
        return head + b"3\r\n{a}\r\n2\r\n{}\r\n0\r\n\r\n"

    server = Http1Server(answer)
    async with server.running(), pool_rig(server.port, None, max_connections=1) as rig:
        ends = await rig.send(*numbered("request", 3))
        assert [(end.status, end.body) for end in ends if isinstance(end, Response)] == [
            (503, b"{a}{}")
        ] * 3
        assert len(server.peers) == 1


async def test_informational_answers_are_passed_over() -> None:
    async def answer(_peer: Http1Peer, _body: bytes) -> bytes:
        early = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"
        return early + ok(b"the answer")

    server = Http1Server(answer)
    async with server.running(), pool_rig(server.port, None, max_connections=1) as rig:
        for end in await rig.send(*numbered("request", 3)):
            assert isinstance(end, Response)
            assert (end.status, end.body) == (200, b"the answer")


async def test_an_answer_that_is_cut_off_leaves_the_outcome_open() -> None:
    async def answer(peer: Http1Peer, body: bytes) -> bytes | None:
        if body == b"cut in the body":
            peer.writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this")
            return None
        if body == b"cut in the head":
            peer.writer.write(b"HTTP/1.1 200 OK\r\ncontent-le")
            return None
        if body == b"cut before":
            return None
        return b"+OK what do you want?\r\n\r\n" if body == b"nonsense" else ok()

    server = Http1Server(answer)
    async with server.running(), pool_rig(server.port, None, max_connections=1) as rig:
        await rig.send(b"first")
        for body in (b"cut in the body", b"cut in the head", b"cut before", b"nonsense"):
            (end,) = await rig.send(body)
            assert isinstance(end, Lost), body
            assert statuses(await rig.send(b"after " + body)) == {200: 1}


async def test_a_request_without_an_answer_ends_at_its_deadline_with_its_connection() -> None:
    server = Http1Server()
    async with (
        server.running(),
        pool_rig(server.port, None, max_connections=1, timeout_s=2.5) as rig,
    ):
        await rig.send(b"first")
        server.answer = never
        # one deadline for all: else a new connection may just be in time for one of the others
        deadline = asyncio.get_running_loop().time() + 2.5
        rig.submit(b"hangs", deadline=deadline)
        await asyncio.sleep(0)  # the first is written before the others are handed over
        rig.submit(*numbered("waits", 3), deadline=deadline)
        assert await rig.ended(b"hangs") == [Lost("Timeout")]
        assert set(await rig.ended(*numbered("waits", 3))) == {
            NotProcessed("Timeout", NEVER_SENT_S)
        }

        server.answer = take
        assert statuses(await rig.send(b"next")) == {200: 1}
        assert server.peers[1].bodies == [b"next"]


async def test_a_server_that_was_heard_of_and_never_finishes_is_not_kept() -> None:
    """It holds one of the few connections there are."""

    async def begin(peer: Http1Peer, body: bytes) -> bytes:
        if body == b"hangs":
            peer.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            await asyncio.Event().wait()
        return ok()

    server = Http1Server(begin)
    async with (
        server.running(),
        pool_rig(server.port, None, max_connections=1, timeout_s=2.0) as rig,
    ):
        await rig.send(b"first")
        assert await rig.send(b"hangs") == [Lost("Timeout")]
        assert statuses(await rig.send(b"next")) == {200: 1}
        assert len(server.peers) == 2


async def test_an_answer_nobody_asked_for_is_nobodys() -> None:
    """A server that tires of an idle connection says 408 and closes it."""
    server = Http1Server()
    async with server.running(), pool_rig(server.port, None, max_connections=1) as rig:
        await rig.send(b"first")
        (peer,) = server.peers
        peer.writer.write(ok(b"too slow", status=b"408 Request Timeout"))
        await until(lambda: rig.pool.connections == 0)

        assert statuses(await rig.send(b"next")) == {200: 1}
        assert len(server.peers) == 2


async def test_closing_waits_a_moment_for_answers_by_http_1_as_well() -> None:
    async def soon(_peer: Http1Peer, _body: bytes) -> bytes:
        await asyncio.sleep(0.1)  # the server thinks
        return ok()

    server = Http1Server()
    async with server.running(), pool_rig(server.port, None, max_connections=1) as rig:
        await rig.send(b"first")
        server.answer = soon
        rig.submit(b"soon", b"waits")
        await until(lambda: len(server.bodies) == 2)

        await rig.pool.aclose(2.0)

        assert statuses(await rig.ended(b"soon")) == {200: 1}
        assert await rig.ended(b"waits") == [NotProcessed("Closed")]
