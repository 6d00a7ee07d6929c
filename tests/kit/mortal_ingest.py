"""Ingests that end as `kill -9` ends them, once so many chunks of an event are in the stream.

From outside that moment cannot be met: an ingest writes all chunks of an event in one go. So the
first are let through, and when the broker has confirmed them the process kills itself.

`python -m tests.kit.mortal_ingest <config>` reads a line for each ingest that is to be: JSON with
`port` and `chunks` (None: it lives on). It has imported everything and forks, which takes a tenth
of a start; it answers with the pid.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import gateway.app.serving
import gateway.store.postgres  # what is imported late must be there before the fork
from gateway.app.settings import load
from gateway.queue.nats.link import Link
from tests.kit.gateway import eventually, listens


def die_after(chunks: int) -> None:
    """Let so many publishes be confirmed, and no more begin."""
    ask = Link.ask
    begun = confirmed = 0
    enough = asyncio.Event()

    async def counted(
        self: Link,
        subject: str,
        data: bytes = b"",
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> bytes:
        nonlocal begun, confirmed
        if "Nats-Msg-Id" not in (headers or {}):
            return await ask(self, subject, data, headers, **options)
        begun += 1
        if begun > chunks:
            if confirmed < chunks:
                await enough.wait()
            os.kill(os.getpid(), signal.SIGKILL)
        answer = await ask(self, subject, data, headers, **options)
        confirmed += 1
        if confirmed >= chunks:
            enough.set()
        return answer

    Link.ask = counted  # type: ignore[method-assign]  # a process that dies at a chosen moment


def live(config: Path, port: int, chunks: int | None) -> NoReturn:
    """Be an ingest, in a process that was forked for it."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if chunks is not None:
        die_after(chunks)
    variables = {
        "INKPUSH_SERVER__ROLE": "ingest",
        "INKPUSH_SERVER__PORT": str(port),
        "INKPUSH_LOG__LEVEL": "error",
    }
    settings = load(config, variables)
    os._exit(gateway.app.serving.run(settings, lambda: settings))


def main() -> None:
    """Fork ingests as they are asked for, until the input ends."""
    config = Path(sys.argv[1])
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    children: list[int] = []
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            live(config, order["port"], order["chunks"])
        children.append(pid)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()
    for pid in children:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


@dataclass
class Nursery:
    """Starts mortal ingests."""

    process: asyncio.subprocess.Process

    async def ingest(self, port: int, *, chunks: int | None) -> int:
        """Start one, and wait until it listens; its pid."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"port": port, "chunks": chunks}).encode() + b"\n")
        pid = int(await self.process.stdout.readline())
        await eventually("it listens", lambda: listens(port))
        return pid


@asynccontextmanager
async def mortal_ingests(config: Path) -> AsyncIterator[Nursery]:
    """Runs what starts them; at the end those that live are killed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.kit.mortal_ingest",
        str(config),
        cwd=Path(__file__).parents[2],
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Nursery(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


if __name__ == "__main__":
    main()
