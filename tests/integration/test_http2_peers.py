"""The HTTP/2 pool against servers that others wrote: nginx, nghttpd and Node, over TLS."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from providers.http2 import frames
from providers.http2.exchange import End, Lost, NotProcessed, Response
from providers.http2.streams import LARGEST_ANSWER
from tests.kit.gateway import eventually
from tests.kit.http2_peers import Client, Servers, client, post
from tests.kit.pool_rig import assert_trouble

BODY = (
    b'{"aps":{"alert":{"title":"Unit 7","body":"A new story is ready to read"},"sound":"default"}}'
)
ERRORS = (410, 429, 500)
LOOPS = ("asyncio", "uvloop")


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Servers:
    return Servers(tmp_path_factory.mktemp("servers"))


def assert_statuses(ends: dict[int, End], expected: Callable[[int], tuple[int, bytes]]) -> None:
    got = {
        name: (end.status, end.body) if isinstance(end, Response) else end
        for name, end in ends.items()
    }
    assert got == {name: expected(name) for name in ends}


def empty(_name: int) -> tuple[int, bytes]:
    return 200, b""


def error_or_ok(name: int) -> tuple[int, bytes]:
    if name % 4 == 3:
        return 200, b""
    status = ERRORS[name % 4]
    return status, b'{"reason":"R%d"}' % status


def path_of(name: int) -> str:
    status, body = error_or_ok(name)
    return f"/status/{status}/{name}" if body else f"/empty/200/{name}"


def undated(end: End) -> End:
    """Without the `Date`, which a real server says and a curious pool reads."""
    return replace(end, headers={}) if isinstance(end, Response) else end


def echo_of(name: int) -> bytes:
    return b"%d:" % name + BODY[: name % 90]


# --- nginx ----------------------------------------------------------------------------------------


async def test_nginx_answers_thousands_of_requests_each_once(servers: Servers) -> None:
    with servers.nginx("keepalive_requests 100000;") as port:
        async with client(port, servers.context()) as rig:
            ends = await rig.post([post(n, path_of(n), BODY) for n in range(4_000)])

    assert_statuses(ends, error_or_ok)


@pytest.mark.parametrize("streams", [1, 3, 128])
async def test_nginx_never_refuses_a_stream_within_its_limit(
    servers: Servers, streams: int
) -> None:
    limit = f"http2_max_concurrent_streams {streams}; keepalive_requests 100000;"
    with servers.nginx(limit) as port:
        async with client(port, servers.context()) as rig:
            ends = await rig.post([post(n, path_of(n), BODY) for n in range(600)])

    assert_statuses(ends, error_or_ok)


@pytest.mark.parametrize("window", [0, 1, 50])
async def test_nginx_reads_bodies_through_a_small_window(servers: Servers, window: int) -> None:
    with servers.nginx(f"http2_body_preread_size {window}; keepalive_requests 100000;") as port:
        async with client(port, servers.context()) as rig:
            # again: nginx refuses a body that overtook the acknowledgement of its window
            ends = await rig.post([post(n, path_of(n), BODY) for n in range(300)], again=True)

    assert_statuses(ends, error_or_ok)


@pytest.mark.parametrize("requests", [1, 10, 100])
async def test_nginx_goes_away_after_some_requests_and_nothing_is_lost(
    servers: Servers, requests: int
) -> None:
    count = 20 * min(requests, 50)
    with servers.nginx(f"keepalive_requests {requests};") as port:
        async with client(port, servers.context()) as rig:
            ends = await rig.post([post(n, f"/empty/{n}", BODY) for n in range(count)], again=True)
            assert len(rig.opened) >= count // requests // 2

    assert_statuses(ends, empty)
    early = {end for all_ends in rig.ends.values() for end in all_ends[:-1] if not response(end)}
    assert early <= {NotProcessed("GoAway"), NotProcessed("StreamRefused")}


def response(end: End) -> bool:
    return isinstance(end, Response)


# --- nghttpd --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("-m", "1"),
        ("-m", "7"),
        ("-b", "255"),
        ("-w", "1"),
        ("-w", "4", "-W", "16"),
        ("-c", "0"),
        ("-c", "100"),
        ("--encoder-header-table-size=0",),
        ("--trailer", "x-checksum: 1"),
        ("-n", "2"),
    ],
    ids=" ".join,
)
async def test_nghttpd_sends_back_what_it_was_sent(
    servers: Servers, options: tuple[str, ...]
) -> None:
    with servers.nghttpd(*options) as port:
        async with client(port, servers.context()) as rig:
            ends = await rig.post([post(n, "/echo", echo_of(n)) for n in range(800)])

    assert_statuses(ends, lambda name: (200, echo_of(name)))


async def test_nghttpd_takes_bodies_of_many_frames_and_gets_their_beginning_back(
    servers: Servers,
) -> None:
    with servers.nghttpd() as port:
        async with client(port, servers.context()) as rig:
            ends = await rig.post([post(n, "/echo", bytes([n]) * 20_000 * n) for n in range(8)])

    for name, end in ends.items():
        assert isinstance(end, Response)
        whole = bytes([name]) * 20_000 * name
        assert whole.startswith(end.body)
        assert len(end.body) >= min(len(whole), LARGEST_ANSWER)


# --- Node -----------------------------------------------------------------------------------------


async def counts(rig: Client) -> dict[str, int]:
    (end,) = (await rig.post([post("counts", "/counts", b"")], again=True)).values()
    assert isinstance(end, Response)
    told: dict[str, int] = json.loads(end.body)
    return told


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"maxConcurrentStreams": 1},
        {"maxConcurrentStreams": 5, "initialWindowSize": 7},
        {"headerTableSize": 0},
        {"headerTableSize": 100},
        {"maxFrameSize": 2**24 - 1, "initialWindowSize": 2**20},
    ],
    ids=str,
)
async def test_node_answers_each_request_once_and_sees_it_once(
    servers: Servers, settings: dict[str, int]
) -> None:
    with servers.node(settings=settings) as port:
        async with client(port, servers.context()) as rig:
            echoes = [post(n, f"/echo/{n}", echo_of(n)) for n in range(1_000)]
            ends = await rig.post(echoes)
            errors = await rig.post([post(n, path_of(n), BODY) for n in range(1_000, 2_000)])
            told = await counts(rig)

    assert_statuses(ends, lambda name: (200, echo_of(name)))
    assert_statuses(errors, error_or_ok)
    assert told == {"asked": 2_000, "different": 2_000, "most": 1}


async def test_node_may_speak_before_the_answer_and_after_it(servers: Servers) -> None:
    with servers.node() as port:
        async with client(port, servers.context()) as rig:
            early = await rig.post([post(n, f"/early/410/{n}", BODY) for n in range(200)])
            late = await rig.post([post(n, f"/trailers/0/{n}", BODY) for n in range(200, 400)])
            large = await rig.post([post(n, f"/large/200000/{n}", b"") for n in range(400, 450)])

    assert_statuses(early, lambda _: (410, b""))
    assert_statuses(late, lambda _: (200, BODY))
    for end in large.values():
        assert isinstance(end, Response)
        assert end.status == 500
        assert LARGEST_ANSWER <= len(end.body) < 200_000


@pytest.mark.parametrize("every", [7, 50])
async def test_node_goes_away_again_and_again_and_nothing_is_lost_and_nothing_comes_twice(
    servers: Servers, every: int
) -> None:
    count = 30 * every
    with servers.node(goawayEvery=every) as port:
        async with client(port, servers.context()) as rig:
            ends = await rig.post(
                [post(n, f"/echo/{n}", echo_of(n)) for n in range(count)], again=True
            )
            told = await counts(rig)

    assert_statuses(ends, lambda name: (200, echo_of(name)))
    assert told == {"asked": count, "different": count, "most": 1}


@pytest.mark.parametrize("code", [frames.NO_ERROR, frames.CANCEL, 2, frames.ENHANCE_YOUR_CALM])
async def test_a_stream_that_node_resets_is_lost_alone(servers: Servers, code: int) -> None:
    with servers.node() as port:
        async with client(port, servers.context(), connections=1) as rig:
            paths = [f"/reset/{code}/{n}" if n % 5 == 0 else f"/echo/{n}" for n in range(500)]
            ends = await rig.post([post(n, path, BODY) for n, path in enumerate(paths)])
            assert len(rig.opened) == 1

    for name, end in ends.items():
        assert undated(end) == (Lost("StreamReset") if name % 5 == 0 else Response(200, BODY))


async def test_a_stream_that_node_refuses_was_surely_not_processed(servers: Servers) -> None:
    with servers.node() as port:
        async with client(port, servers.context()) as rig:
            paths = [f"/reset/7/{n}" if n % 50 == 0 else f"/echo/{n}" for n in range(500)]
            ends = await rig.post([post(n, path, BODY) for n, path in enumerate(paths)])

    for name, end in ends.items():
        refused = NotProcessed("StreamRefused")
        assert undated(end) == (refused if name % 50 == 0 else Response(200, BODY))


async def test_when_node_drops_the_connection_all_that_was_under_way_is_lost_and_the_next_goes_on(
    servers: Servers,
) -> None:
    with servers.node() as port:
        async with client(port, servers.context(), connections=1) as rig:
            await rig.post([post("first", "/echo/first", b"")])
            hanging = [post(n, f"/hang/{n}", BODY) for n in range(50)]
            ends = await rig.post([*hanging, post("last", "/destroy/0", BODY)])
            after = await rig.post([post("next", "/echo/next", BODY)], again=True)

    assert set(ends.values()) <= {Lost("ConnectionLost"), Lost("StreamReset")}
    assert {name: undated(end) for name, end in after.items()} == {"next": Response(200, BODY)}


async def test_what_node_never_answers_times_out_and_the_others_do_not_wait(
    servers: Servers,
) -> None:
    with servers.node() as port:
        async with client(port, servers.context(), timeout_s=1.0) as rig:
            paths = [f"/hang/{n}" if n % 10 == 0 else f"/echo/{n}" for n in range(100)]
            ends = await rig.post([post(n, path, BODY) for n, path in enumerate(paths)])

    for name, end in ends.items():
        assert undated(end) == (Lost("Timeout") if name % 10 == 0 else Response(200, BODY))


# --- those that do not speak it -------------------------------------------------------------------

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def say_bad_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(100)
    writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    writer.close()


async def say_nothing(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def test_a_peer_that_speaks_only_http_1_is_a_clear_failure_and_nothing_is_lost(
    servers: Servers,
) -> None:
    server = await asyncio.start_server(
        say_bad_request, "127.0.0.1", 0, ssl=servers.server_context("http/1.1")
    )
    port = server.sockets[0].getsockname()[1]
    async with server, client(port, servers.context()) as rig:
        ends = await rig.post([post(n, "/empty", BODY) for n in range(20)])

    assert {type(end) for end in ends.values()} == {NotProcessed}
    assert_trouble(rig.pool, "no connection to 127.0.0.1: it speaks another protocol", "untouched")


async def test_an_nginx_without_http_2_is_a_clear_failure_and_nothing_is_lost(
    servers: Servers,
) -> None:
    with servers.nginx(http2=False) as port:
        async with client(port, servers.context()) as rig:
            ends = await rig.post([post(n, "/empty", BODY) for n in range(20)])

    assert {type(end) for end in ends.values()} == {NotProcessed}
    assert_trouble(rig.pool, "no connection to 127.0.0.1", "")


@pytest.mark.parametrize("serve", [say_bad_request, say_nothing])
async def test_a_peer_without_tls_is_a_clear_failure_and_nothing_is_lost(
    servers: Servers, serve: Serve
) -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, client(port, servers.context()) as rig:
        ends = await rig.post([post(n, "/empty", BODY) for n in range(20)])

    assert {type(end) for end in ends.values()} == {NotProcessed}
    assert_trouble(rig.pool, "no connection to 127.0.0.1", "")


async def test_a_peer_that_agrees_on_http_2_and_speaks_something_else_is_left(
    servers: Servers,
) -> None:
    server = await asyncio.start_server(
        say_bad_request, "127.0.0.1", 0, ssl=servers.server_context("h2")
    )
    port = server.sockets[0].getsockname()[1]
    async with server, client(port, servers.context(), connections=1) as rig:
        ends = await rig.post([post(n, "/empty", BODY) for n in range(20)])
        await eventually("it is left", lambda: rig.pool.connections == 0)

    # what it says may come before a request has left, or its reset may overtake what it says
    lost = {end for end in ends.values() if not isinstance(end, NotProcessed)}
    assert lost <= {Lost("ProtocolError"), Lost("ConnectionLost")}
