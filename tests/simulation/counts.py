"""What a run of many histories must have seen: a guard that nothing runs into is not tested.

Owns the list. A run that has not seen one of these says so and fails.
"""

from __future__ import annotations

from collections.abc import Mapping

MUST_BE_SEEN = (
    # each decision of gateway.core.retry
    "decision: Done",
    "decision: RetryAt",
    "decision: RetrySoon",
    "decision: Snooze",
    "decision: Dead",
    "decision: Expire",
    "decision: Refuse",
    "decision: Prune",
    "decision: Quarantine",
    "decision: Accuse",
    # each end of a delivery
    "state: delivered",
    "state: pruned",
    "state: no_device",
    "state: expired",
    "state: refused",
    "state: dead",
    "state: cancelled",
    "a newer push replaced an older one",
    "an older push was overtaken",
    # what becomes of a push on its phone
    "a push was shown",
    "a push was kept",
    "a push was replaced",
    "a push was expired",
    "a push was muted",
    "a push was dropped",
    "a receipt was kept",
    # guards, and what they are for
    "the gate was closed",
    "a lease was lost",
    "a standstill was noticed",
    "a chunk waited for its own earlier pushes",
    "the brake was on",
    "leftovers",
    "the journal was ahead",
    "a late row was refused",
    "a chunk was buried",
    "a phone registered around its vendor's answer",
    "a repeat with a cause",
    "an import met what is newer",
    "an event was cancelled",
    "a correction was made",
    "LaneHeld",
    "LaneResumed",
    "PartsFailing",
    "PartsReached",
)


def unseen(seen: Mapping[str, int]) -> list[str]:
    """What was not seen."""
    return [what for what in MUST_BE_SEEN if not seen.get(what)]
