"""A `Channel` on a transport: one connection to APNs, from the handshake to its last byte.

Owns when bytes are written, whether the peer still lives, and the end of every request. Refuses to
know pushes, pools and client libraries.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Protocol, cast

from providers.apns.channel import CannotOpen, Channel, End

QUIET_S = 3600.0
"""Apple: keep connections open, and send a PING after an hour without traffic."""

PONG_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 1.0


class Owner(Protocol):
    """Who gives connections their requests."""

    def wake(self) -> None:
        """A connection may have room."""

    def retire(self, connection: Connection) -> None:
        """The connection takes no new requests."""

    def lost(self, connection: Connection) -> None:
        """The connection is gone."""


class Connection(asyncio.Protocol):
    """One connection. Every request given to `post` comes to an end, or is given up."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        owner: Owner,
        *,
        quiet_s: float = QUIET_S,
        pong_timeout_s: float = PONG_TIMEOUT_S,
    ) -> None:
        self.channel = Channel()
        self.transport: asyncio.Transport | None = None
        self._loop = loop
        self._owner = owner
        self._quiet_s = quiet_s
        self._pong_timeout_s = pong_timeout_s
        self._ends: dict[int, asyncio.Future[End]] = {}
        self._gone: asyncio.Future[None] = loop.create_future()
        self._timer: asyncio.TimerHandle | None = None
        self._write_due = False
        self._pinged_at = float("-inf")
        self._heard_at = loop.time()

    def post(self, headers: Iterable[tuple[str, str]], body: bytes) -> int:
        """Send a request at the end of this turn of the loop; `outcome` waits for its end.

        Raises CannotOpen; the connection then drains.
        """
        try:
            stream_id = self.channel.open(headers, body)
        except CannotOpen:
            self.drain()
            raise
        self._ends[stream_id] = self._loop.create_future()
        self._flush_soon()
        return stream_id

    async def outcome(self, stream_id: int) -> End:
        """How the request ended. Whoever stops waiting for it gives it up."""
        posted_at = self._loop.time()
        try:
            return await self._ends[stream_id]
        except asyncio.CancelledError:
            self._ends.pop(stream_id, None)
            self.channel.abandon(stream_id)
            self._flush_soon()
            if self._heard_at < posted_at or self.channel.draining:
                self.drain()  # not a byte since then: the peer may well be gone
            self._owner.wake()
            raise

    def drain(self) -> None:
        """Take nothing new; close when what is open has ended."""
        self.channel.draining = True
        self._owner.retire(self)
        if not self.channel.open_streams:
            self.close()

    def close(self) -> None:
        """Say goodbye and close."""
        if self.transport is not None and not self.transport.is_closing():
            self.channel.close()
            self.flush()
            self.transport.close()

    async def wait_closed(self) -> None:
        """Return when the transport is gone; a peer that says no goodbye is not waited for."""
        self.close()
        await asyncio.wait([self._gone], timeout=CLOSE_TIMEOUT_S)
        if self.transport is not None:
            self.transport.abort()
        await self._gone

    # --- called by the event loop ---------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.channel.start()
        self.flush()
        self._watch(self._quiet_s)

    def data_received(self, data: bytes) -> None:
        self._heard_at = self._loop.time()
        self._finish(self.channel.receive(data))
        self.flush()
        if self.channel.draining:
            self.drain()
        self._owner.wake()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's own
        if self._timer is not None:
            self._timer.cancel()
        self._finish(self.channel.lose("ConnectionLost"))
        self._gone.set_result(None)
        self._owner.lost(self)

    # --- inside ---------------------------------------------------------------------------------

    def _finish(self, ends: Sequence[tuple[int, End]]) -> None:
        for stream_id, end in ends:
            waiting = self._ends.pop(stream_id, None)
            if waiting is not None and not waiting.done():
                waiting.set_result(end)

    def _flush_soon(self) -> None:
        """One write for all that is sent in this turn of the loop."""
        if not self._write_due:
            self._write_due = True
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Write what is due."""
        self._write_due = False
        data = self.channel.data_to_send()
        if data and self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def _watch(self, seconds: float) -> None:
        self._timer = self._loop.call_later(seconds, self._look)

    def _look(self) -> None:
        """See whether the connection was quiet for an hour, and if so whether the peer lives."""
        now = self._loop.time()
        if self._pinged_at > self._heard_at:
            self.drain()
        elif now - self._heard_at < self._quiet_s:
            self._watch(self._heard_at + self._quiet_s - now)
        else:
            self._pinged_at = now
            self.channel.ping()
            self.flush()
            self._watch(self._pong_timeout_s)
