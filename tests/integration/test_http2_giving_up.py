"""A connection that is given up while it is made leaves nothing behind."""

from __future__ import annotations

import asyncio
import gc
import socket
from contextlib import suppress
from pathlib import Path

import pytest

from providers.http2.dial import Origin, dial
from tests.kit.http2_peers import Servers


class Silent(asyncio.Protocol):
    """Leaves as soon as it is there."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


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
            dialing = asyncio.create_task(dial(origin, Silent))
            for _ in range(turns):
                await asyncio.sleep(0)
            dialing.cancel()
            with suppress(asyncio.CancelledError, OSError):
                await dialing
            del dialing
    # a transport that was forgotten warns when it is collected: an error here
    gc.collect()


async def test_a_dial_whose_peer_never_speaks_ends_with_its_socket_closed(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        origin = Origin("127.0.0.1", silent.getsockname()[1], Servers(tmp_path).context())
        dialing = asyncio.create_task(dial(origin, Silent))
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
