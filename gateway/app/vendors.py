"""The one list of vendors. A vendor is a folder in `providers` and a line here."""

from __future__ import annotations

from typing import Final

from providers.apns.vendor import VENDOR as APNS
from providers.fcm.vendor import VENDOR as FCM
from providers.vendor import Vendors

VENDORS: Final[Vendors] = {vendor.name: vendor for vendor in (FCM, APNS)}


def taken_by(provider: str | None) -> str:
    """How people read that a vendor took a push: never as if the phone had it."""
    vendor = VENDORS.get(provider or "")
    return f"taken by {vendor.company if vendor is not None else 'the vendor'}"
