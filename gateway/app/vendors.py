"""The one list of vendors. A vendor is a folder in `providers` and a line here."""

from __future__ import annotations

from typing import Final

from providers.apns.vendor import VENDOR as APNS
from providers.fcm.vendor import VENDOR as FCM
from providers.vendor import Vendors
from providers.wording.meanings import meaning

VENDORS: Final[Vendors] = {vendor.name: vendor for vendor in (FCM, APNS)}


def company_of(provider: str) -> str:
    """Whose push service it is, for people."""
    vendor = VENDORS.get(provider)
    return "the push service" if vendor is None else vendor.company


def meaning_of(provider: str, word: str) -> str:
    """What a word of a vendor, or of the way to it, means to people; "" if nobody knows."""
    vendor = VENDORS.get(provider)
    return meaning(word, {} if vendor is None else vendor.meanings)


def taken_by(provider: str | None) -> str:
    """How people read that a vendor took a push: never as if the phone had it."""
    vendor = VENDORS.get(provider or "")
    return f"taken by {vendor.company if vendor is not None else 'the vendor'}"
