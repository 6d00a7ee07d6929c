"""Sorting what the consumer handed out: which messages may start, and what becomes of the others.

Owns that no message is forgotten: what cannot start goes back, is put aside, or waits as a suspect.
"""

from __future__ import annotations

from collections.abc import Collection

from nats.aio.msg import Msg

from gateway.core.model import Claim
from gateway.core.stored import Unreadable
from gateway.queue.nats.coding import chunk_of, head_of
from gateway.queue.nats.handing import Handing
from gateway.queue.nats.leases import Leases
from gateway.queue.nats.returning import Returning
from gateway.queue.nats.unread import Unread


class Receiving:
    """Makes claims of messages. `nap_s` is how long one that is not due is left alone (None: until
    it is)."""

    def __init__(
        self,
        leases: Leases,
        handing: Handing,
        back: Returning,
        unread: Unread,
        *,
        nap_s: float | None,
    ) -> None:
        self._leases = leases
        self._handing = handing
        self._back = back
        self._unread = unread
        self._nap_s = nap_s
        #: events whose messages wait for nothing any more
        self.hastened: Collection[str] = frozenset()

    async def claims(
        self, messages: list[Msg], *, until: float, now: float, skip: frozenset[str]
    ) -> list[Claim]:
        """Lease the messages that may start; send the others back."""
        claims = []
        rest = list(messages)
        try:
            while rest:
                claim = await self._claim(rest[0], until=until, now=now, skip=skip)
                rest.pop(0)
                if claim is not None:
                    claims.append(claim)
        except BaseException:
            for claim in claims:
                self.unclaim(claim)
            for message in rest:
                self._back.postpone(message)
            raise
        return claims

    def unclaim(self, claim: Claim) -> None:
        """Give back a claim that nobody got."""
        lease = self._leases.find(claim)
        if lease is not None:
            self._leases.end(claim)
            self._back.give_back(lease)

    async def _claim(
        self, message: Msg, *, until: float, now: float, skip: frozenset[str]
    ) -> Claim | None:
        try:
            head = head_of(message.data)
            chunk = head.chunk
            if chunk.deadline > now and chunk.event_id not in self.hastened:
                life = chunk.deadline - now
                if chunk.due_at > now:
                    nap = chunk.due_at - now
                    self._back.postpone(message, min(nap, life, self._nap_s or nap))
                    return None
                if chunk.waits_for(skip):
                    self._back.postpone(message, min(self._back.lane_nap(message), life))
                    return None
            chunk = chunk_of(head, message.data)
        except Unreadable as error:
            await self._unread.take(message, error)
            return None
        return await self._handing.claim(message, chunk, until=until, now=now)
