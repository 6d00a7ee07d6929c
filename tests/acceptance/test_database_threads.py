"""A database thread that ends ends the process; one that stands still is told by /healthz."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from tests.kit.audience import androids, notifications_to
from tests.kit.gateway import Installation, Process, eventually
from tests.kit.sender import event

ROOT = Path(__file__).parents[2]

SABOTAGED = """
import sys, time
from pathlib import Path
from gateway.cli import main
from gateway.store.sqlite import engine

folder, write = Path(sys.argv.pop(1)), engine.write_group

def write_group(connection, jobs):
    if (folder / "end").exists():
        raise MemoryError
    while (folder / "stall").exists():
        time.sleep(0.01)
    write(connection, jobs)

engine.write_group = write_group
sys.exit(main())
"""
"""The gateway, whose writer does as two files say."""


@asynccontextmanager
async def sabotaged(installation: Installation, stall_s: float) -> AsyncIterator[Process]:
    started = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SABOTAGED, installation.folder),
        *("serve", "--config", installation.config),
        cwd=ROOT,
        env={**os.environ, "INKPUSH_OPS__STALL_S": str(stall_s)},
        stderr=asyncio.subprocess.PIPE,
        limit=1 << 20,
    )
    process = Process(started, installation.http)
    process.read_log()
    try:
        await process.ready()
        yield process
    finally:
        await process.close()


async def test_a_writer_that_ends_answers_all_and_ends_the_process_with_a_line(
    installation: Installation,
) -> None:
    audience = androids(range(3))
    await installation.register(audience)
    body = event(notifications_to(audience))
    async with sabotaged(installation, 30) as gateway:
        assert (await gateway.post("msg_before", body)).status == 200
        (installation.folder / "end").touch()
        replies = await asyncio.gather(
            *(gateway.post(f"msg_{number}", body) for number in range(5)), return_exceptions=True
        )
        cut = (OSError, aiohttp.ClientError)  # the process may have gone before it could answer
        assert all(isinstance(one, cut) or one.status == 503 for one in replies)  # type: ignore[union-attr]
        async with asyncio.timeout(60):
            assert await gateway.process.wait() == 1
    (line,) = gateway.logged("the database's thread sqlite-writer has ended")
    assert line["error"] == "MemoryError"
    assert line["level"] == "error"
    # a supervisor starts it anew, and all goes on
    (installation.folder / "end").unlink()
    async with installation.serving() as gateway:
        reply = await gateway.post("msg_before", body)
        assert reply.json["status"] == "duplicate"
        assert (await gateway.post("msg_0", body)).json["status"] == "accepted"


async def test_a_writer_that_stands_still_is_told_until_it_moves(
    installation: Installation,
) -> None:
    body = event(notifications_to(androids(range(3))))
    stall = installation.folder / "stall"
    async with sabotaged(installation, 0.5) as gateway:

        async def health() -> int:
            return (await gateway.ops("/healthz")).status

        assert await health() == 200
        stall.touch()
        waiting = asyncio.create_task(gateway.post("msg_0", body))

        async def is_ill() -> bool:
            return await health() == 503

        async def is_well() -> bool:
            return await health() == 200

        await eventually("it is told", is_ill)
        assert "sqlite-writer" in (await gateway.ops("/healthz")).json["reason"]
        await eventually("a line says so", lambda: bool(gateway.logged("stalled")))
        stall.unlink()
        assert (await waiting).status == 200
        await eventually("it moves again", is_well)
        await eventually("a line says so", lambda: bool(gateway.logged("moves again")))
        assert await gateway.terminate() == 0
