"""One person, as every door shows them: what waits, and why something did not arrive.

Builds the look-ups of `gateway.ops` from the settings, for the gateway and for commands.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from gateway.app.lanes import asking_of
from gateway.app.sources import names_of
from gateway.core.clocks import Clocks
from gateway.core.model import Device
from gateway.core.seen import Asking
from gateway.core.sources import BUILT_IN
from gateway.core.staleness import stale_before as stale_at
from gateway.ops.waiting import WaitingLookup
from gateway.ops.whys import Views, WhyLookup
from providers.contract import Address
from providers.vendor import Vendors
from providers.wording.meanings import meaning

if TYPE_CHECKING:
    from config.settings import Settings
    from gateway.app.storage import Stores

COMMAND_LOOK_S = 10.0
"""How long a command looks for what waits: nobody waits behind it."""


def whys_of(
    stores: Stores,
    waiting: WaitingLookup,
    settings: Callable[[], Settings],
    vendors: Vendors,
    clocks: Clocks,
) -> WhyLookup:
    """Answers why somebody did not get it."""

    def before() -> float:
        days = settings().devices.stale_after_days
        return stale_at(clocks.wall(), after_days=days, doubted=clocks.doubted())

    def knows(source: str) -> bool:
        return source in BUILT_IN or source in names_of(settings())

    views = views_of(
        vendors, asking=lambda: asking_of(settings()), stale_before=before, knows=knows
    )
    return WhyLookup(stores.store, waiting, views)


def views_of(
    vendors: Vendors,
    *,
    asking: Callable[[], Asking],
    stale_before: Callable[[], float],
    knows: Callable[[str], bool] = BUILT_IN.__contains__,
) -> Views:
    """What these vendors say of themselves."""
    return Views(
        asking=asking,
        part_of=partial(part_of, vendors),
        stale_before=stale_before,
        company=partial(_company, vendors),
        meaning=partial(_meaning, vendors),
        knows=knows,
    )


def part_of(vendors: Vendors, device: Device) -> str:
    """The part of its lane that a device is sent by; "" for a vendor that this version lacks."""
    vendor = vendors.get(device.provider)
    if vendor is None or device.platform not in vendor.platforms:
        return ""
    address = Address(device.address, device.address_kind, device.platform, device.environment)
    return vendor.part_of(address)


def _company(vendors: Vendors, provider: str) -> str:
    vendor = vendors.get(provider)
    return "the push service" if vendor is None else vendor.company


def _meaning(vendors: Vendors, provider: str, word: str) -> str:
    vendor = vendors.get(provider)
    return meaning(word, {} if vendor is None else vendor.meanings)
