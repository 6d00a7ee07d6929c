"""Sending messages back unread: they come again, now or after a while.

Owns that nobody waits for it: what gets lost on the way comes when its lease ends. So does what
came from a stream or consumer that is another one by now: its number is another message's there.
"""

from __future__ import annotations

import asyncio
import contextlib

from nats.aio.msg import Msg

from gateway.errors import StoreUnavailable
from gateway.queue.nats.guard import Guard
from gateway.queue.nats.leases import Lease, Postponed
from gateway.queue.nats.link import Link
from gateway.tasks import end

_FIRST_NAP_S = 0.5


class Returning:
    """Sends messages back, and counts that in `postponed`. `lane_nap_s` is how long one whose lane
    is closed is left alone at most."""

    def __init__(
        self, link: Link, postponed: Postponed, guard: Guard, *, lane_nap_s: float
    ) -> None:
        self._link = link
        self._postponed = postponed
        self._guard = guard
        self._lane_nap_s = lane_nap_s
        self._background: set[asyncio.Task[None]] = set()

    def postpone(self, message: Msg, seconds: float = 0.0) -> None:
        """Send a message back for so long."""
        self._nak(message.reply, message.metadata.sequence.stream, seconds)

    def give_back(self, lease: Lease, seconds: float = 0.0) -> None:
        """The same for one that is under a lease."""
        self._nak(lease.reply, lease.queue_id, seconds)

    def lane_nap(self, message: Msg) -> float:
        """Seconds until the next look: short at first, as the lane may open soon, then longer."""
        naps = min(self._postponed.of(message.metadata.sequence.stream), 8)
        return min(self._lane_nap_s, _FIRST_NAP_S * 2.0**naps)

    async def aclose(self) -> None:
        """Let what is on its way go out, for a moment."""
        if self._background:
            _, late = await asyncio.wait(self._background, timeout=1.0)
            for task in late:
                await end(task)

    def _nak(self, reply: str, sequence: int, seconds: float) -> None:
        self._postponed.count(sequence)
        era = self._guard.era

        async def say() -> None:
            with contextlib.suppress(StoreUnavailable):
                await self._guard.prove()
                if self._guard.era != era:
                    return
                delay = b' {"delay": %d}' % round(seconds * 1e9) if seconds > 0 else b""
                await self._link.say(reply, b"-NAK" + delay)

        task = asyncio.get_running_loop().create_task(say())
        self._background.add(task)
        task.add_done_callback(self._background.discard)
