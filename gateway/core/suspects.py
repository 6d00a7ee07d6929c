"""Which chunks may be what ends processes, how they are tried, and when one is given up. Pure.

Owns the rules; knows no queue and no clock. A claim that is neither settled nor given back in order
is an *end*: the process behind it may be gone. One end says nothing, for machines lose power and
supervisors kill, and all that was in hand comes back from it; what two in a row left behind is a
*suspect*. Suspects are tried alone, one at a time, and only an end while alone speaks against one:
a *lone end*. A chunk beside which the process lived on, or of which deliveries were journaled
meanwhile, starts anew.

    claimed beside others          claimed alone (tried)
    tries 0 -> 1 -> 2 = suspect -> lone_ends 0 -> 1 -> ... -> 20 = given up
       ^______________|___________________|  lived on, or went on
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from gateway.core.model import Chunk

SUSPECT_AFTER = 2
"""So many ends in a row make a suspect."""
MOST_LONE_ENDS = 20
"""A chunk that so many processes ended with, each alone with it, is given up."""
FORGOTTEN_S = 3600.0
"""Lone ends count for so long after the last time the chunk was tried, in seconds."""
TRIAL_S = 3.0
"""A process that lives on for so long with nothing but a chunk in hand is not ended by it."""


class Past(NamedTuple):
    """What is kept of a chunk's claims. `tries` counts those that came to no end in order.

    `alone` says that the last one, at `claimed_at` (epoch seconds), was a trial. A process that a
    chunk ends is gone soon after its claim, so that is also when the end was.
    """

    tries: int = 0
    lone_ends: int = 0
    alone: bool = False
    claimed_at: float = 0.0

    @property
    def suspect(self) -> bool:
        """Whether it is claimed alone from now on."""
        return self.tries >= SUSPECT_AFTER

    def lone_ends_by(self, now: float) -> int:
        """How many processes ended with it alone, as far as that is not forgotten."""
        if now - self.claimed_at > FORGOTTEN_S:
            return 0
        return self.lone_ends + self.alone

    def claimed(self, now: float) -> Past:
        """After another claim: a trial for a suspect, for others one beside others."""
        return Past(self.tries + 1, self.lone_ends_by(now), self.suspect, now)

    def given_back(self) -> Past:
        """After the process of the last claim ended in order: that was neither try nor trial."""
        return self._replace(tries=max(0, self.tries - 1), alone=False)


def is_hopeless(lone_ends: int) -> bool:
    """Whether a chunk is to be given up, and not tried once more."""
    return lone_ends >= MOST_LONE_ENDS


def went_on(chunk: Chunk, journaled: Collection[tuple[int, int]]) -> bool:
    """Whether any of these (index, device id) is a delivery of the chunk."""
    if not journaled:
        return False
    holds = {entry.item.index: entry.remainders for entry in chunk.items}
    for index, device_id in journaled:
        if index not in holds:
            continue
        remainders = holds[index]
        if remainders is None or any(left.device_id == device_id for left in remainders):
            return True
    return False
