"""Which web pages may read the answers of the devices API: CORS, by the Fetch standard.

A WebView app's own pages, and web push, call from an origin of their own, and their browser asks
first. Owns the preflight and the headers, which problems carry as well; whose origin is allowed is
the settings'. It guards no data: a caller still has to prove who it is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection

from aiohttp import hdrs, web

_DEVICES, _RECEIPTS = "/v1/devices/", "/v1/receipts"
_MAX_AGE_S = 86_400
_METHODS = {_DEVICES: "PUT, DELETE", _RECEIPTS: "POST"}
_PREFLIGHT = {
    hdrs.ACCESS_CONTROL_ALLOW_HEADERS: "Authorization, Content-Type",
    # how long a browser need not ask again; each has a limit of its own
    hdrs.ACCESS_CONTROL_MAX_AGE: str(_MAX_AGE_S),
}
_EXPOSED = "Request-Id, Retry-After"

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def allow_origins(application: web.Application, origins: Callable[[], Collection[str]]) -> None:
    """Let pages of these origins call `/v1/devices/...` and `/v1/receipts`; they are asked for at
    every request."""

    async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
        allowed = origins()
        if not allowed or not _open(request.path):
            return
        # a cache must not hand one origin's answer to another
        response.headers.add(hdrs.VARY, hdrs.ORIGIN)
        origin = request.headers.get(hdrs.ORIGIN, "")
        if origin in allowed:
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
            response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = _EXPOSED

    @web.middleware
    async def answer_preflight(request: web.Request, handler: _Handler) -> web.StreamResponse:
        if (
            request.method == hdrs.METH_OPTIONS
            and (route := _open(request.path))
            and request.headers.get(hdrs.ORIGIN) in origins()
            and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers
        ):
            methods = {hdrs.ACCESS_CONTROL_ALLOW_METHODS: _METHODS[route]}
            return web.Response(status=204, headers={**methods, **_PREFLIGHT})
        return await handler(request)

    application.on_response_prepare.append(add_headers)
    application.middlewares.append(answer_preflight)


def _open(path: str) -> str:
    """Which of the open routes an address is of; "" for all others."""
    if path.startswith(_DEVICES):
        return _DEVICES
    return _RECEIPTS if path == _RECEIPTS else ""
