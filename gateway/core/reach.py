"""Which devices a source's pushes may reach. Pure.

Owns the rule, and the reasons that are told. A device is reached only through an app that the
source may reach, and, where the source names users, only under an id that it names: a test user's
other id may be somebody else's in production.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gateway.core.model import Item, Target
from gateway.core.sources import NO_APP, NO_TEST_DEVICE, NO_TESTER, Limits, Word

Barred = Mapping[tuple[int, int], str]
"""Why an item may not reach a device, by (index, device id); device 0: it may reach none."""


class Reached(NamedTuple):
    """The devices that each item may reach, and why it may not reach the others."""

    targets: list[list[Target]]
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
        if not _names_tester(item, limits, word):
            barred[item.index, 0] = NO_TESTER
        elif devices and not targets[-1]:
            barred[item.index, 0] = reasons[devices[0].device_id]
    return Reached(targets, barred)


def bar(item: Item, target: Target, limits: Limits, word: Word) -> str:
    """Why an item may not reach a device; "": it may."""
    if not _names_tester(item, limits, word):
        return NO_TESTER
    if limits.apps is not None and target.app not in limits.apps:
        return NO_APP
    if not _is_named((target.user_id, target.custom_id), limits, word):
        return NO_TEST_DEVICE
    return ""


def _names_tester(item: Item, limits: Limits, word: Word) -> bool:
    return _is_named((item.user_id, item.custom_id), limits, word)


def _is_named(ids: tuple[str | None, str | None], limits: Limits, word: Word) -> bool:
    if limits.users is None:
        return True
    return any(one is not None and word(one) in limits.users for one in ids)
