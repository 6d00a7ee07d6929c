"""Is it alive, is it ready, what do its numbers say: /healthz, /readyz, /metrics.

Owns how parts are asked and how the answer looks. What the parts are, and what a failing one tells
a person to do, comes from the composition root.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from gateway.core.clocks import MonotonicClock
from gateway.errors import GatewayError

Probe = Callable[[], Awaitable[str | None]]
"""Asks one part. None: it works; else what is wrong and what to do, without secrets."""

TIMEOUT_S = 2.0
"""How long a part may take to answer."""
CACHE_S = 1.0
"""How long answers are kept, so that many who ask cost no more than one."""

OK = "ok"


class HealthRoutes:
    """`/healthz`, `/readyz` and `/metrics` of the ops listener.

    `probes` and `draining` are asked every time: parts come and go with a reload. `render` gives
    the metrics in the format that an Accept header asks for, and their content type; `refresh`
    brings those up to date that are read from the store.
    """

    def __init__(
        self,
        *,
        probes: Callable[[], Mapping[str, Probe]],
        draining: Callable[[], bool],
        render: Callable[[str], tuple[bytes, str]],
        refresh: Callable[[], Awaitable[None]],
        monotonic: MonotonicClock,
    ) -> None:
        self._probes = probes
        self._draining = draining
        self._render = render
        self._refresh = refresh
        self._monotonic = monotonic
        self._asking: asyncio.Task[dict[str, str]] | None = None
        self._asked_at = 0.0

    def routes(self) -> list[web.RouteDef]:
        """What to add to the ops application."""
        return [
            web.get("/healthz", self.healthz),
            web.get("/readyz", self.readyz),
            web.get("/metrics", self.metrics),
        ]

    async def healthz(self, _request: web.Request) -> web.Response:
        """The process lives and its event loop turns."""
        return web.json_response({"status": "alive"})

    async def readyz(self, _request: web.Request) -> web.Response:
        """Whether traffic should come here: 503 while draining or while a part fails."""
        parts = await self._parts()
        status = "ready" if all(answer == OK for answer in parts.values()) else "not_ready"
        if self._draining():
            status = "draining"
        return web.json_response(
            {"status": status, "parts": parts},
            status=200 if status == "ready" else 503,
            headers={"Cache-Control": "no-store"},
        )

    async def metrics(self, request: web.Request) -> web.Response:
        """The metrics. Those from the store are as old as its last answer while it is away."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await self._refresh()
        except (GatewayError, TimeoutError):
            pass  # the store's absence is a metric itself, and must not hide all the others
        body, content_type = self._render(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def _parts(self) -> dict[str, str]:
        """The parts' answers, at most a second old; all who ask meanwhile wait for the same."""
        now = self._monotonic()
        if self._asking is None or now >= self._asked_at + CACHE_S:
            self._asked_at = now
            self._asking = asyncio.create_task(_ask_all(self._probes()))
        return await asyncio.shield(self._asking)


async def _ask_all(probes: Mapping[str, Probe]) -> dict[str, str]:
    answers = await asyncio.gather(*(_ask(probe) for probe in probes.values()))
    return dict(zip(probes, answers, strict=True))


async def _ask(probe: Probe) -> str:
    try:
        async with asyncio.timeout(TIMEOUT_S):
            return await probe() or OK
    except TimeoutError:
        return f"no answer within {TIMEOUT_S:g} s"
    except GatewayError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001  # a probe that breaks is a part that is not ready
        return f"the check itself failed: {type(error).__name__}"
