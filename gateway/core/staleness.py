"""Which of a user's devices get a push: a stale one does not, while there is a fresher one. Pure.

Owns the rule. A phone that was put away takes pushes for months, and nobody sees them there; but
only proof takes a device out of service, so a person's only phone is sent to, however silent it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence

from gateway.core.model import Chunk, Item, Target

WITHIN = {"1d": 1, "7d": 7, "30d": 30, "60d": 60, "270d": 270}
"""Within how many days devices were seen, as it is counted. After 30 Google calls a token stale,
and after 270 it lets one expire."""
NEVER = -math.inf
"""Before this no device was seen: none is stale."""
_DAY_S = 86_400.0
_UNSEEN = 0.0


def stale_before(now: float, *, after_days: float, doubted: bool) -> float:
    """A device that was last seen before this is stale; both are whole seconds. None is where the
    setting is 0, nor while the time is doubted: no phone is left out by a clock that may be wrong.
    """
    return NEVER if doubted or not after_days else math.floor(now - after_days * _DAY_S)


def seen_since(now: float) -> dict[str, float]:
    """From when on a device was seen within each of `WITHIN`."""
    return {name: now - days * _DAY_S for name, days in WITHIN.items()}


def recipients(
    devices: Sequence[Target], *, before: float, able: Callable[[Target], bool]
) -> Sequence[Target]:
    """Those of a user's devices that get a push. A stale one is left out while another one in the
    same app was seen later, lets notifications be shown, and can be sent to (`able`). An import of
    which nobody knows was never seen: it takes no other's place."""
    if all(one.fresh_at >= before for one in devices):
        return devices
    newest: dict[str, float] = {}
    for one in devices:
        if not one.is_denied and able(one):
            newest[one.app] = max(one.met_at, newest.get(one.app, _UNSEEN))
    return [
        one
        for one in devices
        if one.fresh_at >= before or max(one.met_at, _UNSEEN) >= newest.get(one.app, _UNSEEN)
    ]


def without_stale(
    chunk: Chunk,
    items: Sequence[Item],
    found: Sequence[Sequence[Target]],
    known: Collection[tuple[int, int]],
    *,
    before: float,
    able: Callable[[Target], bool],
) -> Sequence[Sequence[Target]]:
    """The devices found for the items of a chunk, without stale ones that are left out. That is
    decided once: what was left for later, and what the journal knows of (`known`: index and device)
    goes on, for no other device gets it instead."""
    if before == NEVER or max(map(len, found), default=0) < 2:
        return found
    fixed = {entry.item.index for entry in chunk.items if entry.remainders is not None}
    kept: list[Sequence[Target]] = []
    for item, devices in zip(items, found, strict=True):
        if len(devices) > 1 and item.index not in fixed:
            kept.append(_going_on(item, devices, known, before, able))
        else:
            kept.append(devices)
    return kept


def _going_on(
    item: Item,
    devices: Sequence[Target],
    known: Collection[tuple[int, int]],
    before: float,
    able: Callable[[Target], bool],
) -> Sequence[Target]:
    chosen = recipients(devices, before=before, able=able)
    if len(chosen) == len(devices):
        return devices
    ids = {one.device_id for one in chosen}
    return [one for one in devices if one.device_id in ids or (item.index, one.device_id) in known]
