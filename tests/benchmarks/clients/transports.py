"""Inkpush's own transports, kept full as a lane would, with nothing around them."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import time
from collections.abc import Sequence
from typing import Any, cast

from gateway.app.benching.vendors import Places
from providers.apns.credentials import ApnsCredentials
from providers.apns.options import ApnsOptions
from providers.contract import Delivered, Platform, Push, PushProvider, Verdict
from providers.fcm.credentials import FcmCredentials
from providers.fcm.options import FcmOptions
from tests.benchmarks.clients.material import pushes
from tests.benchmarks.clients.result import Took, measured

_CONNECTIONS = {"apns": 2, "fcm": 10}
_RECHECK_S = 0.01


def known_transports() -> list[str]:
    """What `transport` may be in this version, the default first."""
    return [
        name
        for name in ("native", "sdk")
        if importlib.util.find_spec(f"providers.apns.{name}") is not None
        and importlib.util.find_spec(f"providers.fcm.{name}") is not None
    ]


async def send(kind: str, transport: str, places: Places, count: int) -> Took:
    """Send that many pushes; one goes ahead, so that connection and token are there."""
    provider = _make(kind, transport, places)
    await provider.start()
    prepared = pushes(kind, count + 1)
    await _Driver(provider, prepared[:1]).run()
    try:
        return await measured(count, _Driver(provider, prepared[1:]).run)
    finally:
        await provider.aclose()


def _make(kind: str, transport: str, places: Places) -> PushProvider:
    module = importlib.import_module(f"providers.{kind}.{transport}")
    made: Any
    if kind == "apns":
        credentials = ApnsCredentials.load(
            places.apns_key_file, places.key_id, places.team_id, clock=time.time
        )
        made = getattr(module, f"Apns{transport.title()}Provider")(
            ApnsOptions(
                topic=places.topic,
                endpoint=places.apns_url,
                sandbox_endpoint="",
                credentials=credentials,
                ca_file=places.ca_file,
                max_connections=_CONNECTIONS[kind],
            ),
            time.time,
        )
    else:
        made = getattr(module, f"Fcm{transport.title()}Provider")(
            FcmOptions(
                project_id=places.project_id,
                endpoint=places.fcm_url,
                credentials=FcmCredentials.load(
                    places.fcm_file, clock=time.time, ca_file=places.ca_file
                ),
                ca_file=places.ca_file,
                max_connections=_CONNECTIONS[kind],
            ),
            time.time,
        )
    return cast("PushProvider", made)


class _Driver:
    """Hands over as many pushes as are free, until each has its verdict.

    What a vendor surely did not take goes again, as the relay would have it: a connection that
    ends is no failure. Any other verdict than `Delivered` ends the run.
    """

    def __init__(self, provider: PushProvider, waiting: Sequence[Push]) -> None:
        self._provider = provider
        address = waiting[0].address
        # one of these is the part's name, whichever vendor it is
        self._part = address.environment if address.platform is Platform.IOS else address.platform
        self._waiting = list(reversed(waiting))
        self._left = len(waiting)
        self._loop = asyncio.get_running_loop()
        self._done = self._loop.create_future()
        self._timer: asyncio.TimerHandle | asyncio.Handle | None = None

    async def run(self) -> None:
        """Send them all."""
        self._fill()
        await self._done

    def _fill(self) -> None:
        self._timer = None
        free = self._provider.free(self._part)
        if free and self._waiting:
            batch = self._waiting[-free:]
            del self._waiting[-free:]
            batch.reverse()
            self._provider.send(batch, self._settle)
        if self._waiting and self._timer is None:
            # full, or not connected yet; verdicts make it look sooner
            self._timer = self._loop.call_later(_RECHECK_S, self._fill)

    def _settle(self, verdicts: Sequence[tuple[Push, Verdict]]) -> None:
        for push, verdict in verdicts:
            if type(verdict) is Delivered:
                self._left -= 1
            elif getattr(verdict, "outcome_known", False):
                self._waiting.append(push)
            elif not self._done.done():
                self._done.set_exception(RuntimeError(f"a push was not delivered: {verdict}"))
        if not self._left and not self._done.done():
            self._done.set_result(None)
        elif self._waiting:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_soon(self._fill)
