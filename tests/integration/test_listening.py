"""A listener on one address, on several, and on both families."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from config.formats import hosts
from gateway.app.sites import open_sites


@asynccontextmanager
async def listening(value: str) -> AsyncIterator[int]:
    application = web.Application()

    async def hello(_: web.Request) -> web.Response:
        return web.Response(text="hello")

    application.router.add_get("/", hello)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        yield await open_sites(runner, hosts(value), 0)
    finally:
        await runner.cleanup()


async def answers(host: str, port: int) -> bool:
    async with aiohttp.ClientSession() as http:
        try:
            async with http.get(f"http://{host}:{port}/") as answer:
                return await answer.text() == "hello"
        except aiohttp.ClientConnectionError:
            return False


@pytest.mark.parametrize(
    ("value", "there", "not_there"),
    [
        ("127.0.0.1", ["127.0.0.1"], ["127.0.0.2", "[::1]"]),
        ("::1", ["[::1]"], ["127.0.0.1"]),
        ("127.0.0.1,127.0.0.3", ["127.0.0.1", "127.0.0.3"], ["127.0.0.2", "[::1]"]),
        ("127.0.0.1,::1", ["127.0.0.1", "[::1]"], ["127.0.0.2"]),
        ("0.0.0.0", ["127.0.0.1", "127.0.0.2"], ["[::1]"]),
        ("*", ["127.0.0.1", "127.0.0.2", "[::1]"], []),
    ],
)
async def test_every_address_is_listened_on_at_one_port_and_no_other(
    value: str, there: list[str], not_there: list[str]
) -> None:
    async with listening(value) as port:
        assert [host for host in (*there, *not_there) if await answers(host, port)] == there


async def test_a_machine_without_ipv6_still_has_both_families_that_it_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    true_socket = socket.socket

    def without_ipv6(family: int = -1, *args: Any, **options: Any) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(97, "Address family not supported by protocol")
        return true_socket(family, *args, **options)

    monkeypatch.setattr("asyncio.base_events.socket.socket", without_ipv6)
    async with listening("*") as port:
        assert await answers("127.0.0.1", port)


async def test_an_address_that_is_not_this_machines_is_an_error() -> None:
    with pytest.raises(OSError, match="assign requested address"):
        async with listening("127.0.0.1,192.0.2.1"):
            pass
