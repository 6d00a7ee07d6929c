"""From the rows of a lookup to where each item goes. Pure, and run once for every notification.

Owns which devices are an item's; finding their rows is each engine's matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gateway.core.model import Item, Target
from gateway.core.states import as_it_is
from providers.contract import Address, AddressKind, Environment, Platform

# A dict finds a member in a tenth of the time of a call of its class.
_KINDS = {one.value: one for one in AddressKind}
_PLATFORMS = {one.value: one for one in Platform}
_ENVIRONMENTS = {one.value: one for one in Environment}
_NOBODY: list[Target] = []


def target_of(row: Sequence[Any], seen_at: float, erased_at: float) -> Target:
    """A row of the lookup; what comes after its nine columns is the engine's way to say
    `seen_at` and `erased_at`."""
    device_id, app, provider, address, kind, platform, environment, user_id, custom_id = row
    try:
        return Target(
            device_id,
            app,
            provider,
            Address(address, _KINDS[kind], _PLATFORMS[platform], _ENVIRONMENTS[environment]),
            user_id,
            custom_id,
            seen_at,
            "",
            erased_at,
        )
    except (KeyError, TypeError):
        return _unknown(row, seen_at)._replace(erased_at=erased_at)


def _unknown(row: Sequence[Any], seen_at: float) -> Target:
    """A device that a later version registered: it is sent nothing, and its neighbours are."""
    device_id, app, provider, address, kind, platform, environment, user_id, custom_id = row
    words = (
        ("kind of address", kind, _KINDS),
        ("platform", platform, _PLATFORMS),
        ("environment", environment, _ENVIRONMENTS),
    )
    unknown = [f"{name} {str(word)[:40]!r}" for name, word, known in words if word not in known]
    return Target(
        device_id,
        app,
        str(provider),
        Address(
            str(address),
            as_it_is(AddressKind, str(kind)),
            as_it_is(Platform, str(platform)),
            as_it_is(Environment, str(environment)),
        ),
        user_id,
        custom_id,
        seen_at,
        fault=f"this version does not know the device's {' and '.join(unknown)}",
    )


def per_item(found: Iterable[Target], items: Sequence[Item]) -> list[list[Target]]:
    """The devices of each item's user, by either id and each once; one list per item."""
    by_user: dict[str, list[Target]] = {}
    by_custom: dict[str, list[Target]] = {}
    for target in found:
        if target.user_id is not None:
            by_user.setdefault(target.user_id, []).append(target)
        if target.custom_id is not None:
            by_custom.setdefault(target.custom_id, []).append(target)
    return [_merge(by_user, by_custom, item) for item in items]


def _merge(
    by_user: Mapping[str, list[Target]], by_custom: Mapping[str, list[Target]], item: Item
) -> list[Target]:
    """A user's devices by either id, each once."""
    first = _NOBODY if item.user_id is None else by_user.get(item.user_id, _NOBODY)
    second = _NOBODY if item.custom_id is None else by_custom.get(item.custom_id, _NOBODY)
    if not first or not second or first == second:
        return first or second
    seen = {target.device_id for target in first}
    return first + [target for target in second if target.device_id not in seen]
