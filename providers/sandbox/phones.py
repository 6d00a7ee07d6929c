"""Phones that the stand-ins reach: what an app on one would register.

Owns how made-up addresses look. Refuses to know whether a vendor ever issued one: the stand-ins
take any of the right form.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from providers.contract import Platform


@dataclass(frozen=True, slots=True)
class PhoneKind:
    """A kind of phone, by the name people have for it. `address` makes one for each number."""

    name: str
    provider: str
    platform: Platform
    address: Callable[[int], str]


PHONES = (
    PhoneKind(
        "Android", "fcm", Platform.ANDROID, lambda number: f"{number:022d}:APA91b{'x' * 134}"
    ),
    PhoneKind("iPhone", "apns", Platform.IOS, lambda number: f"{number:064x}"),
)
"""One kind for each of the vendors."""
