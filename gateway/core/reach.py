"""Which devices a source's pushes may reach. Pure.

Owns the rule, and the reasons that are told. Where the source names users, an item must name one of
them, by either of its ids; where it names apps, a device must be in one of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gateway.core.model import Item, Target
from gateway.core.sources import NO_APP, NO_TESTER, Limits, Word

Barred = Mapping[tuple[int, int], str]
"""Why an item may not reach a device, by (index, device id); device 0: it may reach none."""


class Reached(NamedTuple):
    """The devices that each item may reach, and why it may not reach the others."""

    targets: Sequence[Sequence[Target]]
    barred: Barred


def reach(
    items: Sequence[Item], found: Sequence[Sequence[Target]], limits: Limits, word: Word
) -> Reached:
    """Leave out the devices that a source with these limits may not reach."""
    barred: dict[tuple[int, int], str] = {}
    targets = []
    for item, devices in zip(items, found, strict=True):
        reasons = {target.device_id: bar(item, target, limits, word) for target in devices}
        targets.append([target for target in devices if not reasons[target.device_id]])
        barred |= {(item.index, device_id): why for device_id, why in reasons.items() if why}
        if not _is_for_tester(item, limits, word):
            barred[item.index, 0] = NO_TESTER
        elif devices and not targets[-1]:
            barred[item.index, 0] = NO_APP
    return Reached(targets, barred)


def bar(item: Item, target: Target, limits: Limits, word: Word) -> str:
    """Why an item may not reach a device; "": it may."""
    if not _is_for_tester(item, limits, word):
        return NO_TESTER
    return "" if limits.apps is None or target.app in limits.apps else NO_APP


def _is_for_tester(item: Item, limits: Limits, word: Word) -> bool:
    if limits.users is None:
        return True
    ids = (item.user_id, item.custom_id)
    return any(one is not None and word(one) in limits.users for one in ids)
