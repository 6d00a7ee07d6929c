"""A sandbox and the two ways its own tests talk to it: as httpx does, and frame by frame.

`Wire` shows what a client library hides: resets, GOAWAY, settings and stalled windows.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit

import httpx
import jwt
from hpack import Decoder, Encoder
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

from providers.sandbox import Credentials, Sandbox

DEADLINE_S = 180.0
TOKEN = "ab" * 32
ALERT: dict[str, Any] = {
    "aps": {"alert": {"title": "Hi Mary!", "body": "Train!"}},
    "data": {"path": "/learning"},
}
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
SCOPE = "https://www.googleapis.com/auth/firebase.messaging"


class MovableClock:
    """The wall clock, which can be moved on."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead_s


async def until(condition: Callable[[], object]) -> None:
    """Wait for a condition; failing to come true in half a minute is a failure."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        await asyncio.sleep(0.002)


@dataclass
class SandboxRig:
    """A started sandbox and a sender that knows its credentials."""

    sandbox: Sandbox
    files: Credentials
    clock: MovableClock
    http: httpx.AsyncClient

    def grant(self, **changes: Any) -> dict[str, str]:
        """The form of a token request; `changes` replace claims, `key` the private key."""
        account = json.loads(self.files.fcm_file.read_text())
        now = int(self.clock())
        key = changes.pop("key", account["private_key"])
        claims = {
            "iss": account["client_email"],
            "aud": account["token_uri"],
            "iat": now,
            "exp": now + 3600,
            "scope": SCOPE,
        }
        return {"grant_type": GRANT, "assertion": jwt.encode(claims | changes, key, "RS256")}

    async def access_token(self) -> str:
        response = await self.http.post(f"{self.sandbox.control_url}/token", data=self.grant())
        assert response.status_code == 200, response.text
        return str(response.json()["access_token"])

    async def fcm(
        self, message: object, *, project: str = "", token: str = "", **top: Any
    ) -> httpx.Response:
        """Send one message by FCM, with a new access token unless one is given."""
        token = token or await self.access_token()
        return await self.http.post(
            f"{self.sandbox.fcm_url}/v1/projects/{project or self.files.project_id}/messages:send",
            headers={"authorization": f"Bearer {token}"},
            json={"message": message, **top},
        )

    def provider_token(self, **changes: Any) -> str:
        """An APNs JWT; `kid` and `key` replace the header and the signer, the rest claims."""
        kid = changes.pop("kid", self.files.key_id)
        key = changes.pop("key", self.files.apns_key_file.read_text())
        claims = {"iss": self.files.team_id, "iat": int(self.clock())} | changes
        return jwt.encode(claims, key, "ES256", headers={"kid": kid})

    def apns_headers(self, **changes: str | None) -> dict[str, str]:
        """The headers of an alert; a name in `changes` has _ for -, None leaves it out."""
        headers: dict[str, str | None] = {
            "authorization": f"bearer {self.provider_token()}",
            "apns-topic": self.files.topic,
            "apns-push-type": "alert",
        }
        headers |= {name.replace("_", "-"): value for name, value in changes.items()}
        return {name: value for name, value in headers.items() if value is not None}

    async def apns(
        self,
        token: str = TOKEN,
        payload: object = ALERT,
        *,
        development: bool = False,
        path: str = "",
        method: str = "POST",
        **headers: str | None,
    ) -> httpx.Response:
        """Send one push by APNs; bytes are sent as they are."""
        url = self.sandbox.apns_sandbox_url if development else self.sandbox.apns_url
        content = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        return await self.http.request(
            method,
            f"{url}{path or f'/3/device/{token}'}",
            headers=self.apns_headers(**headers),
            content=content,
        )

    @asynccontextmanager
    async def wire(self, url: str = "", **options: Any) -> AsyncIterator[Wire]:
        """A connection to APNs, or to `url`, frame by frame."""
        place = urlsplit(url or self.sandbox.apns_url)
        host, port = str(place.hostname), int(place.port or 443)
        context = ssl.create_default_context(cafile=str(self.files.ca_file))
        context.set_alpn_protocols(["h2"])
        _, wire = await asyncio.get_running_loop().create_connection(
            lambda: Wire(self.apns_headers(), **options), host, port, ssl=context
        )
        try:
            yield wire
        finally:
            wire.transport.abort()
            await until(lambda: wire.closed)


def http_client(files: Credentials, *, http2: bool = True) -> httpx.AsyncClient:
    """A client that trusts the sandbox."""
    context = ssl.create_default_context(cafile=str(files.ca_file))
    return httpx.AsyncClient(http2=http2, verify=context, timeout=DEADLINE_S)


@asynccontextmanager
async def sandbox_rig(**options: Any) -> AsyncIterator[SandboxRig]:
    """Start a sandbox and a sender for it."""
    clock = MovableClock()
    async with Sandbox(clock=clock, **options) as sandbox:
        files = sandbox.credentials
        async with http_client(files) as http:
            yield SandboxRig(sandbox, files, clock, http)


@dataclass
class Answered:
    """What came back on a stream so far."""

    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    ended: bool = False

    @property
    def status(self) -> str:
        return self.headers.get(":status", "")


class Wire(asyncio.Protocol):
    """A bare HTTP/2 client. It opens no window again unless `credits`, and checks no limit."""

    def __init__(self, headers: Mapping[str, str], *, credits: bool = True) -> None:  # noqa: A002 - the field's word
        self._fields = headers
        self._credits = credits
        self._encoder = Encoder()
        self._decoder = Decoder()
        self._buffer = b""
        self._next_stream = 1
        self.answers: dict[int, Answered] = {}
        self.resets: dict[int, int] = {}
        self.limits: list[int] = []
        self.goaway: GoAwayFrame | None = None
        self.closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SettingsFrame(0).serialize())

    def push(self, token: str = TOKEN, extra: Mapping[str, str] | None = None) -> int:
        """Send a whole APNs request; returns its stream."""
        return self.push_all([token], extra)[0]

    def push_all(self, tokens: list[str], extra: Mapping[str, str] | None = None) -> list[int]:
        """Send many requests in one write."""
        first = self._next_stream
        self.transport.write(self.requests(tokens, extra))
        return list(range(first, self._next_stream, 2))

    def requests(self, tokens: list[str], extra: Mapping[str, str] | None = None) -> bytes:
        """Many requests as they go over the wire; they count as sent."""
        frames: list[bytes] = []
        for token in tokens:
            self.answers[self._next_stream] = Answered()
            frames += self._request(self._next_stream, f"/3/device/{token}", extra or {})
            self._next_stream += 2
        return b"".join(frames)

    def _request(self, stream: int, path: str, extra: Mapping[str, str]) -> list[bytes]:
        pseudo = {":method": "POST", ":scheme": "https", ":path": path, ":authority": "apns"}
        block = self._encoder.encode(list({**pseudo, **self._fields, **extra}.items()))
        body = json.dumps(ALERT).encode()
        return [
            HeadersFrame(stream, block, flags=["END_HEADERS"]).serialize(),
            DataFrame(stream, body, flags=["END_STREAM"]).serialize(),
        ]

    def send(self, *frames: Frame) -> None:
        """Send frames as they are."""
        self.transport.write(b"".join(frame.serialize() for frame in frames))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= 9:
            frame, length = Frame.parse_frame_header(memoryview(self._buffer[:9]))
            if len(self._buffer) < 9 + length:
                return
            frame.parse_body(memoryview(self._buffer[9 : 9 + length]))
            self._buffer = self._buffer[9 + length :]
            self._on_frame(frame)

    def _on_frame(self, frame: Frame) -> None:
        match frame:
            case SettingsFrame() if "ACK" not in frame.flags:
                if SettingsFrame.MAX_CONCURRENT_STREAMS in frame.settings:
                    self.limits.append(frame.settings[SettingsFrame.MAX_CONCURRENT_STREAMS])
                self.send(SettingsFrame(0, flags=["ACK"]))
            case HeadersFrame():
                answer = self.answers[frame.stream_id]
                answer.headers = {
                    _text(name): _text(value) for name, value in self._decoder.decode(frame.data)
                }
                answer.ended = "END_STREAM" in frame.flags
            case DataFrame():
                answer = self.answers[frame.stream_id]
                answer.body += frame.data
                answer.ended = "END_STREAM" in frame.flags
                if self._credits and frame.data:
                    self.open_window(len(frame.data))
            case RstStreamFrame():
                self.resets[frame.stream_id] = frame.error_code
            case GoAwayFrame():
                self.goaway = frame
            case PingFrame() | WindowUpdateFrame() | _:
                pass

    def open_window(self, size: int) -> None:
        """Let the peer send more on the connection."""
        self.send(WindowUpdateFrame(0, window_increment=size))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self.closed = True

    @property
    def ended(self) -> list[int]:
        """The streams that were answered in full."""
        return [stream for stream, answer in self.answers.items() if answer.ended]

    async def push_and_wait(self, tokens: list[str]) -> None:
        """Send many requests in one write, and wait until each is answered in full."""
        streams = self.push_all(tokens)
        await until(lambda: all(self.answers[stream].ended for stream in streams))

    async def authenticate(self) -> None:
        """Send one good push, so that the sandbox allows many streams."""
        stream = self.push("cd" * 32)
        await until(lambda: self.answers[stream].ended and len(self.limits) > 1)


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
