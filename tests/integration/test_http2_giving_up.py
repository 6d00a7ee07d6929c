"""A connection that is given up while it is made leaves nothing behind."""

from __future__ import annotations

import asyncio
import gc
import socket
from contextlib import suppress
from pathlib import Path
from typing import cast

import pytest

from providers.http2.dial import Origin, _speak, dial
from tests.kit.http2_peers import Servers


class Silent(asyncio.Protocol):
    """Leaves as soon as it is there."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


class Made(asyncio.Protocol):
    """Remembers its transport."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # not checked with isinstance: uvloop's transports are of no class of asyncio's
        self.transport = cast("asyncio.Transport", transport)


@pytest.mark.parametrize("tls", [True, False])
async def test_a_dial_that_is_cancelled_at_any_moment_leaves_no_transport(
    tmp_path: Path, *, tls: bool
) -> None:
    servers = Servers(tmp_path)
    loop = asyncio.get_running_loop()
    ours, theirs = (servers.context(), servers.server_context("h2")) if tls else (None, None)
    server = await loop.create_server(Silent, "127.0.0.1", 0, ssl=theirs)
    origin = Origin("127.0.0.1", server.sockets[0].getsockname()[1], ours)
    async with server:
        for turns in range(20):
            dialing = asyncio.create_task(dial(origin, Made))
            for _ in range(turns):
                await asyncio.sleep(0)
            dialing.cancel()
            with suppress(asyncio.CancelledError, OSError):
                (await dialing).transport.abort()
            del dialing
        for _ in range(20):  # what is closed is gone some turns later
            await asyncio.sleep(0)
    # a transport that was forgotten warns when it is collected: an error here
    gc.collect()


async def test_a_handshake_that_is_cancelled_at_any_turn_leaves_no_socket(tmp_path: Path) -> None:
    context = Servers(tmp_path).context()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        origin = Origin("127.0.0.1", silent.getsockname()[1], context)
        for turns in range(8):
            connected = socket.create_connection(silent.getsockname())
            connected.setblocking(False)
            peer, _ = silent.accept()
            speaking = asyncio.create_task(_speak(connected, origin, Made))
            for _ in range(turns):
                await asyncio.sleep(0)
            speaking.cancel()
            with suppress(asyncio.CancelledError):
                await speaking
            connected.close()
            for _ in range(20):
                await asyncio.sleep(0)
            # else it is closed when it is collected, and its number may be another's by then
            assert connected.fileno() == -1
            peer.close()


async def test_a_handshake_that_is_cancelled_twice_leaves_no_transport(tmp_path: Path) -> None:
    """A deadline and whoever waits for it may both give up."""
    context = Servers(tmp_path).context()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        origin = Origin("127.0.0.1", silent.getsockname()[1], context)
        for turns in range(1, 8):
            before = asyncio.all_tasks()
            dialing = asyncio.create_task(dial(origin, Made))
            peer, _ = await asyncio.to_thread(silent.accept)
            for _ in range(turns):
                await asyncio.sleep(0)
            dialing.cancel()
            await asyncio.sleep(0)
            dialing.cancel()
            with suppress(asyncio.CancelledError):
                await dialing
            assert dialing.cancelled()
            # the handshake has ended before the dial has
            assert asyncio.all_tasks() <= before
            peer.close()
    gc.collect()


async def test_a_dial_whose_peer_never_speaks_ends_with_its_socket_closed(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        origin = Origin("127.0.0.1", silent.getsockname()[1], Servers(tmp_path).context())
        dialing = asyncio.create_task(dial(origin, Made))
        silent.setblocking(False)
        peer, _ = await asyncio.get_running_loop().sock_accept(silent)
        with peer:
            peer.setblocking(False)
            hello = await asyncio.get_running_loop().sock_recv(peer, 10_000)
            dialing.cancel()
            with suppress(asyncio.CancelledError):
                await dialing
            rest = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(peer, 10_000), 30)

    assert hello
    assert rest == b""
