"""A transport to FCM on `providers.http2`: the default.

Owns the step from pushes to requests and from ends to verdicts, and what waits for an access token.
Refuses to know frames and connections, and what answers mean. No task, future or timer is made for
a push. A peer that speaks only HTTP/1.1, as some proxies do, is spoken to in it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from providers.contract import (
    NOT_STARTED,
    CredentialStatus,
    Misconfigured,
    Platform,
    Push,
    Refused,
    Settle,
    Trouble,
    Unavailable,
    Verdict,
)
from providers.fcm.codec import UNSENDABLE, Codec, check_push
from providers.fcm.credentials import AccessToken
from providers.fcm.dates import Dates
from providers.fcm.fetching import NO_ANSWER
from providers.fcm.options import FcmOptions
from providers.fcm.payload import BodyTemplates, render, send_request
from providers.fcm.verdicts import receipt
from providers.http2.connection import Connection
from providers.http2.dial import Dial, Origin, dial
from providers.http2.exchange import NEVER_SENT_S, Channel, End, Ends, Request, Response
from providers.http2.headers import ConstantFields, literal
from providers.http2.http1 import Http1Connection
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
"""Pushes on their way: at 200 ms each that is 10 000 a second, FCM's default quota, and more would
only be in doubt if the process died."""

BURST = 128
"""Pushes that are best handed over at once: enough to share a write, few enough to stay quick."""

QUIET_S = 240.0
"""Silence after which a connection is pinged: Google's front ends close those that idle longer."""

_NO_TOKEN_IN_TIME = Unavailable.not_looked_at("Timeout", NEVER_SENT_S)


