"""A channel on a transport: one connection, from its handshake to its last byte.

Owns when bytes are written, whether the peer is alive, and that every request ends when the
transport does. Refuses to know vendors, and which connection a request should take.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Protocol, cast

from providers.http2.dial import CLOSE_S
from providers.http2.exchange import Channel, Ends, Request

# At DEBUG hpack logs header blocks, which hold tokens.
logging.getLogger("hpack").setLevel(logging.INFO)

QUIET_S = 3_600.0
"""Apple: keep connections open, and send a PING after an hour without traffic."""

PONG_S = 10.0
"""How long a pinged peer may stay silent, in seconds."""

Choose = Callable[[str | None], Channel | None]
"""The channel for the protocol that ALPN chose (None: none); None if we do not speak it."""


class Owner(Protocol):
    """The owner of wires, which gives them requests."""

    def ended(self, ends: Ends, wire: Wire | None) -> None:
        """Requests on this wire ended."""

    def changed(self, wire: Wire) -> None:
        """The wire may have more room, or it takes no new requests any more."""

    def lost(self, wire: Wire) -> None:
        """The wire is gone, and nothing is open on it."""


class Wire(asyncio.Protocol):
    """One connection. Times are the event loop's."""

    channel: Channel

    def __init__(self, owner: Owner, choose: Choose, *, quiet_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._owner = owner
        self._choose = choose
        self._quiet_s = quiet_s
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._paused = False
        self._pinged_at = float("-inf")
        self._gone = asyncio.Event()
        self._spoken = False
        self._served: bool | None = None
        self.heard_at = self._loop.time()

    @property
    def alive(self) -> bool:
        """Whether it is connected, to a peer that speaks our protocol."""
        return self._spoken and not self._gone.is_set()

    @property
    def room(self) -> int:
        """How many requests may be opened now; 0 while the peer does not read, or is gone."""
        transport = self._transport
        if self._paused or transport is None or transport.is_closing():
            return 0
        return self.channel.room

    @property
    def was_of_use(self) -> bool:
        """Whether the peer has answered, and more than that this connection must go."""
        return self.channel.answered and not self.was_sent_away

    @property
    def was_sent_away(self) -> bool:
        """Whether all that came was that this connection must go."""
        return self._served is False

    def heard(self, *, goes: bool) -> None:
        """Be told by who reads answers that some have come. `goes`: all of them said that this
        connection must go."""
        if not goes:
            self._served = True
        elif self._served is None:
            self._served = False

    def open(self, requests: Sequence[Request], deadline: float) -> None:
        """Send requests, at most `room`, as one write."""
        self.channel.open(requests, deadline)
        self._flush()

    def expire(self, now: float) -> Ends:
        """Give up requests past their deadline. A draining wire closes with its last request."""
        ends = self.channel.expire(now)
        if ends:
            self._flush()
            if self.channel.draining:
                self.drain()
        return ends

    def drain(self) -> None:
        """Take no new requests; close when the open ones have ended."""
        self.channel.draining = True
        self._owner.changed(self)
        if not self.channel.in_flight:
            self._close()

    def cut(self, reason: str) -> Ends:
        """Give up all requests now."""
        ends = self.channel.lose(reason)
        self._close()
        return ends

    async def wait_closed(self) -> None:
        """Close, and return when the transport is gone."""
        self._close()
        await self._gone.wait()

    # --- called by the event loop ---------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # no isinstance check: uvloop's transports are not asyncio classes
        self._transport = cast("asyncio.Transport", transport)
        tls = transport.get_extra_info("ssl_object")
        channel = self._choose(tls.selected_alpn_protocol() if tls is not None else None)
        if channel is None:
            self._transport.abort()
            return
        self.channel = channel
        self._spoken = True
        self._flush()
        self._watch(self._quiet_s)

    def data_received(self, data: bytes) -> None:
        self.heard_at = self._loop.time()
        channel = self.channel
        ends = channel.receive(data)
        self._flush()
        if ends:
            self._owner.ended(ends, self)
        if channel.draining:
            self.drain()
        else:
            self._owner.changed(self)

    def pause_writing(self) -> None:
        self._paused = True
        self.channel.peer_reads = False

    def resume_writing(self) -> None:
        self._paused = False
        self.channel.peer_reads = True
        self._owner.changed(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's own
        if self._timer is not None:
            self._timer.cancel()
        self._gone.set()
        if self._spoken:
            if ends := self.channel.lose("ConnectionLost"):
                self._owner.ended(ends, self)
            self._owner.lost(self)

    # --- inside ---------------------------------------------------------------------------------

    def _flush(self) -> None:
        data = self.channel.data_to_send()
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _close(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self.channel.close()
            self._flush()
            self._transport.close()
            # a peer that does not read, or does not close TLS, is not waited for
            self._again(CLOSE_S, self._transport.abort)

    def _watch(self, seconds: float) -> None:
        self._again(seconds, self._look)

    def _again(self, seconds: float, step: Callable[[], None]) -> None:
        """Take the next step then, and no other before it."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, step)

    def _look(self) -> None:
        """If the connection was quiet for long, check whether the peer is alive."""
        now = self._loop.time()
        if self._pinged_at > self.heard_at:
            self.drain()
        elif now - self.heard_at < self._quiet_s:
            self._watch(self.heard_at + self._quiet_s - now)
        else:
            self._pinged_at = now
            self.channel.ping()
            self._flush()
            self._watch(PONG_S)
