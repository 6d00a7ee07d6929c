"""A stranger at a door: raw bytes over a socket, and what comes back until the other side ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

HOST = "127.0.0.1"
LIMIT_S = 120.0


@dataclass(frozen=True)
class Heard:
    """All that came back. `status` is 0 when nothing did."""

    raw: bytes
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    json: Any = None

    @property
    def code(self) -> str:
        """The code of a problem document; fails for what is none."""
        assert self.headers["content-type"] == "application/problem+json"
        assert self.json["status"] == self.status
        code: str = self.json["code"]
        return code


@dataclass
class Knocker:
    """One connection of a stranger."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def say(self, data: bytes) -> None:
        """Send bytes. Whether the other side still reads is not this call's question."""
        with suppress(OSError):
            self.writer.write(data)
            await self.writer.drain()

    async def hear(self, *, until: bytes = b"") -> bytes:
        """What comes back: until these bytes, or the end."""
        heard = b""
        async with asyncio.timeout(LIMIT_S):
            while not (until and until in heard):
                try:
                    part = await self.reader.read(65_536)
                except OSError:
                    break
                if not part:
                    break
                heard += part
        return heard

    async def answer(self) -> Heard:
        """The answer, and the end of the connection after it."""
        return parsed(await self.hear())


def request(method: str, path: str, *headers: str, body: bytes = b"") -> bytes:
    """A request of HTTP/1.1, its headers as they are written."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def lines_of(headers: dict[str, str] | Iterable[tuple[str, str]]) -> list[str]:
    """Headers as they are written."""
    pairs = headers.items() if isinstance(headers, dict) else headers
    return [f"{name}: {value}" for name, value in pairs]


def parsed(raw: bytes) -> Heard:
    """Read an answer."""
    if not raw:
        return Heard(raw)
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *rest = head.decode("latin-1").split("\r\n")
    version, status = first.split(" ")[:2]
    assert version == "HTTP/1.1"
    headers = {
        name.lower(): value.strip() for name, _, value in (one.partition(":") for one in rest)
    }
    is_json = headers.get("content-type", "").split(";")[0].endswith("json")
    return Heard(raw, int(status), headers, json.loads(body) if is_json and body else None)


@asynccontextmanager
async def knocking(port: int, host: str = HOST) -> AsyncIterator[Knocker]:
    """Open a connection; it is ended with the block."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        yield Knocker(reader, writer)
    finally:
        writer.transport.abort()
