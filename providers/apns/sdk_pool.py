"""aioapns' connections, with its reading and writing of frames replaced. Alone imports aioapns.

Owns connections, their number and their end. Refuses to know pushes and verdicts.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import cast

from aioapns.common import NotificationRequest, NotificationResult
from aioapns.connection import (
    APNsBaseClientProtocol,
    APNsBaseConnectionPool,
    APNsTLSClientProtocol,
    AuthorizationHeaderProvider,
)

from providers.apns.codec import ApnsRequest
from providers.apns.credentials import ApnsCredentials
from providers.apns.options import ApnsOptions
from providers.contract import Environment, Trouble
from providers.http2.backoff import Backoff
from providers.http2.connection import Connection
from providers.http2.dial import Origin, dial
from providers.http2.exchange import NOT_STARTED, End, Ends, NotProcessed, Request, Response
from providers.http2.headers import ConstantFields, literal
from providers.http2.trouble import trouble_of
from providers.http2.wire import QUIET_S, Wire
from providers.transport.fair_waiters import FairWaiters

LONGEST_BACKOFF_S = 30.0
_SECRET = frozenset({":path", "authorization"})


class SdkRequest(NotificationRequest):
    """A push as it goes out: headers and body are ready made, for aioapns would compute its own.

    `sent`: it has left for a connection. `authorization`: the header it was sent with. `deadline`
    and `start_by` are the loop's time.
    """

    __slots__ = ("_connection", "apns_request", "authorization", "deadline", "sent", "start_by")

    def __init__(self, apns_request: ApnsRequest, deadline: float, start_by: float) -> None:
        super().__init__(device_token="", message={}, notification_id=apns_request.delivery_id)
        self.apns_request = apns_request
        self.deadline = deadline
        self.start_by = start_by
        self.sent = False
        self.authorization = ""
        self._connection: SdkConnection | None = None

    def goes_by(self, connection: SdkConnection, authorization: str) -> None:
        self.sent = True
        self.authorization = authorization
        self._connection = connection

    def heard(self, *, goes: bool) -> None:
        """Its answer is read. `goes`: it says that the connection must go."""
        if self._connection is not None:
            self._connection.heard(goes=goes)
            if goes:
                self._connection.drain()


class SdkResult(NotificationResult):
    """aioapns' result, with the whole of the answer or the lack of it."""

    __slots__ = ("end",)

    def __init__(self, request: SdkRequest, end: End) -> None:
        status = str(end.status) if isinstance(end, Response) else ""
        super().__init__(request.notification_id, status)
        self.end = end


class SharedToken(AuthorizationHeaderProvider):
    """One provider token for all connections; aioapns would make one for each."""

    def __init__(self, credentials: ApnsCredentials) -> None:
        self._credentials = credentials

    def get_header(self) -> str:
        return self._credentials.header()


class SdkConnection(Wire, APNsTLSClientProtocol):
    """aioapns' protocol, with its reading and writing of frames replaced."""

    def __init__(
        self, pool: SdkPool, constant: ConstantFields, token: AuthorizationHeaderProvider
    ) -> None:
        APNsTLSClientProtocol.__init__(self, pool.topic, pool.loop, None, token)
        Wire.__init__(self, pool, lambda _: Connection(constant), quiet_s=QUIET_S)
        self._token = token

    @property
    def is_busy(self) -> bool:
        return not self.room

    async def send_notification(self, request: NotificationRequest) -> SdkResult:
        """Send a request and wait for its end. The caller saw that the connection is not busy."""
        assert isinstance(request, SdkRequest)
        apns_request = request.apns_request
        authorization = self._token.get_header()
        fields = (
            (":path", apns_request.path),
            *apns_request.headers,
            ("authorization", authorization),
        )
        coded = b"".join(literal(*pair, secret=pair[0] in _SECRET) for pair in fields)
        end: asyncio.Future[End] = self._loop.create_future()
        self.open([Request(coded, apns_request.body, end)], request.deadline)
        request.goes_by(self, authorization)
        try:
            return SdkResult(request, await end)
        except asyncio.CancelledError:
            # it is over its deadline, or all is given up
            for given_up, how in self.expire(max(self._loop.time(), request.deadline)):
                _resolve(given_up, how)
            raise


def _resolve(request: Request, end: End) -> None:
    if not request.context.done():
        request.context.set_result(end)


class Unreachable(Exception):
    """No connection can be made now; the next try is in `wait` seconds."""

    def __init__(self, wait: float) -> None:
        super().__init__()
        self.wait = wait


