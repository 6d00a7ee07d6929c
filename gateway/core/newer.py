"""Which pushes stand for the same thing on a phone, so that the newest of them counts. Pure.

Owns the key that pushes to one device share: for one place, or for one person. A key is a hash, and
tells nothing of path or person to a vendor.
"""

from __future__ import annotations

from typing import Literal

from gateway.core.model import Target, named

Collapse = Literal["delivery", "path", "user", "none"]
"""What replaces what: see `apps.collapse`."""

NEWER_SENT = "newer one sent"
"""Why a push ends that was not started: one of a later event was, for the same device and key."""


def key_of(mode: Collapse, path: str | None, target: Target) -> str:
    """The key of a push to a device, in the form of a delivery id; "": it has none of its own, and
    replaces nothing but its repeats. Without a path there is no place.

    A phone may change hands: the device's person is part of the key.
    """
    match mode:
        case "path" if path:
            what = path
        case "user":
            what = ""
        case _:
            return ""
    person = target.user_word or target.custom_word or ""
    return named(f"{mode}\0{target.device_id}\0{person}\0{what}")
