"""The whole way from outside: from the first signed webhook to the last journaled verdict.

Owns what is counted as one run: time by the sender's clock, CPU by the kernel's account of the
gateway's process, ends by the gateway's own counter, which moves when a verdict is in the journal.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.app.benching.failure import BenchFailure
from gateway.app.benching.posting import Batch, open_sender
from gateway.app.benching.processes import Child
from gateway.app.benching.served import Served, sum_of
from gateway.app.benching.vendors import Vendors

#: the least and the longest time between two looks at the metrics, in seconds: each costs the
#: gateway a few milliseconds, so that there are few, and the last ones come close together
_LOOK_S = (0.03, 1.0)
_STUCK_S = 60.0
#: a stand-in that was at work, or waited for a core, for so much of the time was the limit
_SATURATED = 0.85

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Run:
    """One run. `acks`: the seconds until each webhook was answered, while the relay was at work.

    `waited_s` and `stand_in_waited_s`: for how long the gateway and the stand-in were ready to run,
    and others had the cores. Where that is much, the machine was too busy for figures.
    """

    pushes: int
    delivered: int
    seconds: float
    cpu_s: float
    waited_s: float
    stand_in_cpu_s: float
    stand_in_waited_s: float
    acks: list[float]
    rss_bytes: int

    @property
    def per_second(self) -> float:
        return self.pushes / self.seconds

    @property
    def cpu_us(self) -> float:
        """CPU of the gateway per push, in microseconds."""
        return self.cpu_s / self.pushes * 1e6

    @property
    def stand_in_busy(self) -> float:
        """Share of one core that the stand-in used, 0 to 1."""
        return self.stand_in_cpu_s / self.seconds

    @property
    def stand_in_was_the_limit(self) -> bool:
        return (self.stand_in_cpu_s + self.stand_in_waited_s) / self.seconds >= _SATURATED

    @property
    def waited(self) -> float:
        """Share of the time that the gateway waited for a core, 0 to 1."""
        return self.waited_s / self.seconds


async def run_whole_way(
    served: Served,
    vendors: Vendors,
    secret: str,
    batches: Sequence[Batch],
    *,
    provider: str,
    say: Say,
) -> Run:
    """Post all batches, and wait until each notification came to its end at one device.

    Raises BenchFailure when nothing moves for a minute, or when not all were delivered.
    """
    total = sum(batch.notifications for batch in batches)
    before = await ended(served, provider)
    gateway, stand_in = _Account(served.child), _Account(vendors.child)
    started = time.perf_counter()
    async with open_sender(served.url, secret) as sender:
        posting = asyncio.ensure_future(sender.post_all(batches))
        try:
            await until_ended(served, provider, before[0] + total, say=say)
            seconds = time.perf_counter() - started
            gateway.close()
            stand_in.close()
            acks = await posting
        finally:
            posting.cancel()
    delivered = (await ended(served, provider))[1] - before[1]
    if delivered != total:
        raise BenchFailure(f"{delivered:.0f} of {total} pushes were delivered")
    return Run(
        pushes=total,
        delivered=int(delivered),
        seconds=seconds,
        cpu_s=gateway.cpu_s,
        waited_s=gateway.waited_s,
        stand_in_cpu_s=stand_in.cpu_s,
        stand_in_waited_s=stand_in.waited_s,
        acks=acks,
        rss_bytes=served.child.rss_bytes,
    )


class _Account:
    """CPU time that a process used, and waited for, since this was made."""

    def __init__(self, child: Child) -> None:
        self._child = child
        self.cpu_s, self.waited_s = child.cpu_s, child.waited_s

    def close(self) -> None:
        """Take the difference."""
        self.cpu_s = self._child.cpu_s - self.cpu_s
        self.waited_s = self._child.waited_s - self.waited_s


async def ended(served: Served, provider: str) -> tuple[float, float]:
    """Deliveries of the provider that came to an end so far, and those that were delivered."""
    metrics = await asyncio.to_thread(served.metrics)
    name = "inkpush_deliveries_total"
    return (
        sum_of(metrics, name, provider=provider),
        sum_of(metrics, name, provider=provider, outcome="delivered"),
    )


async def until_ended(served: Served, provider: str, goal: float, *, say: Say) -> None:
    """Wait until so many deliveries ended, telling every few seconds how far it is."""
    began = moved_at = told_at = time.perf_counter()
    first = count = (await ended(served, provider))[0]
    while count < goal:
        now = time.perf_counter()
        rate = (count - first) / (now - began) if now > began else 0.0
        left = (goal - count) / rate if rate else _LOOK_S[1] / 4
        await asyncio.sleep(min(_LOOK_S[1], max(_LOOK_S[0], left / 2)))
        served.child.must_live()
        last, count = count, (await ended(served, provider))[0]
        now = time.perf_counter()
        if count > last:
            moved_at = now
        elif now - moved_at > _STUCK_S:
            raise BenchFailure(
                f"nothing moved for {_STUCK_S:.0f} s: {goal - count:.0f} are missing"
            )
        if now - told_at > 5:
            told_at = now
            say(f"{count - first:,.0f} of {goal - first:,.0f} settled")
