"""A door: a listener that strangers may knock at, and what a connection may cost.

Owns the life of a connection around aiohttp's own: how long it may take to say what it wants, how
many there may be, how a refusal reaches its sender, and what is told of input that is no HTTP.
Refuses to know what is asked and answered.
"""

from __future__ import annotations

import asyncio
import traceback
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from aiohttp import hdrs, web
from aiohttp.http import HttpVersion11, RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import RequestHandler, _ErrInfo
from multidict import CIMultiDict, CIMultiDictProxy

from gateway.app.reading import READ, Reader
from gateway.events import ConnectionRefused, Fault, Observer, Refusal

if TYPE_CHECKING:
    from aiohttp.abc import AbstractStreamWriter

MAX_HEAD = 64 * 1024
"""Bytes of a request line and all headers together."""
HEAD_S = 10.0
"""How long a connection may take to its first whole header, and from a header's first byte to its
end."""
REQUEST_S = 60.0
"""How long it may take from a header's first byte to the end of the body, whoever reads that; the
public routes give a body half of it."""
IDLE_S = 620.0
"""How long a connection is kept between requests: longer than balancers keep theirs (Google's
600 s), so that it is they who close, and no request meets a connection that just ended."""
DISCARD = 64 * 1024
DISCARD_S = 1.0
"""How much of a refused body is read and forgotten, and for how long, before the connection ends.
Ended at once, it would take the answer with it before a proxy has read it."""
EXPECTS = web.RequestKey("expects", bool)
"""Whether the sender waits for a 100 before it sends the body."""
_SWEEP_S = 1.0

Answering = Callable[[BaseException | None], web.Response]
"""Makes the answer to what is no HTTP, or where an error came before there was a request."""


class Door(web.Server):
    """The connections of one listener. `unread` answers what is no HTTP, `overloaded` is a whole
    answer for when there is no memory to make one; `most` connections may be open at once: over it
    the one that has let us wait for longest is ended."""

    def __init__(
        self,
        application: web.Application,
        *,
        unread: Answering,
        overloaded: bytes,
        most: int,
        observer: Observer,
        head_s: float = HEAD_S,
        request_s: float = REQUEST_S,
    ) -> None:
        self._application = application
        super().__init__(
            application._handle,  # type: ignore[arg-type]  # noqa: SLF001  # as its own runner does
            request_factory=self._request,
            access_log=None,
            auto_decompress=False,
            keepalive_timeout=IDLE_S,
            lingering_time=0.0,
            max_field_size=MAX_HEAD,
            read_bufsize=READ,
        )
        self.unread = unread
        self.overloaded = overloaded
        self._buffer = memoryview(bytearray(READ))
        self.observer = observer
        self._most = most
        self._head_s = head_s
        self._request_s = request_s
        self._open: set[Connection] = set()
        #: those that we wait for, and since when; the longest first
        self._waiting: OrderedDict[Connection, float] = OrderedDict()
        self._sweeping: asyncio.TimerHandle | None = None

    def __call__(self) -> asyncio.BaseProtocol:  # type: ignore[override]
        """A new connection."""
        return Reader(Connection(self, loop=self._loop, **self._kwargs), self._buffer)

    async def shutdown(self, timeout: float | None = None) -> None:  # noqa: ASYNC109  # its base's
        """End all connections, after what they are about."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        await super().shutdown(timeout)

    def opened(self, connection: Connection) -> None:
        """A connection was made."""
        self._open.add(connection)
        self.waits(connection)
        if len(self._open) > self._most:
            longest = next(iter(self._waiting))
            self.end(longest, "full" if longest is connection else "displaced")
        if self._sweeping is None:
            self._sweeping = self._loop.call_later(_SWEEP_S, self._sweep)

    def closed(self, connection: Connection) -> None:
        """A connection has ended."""
        self._open.discard(connection)
        self._waiting.pop(connection, None)

    def waits(self, connection: Connection) -> None:
        """The next word is the other side's."""
        if connection in self._open:
            self._waiting[connection] = self._loop.time()
            self._waiting.move_to_end(connection)

    def served(self, connection: Connection) -> None:
        """All of a request is here: the next word is ours."""
        self._waiting.pop(connection, None)

    def end(self, connection: Connection, reason: Refusal) -> None:
        """Cut a connection off."""
        self.closed(connection)
        connection.cut()
        self.observer(ConnectionRefused(reason))

    def _sweep(self) -> None:
        """End those that let us wait too long for a header, or for all of a request."""
        self._sweeping = None
        if self._open:
            self._sweeping = self._loop.call_later(_SWEEP_S, self._sweep)
        now = self._loop.time()
        slow: list[Connection] = []
        for connection, since in self._waiting.items():
            if now - since < self._head_s:
                break
            if connection.owes_head or (connection.owes_body and now - since > self._request_s):
                slow.append(connection)
        for connection in slow:
            self.end(connection, "slow" if connection.begun else "silent")

    def _request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: RequestHandler,
        writer: AbstractStreamWriter,
        task: asyncio.Task[None],
    ) -> web.Request:
        """A request. What it expects is kept from aiohttp, which would promise to read the body
        before anybody has looked at the headers, or send a 417 of its own."""
        if message.method == "UNKNOWN":  # aiohttp's stand-in for what is no HTTP; it speaks 1.0
            message = message._replace(version=HttpVersion11)  # its public form
        expects = message.headers.getall(hdrs.EXPECT, []) if message.headers else []
        if expects:
            headers = CIMultiDict(message.headers)
            del headers[hdrs.EXPECT]
            message = message._replace(headers=CIMultiDictProxy(headers))
        request = self._application._make_request(  # noqa: SLF001  # as its own runner does
            message, payload, protocol, writer, task, _cls=_Request
        )
        if message.version >= HttpVersion11:
            request[EXPECTS] = any(one.strip().lower() == "100-continue" for one in expects)
        return request


