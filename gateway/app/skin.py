"""The aiohttp skin: handlers that know nothing of a server, put behind one.

Owns how a request is read and an answer is written. A body is read no further than its limit, and
for no longer than its time.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from gateway.exchange import Answer, Handler, Request, Route, UnreadableBody, answered, too_large
from gateway.problems import Problem, answer_to

BODY_S = 30.0
"""How long a body may take to come in: a sender that stalls must not hold its request open. Svix
gives a whole request 15."""

_JSON = "application/json; charset=utf-8"
_HTTP_CODES = {404: "not_found", 405: "method_not_allowed", 413: "body_too_large"}
_WebHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def add_routes(
    application: web.Application, routes: Iterable[Route], *, body_s: float = BODY_S
) -> None:
    """Have an application answer these routes; a body may take `body_s` seconds to come in."""
    for route in routes:
        # [^/]+ and not aiohttp's default, which would not match an id with braces
        path = re.sub(r"\{(\w+)\}", r"{\1:[^/]+}", route.path)
        application.router.add_route(route.method, path, _behind(route.handler, body_s))


def _behind(handler: Handler, body_s: float) -> _WebHandler:
    async def handle(request: web.Request) -> web.Response:
        plain = Request(
            headers=request.headers,
            remote=request.remote or "",
            path=request.match_info,
            query=request.query,
            body=partial(_read_body, request, within_s=body_s),
        )
        return _response(await answered(handler, plain))

    return handle


async def _read_body(request: web.Request, limit: int, *, within_s: float) -> bytes:
    if (request.content_length or 0) > limit:
        raise too_large(limit)
    body = bytearray()
    try:
        async with asyncio.timeout(within_s):
            async for part in request.content.iter_any():
                body += part
                if len(body) > limit:
                    raise too_large(limit)
    except TimeoutError as error:
        raise UnreadableBody("the body did not come in time") from error
    except (web.RequestPayloadError, HttpProcessingError, ConnectionError) as error:
        raise UnreadableBody("the body cannot be read") from error
    return bytes(body)


def _response(answer: Answer) -> web.Response:
    if answer.document is None:
        return web.Response(status=answer.status, headers=answer.headers)
    return web.Response(
        status=answer.status,
        body=json.dumps(answer.document).encode(),
        headers={**answer.headers, "Content-Type": answer.headers.get("Content-Type", _JSON)},
    )


def problem_middleware(on_error: Callable[[Exception], None]) -> Any:
    """Build the middleware that has every failure leave as a problem document.

    `on_error` hears of what nobody foresaw.
    """

    @web.middleware
    async def answer_with_problems(
        request: web.Request, handler: _WebHandler
    ) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException as error:
            if error.status < 400:
                raise
            headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
            code = _HTTP_CODES.get(error.status, "bad_request")
            problem = Problem(code, headers=headers)
        except Exception as error:  # noqa: BLE001  # the caller gets a 500, the log the rest
            known = answer_to(error)
            if known is None:
                on_error(error)
            problem = known or Problem("internal")
        return _response(Answer.of(problem))

    return answer_with_problems
