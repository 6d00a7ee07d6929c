"""Strangers at the door, each kind alone and all together: what LearnInk notices of them.

`.venv/bin/python -m tests.benchmarks.abuse` starts one gateway with 1 024 files (4 096 at most) and
lets each kind of stranger at it for some seconds, while LearnInk posts ten signed webhooks a
second, each on a connection of its own. Strangers are a process of their own on the same cores; all
of it listens on 127.0.0.1 and ends by itself. A line for each kind: how soon webhooks were
answered, the gateway's largest RSS, its CPU and the strangers', how long it was ready to run and
had no core (then the machine was busy with others, and the times say little), how much its log
grew, and whether a word of theirs is in it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.kit.gateway import SECRET
from tests.kit.ingest_alone import Ingest, ingest_alone
from tests.kit.knocking import lines_of, parsed, request
from tests.kit.sender import event, signed

PLANTED = "PLANTEDTEXT"
HOST = "127.0.0.1"
PATH = "/webhooks/learnink"
MIB = 2**20
# --- the strangers -----------------------------------------------------------------------------

Stranger = Callable[[int, int], Awaitable[None]]
"""One of them, by its number; goes on until it is ended."""


async def _open(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(HOST, port)


async def slow(port: int, number: int) -> None:
    """A header that never ends, a byte at a time."""
    _, writer = await _open(port)
    try:
        for at, byte in enumerate(request("POST", PATH, f"x: {PLANTED}{'a' * 4_000}")):
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(2 + (number + at) % 10 / 10)
    finally:
        writer.transport.abort()


async def silent(port: int, _number: int) -> None:
    """A connection, and not a word."""
    reader, writer = await _open(port)
    try:
        await reader.read()
    finally:
        writer.transport.abort()


async def unsigned(port: int, _number: int) -> None:
    """8 MiB less a byte, without a signature."""
    await _send(port, [], 8 * MIB, 8 * MIB - 1)


async def forged(port: int, number: int) -> None:
    """8 MiB under headers that look right."""
    await _send(port, _claims(number), 8 * MIB, 8 * MIB)


async def forged_and_held(port: int, number: int) -> None:
    """8 MiB less a byte under headers that look right, and then nothing."""
    await _send(port, _claims(number), 8 * MIB, 8 * MIB - 1)


async def packed(port: int, _number: int) -> None:
    """4 MiB that unfold to 4 GiB."""
    await _send(port, ["Content-Encoding: gzip"], len(_bomb()), len(_bomb()), _bomb())


async def malformed(port: int, number: int) -> None:
    """One of a hundred who send ten requests a second that are none."""
    while True:
        began = time.monotonic()
        reader, writer = await _open(port)
        with suppress(OSError):
            writer.write(_MALFORMED[number % len(_MALFORMED)])
            await reader.read()
        writer.transport.abort()
        await asyncio.sleep(max(0.0, 0.1 - (time.monotonic() - began)))


_MALFORMED = [
    f"{PLANTED}\r\n\r\n".encode(),
    f"GET /{PLANTED} HTTP/9.9\r\n\r\n".encode(),
    f"POST / HTTP/1.1\r\nHost: a\r\nx: {PLANTED}\x01\r\n\r\n".encode(),
    f"POST {PATH} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{PLANTED}".encode(),
]


async def _send(
    port: int, headers: list[str], length: int, sent: int, body: bytes | None = None
) -> None:
    reader, writer = await _open(port)
    try:
        writer.write(request("POST", PATH, *headers, f"Content-Length: {length}"))
        part = (PLANTED.encode() * 6_000)[:65_536]
        for start in range(0, sent, 65_536):
            end = min(start + 65_536, sent)
            writer.write(part[: end - start] if body is None else body[start:end])
            await writer.drain()
        await reader.read()
    finally:
        writer.transport.abort()


def _claims(number: int) -> list[str]:
    made = signed(f"msg_{PLANTED}_{number}_{time.time_ns()}", b"{}", SECRET)
    return lines_of({name: value for name, value in made.items() if name.startswith("svix")})


_packed: list[bytes] = []


def _bomb() -> bytes:
    if not _packed:
        packer = zlib.compressobj(9, zlib.DEFLATED, 31)
        block = bytes(16 * MIB)
        parts = [packer.compress(block) for _ in range(4 * 1024 // 16)]
        _packed.append(b"".join([*parts, packer.flush()]))
    return _packed[0]


KINDS: dict[str, tuple[Stranger, int]] = {
    "slow": (slow, 2_000),
    "silent": (silent, 200),
    "unsigned": (unsigned, 100),
    "forged": (forged, 16),
    "forged-held": (forged_and_held, 16),
    "packed": (packed, 12),
    "malformed": (malformed, 100),
}


async def attack(kinds: list[str], port: int) -> None:
    """All of these strangers, each again when it was sent away; until the process is ended."""

    async def again(stranger: Stranger, number: int) -> None:
        while True:
            with suppress(OSError):
                await stranger(port, number)
            await asyncio.sleep(0.05)

    if "packed" in kinds:
        _bomb()
    print("ready", flush=True)
    strangers = [(KINDS[kind][0], n) for kind in kinds for n in range(KINDS[kind][1])]
    await asyncio.gather(*(again(*one) for one in strangers))


@contextmanager
def strangers(kinds: list[str], port: int) -> Iterator[subprocess.Popen[str]]:
    """These strangers, in a process of their own."""
    command = [sys.executable, "-m", "tests.benchmarks.abuse", "--attack", ",".join(kinds)]
    command += ["--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            child.stdout.readline()
            yield child
        finally:
            child.kill()


# --- the gateway, and what is seen of it -------------------------------------------------------


@dataclass(frozen=True)
class Seen:
    """What LearnInk and the machine noticed. Seconds, MiB, KiB a second."""

    kind: str
    posts: int
    failed: int
    p50_s: float
    p99_s: float
    rss_mib: float
    cpu_share: float
    strangers_cpu_share: float
    waited_share: float
    log_kib_s: float
    planted_in_log: bool


def cpu_s(pid: int) -> float:
    """CPU seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def waited_s(pid: int) -> float:
    """Seconds that a process was ready to run, and had no core, so far."""
    waits = [path.read_text().split()[1] for path in Path(f"/proc/{pid}/task").glob("*/schedstat")]
    return sum(map(int, waits)) / 1e9


