"""What a vendor is to everybody outside its own folder: one description each, as data.

Owns what may be asked of a vendor. Refuses to know any: whoever needs a vendor's rule takes the
description and never asks for the name. Each stands in `providers/<vendor>/vendor.py`, and the one
list of them in `gateway.app.vendors`. Importing one must stay cheap: the client libraries,
which take most of a second to load, are imported when a plan or its transport is made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from providers.contract import Address, AddressKind, Environment, Platform, PushProvider

if TYPE_CHECKING:
    from providers.settings import VendorSettings

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class ReportedAddress:
    """Where an app says it is reached. None: it does not say.

    `value` is secret. What `Vendor.read_address` returns is canonical: of two spellings of one
    address there is one.
    """

    value: str = field(repr=False)
    platform: Platform
    kind: AddressKind | None = None
    environment: Environment | None = None


AddressProblem = tuple[str, str]
"""The field of a registration that is wrong, and what it must be; never what it is."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How one app's pushes go to a vendor, its credentials read; `make` builds a transport.

    `rate_per_s` 0 is no limit; `ramp_s` is from idle to the full rate.
    """

    rate_per_s: float
    ramp_s: float
    make: Callable[[], PushProvider]


@dataclass(frozen=True, slots=True)
class Vendor:
    """A push service: all that the gateway asks of one.

    `name` is stored with devices and deliveries, and names the table of an app's settings
    (`[apps.<name>]`), whose model is `settings`.
    `read_address` returns the canonical address, or all that is wrong with it.
    `platforms` are those it reaches; `environments` those that an app may name, empty where there
    is only one.
    `parts` are what a lane's failures are cut by, and `part_of` says whose an address is; it is
    called for every push.
    `prune_reasons` are the reasons of its `TokenGone` verdicts.
    `plan` takes an app's settings and a clock (epoch seconds) and reads the credentials. It raises
    CredentialError with all that is wrong, each beginning with the setting's name.
    """

    name: str
    settings: type[VendorSettings]
    platforms: frozenset[Platform]
    environments: frozenset[Environment]
    parts: tuple[str, ...]
    part_of: Callable[[Address], str]
    prune_reasons: tuple[str, ...]
    read_address: Callable[[ReportedAddress], ReportedAddress | list[AddressProblem]]
    plan: Callable[[Any, Clock], Plan]

    def __repr__(self) -> str:
        return f"<Vendor {self.name}>"


Vendors = Mapping[str, Vendor]
"""Vendors by name."""
