"""A transport to APNs on aioapns.

Owns the step from pushes to aioapns' requests, and from their ends to verdicts. Refuses to know
connections: see `sdk_pool`; and what answers mean: see `verdicts`.
aioapns 4.0 keeps its place as the client - its requests, pool and protocol - while what it does
wrong on the wire is replaced: `providers.http2` reads and writes the frames, one provider token
serves all connections, nothing is ever re-sent behind the caller's back, and every wait has an end.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from providers.apns.codec import Codec, check_push
from providers.apns.options import ApnsOptions
from providers.apns.sdk_pool import SdkPool, SdkRequest
from providers.apns.verdicts import ends_connection
from providers.contract import (
    CredentialStatus,
    Environment,
    Misconfigured,
    Push,
    Refused,
    Settle,
    Trouble,
    Unavailable,
    Verdict,
)
from providers.http2.dial import Origin
from providers.http2.exchange import NEVER_SENT_S, Response
from providers.transport.in_flight import InFlight
from providers.transport.trust import client_context
from providers.transport.verdict_batcher import CLOSED, unanswered

MAX_IN_FLIGHT = 200
"""At 0.3 ms of CPU a push, more would wait for each other, and be in doubt if the process died."""

LONGEST_BACKOFF_S = 30.0
_SECRET = frozenset({":path", "authorization"})


class ApnsSdkProvider:
    """Sends pushes through aioapns; `providers.contract.PushProvider` says what it promises."""

    burst = 8

    def __init__(self, options: ApnsOptions, clock: Callable[[], float] = time.time) -> None:
        self._options = options
        self._clock = clock
        self._codec = Codec(options, clock)
        self._in_flight = {each: InFlight(self._attempt) for each in options.endpoints}
        self._pools: dict[Environment, SdkPool] = {}
        self._closed = False

    def free(self, part: str) -> int:
        """The streams that the connections of this environment have left."""
        if not self._pools or self._closed:
            return 0
        pool, in_flight = (
            self._pool_of(part),
            len(self._in_flight[self._codec.here(Environment(part))]),
        )
        left = min(pool.capacity, MAX_IN_FLIGHT) - in_flight
        # one more makes the pool open another connection
        return 1 if left == 0 and pool.may_open and in_flight < MAX_IN_FLIGHT else max(0, left)

    @property
    def in_flight(self) -> int:
        return sum(map(len, self._in_flight.values()))

    @property
    def connections(self) -> int:
        return sum(len(pool.live) for pool in self._pools.values())

    @property
    def credential(self) -> CredentialStatus:
        return self._options.credentials.status

    async def start(self) -> None:
        """Get ready; connections are made when they are needed.

        Raises CredentialError when `ca_file` or a proxy cannot be used.
        """
        context = client_context(self._options.ca_file, alpn=("h2",))
        self._pools = {
            one: SdkPool(
                Origin.of(endpoint, context, self._options.proxies.to(endpoint)),
                self._options,
                one,
            )
            for one, endpoint in self._options.endpoints.items()
        }

    def send(self, pushes: Sequence[Push], settle: Settle) -> None:
        """Start sending. Pushes over `MAX_IN_FLIGHT` are settled as not sent."""
        by_environment: dict[Environment, list[Push]] = {each: [] for each in self._in_flight}
        for push in pushes:
            by_environment[self._codec.environment(push.address)].append(push)
        for environment, group in by_environment.items():
            in_flight = self._in_flight[environment]
            room = MAX_IN_FLIGHT - len(in_flight) if self._pools else 0
            in_flight.launch(group, settle, max(0, room))

    def trouble(self, part: str) -> Trouble | None:
        return self._pool_of(part).trouble if self._pools else None

    async def reach(self, part: str) -> Trouble | None:
        """Connects; the provider token is made here, and needs nobody."""
        return await self._pool_of(part).reach() if self._pools else None

    async def check(self, part: str) -> Misconfigured | Unavailable | None:
        """Send to a device token that no phone can have, and look only at what is said of us."""
        if not self._pools or self._closed:
            return CLOSED
        verdict = await self._attempt(check_push(self._clock(), Environment(part)))
        return verdict if isinstance(verdict, Misconfigured | Unavailable) else None

    async def aclose(self) -> None:
        self._closed = True
        await asyncio.gather(*(in_flight.aclose() for in_flight in self._in_flight.values()))
        for pool in self._pools.values():
            await pool.aclose()

    def _pool_of(self, part: str) -> SdkPool:
        return self._pools[self._codec.here(Environment(part))]

    async def _attempt(self, push: Push) -> Verdict:
        """Send one push once, and return its verdict within `timeout_s`."""
        apns_request = self._codec.write(push)
        if isinstance(apns_request, Refused):
            return apns_request
        deadline = asyncio.get_running_loop().time() + self._options.timeout_s
        request = SdkRequest(apns_request, deadline, push.start_by)
        try:
            async with asyncio.timeout_at(deadline):
                end = (await self._pools[apns_request.environment].send_notification(request)).end
        except TimeoutError:
            if request.sent:
                return Unavailable("Timeout", outcome_known=False)
            return Unavailable.not_looked_at("Timeout", NEVER_SENT_S)
        if not isinstance(end, Response):
            return unanswered(end)
        verdict = self._codec.judge(
            end,
            environment=apns_request.environment,
            delivery_id=apns_request.delivery_id,
            authorization=request.authorization,
        )
        request.heard(goes=ends_connection(verdict))
        return verdict