async def learnink(port: int, seconds: float, name: str) -> tuple[list[float], int]:
    """Post ten webhooks a second. How long each took from when it was due, and how many failed."""
    took: list[float] = []
    failed = 0

    async def post(number: int, due: float) -> None:
        nonlocal failed
        body = event([{"user_id": "u", "title": "Hi", "body": "there", "path": "/"}])
        lines = lines_of(signed(f"msg_{name}_{number}", body, SECRET))
        lines += [f"Content-Length: {len(body)}", "Connection: close"]
        try:
            async with asyncio.timeout(15):
                reader, writer = await _open(port)
                writer.write(request("POST", PATH, *lines, body=body))
                answer = parsed(await reader.read())
                writer.close()
            failed += answer.status != 200
        except (OSError, TimeoutError):
            failed += 1
        took.append(time.monotonic() - due)

    began = time.monotonic()
    async with asyncio.TaskGroup() as posts:
        for number in range(int(seconds * 10)):
            due = began + number / 10
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            posts.create_task(post(number, due))
    return took, failed


async def watch(gateway: Ingest, kinds: list[str], seconds: float) -> Seen:
    """Let these strangers at a gateway."""
    name = "+".join(kinds) or "nobody"
    with strangers(kinds, gateway.port) as child:
        await asyncio.sleep(1)
        before = cpu_s(gateway.process.pid), cpu_s(child.pid), gateway.log.stat().st_size
        waited = waited_s(gateway.process.pid)
        peak = 0.0
        began = time.monotonic()
        posting = asyncio.create_task(learnink(gateway.port, seconds, name))
        while not posting.done():
            peak = max(peak, gateway.rss_mib())
            await asyncio.sleep(0.1)
        took, failed = await posting
        passed = time.monotonic() - began
        waited = waited_s(gateway.process.pid) - waited
        after = cpu_s(gateway.process.pid), cpu_s(child.pid), gateway.log.stat().st_size
    took.sort()
    # its own lines of webhooks that were taken are no growth by strangers
    own = sum(
        len(line) + 1
        for line in gateway.log.read_bytes()[before[2] :].splitlines()
        if b"webhook accepted" in line
    )
    return Seen(
        kind=name if len(kinds) < 3 else "all together",
        posts=len(took),
        failed=failed,
        p50_s=round(took[len(took) // 2], 4),
        p99_s=round(took[min(len(took) - 1, int(len(took) * 0.99))], 4),
        rss_mib=round(peak, 1),
        cpu_share=round((after[0] - before[0]) / passed, 2),
        strangers_cpu_share=round((after[1] - before[1]) / passed, 2),
        waited_share=round(waited / passed, 2),
        log_kib_s=round((after[2] - before[2] - own) / passed / 1024, 2),
        planted_in_log=PLANTED.encode() in gateway.log.read_bytes(),
    )


async def measure(only: list[str], together: bool, seconds: float) -> list[Seen]:
    """Each kind of stranger alone, then all together, on one gateway."""
    rounds = [only] if together else [[], *([kind] for kind in only), only]
    seen = []
    with tempfile.TemporaryDirectory() as folder, ingest_alone(Path(folder)) as gateway:
        for kinds in rounds:
            seen.append(await watch(gateway, kinds, seconds))
            print(_line(seen[-1]), flush=True)
            await asyncio.sleep(2)
        print(*gateway.logged("files"))
    return seen


def _line(seen: Seen) -> str:
    return (
        f"{seen.kind:14} p50 {seen.p50_s * 1000:7.1f} ms  p99 {seen.p99_s * 1000:8.1f} ms  "
        f"failed {seen.failed}/{seen.posts}  RSS {seen.rss_mib:6.1f} MiB  CPU {seen.cpu_share:.2f} "
        f"(strangers {seen.strangers_cpu_share:.2f}, none to be had {seen.waited_share:.2f})  "
        f"log {seen.log_kib_s:.2f} KiB/s"
        f"{'  A WORD OF THEIRS IS IN THE LOG' if seen.planted_in_log else ''}"
    )


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", action="append", choices=KINDS, help="one kind; may be repeated")
    parser.add_argument("--together", action="store_true", help="only all of them together")
    parser.add_argument("--seconds", type=float, default=15.0, help="how long each kind stays")
    parser.add_argument("--out", type=Path, help="a file for the figures, as JSON")
    parser.add_argument("--attack", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.attack is not None:
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        asyncio.run(attack([kind for kind in given.attack.split(",") if kind], given.port))
        return
    seen = asyncio.run(measure(given.only or list(KINDS), given.together, given.seconds))
    if given.out:
        given.out.write_text(json.dumps([vars(one) for one in seen], indent=1))


if __name__ == "__main__":
    main()
