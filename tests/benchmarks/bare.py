"""The least that a webhook can cost: aiohttp that reads the body and drops it, on uvloop."""

from __future__ import annotations

import asyncio

import uvloop
from aiohttp import web


async def _read(request: web.Request) -> web.Response:
    await request.read()
    return web.Response()


async def _serve() -> None:
    runner = web.AppRunner(web.Application(client_max_size=2**24), access_log=None)
    runner.app.router.add_post("/webhooks/learnink", _read)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"listening on {runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve())
