"""Leases of this process, as far as it can prove them.

JetStream takes an acknowledgement from any sender, so a process must know by itself when a chunk
may belong to another one. A lease begins when the chunk is requested, which is before the broker's
own timer starts, and only an answered request renews it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field

from gateway.core.model import Claim
from gateway.core.suspects import Past

_REMEMBERED = 100_000
#: more leases than a relay ever holds
_MOST_HELD = 4_096


@dataclass(slots=True, eq=False)
class Lease:
    """A chunk under a lease until `until` (the loop's clock). Its acknowledgement goes to `reply`;
    `subject` is the message's; `past` is its mark, if it has one."""

    queue_id: int
    subject: str
    reply: str
    until: float
    past: Past | None = None
    settling: asyncio.Lock = field(default_factory=asyncio.Lock)
    settled: bool = False


class Leases:
    """The leases that this process has neither settled nor lost."""

    def __init__(self) -> None:
        self._held: dict[str, Lease] = {}

    def __bool__(self) -> bool:
        return bool(self._held)

    def add(self, lease_id: str, lease: Lease) -> None:
        self._held[lease_id] = lease
        if len(self._held) > _MOST_HELD:
            # a lease that another one replaced is never asked for again
            now = asyncio.get_running_loop().time()
            self._held = {key: one for key, one in self._held.items() if one.until > now}

    def find(self, claim: Claim) -> Lease | None:
        """The lease of a claim, if it provably holds."""
        lease = self._held.get(claim.lease_id)
        if lease is None or lease.settled or lease.until <= asyncio.get_running_loop().time():
            self._held.pop(claim.lease_id, None)
            return None
        return lease

    def take_all(self) -> list[Lease]:
        """Take all leases that are still held."""
        now = asyncio.get_running_loop().time()
        held, self._held = list(self._held.values()), {}
        return [lease for lease in held if lease.until > now]

    def end(self, claim: Claim) -> None:
        self._held.pop(claim.lease_id, None)


class Postponed:
    """How often this process sent messages back unread: deliveries that are not tries."""

    def __init__(self) -> None:
        self._counts: OrderedDict[int, int] = OrderedDict()

    def count(self, sequence: int) -> None:
        self._counts[sequence] = self._counts.get(sequence, 0) + 1
        self._counts.move_to_end(sequence)
        if len(self._counts) > _REMEMBERED:
            self._counts.popitem(last=False)

    def of(self, sequence: int) -> int:
        return self._counts.get(sequence, 0)

    def forget(self, sequence: int) -> None:
        self._counts.pop(sequence, None)

    def clear(self) -> None:
        """Another consumer counts from the beginning."""
        self._counts.clear()
