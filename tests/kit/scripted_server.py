"""An HTTP/2 server that does as a test says, frame by frame, on loopback.

What it answers is a function's: `answer(peer, stream, body)` is called for each complete request.
It reads no header: requests are told apart by their bodies.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from hyperframe.frame import (
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from providers.sandbox.certificates import make_certificates

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
STREAMS = SettingsFrame.MAX_CONCURRENT_STREAMS
WINDOW = SettingsFrame.INITIAL_WINDOW_SIZE
LARGE = 2**30


class Peer(asyncio.Protocol):
    """The server's side of one connection. `requests` are (stream, body), as they completed."""

    def __init__(self, server: Http2Server) -> None:
        self.server = server
        self.number = len(server.peers)
        self.requests: list[tuple[int, bytes]] = []
        self.resets: dict[int, int] = {}
        self.pings = 0
        self.goaway: int | None = None
        self.closed = False
        self.most_open = 0
        self._open: dict[int, bytes] = {}
        self._waits: set[int] = set()
        self._buffer = b""
        self._greeted = False

    @property
    def bodies(self) -> list[bytes]:
        return [body for _, body in self.requests]

    @property
    def waiting(self) -> int:
        """How many requests have had no answer."""
        return len(self._waits)

    def send(self, *frames: Frame | bytes) -> None:
        """Send frames, or bytes that are none."""
        self.transport.write(
            b"".join(each if isinstance(each, bytes) else each.serialize() for each in frames)
        )

    def reply(self, stream: int, block: bytes = b"\x88", body: bytes = b"") -> None:
        """Answer a request: 200, or what the header block says."""
        self._waits.discard(stream)
        if body:
            head = HeadersFrame(stream, block, flags=["END_HEADERS"])
            self.send(head, DataFrame(stream, body, flags=["END_STREAM"]))
        else:
            self.send(HeadersFrame(stream, block, flags=["END_HEADERS", "END_STREAM"]))

    def reset(self, stream: int, code: int) -> None:
        """End a stream with RST_STREAM."""
        self._waits.discard(stream)
        self.send(RstStreamFrame(stream, error_code=code))

    def settings(self, values: Mapping[int, int]) -> None:
        """Announce settings."""
        self.send(SettingsFrame(0, settings=dict(values)))

    def go_away(self, last_stream: int) -> None:
        """Send GOAWAY and leave the connection open."""
        self.send(GoAwayFrame(0, last_stream_id=last_stream))

    def stop_reading(self) -> None:
        self.transport.pause_reading()

    # --- asyncio.Protocol ---------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.server.peers.append(self)
        self.server.on_connect(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._greeted:
            if len(self._buffer) < len(PREFACE):
                return
            assert self._buffer.startswith(PREFACE)
            self._buffer = self._buffer[len(PREFACE) :]
            self._greeted = True
        at = 0
        while len(self._buffer) - at >= 9 and not self.transport.is_closing():
            frame, length = Frame.parse_frame_header(memoryview(self._buffer[at : at + 9]))
            if len(self._buffer) - at < 9 + length:
                break
            frame.parse_body(memoryview(self._buffer[at + 9 : at + 9 + length]))
            at += 9 + length
            self._on_frame(frame)
        self._buffer = self._buffer[at:]

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self.closed = True

    # --- inside -------------------------------------------------------------------------------

    def _on_frame(self, frame: Frame) -> None:
        match frame:
            case HeadersFrame():
                self._open[frame.stream_id] = b""
                self._waits.add(frame.stream_id)
                self.most_open = max(self.most_open, len(self._waits))
            case DataFrame():
                self._open[frame.stream_id] += frame.data
                if "END_STREAM" in frame.flags:
                    body = self._open.pop(frame.stream_id)
                    self.requests.append((frame.stream_id, body))
                    self.server.answer(self, frame.stream_id, body)
            case RstStreamFrame():
                self.resets[frame.stream_id] = frame.error_code
                self._waits.discard(frame.stream_id)
            case SettingsFrame() if "ACK" not in frame.flags:
                self.send(SettingsFrame(0, flags=["ACK"]))
            case PingFrame() if "ACK" not in frame.flags:
                self.pings += 1
                if self.server.answers_pings:
                    self.send(PingFrame(0, frame.opaque_data, flags=["ACK"]))
            case GoAwayFrame():
                self.goaway = frame.error_code
            case _:
                pass


def greet(peer: Peer) -> None:
    """What a server says first: how many streams, and large windows."""
    peer.settings({STREAMS: peer.server.streams, WINDOW: LARGE})
    peer.send(WindowUpdateFrame(0, window_increment=LARGE))


def take(peer: Peer, stream: int, _body: bytes) -> None:
    """Answer 200."""
    peer.reply(stream)


def keep_silent(_peer: Peer, _stream: int, _body: bytes) -> None:
    """Never answer."""


@dataclass(eq=False)
class Http2Server:
    """All connections there were, in their order, and what is done with them."""

    answer: Callable[[Peer, int, bytes], None] = take
    on_connect: Callable[[Peer], None] = greet
    streams: int = 100
    answers_pings: bool = True
    alpn: tuple[str, ...] = ("h2",)
    peers: list[Peer] = field(default_factory=list)
    port: int = 0

    @property
    def open(self) -> list[Peer]:
        return [peer for peer in self.peers if not peer.closed]

    @property
    def bodies(self) -> list[bytes]:
        """What arrived, on any connection."""
        return [body for peer in self.peers for body in peer.bodies]

    @asynccontextmanager
    async def running(self, certificate: Path, *, receive_buffer: int = 0) -> AsyncIterator[None]:
        """Serve TLS on a free port of 127.0.0.1; at the end every connection is cut."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        if self.alpn:
            context.set_alpn_protocols(list(self.alpn))
        listening = socket.create_server(("127.0.0.1", 0))
        if receive_buffer:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Peer(self), sock=listening, ssl=context)
        self.port = listening.getsockname()[1]
        try:
            yield
        finally:
            server.close()
            for peer in self.peers:
                peer.transport.abort()
            await server.wait_closed()


@dataclass(frozen=True, slots=True)
class Trust:
    """A server's certificate with its key, and the authority that vouches for it."""

    certificate: Path
    ca_file: Path


def make_trust(folder: Path) -> Trust:
    """Certify loopback by a new authority."""
    made = make_certificates()
    trust = Trust(folder / "server.pem", folder / "ca.pem")
    trust.certificate.write_bytes(made.server_pem)
    trust.ca_file.write_bytes(made.ca_pem)
    return trust
