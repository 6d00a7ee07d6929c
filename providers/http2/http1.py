"""One request at a time by HTTP/1.1, if a peer or a proxy in between speaks nothing newer.

Owns the same promise as `connection`, at HTTP/1.1's price: one connection per request in flight.
Refuses to know sockets. h11 reads and writes the messages (RFC 9112).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import h11

from providers.http2.exchange import Ends, Lost, Request, Response
from providers.http2.headers import read_literals

LARGEST_ANSWER = 65_536
"""How many bytes of a body are kept."""


class Http1Connection:
    """One connection; `providers.http2.exchange.Channel` says what it promises."""

    def __init__(self, constant: Iterable[tuple[str, str]]) -> None:
        self.draining = False
        self.peer_reads = True
        self.answered = False
        fields = dict(constant)
        self._method = fields.pop(":method")
        self._target = fields.pop(":path")
        fields.pop(":scheme")
        self._headers = [("host", fields.pop(":authority")), *fields.items()]
        self._h11 = h11.Connection(h11.CLIENT)
        self._out: list[bytes] = []
        self._request: Request | None = None
        self._answer: Response | None = None
        self._deadline = 0.0

    @property
    def room(self) -> int:
        """How many requests may be opened now: one, if none waits for its answer."""
        return 0 if self.draining or self._request is not None else 1

    @property
    def in_flight(self) -> int:
        return 0 if self._request is None else 1

    @property
    def next_deadline(self) -> float | None:
        """The deadline of the request."""
        return None if self._request is None else self._deadline

    def open(self, requests: Sequence[Request], deadline: float) -> None:
        """Send the request; there is room for one."""
        (self._request,) = requests
        self._deadline = deadline
        body = self._request.body
        headers = [
            *self._headers,
            *read_literals(self._request.fields),
            ("content-length", str(len(body))),
        ]
        begin = h11.Request(method=self._method, target=self._target, headers=headers)
        for event in (begin, h11.Data(data=body), h11.EndOfMessage()):
            self._out.append(self._h11.send(event) or b"")

    def receive(self, data: bytes) -> Ends:
        """Take bytes from the peer; b"" means end of file."""
        ends: Ends = []
        try:
            self._h11.receive_data(data)
            while self._read(ends):
                pass
        except h11.RemoteProtocolError:
            ends += self._end("ProtocolError")
        return ends

    def expire(self, now: float) -> Ends:
        """Give up a request past its deadline, and the connection with it."""
        if self._request is None or self._deadline > now:
            return []
        return self._end("Timeout")

    def lose(self, reason: str) -> Ends:
        """The connection is gone, which may also end an answer."""
        ends: Ends = []
        if self._answer is not None and reason == "ConnectionLost":
            ends += self.receive(b"")
        return ends + self._end(reason)

    def be_curious(self) -> None:
        """All headers are read."""

    def ping(self) -> None:
        """Do nothing: HTTP/1.1 has no ping."""

    def close(self) -> None:
        """Do nothing: HTTP/1.1 has no GOAWAY."""
        self.draining = True

    def data_to_send(self) -> bytes:
        """The bytes that are due to go out."""
        data = b"".join(self._out)
        self._out.clear()
        return data

    def _read(self, ends: Ends) -> bool:
        """Handle the peer's next event; False when there is none."""
        event = self._h11.next_event()
        match event:
            case h11.Response() if self._request is None:
                # 408, from a server that closes an idle connection: no answer to a request
                self.draining = True
                return False
            case h11.Response():
                headers = {bytes(name): bytes(value) for name, value in event.headers}
                self._answer = Response(event.status_code, headers=headers)
            case h11.Data() if self._answer is not None:
                if len(self._answer.body) < LARGEST_ANSWER:
                    self._answer.body += bytes(event.data)
            case h11.EndOfMessage() if self._request is not None and self._answer is not None:
                ends.append((self._request, self._answer))
                self._request = self._answer = None
                self.answered = True
                if self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE:
                    self._h11.start_next_cycle()
                else:
                    self.draining = True
            case h11.ConnectionClosed():
                self.draining = True
                return False
            case h11.NEED_DATA | h11.PAUSED:
                return False
            case _:
                pass  # informational
        return True

    def _end(self, reason: str) -> Ends:
        self.draining = True
        request, self._request, self._answer = self._request, None, None
        return [] if request is None else [(request, Lost(reason))]
