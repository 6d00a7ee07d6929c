"""Which chunks may have crashed processes, how they are tried, and when one is given up. Pure.

Owns the rules; knows no queue and no clock. A claim that is neither settled nor given back in order
is an *end*: its process may be gone. One end proves nothing, because machines lose power and
supervisors kill, and every chunk in hand comes back. A chunk with two ends in a row is a *suspect*.
Suspects are tried alone, one at a time, and only an end during such a trial counts against one: a
*lone end*. A chunk that its process survived, or of which deliveries were journaled meanwhile,
starts anew.

    claimed beside others          claimed alone (tried)
    tries 0 -> 1 -> 2 = suspect -> lone_ends 0 -> 1 -> ... -> 20 = given up
       ^______________|___________________|  lived on, or went on
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from gateway.core.model import Chunk

SUSPECT_AFTER = 2
"""Ends in a row that make a suspect."""
MOST_LONE_ENDS = 20
"""Lone ends after which a chunk is given up."""
FORGOTTEN_S = 3600.0
"""Seconds after the chunk's last trial for which its lone ends count."""
TRIAL_S = 3.0
"""Seconds that a process must survive, with only the chunk in hand, to clear the chunk."""


class Past(NamedTuple):
    """The record of a chunk's claims. `tries` counts those that were not ended in order.

    `alone`: the last claim, at `claimed_at` (epoch seconds), was a trial. A chunk that crashes its
    process does so soon after the claim, so `claimed_at` also stands for the time of the end.
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
        """How many processes ended while they tried it alone; 0 once that is forgotten."""
        if now - self.claimed_at > FORGOTTEN_S:
            return 0
        return self.lone_ends + self.alone

    def claimed(self, now: float) -> Past:
        """The record after another claim: a trial if it is a suspect."""
        return Past(self.tries + 1, self.lone_ends_by(now), self.suspect, now)

    def given_back(self) -> Past:
        """The record after an orderly shutdown: the last claim counts as neither try nor trial."""
        return self._replace(tries=max(0, self.tries - 1), alone=False)


def is_hopeless(lone_ends: int) -> bool:
    """Whether to give up a chunk instead of trying it once more."""
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
