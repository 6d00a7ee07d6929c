"""One connection on a real socket: how it looks after itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import h2.config
import h2.connection
import h2.events
import pytest

from providers.apns.channel import CannotOpen
from providers.apns.connection import Connection
from providers.apns.desk import Answer

HEADERS = (
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/3/device/ab"),
    (":authority", "apns"),
)


class Peer(asyncio.Protocol):
    """An HTTP/2 server that answers everything with 200, unless it is told to be deaf."""

    def __init__(self) -> None:
        self.deaf = False
        self.pings = 0
        config = h2.config.H2Configuration(client_side=False)
        self._h2 = h2.connection.H2Connection(config)
        self.writes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._h2.initiate_connection()
        transport.write(self._h2.data_to_send())

    def data_received(self, data: bytes) -> None:
        if self.deaf:
            return
        for event in self._h2.receive_data(data):
            if isinstance(event, h2.events.StreamEnded):
                assert event.stream_id is not None
                self._h2.send_headers(event.stream_id, [(":status", "200")], end_stream=True)
            elif isinstance(event, h2.events.PingReceived):
                self.pings += 1
        self.transport.write(self._h2.data_to_send())


class Owner:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.retired: list[Connection] = []
        self.gone: list[Connection] = []

    def wake(self) -> None:
        """Nobody waits."""

    def retire(self, connection: Connection) -> None:
        self.retired.append(connection)

    def lost(self, connection: Connection) -> None:
        self.gone.append(connection)


@pytest.fixture
def peer() -> Peer:
    return Peer()


@pytest.fixture
def owner() -> Owner:
    return Owner()


@pytest.fixture
async def connection(peer: Peer, owner: Owner) -> AsyncIterator[Connection]:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: peer, "127.0.0.1", 0)
    _, made = await loop.create_connection(
        lambda: Connection(loop, owner, quiet_s=0.05, pong_timeout_s=0.05),
        *server.sockets[0].getsockname(),
    )
    yield made
    await made.wait_closed()
    peer.transport.abort()
    server.close()
    await server.wait_closed()


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        await asyncio.sleep(0.002)


async def test_a_quiet_connection_is_pinged_and_kept_while_the_peer_answers(
    connection: Connection, peer: Peer, owner: Owner
) -> None:
    await until(lambda: peer.pings >= 3)

    assert owner.gone == []
    stream = connection.post(HEADERS, b"{}")
    assert await connection.outcome(stream) == Answer(200, b"")


async def test_a_peer_that_answers_no_ping_is_left(
    connection: Connection, peer: Peer, owner: Owner
) -> None:
    peer.deaf = True

    await until(lambda: owner.gone == [connection])


async def test_a_request_that_is_given_up_on_a_silent_connection_ends_it(
    connection: Connection, peer: Peer, owner: Owner
) -> None:
    await connection.outcome(connection.post(HEADERS, b"{}"))
    peer.deaf = True
    stream = connection.post(HEADERS, b"{}")

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(connection.outcome(stream), 0.02)

    assert connection in owner.retired
    with pytest.raises(CannotOpen):
        connection.post(HEADERS, b"{}")


async def test_what_is_sent_in_one_turn_leaves_in_one_write(connection: Connection) -> None:
    await connection.outcome(connection.post(HEADERS, b"{}"))
    assert connection.transport is not None
    streams = [connection.post(HEADERS, b"{}") for _ in range(20)]

    ends = await asyncio.gather(*(connection.outcome(stream) for stream in streams))

    assert set(ends) == {Answer(200, b"")}
    assert connection.channel.open_streams == 0