class FcmNativeProvider:
    """Sends pushes to FCM; `providers.contract.PushProvider` says what it promises.

    `dial` makes the connections, `trust` the TLS context that they are made with.
    """

    burst = BURST

    def __init__(
        self,
        options: FcmOptions,
        clock: Callable[[], float] = time.time,
        *,
        dial: Dial = dial,
        trust: Trust = client_context,
    ) -> None:
        self._options = options
        self._dial = dial
        self._trust = trust
        self._clock = clock
        self._dates = Dates(clock)
        self._codec = Codec(options)
        self._bodies = BodyTemplates(options.style)
        self._batcher = VerdictBatcher()
        self._pool: Pool | None = None
        self._waiting: dict[asyncio.Task[AccessToken | Verdict], None] = {}
        self._tokenless = 0
        self._authorization: tuple[str, bytes] = ("", b"")
        self._closed = False

    def free(self, part: str) -> int:  # noqa: ARG002  # all parts go by the same connections
        if self._pool is None or self._tokenless:
            return 0
        return self._pool.free

    @property
    def in_flight(self) -> int:
        sent = 0 if self._pool is None else self._pool.in_flight
        return sent + self._tokenless + len(self._batcher)

    @property
    def connections(self) -> int:
        return 0 if self._pool is None else self._pool.connections

    @property
    def credential(self) -> CredentialStatus:
        return self._options.credentials.status

    async def start(self) -> None:
        """Get ready, and begin to fetch an access token.

        Raises CredentialError when `ca_file` or a proxy cannot be used.
        """
        options = self._options
        context = self._trust(options.ca_file, alpn=("h2", "http/1.1"))
        origin = Origin.of(options.url, context, options.proxies.to(options.url))
        fields = [
            (":method", "POST"),
            (":scheme", "https"),
            (":authority", origin.authority),
            (":path", urlsplit(options.url).path),
            ("content-type", "application/json"),
        ]
        constant = ConstantFields(fields)

        def choose(agreed: str | None) -> Channel:
            return Connection(constant) if agreed == "h2" else Http1Connection(fields)

        limits = PoolLimits(
            options.max_connections, options.timeout_s, MAX_IN_FLIGHT, quiet_s=QUIET_S
        )
        self._pool = Pool(origin, limits, choose=choose, on_ends=self._ended, dial=self._dial)
        options.credentials.warm_up()

    def send(self, pushes: Sequence[Push], settle: Settle) -> None:
        """Start sending. Pushes over `MAX_IN_FLIGHT` are settled as not sent."""
        if self._pool is None or self._closed:
            self._settle_all(pushes, settle, CLOSED)
            return
        room = max(0, MAX_IN_FLIGHT - self.in_flight)
        self._settle_all(pushes[room:], settle, FULL)
        pushes = pushes[:room]
        token = self._options.credentials.held
        if token is not None:
            self._submit(self._pool, pushes, settle, token, self._deadline())
        elif pushes:
            self._wait_for_token(pushes, settle, self._deadline())

    def trouble(self, part: str) -> Trouble | None:  # noqa: ARG002  # as above
        return self._options.credentials.trouble or (
            None if self._pool is None else self._pool.trouble
        )

    async def reach(self, part: str) -> Trouble | None:
        """Fetches an access token where there is none, and connects."""
        if self._pool is None or self._closed:
            return None
        try:
            async with asyncio.timeout(self._options.timeout_s):
                await self._options.credentials.token(insist=True)
                await self._pool.reach()
        except TimeoutError:
            return self.trouble(part) or NO_ANSWER
        return self.trouble(part)

    async def check(self, part: str) -> Misconfigured | Unavailable | None:
        """Fetch a token, and have a message to a made-up address validated only.

        What it says is of project and token: FCM asks APNs and the browsers' push services about
        real pushes only.
        """
        if self._pool is None or self._closed:
            return CLOSED
        deadline = self._deadline()
        try:
            async with asyncio.timeout_at(deadline):
                token = await self._options.credentials.token(insist=True)
        except TimeoutError:
            return _NO_TOKEN_IN_TIME
        if not isinstance(token, AccessToken):
            return token
        now = self._clock()
        push = check_push(now, Platform(part))
        body = send_request(
            render(push.message, push, self._options.style, now), validate_only=True
        )
        answered: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        batch = Batch(lambda verdicts: answered.set_result(verdicts[0][1]), token)
        self._pool.submit([Request(self._fields(token), body, (push, batch))], deadline)
        verdict = await answered
        return verdict if isinstance(verdict, Misconfigured | Unavailable) else None

    async def aclose(self) -> None:
        self._closed = True
        while self._waiting:
            for task in self._waiting:
                task.cancel()
            await asyncio.wait(self._waiting)
            await asyncio.sleep(0)
        if self._pool is not None:
            await self._pool.aclose(CLOSE_GRACE_S)
        await self._options.credentials.aclose()
        self._batcher.flush()

    # --- inside ---------------------------------------------------------------------------------

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._options.timeout_s

    def _settle_all(self, pushes: Sequence[Push], settle: Settle, verdict: Verdict) -> None:
        for push in pushes:
            self._batcher.add(settle, push, verdict)

    def _wait_for_token(self, pushes: Sequence[Push], settle: Settle, deadline: float) -> None:
        """Send when there is a token; one fetch serves all who wait."""
        start_by = start_of(pushes)

        async def fetch() -> AccessToken | Verdict:
            try:
                async with asyncio.timeout_at(min(deadline, start_by)):
                    return await self._options.credentials.token()
            except TimeoutError:
                return NOT_STARTED if start_by < deadline else _NO_TOKEN_IN_TIME

        # not after an `await` inside the task: one that is cancelled before its first step never
        # runs, and the pushes would have no verdict
        def go_on(task: asyncio.Task[AccessToken | Verdict]) -> None:
            self._waiting.pop(task, None)
            self._tokenless -= len(pushes)
            fetched = CLOSED if task.cancelled() or self._closed else task.result()
            if not isinstance(fetched, AccessToken):
                self._settle_all(pushes, settle, fetched)
            elif self._pool is not None:
                self._submit(self._pool, pushes, settle, fetched, deadline)

        self._tokenless += len(pushes)
        task = asyncio.get_running_loop().create_task(fetch())
        self._waiting[task] = None
        task.add_done_callback(go_on)

    def _submit(
        self,
        pool: Pool,
        pushes: Sequence[Push],
        settle: Settle,
        token: AccessToken,
        deadline: float,
    ) -> None:
        batch = Batch(settle, token)
        fields, now = self._fields(token), self._clock()
        requests = []
        for push in pushes:
            body = self._body(push, now)
            if isinstance(body, Refused):
                self._batcher.add(settle, push, body)
            else:
                requests.append(Request(fields, body, (push, batch)))
        pool.submit(requests, deadline, start_of(pushes))

    def _body(self, push: Push, now: float) -> bytes | Refused:
        message = self._codec.fit(push)
        if isinstance(message, Refused):
            return message
        if not push.address.value:
            return UNSENDABLE
        try:
            return self._bodies.fill(message, push, now)
        except UnicodeEncodeError:
            return UNSENDABLE

    def _fields(self, token: AccessToken) -> bytes:
        """The header fields beyond the constant ones, coded once per token."""
        if token.value != self._authorization[0]:
            coded = literal("authorization", f"Bearer {token.value}", secret=True)
            self._authorization = token.value, coded
        return self._authorization[1]

    def _ended(self, ends: Ends, _wire: Wire | None) -> None:
        by_batch: dict[Batch[AccessToken], list[tuple[Push, Verdict]]] = {}
        now = self._clock()
        if self._dates.wanted(now) and self._pool is not None:
            answers = [end for _, end in ends if isinstance(end, Response)]
            self._dates.read(answers, now)
            self._pool.be_curious()
        accepted: AccessToken | None = None
        for request, end in ends:
            push, batch = request.context
            taken = receipt(end.body) if type(end) is Response and end.status == 200 else None
            if taken is None:
                verdict = self._verdict(end, batch.credential, now)
            else:
                verdict = taken
                # at once, and not after all: what a 401 among them means depends on it
                if batch.credential is not accepted:
                    accepted = batch.credential
                    self._options.credentials.accepted(accepted)
            by_batch.setdefault(batch, []).append((push, verdict))
        hand_over_all(by_batch)

    def _verdict(self, end: End, token: AccessToken, now: float) -> Verdict:
        if not isinstance(end, Response):
            return unanswered(end)
        return self._codec.judge(end.status, end.body, end.header(b"retry-after"), token, now)
