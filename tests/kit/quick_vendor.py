"""FCM and APNs in one lean process, for runs of a million: quick, wrong on purpose, and counting.

It knows the one client it serves, so it reads no more of a request than it needs: the address and
the ids, which that client sends as plain literals. Who may send is not asked; the sandbox does.
A notification is known by (event, device): events are `soak-<n>`, devices are numbered.

`python -m tests.kit.quick_vendor '<json of Orders>'` says where it is, as JSON, and what it counted
when its input ends. It ends with its input, and by itself after `longest_s`.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import ssl
import struct
import sys
import time
from array import array
from collections import Counter, deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from io import FileIO
from pathlib import Path
from typing import Any, cast
from zlib import crc32

import uvloop

from providers.http2 import frames
from providers.http2.headers import literal
from tests.kit.push_log import pack

_IDS = re.compile(rb'"event_id": ?"soak-(\d+)".*?"delivery_id": ?"([-0-9a-f]{36})"')
_TOKEN = re.compile(rb'"token": ?"dXJtb(\d+):')
_TYPES = "type.googleapis.com/google."
_PATH, _APNS_ID = b"/3/device/", b"apns-id\x24"
_STREAMS, _WINDOW = 500, 2**30
_FRESH_S = 0.5
"""Answers younger than this may be lost when their connection is cut."""

OK, DEAD, UNKNOWN = "ok", "410", "400"
PASSING = ("429", "500", "503", "refused", "silent")
"""What happens to a notification once; the next time it is taken."""
CUTS = ("goaway", "close", "reset")


@dataclass(frozen=True, slots=True)
class Orders:
    """`devices` are numbered from 0, `events` too. Connections are cut until so many requests.

    `report` is the file for a byte per notification: how often it was taken. `answer_s`: how long
    an answer takes, so that pushes are in flight when something breaks. `wrong`: see `fate`.
    `listeners` is at how many ports it is, so that senders can be told apart; `log`, if any, the
    file of `tests.kit.push_log`.
    """

    certificate: str
    devices: int
    events: int
    report: str
    cut_every_s: float = 2.0
    cut_until: int = 0
    longest_s: float = 1800.0
    answer_s: float = 0.01
    cuts: Sequence[str] = CUTS
    wrong: bool = True
    listeners: int = 1
    log: str = ""


def fate(event: int, device: int) -> str:
    """What the vendor says first, 3 % of it bad: the same in every run."""
    lot = crc32(b"device-%d" % device) % 1000
    if lot < 5:
        return DEAD if lot < 3 else UNKNOWN
    lot = crc32(b"%d-%d" % (event, device)) % 1000
    return PASSING[lot // 6] if lot < 6 * len(PASSING) else OK


Answer = tuple[bytes, bytes]
"""A header block and a body."""


def _error(status: int, fcm: str, apns: str, *more: bytes) -> tuple[Answer, Answer]:
    """An error in FCM's words and in Apple's."""
    block = b"".join((literal(":status", str(status)), *more))
    details: list[dict[str, Any]] = [
        {"@type": _TYPES + "firebase.fcm.v1.FcmError", "errorCode": fcm}
    ]
    if status == 429:
        # what spares the lane is a quota of the device's
        quota = {"subject": "device:1", "description": "Device message rate exceeded."}
        details.append({"@type": _TYPES + "rpc.QuotaFailure", "violations": [quota]})
    told = {"error": {"code": status, "status": fcm, "details": details}}
    return (block, json.dumps(told).encode()), (block, json.dumps({"reason": apns}).encode())


def _gone() -> tuple[Answer, Answer]:
    """The one error that the two give different numbers; Apple says since when."""
    since = {"reason": "Unregistered", "timestamp": int(time.time() * 1000) + 60_000}
    apns = (literal(":status", "410"), json.dumps(since).encode())
    return _error(404, "UNREGISTERED", "")[0], apns


_SOON = literal("retry-after", "2")
_LATER = literal("retry-after", "10")
"""Told, for the second 5xx of APNs without it means a quarter of an hour."""
ERRORS = {
    DEAD: _gone(),
    UNKNOWN: _error(400, "INVALID_ARGUMENT", "BadDeviceToken"),
    "429": _error(429, "QUOTA_EXCEEDED", "TooManyRequests", _SOON),
    "500": _error(500, "INTERNAL", "InternalServerError", _LATER),
    "503": _error(503, "UNAVAILABLE", "ServiceUnavailable", _LATER),
}


class Books:
    """What was asked, what was taken and how often, and where the outcome was left open."""

    def __init__(self, orders: Orders) -> None:
        self.orders = orders
        size = orders.devices * orders.events
        self.asked = bytearray(size)
        self.taken = bytearray(size)
        self.open = bytearray(size)
        self.ids = array("Q", bytes(8 * size))
        self.count: Counter[str] = Counter()
        self.freed: dict[int, float] = {}
        self.waits: list[float] = []
        self.unlogged: list[bytes] = []
        self._log = FileIO(orders.log, "a") if orders.log else None

    def note(self, place: int, event: int, device: int, delivery_id: bytes) -> None:
        """A request came in at one of the listeners."""
        if self._log is not None:
            row = pack(time.monotonic(), place, event, device, _name(delivery_id))
            self.unlogged.append(row)

    def write_log(self) -> None:
        """Let the log be read: before anything noted is answered."""
        if self._log is not None and self.unlogged:
            self._log.write(b"".join(self.unlogged))
            self.unlogged.clear()

    def close(self) -> None:
        """The log is complete."""
        if self._log is not None:
            self.write_log()
            self._log.close()

    def free(self, slot: int, now: float) -> None:
        """A request above a GOAWAY was not looked at; it may come again."""
        self.count["above a goaway"] += 1
        self.freed[slot] = now

    def judge(self, event: int, device: int, delivery_id: bytes, now: float) -> str:
        """What is done about a request; it is on the books from here on."""
        slot = event * self.orders.devices + device
        self.count["requests"] += 1
        if self.freed and (freed_at := self.freed.pop(slot, None)) is not None:
            self.waits.append(now - freed_at)
        name = _name(delivery_id)
        if self.ids[slot] not in (0, name):
            self.count["under another id"] += 1
        self.ids[slot] = name
        said = fate(event, device) if self.orders.wrong else OK
        if self.asked[slot] and said in PASSING:
            said = OK
        self.asked[slot] = 1
        if said != OK:
            self.count[said] += 1
            return said
        if self.taken[slot]:
            self.count["taken again"] += 1
            if not self.open[slot]:
                self.count["taken again although it was answered"] += 1
        self.taken[slot] = min(255, self.taken[slot] + 1)
        return OK


def _name(delivery_id: bytes) -> int:
    """The first half of an id."""
    return int(delivery_id[:8] + delivery_id[9:13] + delivery_id[14:18], 16)


class Conversation(asyncio.Protocol):
    """One connection, to the listener `place`."""

    def __init__(self, books: Books, everyone: set[Conversation], place: int = 0) -> None:
        self._books = books
        self._place = place
        self._everyone = everyone
        self._buffer = b""
        self._greeted = False
        self._headers: dict[int, bytes] = {}
        self._batch: list[tuple[bytes, int]] = []
        self._due: deque[list[tuple[bytes, int]]] = deque()
        self._fresh: deque[tuple[float, list[int]]] = deque()
        self._last = 0
        self._above: list[int] = []
        self._leaving = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._loop = asyncio.get_running_loop()
        self._everyone.add(self)
        hello = {frames.MAX_CONCURRENT_STREAMS: _STREAMS, frames.INITIAL_WINDOW_SIZE: _WINDOW}
        self.transport.write(frames.settings(hello) + frames.window_update(0, _WINDOW))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._everyone.discard(self)
        self._leave_open()

    def data_received(self, data: bytes) -> None:
        data = self._buffer + data
        if not self._greeted:
            if len(data) < len(frames.PREFACE):
                self._buffer = data
                return
            self._greeted, data = True, data[len(frames.PREFACE) :]
        at, size = 0, len(data)
        while size - at >= frames.HEAD_SIZE and not self.transport.is_closing():
            head, flags, stream = frames.unpack_head(data, at)
            start = at + frames.HEAD_SIZE
            if start + (head >> 8) > size:
                break
            at = start + (head >> 8)
            self._on_frame(head & 0xFF, flags, stream, data[start:at])
        self._buffer = data[at:]
        self._books.write_log()
        if self._batch:
            self._due.append(self._batch)
            self._batch = []
            self._loop.call_later(self._books.orders.answer_s, self._answer)

    def cut(self, how: str) -> None:
        """End the connection: in order, in the middle, or with a reset."""
        if self._leaving or self.transport.is_closing():
            return
        self._books.count[f"cut: {how}"] += 1
        self._leaving = True
        if how == "goaway":
            # from here on nothing is looked at, and that is said while more is under way
            self._loop.call_later(self._books.orders.answer_s, self._go_away)
            return
        self._leave_open()
        if how == "reset":
            connected = self.transport.get_extra_info("socket")
            at_once = struct.pack("ii", 1, 0)
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
            self.transport.abort()
        else:
            self.transport.close()

    def _go_away(self) -> None:
        if self.transport.is_closing():
            return
        last = struct.pack(">II", self._last, frames.NO_ERROR)
        self.transport.write(frames.frame(frames.GOAWAY, 0, 0, last))
        above, self._above = self._above, []
        for slot in above:
            self._books.free(slot, self._loop.time())
        # what was looked at is answered by then
        self._loop.call_later(2 * self._books.orders.answer_s + 0.1, self.transport.close)

    def _on_frame(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == frames.HEADERS:
            self._headers[stream] = payload
        elif kind == frames.DATA:
            block = self._headers.pop(stream)
            assert flags & frames.END_STREAM, "a body in parts"
            self._on_request(stream, block, payload)
        elif kind == frames.SETTINGS and not flags & frames.ACK:
            self.transport.write(frames.frame(frames.SETTINGS, frames.ACK, 0))
        elif kind == frames.PING and not flags & frames.ACK:
            self.transport.write(frames.frame(frames.PING, frames.ACK, 0, payload))

    def _on_request(self, stream: int, block: bytes, body: bytes) -> None:
        at, found, token = block.find(_PATH), _IDS.search(body), _TOKEN.search(body)
        is_apns = at >= 0
        if found is None or is_apns == (token is not None):
            self._books.count["not understood"] += 1
            return
        if token is not None:
            device = int(token[1])
        else:
            device = int(block[at + len(_PATH) : at + len(_PATH) + 64], 16)
            if _APNS_ID + found[2] not in block:
                self._books.count["under another id"] += 1
        event = int(found[1])
        slot = event * self._books.orders.devices + device
        if self._leaving:
            self._above.append(slot)
            return
        self._last = stream
        self._books.note(self._place, event, device, found[2])
        said = self._books.judge(event, device, found[2], self._loop.time())
        if said == "silent":
            return
        if said == "refused":
            answer = frames.rst_stream(stream, frames.REFUSED_STREAM)
        elif said != OK:
            answer = _whole(stream, *ERRORS[said][is_apns])
        elif is_apns:
            answer = _taken(stream)
        else:
            answer = _whole(stream, b"\x88", b'{"name":"projects/soak/messages/%b"}' % found[2])
        self._batch.append((answer, slot))

    def _answer(self) -> None:
        if self.transport.is_closing():
            return
        due = self._due.popleft()
        self.transport.write(b"".join([answer for answer, _ in due]))
        now = self._loop.time()
        self._fresh.append((now, [slot for _, slot in due]))
        while self._fresh[0][0] < now - _FRESH_S:
            self._fresh.popleft()

    def _leave_open(self) -> None:
        """Whoever sent what was not answered, or just now, does not know what became of it."""
        due = [[slot for _, slot in batch] for batch in (*self._due, self._batch)]
        for slots in (*due, *(slots for _, slots in self._fresh)):
            for slot in slots:
                self._books.open[slot] = 1
        self._fresh.clear()
        self._due.clear()


def _taken(stream: int) -> bytes:
    flags = frames.END_HEADERS | frames.END_STREAM
    return frames.pack_head(1 << 8 | frames.HEADERS, flags, stream) + b"\x88"


def _whole(stream: int, block: bytes, body: bytes) -> bytes:
    return frames.frame(frames.HEADERS, frames.END_HEADERS, stream, block) + frames.frame(
        frames.DATA, frames.END_STREAM, stream, body
    )


def say(told: dict[str, Any]) -> None:
    """Tell whoever started this process."""
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


async def serve(orders: Orders) -> Books:
    """Serve until the input ends."""
    loop = asyncio.get_running_loop()
    books = Books(orders)
    everyone: set[Conversation] = set()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(orders.certificate)
    context.set_alpn_protocols(["h2"])
    servers = [
        await loop.create_server(
            partial(Conversation, books, everyone, place), "127.0.0.1", 0, ssl=context
        )
        for place in range(orders.listeners)
    ]
    say({"ports": [server.sockets[0].getsockname()[1] for server in servers]})
    ended = loop.run_in_executor(None, sys.stdin.read)
    deadline = loop.time() + orders.longest_s
    number = 0
    while not ended.done() and loop.time() < deadline:
        await asyncio.wait([ended], timeout=orders.cut_every_s)
        books.count["most connections"] = max(books.count["most connections"], len(everyone))
        if everyone and books.count["requests"] < orders.cut_until:
            how = orders.cuts[number % len(orders.cuts)]
            for conversation in [*everyone][: 1 + number % 4]:
                conversation.cut(how)
            number += 1
    for server in servers:
        server.close()
    for conversation in [*everyone]:
        conversation.transport.abort()
    books.close()
    return books


def main() -> None:
    """Serve as ordered, and report."""
    orders = Orders(**json.loads(sys.argv[1]))
    books = uvloop.run(serve(orders))
    Path(orders.report).write_bytes(books.taken)
    waits = {"never again": len(books.freed), "waited at most": max(books.waits, default=0.0)}
    say({**books.count, **waits})


@asynccontextmanager
async def quick_vendor(orders: Orders) -> AsyncIterator[tuple[str, dict[str, float]]]:
    """Run it as a process: where it is, and after the end what it counted."""
    async with quick_vendors(orders) as (endpoints, counted):
        yield endpoints[0], counted


@asynccontextmanager
async def quick_vendors(orders: Orders) -> AsyncIterator[tuple[list[str], dict[str, float]]]:
    """The same, with all its listeners."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.kit.quick_vendor",
        json.dumps(asdict(orders)),
        cwd=Path(__file__).parents[2],
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    counted: dict[str, float] = {}
    try:
        ports = json.loads(await process.stdout.readline())["ports"]
        yield [f"https://127.0.0.1:{port}" for port in ports], counted
        process.stdin.close()
        async with asyncio.timeout(60):
            counted |= json.loads(await process.stdout.readline())
            assert await process.wait() == 0
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


if __name__ == "__main__":
    main()