class SdkPool(APNsBaseConnectionPool):
    """The connections to one environment. Opened one at a time, and only when all others are full.

    `live` are those that take requests; one that is ending leaves it at once. A stalled one, which
    has no room although nothing is in flight, ends as soon as another is open.
    """

    def __init__(self, origin: Origin, options: ApnsOptions, environment: Environment) -> None:
        super().__init__(
            options.topic, max_connections=options.max_connections, max_connection_attempts=1
        )
        self.topic = options.topic
        self._origin = origin
        self._constant = ConstantFields(
            (
                (":method", "POST"),
                (":scheme", "https" if origin.context is not None else "http"),
                (":authority", origin.authority),
            )
        )
        self.live: list[SdkConnection] = []
        self.connections = cast("list[APNsBaseClientProtocol]", self.live)
        self._token = SharedToken(options.credentials_for(environment))
        self._ending: dict[Wire, None] = {}
        self._waiters = FairWaiters(self.wake)
        self._backoff = Backoff(LONGEST_BACKOFF_S)
        self._opening: asyncio.Task[None] | None = None
        self._trouble: Trouble | None = None
        self._closed = False

    @property
    def trouble(self) -> Trouble | None:
        """Why there is no connection; None while there is one, or none was tried."""
        return None if self.live else self._trouble

    async def reach(self) -> Trouble | None:
        """Have a connection, and try for one now where there is none. Says what went wrong."""
        if not self.live and not self._closed:
            if self._opening is None:
                self._opening = self.loop.create_task(self._open())
            await asyncio.wait([self._opening])
        return self.trouble

    @property
    def capacity(self) -> int:
        """How many requests may be open at once on the connections there are."""
        return sum(one.room + one.channel.in_flight for one in self.live)

    @property
    def may_open(self) -> bool:
        """Whether another connection may be opened now."""
        return (
            not self._closed
            and self._opening is None
            and len(self.live) - len(self._stalled) < self.max_connections
            and not self._backoff.wait(self.loop.time())
            # a new connection allows one stream, and a thousand as soon as it knows its sender
            and all(one.channel.answered or one in self._stalled for one in self.live)
        )

    @property
    def _stalled(self) -> list[SdkConnection]:
        return [one for one in self.live if not one.room and not one.channel.in_flight]

    async def send_notification(self, request: NotificationRequest) -> SdkResult:
        """Send a request once, on the first connection that takes it."""
        assert isinstance(request, SdkRequest)
        try:
            connection = await self.acquire()
        except Unreachable as error:
            return SdkResult(request, NotProcessed("Unreachable", error.wait))
        if self.loop.time() > request.start_by:
            self.wake()  # somebody else has the turn
            return SdkResult(request, NOT_STARTED)
        return await connection.send_notification(request)

    async def acquire(self) -> SdkConnection:
        while True:
            for connection in self.live:
                if not connection.is_busy:
                    return connection
            self._open_more()
            if (error := self._hopeless()) is not None:
                raise error
            await self._waiters.wait()

    def wake(self) -> None:
        """Let requests on for which there is room, and open another connection for the rest."""
        self._waiters.grant(sum(connection.room for connection in self.live))
        if self._waiters:
            self._open_more()
            if (error := self._hopeless()) is not None:
                self._waiters.fail(error)

    def ended(self, ends: Ends, wire: Wire | None) -> None:  # noqa: ARG002 - a wire's owner
        """Requests came to their end."""
        for request, end in ends:
            _resolve(request, end)

    def changed(self, wire: Wire) -> None:
        """The connection may have more room, or takes no new requests any more."""
        if wire.channel.draining:
            self._retire(wire)
        self.wake()

    def _retire(self, wire: Wire) -> None:
        if wire in self.live:
            self.live.remove(wire)
            self._ending[wire] = None

    def lost(self, wire: Wire) -> None:
        """The connection is gone. One that was good for nothing counts as a failure to connect."""
        self._retire(wire)
        self._ending.pop(wire, None)
        if wire.was_of_use:
            self._backoff.succeeded()
        else:
            self._backoff.failed(self.loop.time())
        self.wake()

    async def create_connection(self) -> SdkConnection:
        """Connect; the name is looked up each time, as Apple asks."""
        return await dial(self._origin, partial(SdkConnection, self, self._constant, self._token))

    async def aclose(self) -> None:
        """Close all connections and wait until they are."""
        self._closed = True
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait([self._opening])
        for connection in [*self.live]:
            connection.drain()
        await asyncio.gather(*(connection.wait_closed() for connection in [*self._ending]))

    def _open_more(self) -> None:
        if self.may_open:
            self._opening = self.loop.create_task(self._open())

    async def _open(self) -> None:
        try:
            connection = await self.create_connection()
        except OSError as error:  # timeouts and TLS failures are OSErrors too
            self._trouble = trouble_of(error, self._origin.host)
            self._backoff.failed(self.loop.time())
        else:
            self._trouble = None
            for stalled in self._stalled:
                stalled.drain()
            self.live.append(connection)
        finally:
            self._opening = None
            self.wake()

    def _hopeless(self) -> Unreachable | None:
        """Set while there is no connection and none may be tried."""
        if self.live or self._opening is not None or self.may_open:
            return None
        return Unreachable(self._backoff.wait(self.loop.time()))
