"""What the gateway may ask of a vendor: one description each, as data.

Owns the form of the description. Refuses to know any vendor. Code that needs a vendor's rule takes
it from the description and never asks for the name. A description stands in
`providers/<vendor>/vendor.py`, and `gateway.app.vendors` lists them. Importing one is cheap: client
libraries take most of a second to load, so `plan` and `Plan.make` import them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from providers.contract import Address, AddressKind, Environment, Platform, PushProvider

if TYPE_CHECKING:
    from providers.settings import VendorSettings

Clock = Callable[[], float]
"""Says what time it is, in epoch seconds. One that learns has a method `told`: see `told_by`."""

Told = Callable[[str, float, float], None]
"""Hears between which two times it is now, and who says so."""


def told_by(clock: Clock) -> Told:
    """Who hears what answers say of the time: the clock, if it learns; else nobody."""
    told: Told = getattr(clock, "told", _unheard)
    return told


def _unheard(_witness: str, _low: float, _high: float) -> None:
    """A clock that learns nothing."""


@dataclass(frozen=True, slots=True)
class ReportedAddress:
    """The address that an app reports. None: the app does not say.

    `value` is secret, and may hold blanks. `Vendor.read_address` makes a report canonical, so that
    two spellings of one address do not become two devices.
    """

    value: str = field(repr=False)
    platform: Platform
    kind: AddressKind | None = None
    environment: Environment | None = None


AddressProblem = tuple[str, str]
"""The field of a registration that is wrong, what it must be, and what kind of thing was found;
never what it holds."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One app's way to a vendor, with its credentials read. `make` builds a transport.

    `rate_per_s` is pushes a second at most, 0 for no limit. `ramp_s` is the seconds from idle to
    the full rate. Where two plans have an equal `identity`, the transport of one serves the other:
    a reload keeps it; see `transport_identity`. `advice` is what is allowed, yet weak: the setting,
    and what would be better. `way` says for people which hosts are reached how. `sites` are the
    addresses that it speaks to: the setting that names one, the address, and whether by a proxy.
    """

    rate_per_s: float
    ramp_s: float
    make: Callable[[], PushProvider]
    identity: object = field(default_factory=object)
    advice: tuple[tuple[str, str], ...] = ()
    way: str = ""
    sites: tuple[tuple[str, str, bool], ...] = ()


def transport_identity(
    settings: VendorSettings, files: Iterable[Path | None], *more: object
) -> object:
    """All that a transport is made of: its settings but for the limits of the lane, what its files
    hold, and what else the vendor names.

    Ask before the files are read for use: then a change in between shows at the next reload.
    """
    table = settings.model_dump(exclude={"rate_per_s", "ramp_s"})
    return table, [_digest(file) for file in files], more


def _digest(file: Path | None) -> bytes:
    try:
        return b"" if file is None else hashlib.sha256(file.read_bytes()).digest()
    except OSError:
        return b""  # whoever reads it for use says so


@dataclass(frozen=True, slots=True)
class Vendor:
    """A push service: all that the gateway asks of one.

    `name` is stored with devices and deliveries. It is also the name of the table in an app's
    settings (`[apps.<name>]`), whose model is `settings`.
    `platforms` are those that the vendor reaches; a registration of another is refused before
    `read_address` is asked. `environments` are those that an app may name;
    the set is empty where there is only one.
    A lane's failures are kept apart by `parts`. `part_of` names the part of an address; it is
    called for every push, so it must be quick.
    `prune_reasons` are the reasons of the vendor's `TokenGone` verdicts, for metrics.
    `read_address` returns the canonical address, or all else that is wrong with it.
    `plan` reads the credentials that an app's settings name; beside them it gets the settings of
    all apps, this one's included, and a clock that gives epoch seconds. It raises CredentialError
    with all that is wrong, each problem beginning with its setting's name.
    `meanings` say in a sentence what a word of the vendor means to people.
    `tells_time`: its answers have a `Date`, so what it says of the time is worth asking for.
    `company` is whose service it is, for people: what it took is "taken by" that one.
    """

    name: str
    settings: type[VendorSettings]
    platforms: frozenset[Platform]
    environments: frozenset[Environment]
    parts: tuple[str, ...]
    part_of: Callable[[Address], str]
    prune_reasons: tuple[str, ...]
    read_address: Callable[[ReportedAddress], ReportedAddress | list[AddressProblem]]
    plan: Callable[[Any, Sequence[Any], Clock], Plan]
    tells_time: bool = False
    meanings: Mapping[str, str] = field(default_factory=dict)
    company: str = "the vendor"

    def __repr__(self) -> str:
        return f"<Vendor {self.name}>"


Vendors = Mapping[str, Vendor]
"""Vendors by name."""