class Connection(RequestHandler):
    """One connection."""

    __slots__ = ("_body", "_broken", "_door", "_gone", "_head", "_left", "begun")

    def __init__(self, door: Door, **settings: Any) -> None:
        super().__init__(door, **settings)
        self._door = door
        #: the body of the last request whose header is here
        self._body: StreamReader | None = None
        #: bytes of a header that is not here whole
        self._head = 0
        #: bytes that are still read and forgotten; None: what comes is for the parser
        self._left: int | None = None
        self._gone: asyncio.Future[None] | None = None
        self._broken = False
        self.begun = False

    @property
    def owes_head(self) -> bool:
        """Whether a header is due: it has begun, or none has ever come."""
        return self._head > 0 or self._body is None

    @property
    def owes_body(self) -> bool:
        """Whether the rest of a body is due."""
        return self._body is not None and not self._body.is_eof()

    def cut(self) -> None:
        """End at once; what was not sent is lost."""
        if self.transport is not None:
            self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        super().connection_made(transport)
        self._door.opened(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """See `asyncio.Protocol`."""
        self._door.closed(self)
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        if self._broken or self._left is not None:
            self._forget(len(data))
            return
        known, body = self._request_count, self._body
        between = body is None or body.is_eof()
        self.begun = self.begun or bool(data)
        super().data_received(data)
        if self._request_count > known:
            self._begin(body)
        elif data and between:
            self._owe(len(data))
        if self._body is not None and self._body.is_eof() and not self._head:
            self._door.served(self)

    def ran_out(self, error: MemoryError) -> None:
        """Some of what came is lost: whoever reads the body hears it, and answers. Where nobody
        does, it is answered here."""
        if self.owes_body and self._body is not None:
            self._broken = True  # what follows has a gap before it
            self._body.set_exception(error)
        elif self._current_request is None and self.transport is not None:
            self._broken, self._left = True, DISCARD
            self.transport.write(self._door.overloaded)
            with suppress(OSError, RuntimeError, NotImplementedError):
                self.transport.write_eof()
            self._loop.call_later(DISCARD_S, self.cut)
        else:
            self.cut()

    def _begin(self, before: StreamReader | None) -> None:
        """A header came whole, or what is none."""
        message, self._body = self._messages[-1]
        self._head = 0
        if isinstance(message, _ErrInfo):
            self._break()
            # else it is known what became of it, and what follows says nothing
            if before is not None and not before.is_eof() and before.exception() is None:
                before.set_exception(web.RequestPayloadError())

    def _owe(self, size: int) -> None:
        """So much of a header came, and it is not whole."""
        if self._head == 0 and self._body is not None:
            self._door.waits(self)
        self._head += size
        if self._head > MAX_HEAD:
            self._break()
            self._messages.append((_ErrInfo(400, ValueError(), ""), EMPTY_PAYLOAD))
            if self._waiter is not None and not self._waiter.done():
                self._waiter.set_result(None)

    def _break(self) -> None:
        """What follows is no HTTP, or nothing that we read."""
        self._broken = True
        self._door.observer(ConnectionRefused("malformed"))

    def _forget(self, size: int) -> None:
        if self._left is not None:
            self._left -= size
        if self._left is None or self._left <= 0:
            self._pause_transport_reading()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Answer; a refused sender gets the time to read that."""
        answer, reset = await super().finish_response(request, resp, start_time)
        if reset:
            return answer, reset
        if self._broken or not request.content.is_eof():
            await self._let_go(request.content)
        elif answer.keep_alive and not self._messages and not self._head:
            self._door.waits(self)
        return answer, reset

    async def _let_go(self, content: StreamReader) -> None:
        """Say that nothing more comes, forget what the other side still sends, and leave the end
        to it for a while."""
        transport = self.transport
        if transport is None:
            return
        self._left = DISCARD
        self._gone = self._loop.create_future()
        if content.exception() is None:
            content.read_nowait()
        self._resume_transport_reading()
        with suppress(OSError, RuntimeError, NotImplementedError):
            transport.write_eof()
        with suppress(TimeoutError):
            async with asyncio.timeout(DISCARD_S):
                await self._gone

    def handle_error(
        self,
        request: web.BaseRequest,  # noqa: ARG002  # holds what was sent, as `message` does
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002
    ) -> web.StreamResponse:
        """Answer what is no HTTP, without a word of it: neither in the answer nor in the log."""
        if status >= 500:
            self._door.observer(Fault("request", type(exc).__name__, _place(exc)))
        answer = self._door.unread(exc)
        answer.force_close()
        return answer

    def log_exception(self, *_args: Any, **kw: Any) -> None:
        """aiohttp's own word on what nobody foresaw, without what was sent."""
        error = kw.get("exc_info")
        self._door.observer(Fault("connection", type(error).__name__, _place(error)))


def _place(error: BaseException | None) -> str:
    return "" if error is None else "".join(traceback.format_tb(error.__traceback__))


class _Request(web.Request):
    """A request whose answers say nothing of the server, and are kept by nobody."""

    async def _prepare_hook(self, response: web.StreamResponse) -> None:
        await super()._prepare_hook(response)
        response.headers.popall(hdrs.SERVER, None)
        response.headers.setdefault(hdrs.CACHE_CONTROL, "no-store")
        response.headers.setdefault("X-Content-Type-Options", "nosniff")


class DoorRunner(web.AppRunner):
    """Runs an application behind a door. `bounds` are those of `Door`."""

    def __init__(
        self,
        application: web.Application,
        door: Callable[[web.Application], Door],
        *,
        shutdown_timeout: float,
    ) -> None:
        super().__init__(application, handle_signals=False, shutdown_timeout=shutdown_timeout)
        self._door = door

    async def _make_server(self) -> web.Server:
        await super()._make_server()  # starts the application
        return self._door(self.app)
