"""The rules that each item of a batch must keep to be a notification.

A bad item is rejected alone, with a reason that holds none of its content. Unknown fields are
ignored, since LearnInk may add some; `phone_number` is accepted and not read.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any, cast

from gateway.core.identifiers import id_fault
from gateway.core.model import Item, Rejection
from gateway.core.paths import path_fault
from gateway.core.sources import LEARNINK, LEARNINKS, UNLIMITED, Terms

MAX_TEXT = 16_384
"""Characters a title or body may have; a push of more than 4 096 bytes is shortened later."""

FIELDS = frozenset({"title", "body", "path", "user_id", "custom_id", "phone_number"})
"""The fields of an item, as LearnInk documents them."""

EMPTIED = {"erased": True}
"""What is kept of an entry whose user was erased."""


class _Bad(ValueError):
    """Why an item is rejected."""


def parse_items(
    raw: Sequence[Any],
    *,
    rejected: Container[int] | None = None,
    terms: Terms = LEARNINKS,
    occurred_at: float | None = None,
) -> tuple[list[Item], list[Rejection]]:
    """Sort a batch into items that can go out and rejections, both in order of their index. All
    carry the terms of their source, and when their event occurred.

    When a batch is read again, `rejected` has the indexes that were rejected at first. Any other
    entry that was emptied since, for an erased user, stays an item, for nobody.
    """
    items: list[Item] = []
    rejections: list[Rejection] = []
    carried = _carried(terms, occurred_at)
    for index, entry in enumerate(raw):
        if rejected is not None and entry == EMPTIED and index not in rejected:
            items.append(Item(index, "", "", None, None, None, *carried))
            continue
        try:
            items.append(_parse_item(index, entry, carried))
        except _Bad as bad:
            rejections.append(Rejection(index, str(bad)))
    return items, rejections


def texts_fault(texts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is wrong with texts that are to stand in an item: (field, why)."""
    faults = []
    for name in ("title", "body"):
        if texts.get(name, "") is None:
            faults.append((name, f"{name} is not a string"))
            continue
        try:
            _text(texts, name)
        except _Bad as bad:
            faults.append((name, str(bad)))
    if not faults and texts.get("title") == texts.get("body") == "":
        faults.append(("title", "title and body are both empty"))
    try:
        _path(texts.get("path"))
    except _Bad as bad:
        faults.append(("path", str(bad)))
    return faults


def _carried(terms: Terms, occurred_at: float | None) -> tuple[Any, ...]:
    """The later fields of each item, in their order. What LearnInk sends says no source."""
    source = None if terms.source == LEARNINK else terms.source
    limits = None if terms.limits == UNLIMITED else terms.limits
    return source, None, occurred_at, None, limits


def _parse_item(index: int, entry: Any, carried: tuple[Any, ...]) -> Item:
    if not isinstance(entry, dict):
        raise _Bad("the item is not an object")
    title = _text(entry, "title")
    body = _text(entry, "body")
    if not title and not body:
        raise _Bad("title and body are both empty")
    user_id = _identifier(entry, "user_id")
    custom_id = _identifier(entry, "custom_id")
    if user_id is None and custom_id is None:
        raise _Bad("user_id and custom_id are both missing")
    return Item(index, title, body, _path(entry.get("path")), user_id, custom_id, *carried)


def _text(entry: Mapping[str, Any], name: str) -> str:
    value = entry.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _Bad(f"{name} is not a string")
    if len(value) > MAX_TEXT:
        raise _Bad(f"{name} is over {MAX_TEXT} characters")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            # JSON may carry half of a surrogate pair, but no vendor or database takes it
            raise _Bad(f"{name} is not valid Unicode") from None
    return value


def _identifier(entry: dict[str, Any], name: str) -> str | None:
    value = entry.get(name)
    if value is None or value == "":
        return None
    if fault := id_fault(value):
        raise _Bad(f"{name} {fault}")
    return cast("str", value)


def _path(value: Any) -> str | None:
    """An item without a path is sent; the app then opens its start page."""
    if value is None or value == "":
        return None
    if fault := path_fault(value):
        raise _Bad(fault)
    return cast("str", value)
