"""One request by HTTP/1.1 on a connection of its own, and a short answer read whole.

Owns how much of an answer is read. Refuses to know what is asked, and to follow redirects. Whoever
waits may stop at any moment: the connection goes with the wait. h11 reads and writes the messages
(RFC 9112).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import cast

import h11

from providers.http2.dial import Dial, Origin, dial

LARGEST_ANSWER = 65_536
"""How many bytes of an answer are read, its head included."""


class NoAnswer(OSError):
    """The connection ended before its answer did."""


class NotUnderstood(Exception):
    """What came is no answer of HTTP's, or is too long. The message is our own."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, a whole body, and the `Date` header, "" if there is none."""

    status: int
    body: bytes = field(repr=False)
    date: str = ""


async def post(
    origin: Origin,
    target: str,
    headers: Sequence[tuple[str, str]],
    body: bytes,
    *,
    dial: Dial = dial,
) -> Answer:
    """Post `body` and return the answer. Raises OSError (see `dial`) and NotUnderstood."""
    exchange = await dial(origin, partial(_Exchange, origin, target, headers, body))
    try:
        return await exchange.answer
    finally:
        exchange.leave()


class _Exchange(asyncio.Protocol):
    """One connection, from its request to its answer."""

    def __init__(
        self, origin: Origin, target: str, headers: Sequence[tuple[str, str]], body: bytes
    ) -> None:
        self.answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._h11 = h11.Connection(h11.CLIENT)
        fields = [
            ("host", origin.authority),
            *headers,
            ("content-length", str(len(body))),
            ("connection", "close"),
        ]
        request = h11.Request(method="POST", target=target, headers=fields)
        parts = (request, h11.Data(data=body), h11.EndOfMessage())
        self._request = b"".join(self._h11.send(part) or b"" for part in parts)
        self._left = LARGEST_ANSWER
        self._status = 0
        self._date = ""
        self._body = b""
        self._transport: asyncio.Transport | None = None

    def leave(self) -> None:
        """Drop the connection."""
        self.answer.cancel()
        if self._transport is not None:
            self._transport.abort()

    # --- called by the event loop ---------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0:
            self._fail(NotUnderstood(f"over {LARGEST_ANSWER // 1024} KiB"))
        else:
            self._read(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is None:
            self._read(b"")  # the end of the connection may be that of the answer
        self._fail(NoAnswer())

    # --- inside ---------------------------------------------------------------------------------

    def _read(self, data: bytes) -> None:
        if self.answer.done():
            return
        try:
            self._h11.receive_data(data)
            while not self.answer.done():
                match self._h11.next_event():
                    case h11.Response(status_code=status, headers=headers):
                        self._status = status
                        self._date = dict(headers).get(b"date", b"").decode("latin-1")
                    case h11.Data(data=part):
                        self._body += bytes(part)
                    case h11.EndOfMessage():
                        self.answer.set_result(Answer(self._status, self._body, self._date))
                    case h11.InformationalResponse():
                        pass
                    case _:
                        return
        except h11.RemoteProtocolError:
            ended_within = not data and (self._status or self._left == LARGEST_ANSWER)
            self._fail(NoAnswer() if ended_within else NotUnderstood("no HTTP"))

    def _fail(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)
            # whoever waited may have gone
            self.answer.exception()
        if self._transport is not None:
            self._transport.abort()
