"""The aiohttp skin: handlers that know nothing of a server, put behind one.

Owns how a request is read and an answer is written, and what is refused before any handler sees
it. A body is read no further than its limit, for no longer than its time, and on one budget with
all others. Whoever is refused, or is answered before the body is here, is not kept.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from aiohttp import hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from gateway.app.clocks import SYSTEM
from gateway.app.door import EXPECTS, MAX_HEAD
from gateway.core.bodies import Bodies, Body, Overloaded, TooSlow
from gateway.core.clocks import MonotonicClock
from gateway.core.remote import Network, party
from gateway.exchange import Answer, Handler, Request, Route, UnreadableBody, answered, too_large
from gateway.problems import RETRY_AFTER_S, Problem, answer_to

BODY_S = 30.0
"""How long a body may take to come in: a sender that stalls must not hold its request open. Svix
gives a whole request 15."""

_PIECE = 128 * 1024
_JSON = "application/json; charset=utf-8"
_HTTP_CODES = {404: "not_found", 405: "method_not_allowed", 413: "body_too_large"}
#: who is answered so has proven nothing, and is not kept
_NOT_KEPT = frozenset({"unauthorized", "body_too_large", "body_too_slow", "overloaded"})
_WebHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Intake:
    """What the requests of a listener share: the budget of their bodies, and the proxies whose word
    on a request's origin is believed. A body may take `body_s` seconds to come in."""

    bodies: Bodies
    proxies: Callable[[], Sequence[Network]] = lambda: ()
    monotonic: MonotonicClock = SYSTEM.monotonic
    body_s: float = BODY_S


def add_routes(application: web.Application, routes: Iterable[Route], intake: Intake) -> None:
    """Have an application answer these routes."""
    for route in routes:
        # [^/]+ and not aiohttp's default, which would not match an id with braces
        path = re.sub(r"\{(\w+)\}", r"{\1:[^/]+}", route.path)
        application.router.add_route(route.method, path, _behind(route.handler, intake))


def _behind(handler: Handler, intake: Intake) -> _WebHandler:
    async def handle(request: web.Request) -> web.Response:
        incoming = _Incoming(request, intake)
        plain = Request(
            headers=request.headers,
            remote=remote(request, intake.proxies()),
            path=request.match_info,
            query=request.query,
            body=incoming.read,
        )
        try:
            answer = await answered(handler, plain)
        finally:
            incoming.end()
        return _response(answer, keep=answer.code not in _NOT_KEPT)

    return handle


def remote(request: web.Request, proxies: Sequence[Network]) -> str:
    """Who is behind a request: see `gateway.core.remote`."""
    return party(request.remote, request.headers.getall(hdrs.X_FORWARDED_FOR, []), proxies)


class _Incoming:
    """The body of one request, charged from its first byte until the request is answered."""

    def __init__(self, request: web.Request, intake: Intake) -> None:
        self._request = request
        self._intake = intake
        self._charged: Body | None = None

    def end(self) -> None:
        if self._charged is not None:
            self._charged.end()
            self._charged = None

    async def read(self, limit: int) -> bytes:
        request, intake = self._request, self._intake
        if (request.content_length or 0) > limit:
            raise too_large(limit)
        if not request.can_read_body:
            return b""
        try:
            charged = self._charged = intake.bodies.begin(
                request.content_length, self._drop, now=intake.monotonic()
            )
            if request.get(EXPECTS):
                await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            async with asyncio.timeout(intake.body_s):
                body = await self._whole(charged, limit)
        except Overloaded as error:
            raise Problem("overloaded", retry_after=RETRY_AFTER_S) from error
        except (TooSlow, TimeoutError) as error:
            raise Problem("body_too_slow") from error
        except (web.RequestPayloadError, HttpProcessingError, ConnectionError) as error:
            raise want_of_memory(error) or UnreadableBody("the body cannot be read") from error
        charged.whole()
        return body

    async def _whole(self, charged: Body, limit: int) -> bytes:
        # in pieces of one size: a single buffer that grows leaves holes behind that nobody fills
        pieces = [bytearray()]
        try:
            async for part in self._request.content.iter_any():
                charged.take(len(part), now=self._intake.monotonic())
                if charged.size > limit:
                    raise too_large(limit)
                if len(pieces[-1]) >= _PIECE:
                    pieces.append(bytearray())
                pieces[-1] += part
            return b"".join(pieces)
        finally:
            pieces.clear()  # at once: an exception may hold this frame for a while

    def _drop(self) -> None:
        """Others need the room: whoever waits for the rest of this body hears it."""
        self._request.content.set_exception(TooSlow())


def _response(answer: Answer, *, keep: bool = True) -> web.Response:
    if answer.document is None:
        response = web.Response(status=answer.status, headers=answer.headers)
    else:
        response = web.Response(
            status=answer.status,
            body=json.dumps(answer.document).encode(),
            headers={**answer.headers, "Content-Type": answer.headers.get("Content-Type", _JSON)},
        )
    if not keep:
        response.force_close()
    return response


def unread(error: BaseException | None) -> web.Response:
    """The answer to what is no HTTP, or where memory ran out before there was a request."""
    want = want_of_memory(error)
    known = answer_to(want) if want is not None else None
    return _response(Answer.of(known or Problem("bad_request")), keep=False)


def want_of_memory(error: BaseException | None) -> MemoryError | None:
    """The want of memory that an error came of, if it did: where memory runs out in its parser,
    aiohttp says that the body is broken."""
    while error is not None and not isinstance(error, MemoryError):
        error = error.__cause__ or error.__context__
    return error


def _whole(answer: Answer) -> bytes:
    """An answer as it goes out, after which the connection ends."""
    body = json.dumps(answer.document).encode()
    headers = {
        **answer.headers,
        "Cache-Control": "no-store",
        "Connection": "close",
        "Content-Length": str(len(body)),
    }
    lines = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


OVERLOADED = _whole(Answer.of(answer_to(MemoryError()) or Problem("overloaded")))
"""The answer when there is no memory to make one."""


def problem_middleware(on_error: Callable[[Exception], None]) -> Any:
    """Build the middleware that has every failure leave as a problem document.

    `on_error` hears of what nobody foresaw.
    """

    @web.middleware
    async def answer_with_problems(
        request: web.Request, handler: _WebHandler
    ) -> web.StreamResponse:
        refused = _refused(request)
        if refused is not None:
            return _response(Answer.of(refused), keep=False)
        try:
            response = await handler(request)
        except web.HTTPException as error:
            if error.status < 400:
                raise
            headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
            code = _HTTP_CODES.get(error.status, "bad_request")
            return _response(Answer.of(Problem(code, headers=headers)), keep=False)
        except Exception as error:  # noqa: BLE001  # the caller gets a 500, the log the rest
            known = answer_to(error)
            if known is None:
                on_error(error)
            response = _response(Answer.of(known or Problem("internal")))
        if not request.content.at_eof():
            response.force_close()
        return response

    return answer_with_problems


def _refused(request: web.Request) -> Problem | None:
    """What is wrong with a request on any route, before its address is looked at."""
    size = sum(len(name) + len(value) + 4 for name, value in request.raw_headers)
    if size + len(request.raw_path) > MAX_HEAD:
        return Problem("bad_request", f"the headers are over {MAX_HEAD} bytes")
    codings = ",".join(request.headers.getall(hdrs.CONTENT_ENCODING, []))
    if any(one.strip().lower() not in ("", "identity") for one in codings.split(",")):
        return Problem("unsupported_encoding")
    return None
