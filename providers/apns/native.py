"""A transport to APNs on `providers.http2`: the default.

Owns the step from pushes to requests and from ends to verdicts. Refuses to know frames and
connections, and what answers mean. No task, future or timer is made for a push.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial

from providers.apns.codec import BAD_TOKEN, Codec, check_push
from providers.apns.options import ApnsOptions
from providers.apns.payload import ALERT, BodyTemplates, device_path, expiration
from providers.apns.verdicts import ends_connection
from providers.contract import (
    CredentialStatus,
    Delivered,
    Environment,
    Misconfigured,
    Push,
    Refused,
    Settle,
    Trouble,
    Unavailable,
    Verdict,
)
from providers.http2.connection import Connection
from providers.http2.dial import Dial, Origin, dial
from providers.http2.exchange import End, Ends, Request, Response
from providers.http2.headers import (
    ConstantFields,
    literal,
    literal_after,
    literal_name,
    short_string,
)
from providers.http2.pool import Pool, PoolLimits
from providers.http2.wire import Wire
from providers.transport.trust import Trust, client_context
from providers.transport.verdict_batcher import (
    CLOSE_GRACE_S,
    CLOSED,
    FULL,
    Batch,
    VerdictBatcher,
    hand_over_all,
    start_of,
    unanswered,
)

MAX_IN_FLIGHT = 2_000
"""Pushes on their way to one environment: at 100 ms each that is 20 000 a second, and more would
only be in doubt if the process died."""

BURST = 128
"""Pushes that are best handed over at once: enough to share a write, few enough to stay quick."""

_PATH = literal_name(":path", secret=True)
_APNS_ID = literal_name("apns-id")
_COLLAPSE_ID = literal_name("apns-collapse-id")


class ApnsNativeProvider:
    """Sends pushes to APNs; `providers.contract.PushProvider` says what it promises.

    `dial` makes the connections, `trust` the TLS context that they are made with.
    """

    burst = BURST

    def __init__(
        self,
        options: ApnsOptions,
        clock: Callable[[], float] = time.time,
        *,
        dial: Dial = dial,
        trust: Trust = client_context,
    ) -> None:
        self._options = options
        self._dial = dial
        self._trust = trust
        self._clock = clock
        self._codec = Codec(options, clock)
        self._bodies = BodyTemplates(options.style)
        #: whether the style says how long a push is kept, from when it goes
        self._keeps = options.style.kept_s is not None
        self._batcher = VerdictBatcher()
        self._pools: dict[Environment, Pool] = {}
        self._shared_key: tuple[str, float] = ("", 0.0)
        self._shared = b""
        self._closed = False

    def free(self, part: str) -> int:
        """The streams that the connections of this environment have left."""
        pool = self._pool_of(part)
        return 0 if pool is None else pool.free

    @property
    def in_flight(self) -> int:
        return sum(pool.in_flight for pool in self._pools.values()) + len(self._batcher)

    @property
    def connections(self) -> int:
        return sum(pool.connections for pool in self._pools.values())

    @property
    def credential(self) -> CredentialStatus:
        return self._options.credentials.status

    async def start(self) -> None:
        """Get ready; connections are made when they are needed.

        Raises CredentialError when `ca_file` or a proxy cannot be used.
        """
        options = self._options
        context = self._trust(options.ca_file, alpn=("h2",))
        limits = PoolLimits(options.max_connections, options.timeout_s, MAX_IN_FLIGHT)
        for environment, endpoint in options.endpoints.items():
            origin = Origin.of(endpoint, context, options.proxies.to(endpoint))
            constant = ConstantFields(
                [
                    (":method", "POST"),
                    (":scheme", "https" if origin.context is not None else "http"),
                    (":authority", origin.authority),
                    ("apns-topic", options.topic),
                    *ALERT,
                ]
            )
            self._pools[environment] = Pool(
                origin,
                limits,
                choose=partial(_speak_http2, constant),
                on_ends=partial(self._ended, environment),
                dial=self._dial,
            )

    def send(self, pushes: Sequence[Push], settle: Settle) -> None:
        """Start sending. Pushes over `MAX_IN_FLIGHT` are settled as not sent."""
        if not self._pools or self._closed:
            for push in pushes:
                self._batcher.add(settle, push, CLOSED)
            return
        start_by = start_of(pushes)
        requests: dict[Environment, list[Request]] = {}
        batches: dict[Environment, Batch[str]] = {}
        for push in pushes:
            environment = self._codec.environment(push.address)
            batch = batches.get(environment)
            if batch is None:
                authorization = self._options.credentials_for(environment).header()
                batch = batches[environment] = Batch(settle, authorization)
            request = self._request(push, batch)
            if isinstance(request, Refused):
                self._batcher.add(settle, push, request)
            else:
                requests.setdefault(environment, []).append(request)
        for environment, group in requests.items():
            pool = self._pools[environment]
            room = max(0, MAX_IN_FLIGHT - pool.in_flight)
            for request in group[room:]:
                self._batcher.add(settle, request.context[0], FULL)
            pool.submit(group[:room], start_by=start_by)

    def trouble(self, part: str) -> Trouble | None:
        pool = self._pool_of(part)
        return None if pool is None else pool.trouble

    async def reach(self, part: str) -> Trouble | None:
        """Connects; the provider token is made here, and needs nobody."""
        pool = self._pool_of(part)
        return None if pool is None else await pool.reach()

    async def check(self, part: str) -> Misconfigured | Unavailable | None:
        """Send to a device token that no phone can have, and look only at what is said of us."""
        if not self._pools or self._closed:
            return CLOSED
        answered: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        push = check_push(self._clock(), Environment(part))
        self.send([push], lambda batch: answered.set_result(batch[0][1]))
        verdict = await answered
        return verdict if isinstance(verdict, Misconfigured | Unavailable) else None

    async def aclose(self) -> None:
        self._closed = True
        await asyncio.gather(*(pool.aclose(CLOSE_GRACE_S) for pool in self._pools.values()))
        self._batcher.flush()

    # --- inside ---------------------------------------------------------------------------------

    def _pool_of(self, part: str) -> Pool | None:
        """The connections of an environment; where there is one alone, all go by it."""
        return self._pools.get(self._codec.here(Environment(part)))

    def _request(self, push: Push, batch: Batch[str]) -> Request | Refused:
        """What goes out for a push: `payload.render_headers` and `render_body`, coded."""
        path = device_path(push.address)
        if path is None:
            return BAD_TOKEN
        message = self._codec.fit(push)
        if isinstance(message, Refused):
            return message
        delivery_id, collapse_id = push.delivery_id, push.collapse_id
        coded_id = short_string(delivery_id.encode())
        coded_collapse_id = short_string(collapse_id.encode()) if collapse_id else coded_id
        fields = (
            literal_after(_PATH, path.encode())
            + self._shared_fields(batch.credential, push)
            + (_APNS_ID + coded_id + _COLLAPSE_ID + coded_collapse_id)
        )
        body = self._bodies.fill(message, delivery_id, push.word, push.receipt, push.mutable)
        return Request(fields, body, (push, batch))

    def _shared_fields(self, authorization: str, push: Push) -> bytes:
        """What the pushes of one event have in common, coded once."""
        key = (authorization, int(self._clock()) if self._keeps else push.expires_at)
        if key != self._shared_key:
            self._shared_key = key
            self._shared = literal("authorization", authorization, secret=True) + literal(
                "apns-expiration", str(expiration(self._codec.kept_until(push)))
            )
        return self._shared

    def _ended(self, environment: Environment, ends: Ends, wire: Wire | None) -> None:
        by_batch: dict[Batch[str], list[tuple[Push, Verdict]]] = {}
        took = goes = stays = False
        for request, end in ends:
            push, batch = request.context
            if type(end) is Response and end.status == 200 and not end.body:
                took = True
                verdict: Verdict = Delivered(push.delivery_id)
            else:
                verdict = self._verdict(environment, end, push.delivery_id, batch.credential)
                goes = goes or ends_connection(verdict)
                stays = stays or (isinstance(end, Response) and not ends_connection(verdict))
            by_batch.setdefault(batch, []).append((push, verdict))
        if took:
            self._options.credentials_for(environment).accepted()
        if wire is not None and (took or goes or stays):
            wire.heard(goes=not took and not stays)
            if goes:
                wire.drain()
        hand_over_all(by_batch)

    def _verdict(
        self, environment: Environment, end: End, delivery_id: str, authorization: str
    ) -> Verdict:
        if not isinstance(end, Response):
            return unanswered(end)
        return self._codec.judge(
            end, environment=environment, delivery_id=delivery_id, authorization=authorization
        )


def _speak_http2(constant: ConstantFields, agreed: str | None) -> Connection | None:
    """APNs speaks nothing else, also to those who agreed on nothing."""
    return Connection(constant) if agreed in ("h2", None) else None
