"""The one list of vendors. A vendor is a folder in `providers` and a line here."""

from __future__ import annotations

from typing import Final

from providers.apns.vendor import VENDOR as APNS
from providers.fcm.vendor import VENDOR as FCM
from providers.vendor import Vendors

VENDORS: Final[Vendors] = {vendor.name: vendor for vendor in (FCM, APNS)}
