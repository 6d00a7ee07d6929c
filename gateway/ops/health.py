"""Is it alive, is it ready, what do its numbers say: /healthz, /readyz, /metrics.

Owns how parts are asked and how the answer looks. What the parts are, and what a failing one tells
a person to do, comes from the composition root.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from gateway.core.clocks import MonotonicClock
from gateway.core.instants import to_iso
from gateway.errors import GatewayError
from gateway.ports import Standing

Probe = Callable[[], Awaitable[str | None]]
"""Asks one part. None: it works; else what is wrong and what to do, without secrets."""

Parts = dict[str, dict[str, object]]
"""What is not well, by name, as the answer shows it."""

TIMEOUT_S = 2.0
"""How long a part may take to answer."""
CACHE_S = 1.0
"""How long answers are kept, so that many who ask cost no more than one."""

#: what a lane may be in without the gateway being any less than it should be
_AS_ASKED = frozenset({"paused", "quiet"})


class HealthRoutes:
    """`/healthz`, `/readyz` and `/metrics` of the ops listener.

    `probes` are of what the gateway cannot do without, `lanes` tells of those that do not simply
    send, `clock` of a machine's clock that is not believed; all three and `draining` are asked
    every time: lanes come and go with a reload. `standstill` says what of this process does not
    move; "" when all does. `render` gives the metrics in the format that an Accept header asks for,
    and their content type; `refresh` brings those up to date that are read from the store.
    """

    def __init__(
        self,
        *,
        probes: Callable[[], Mapping[str, Probe]],
        lanes: Callable[[], Mapping[str, Standing]],
        clock: Callable[[], Standing | None],
        draining: Callable[[], bool],
        standstill: Callable[[], str],
        render: Callable[[str], tuple[bytes, str]],
        refresh: Callable[[], Awaitable[None]],
        monotonic: MonotonicClock,
    ) -> None:
        self._probes = probes
        self._lanes = lanes
        self._clock = clock
        self._draining = draining
        self._standstill = standstill
        self._render = render
        self._refresh = refresh
        self._monotonic = monotonic
        self._asking: asyncio.Task[Parts] | None = None
        self._asked_at = 0.0

    def routes(self) -> list[web.RouteDef]:
        """What to add to the ops application."""
        return [
            web.get("/healthz", self.healthz),
            web.get("/readyz", self.readyz),
            web.get("/metrics", self.metrics),
        ]

    async def healthz(self, _request: web.Request) -> web.Response:
        """The process lives: its event loop turns, as this answer shows, and its threads move."""
        reason = self._standstill()
        return web.json_response(
            {"status": "stalled", "reason": reason} if reason else {"status": "alive"},
            status=503 if reason else 200,
            headers={"Cache-Control": "no-store"},
        )

    async def readyz(self, _request: web.Request) -> web.Response:
        """Whether traffic should come here, and what is not well.

        503 while draining, and while it cannot store or reach its queue. A lane that does not send
        takes nothing away from those who register and post: `degraded`, and 200. What a person or
        the vendor has asked for is listed, and degrades nothing.
        """
        parts = await self._parts()
        lanes = dict(self._lanes())
        if (clock := self._clock()) is not None:
            lanes["clock"] = clock
        degraded = any(one.state not in _AS_ASKED for one in lanes.values())
        status = "not_ready" if parts else "degraded" if degraded else "ready"
        if self._draining():
            status = "draining"
        # what fails is said before what is doubted of the same part
        shown = {**{name: _shown(one) for name, one in lanes.items()}, **parts}
        return web.json_response(
            {"status": status, "parts": shown},
            status=200 if status in ("ready", "degraded") else 503,
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

    async def _parts(self) -> Parts:
        """The probes' answers, at most a second old; all who ask meanwhile wait for the same."""
        now = self._monotonic()
        if self._asking is None or now >= self._asked_at + CACHE_S:
            self._asked_at = now
            self._asking = asyncio.create_task(_ask_all(self._probes()))
        return await asyncio.shield(self._asking)


async def _ask_all(probes: Mapping[str, Probe]) -> Parts:
    answers = await asyncio.gather(*(_ask(probe) for probe in probes.values()))
    return {
        name: _shown(Standing("failing", answer))
        for name, answer in zip(probes, answers, strict=True)
        if answer is not None
    }


async def _ask(probe: Probe) -> str | None:
    try:
        async with asyncio.timeout(TIMEOUT_S):
            return await probe()
    except TimeoutError:
        return f"no answer within {TIMEOUT_S:g} s"
    except GatewayError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001  # a probe that breaks is a part that is not ready
        return f"the check itself failed: {type(error).__name__}"


def _shown(standing: Standing) -> dict[str, object]:
    """A part in the answer; what is not known of it is left out."""
    shown: dict[str, object] = {"state": standing.state, "reason": standing.reason}
    if standing.hint:
        shown["hint"] = standing.hint
    if standing.since is not None:
        shown["since"] = to_iso(standing.since)
    if standing.until is not None:
        shown["until"] = to_iso(standing.until)
    return shown
