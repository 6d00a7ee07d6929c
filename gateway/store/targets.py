"""From the rows of a lookup to where each item goes. Pure, and run once for every notification.

Owns which devices are an item's; finding their rows is each engine's matter.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from typing import Any

from gateway.core.model import (
    DATA_MESSAGES,
    DENIED,
    MEASURED,
    NOT_MEASURED,
    STATED_CUSTOM_ID,
    STATED_USER_ID,
    Found,
    Item,
    Target,
)
from gateway.core.states import as_it_is
from gateway.core.words import Words
from providers.contract import Address, AddressKind, Environment, Platform

# A dict finds a member in a tenth of the time of a call of its class.
_KINDS = {one.value: one for one in AddressKind}
_PLATFORMS = {one.value: one for one in Platform}
_ENVIRONMENTS = {one.value: one for one in Environment}
_NOBODY: list[Target] = []
_STATED = STATED_USER_ID | STATED_CUSTOM_ID | DENIED | DATA_MESSAGES | MEASURED | NOT_MEASURED


def target_of(
    row: Sequence[Any], seen_at: float, words: Words | None, erased_at: float, met_at: float
) -> Target:
    """A row of the lookup; what comes after its twelve columns is the engine's way to say
    `seen_at`, `erased_at` and `met_at`."""
    (
        device_id,
        app,
        provider,
        address,
        kind,
        platform,
        environment,
        user_id,
        custom_id,
        stated,
        user_word,
        custom_word,
    ) = row
    if words is not None:
        # Only a row that this version's registrations have not reached yet has none.
        if user_word is None and user_id is not None:
            user_word = words.of_user(user_id)
        if custom_word is None and custom_id is not None:
            custom_word = words.of_custom(custom_id)
    try:
        return Target(
            device_id,
            app,
            provider,
            Address(address, _KINDS[kind], _PLATFORMS[platform], _ENVIRONMENTS[environment]),
            user_id,
            custom_id,
            seen_at,
            stated & _STATED,
            user_word,
            custom_word,
            "",
            erased_at,
            met_at,
        )
    except (KeyError, TypeError):
        unknown = _unknown(row, seen_at)
        return unknown._replace(erased_at=erased_at, met_at=met_at)


def _unknown(row: Sequence[Any], seen_at: float) -> Target:
    """A device that a later version registered: it is sent nothing, and its neighbours are."""
    device_id, app, provider, address, kind, platform, environment, user_id, custom_id = row[:9]
    stated = row[9] & _STATED if isinstance(row[9], int) else None
    words: tuple[tuple[str, Any, Container[Any]], ...] = (
        ("kind of address", kind, _KINDS),
        ("platform", platform, _PLATFORMS),
        ("environment", environment, _ENVIRONMENTS),
        ("stated ids", row[9], () if stated is None else (row[9],)),
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
        stated or 0,
        fault=f"this version does not know the device's {' and '.join(unknown)}",
    )


def per_item(found: Iterable[Target], items: Sequence[Item]) -> Found:
    """The devices of each item's user, by either id and each once; one list per item."""
    by_user: dict[str, list[Target]] = {}
    by_custom: dict[str, list[Target]] = {}
    for target in found:
        if target.user_id is not None:
            by_user.setdefault(target.user_id, []).append(target)
        if target.custom_id is not None:
            by_custom.setdefault(target.custom_id, []).append(target)
    result = Found()
    for item in items:
        user_id, custom_id = item.user_id, item.custom_id
        first = _NOBODY if user_id is None else by_user.get(user_id, _NOBODY)
        second = _NOBODY if custom_id is None else by_custom.get(custom_id, _NOBODY)
        if user_id is None or custom_id is None:
            result.append(first or second)
        elif first == second:
            result.append(first)  # all have both ids, or there is none
        else:
            result.append(_merge(first, second, item, result))
    return result


def _merge(
    by_user: Sequence[Target], by_custom: Sequence[Target], item: Item, result: Found
) -> list[Target]:
    """Those of an item with both ids; `result` is told whose other id contradicts it."""
    mine: list[Target] = []
    others: list[Target] = []
    for target in by_user:
        is_other = target.stated & STATED_CUSTOM_ID and target.custom_id not in (
            None,
            item.custom_id,
        )
        (others if is_other else mine).append(target)
    for target in by_custom:
        if target.user_id == item.user_id:
            continue  # it is among the first
        is_other = target.stated & STATED_USER_ID and target.user_id is not None
        (others if is_other else mine).append(target)
    if others:
        result.contradicting[len(result)] = others
    return mine
