"""The stored form of what a source may reach: beside an event, and in the forms of `stored`. Pure.

Owns that whoever cannot read stored limits lets nothing be reached.
"""

from __future__ import annotations

from typing import Any

import orjson

from gateway.core.sources import NOTHING, UNLIMITED, Limits

_VERSION = "2"
"""Limits came with version 2 of `stored`."""
_BROKEN = (ValueError, LookupError, TypeError, AttributeError)


def write_limits(limits: Limits) -> str:
    """Write what the source of an event may reach; "": anything."""
    if limits == UNLIMITED:
        return ""
    return f"{_VERSION} {orjson.dumps(limits_document(limits)).decode()}"


def read_limits(text: str) -> Limits:
    """Read what `write_limits` wrote; never raises."""
    if text == "":
        return UNLIMITED
    try:
        version, _, document = text.partition(" ")
        limits = limits_in(orjson.loads(document)) if version == _VERSION else None
    except _BROKEN:
        limits = None
    return NOTHING if limits is None else limits


def limits_document(limits: Limits | None) -> dict[str, Any] | None:
    """Limits as JSON says them; what is not limited is left out."""
    if limits is None:
        return None
    said = {
        "apps": None if limits.apps is None else sorted(limits.apps),
        "users": None if limits.users is None else sorted(limits.users),
        "max_age_s": limits.max_age_s,
    }
    return {name: value for name, value in said.items() if value is not None}


def limits_in(said: Any) -> Limits | None:
    """Limits as `limits_document` said them. Raises ValueError, TypeError or AttributeError for
    what it cannot have said: a limit that nobody knows must not be overlooked."""
    if said is None:
        return None
    if not said.keys() <= set(Limits._fields):
        raise ValueError
    max_age_s = said.get("max_age_s")
    if not isinstance(max_age_s, float | int | None):
        raise TypeError
    return Limits(_set(said.get("apps")), _set(said.get("users")), max_age_s)


def _set(said: Any) -> frozenset[str] | None:
    if said is None:
        return None
    if type(said) is not list or not all(type(one) is str for one in said):
        raise TypeError
    return frozenset(said)
