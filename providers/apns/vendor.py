"""APNs, as the gateway sees it: see `providers.vendor`."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from typing import assert_never

from providers.apns.settings import ApnsSettings
from providers.contract import Address, AddressKind, Environment, Platform, PushProvider
from providers.vendor import AddressProblem, Clock, Plan, ReportedAddress, Vendor

# a table, for `part_of` is called for every push: a `match` over members takes ten times as long
_PARTS = {Environment.PRODUCTION: "production", Environment.SANDBOX: "sandbox"}
# Hex of even length. Apple tells providers not to assume a length; all seen so far fit in here.
_DEVICE_TOKEN = re.compile(r"(?:[0-9a-fA-F]{2}){16,100}")


def read_address(reported: ReportedAddress) -> ReportedAddress | list[AddressProblem]:
    """A device token's hex digits in one case: two spellings would be two devices."""
    problems: list[AddressProblem] = []
    if reported.kind not in (None, AddressKind.TOKEN):
        problems.append(("address_kind", "must be token with apns"))
    if _DEVICE_TOKEN.fullmatch(reported.value) is None:
        problems.append(("address", "must be 32 to 200 hex digits, of even number"))
    return problems or replace(reported, value=reported.value.lower(), kind=AddressKind.TOKEN)


def part_of(address: Address) -> str:
    """Each environment has hosts of its own, and may have a key of its own."""
    return _PARTS[address.environment]


def plan(settings: ApnsSettings, clock: Clock) -> Plan:
    """Read the signing key. Raises CredentialError with all that is wrong."""
    from providers.apns.credentials import ApnsCredentials
    from providers.apns.options import ApnsOptions
    from providers.apns.payload import ApnsStyle
    from providers.transport.trust import beside_trust

    ca_file = str(settings.ca_file or "")
    load = partial(
        ApnsCredentials.load, settings.key_file, settings.key_id, settings.team_id, clock=clock
    )
    options = ApnsOptions(
        topic=settings.topic,
        endpoint=settings.endpoint,
        sandbox_endpoint=settings.sandbox_endpoint,
        credentials=beside_trust(ca_file, load),
        style=ApnsStyle(sound=settings.sound),
        ca_file=ca_file,
        max_connections=settings.max_connections,
        timeout_s=settings.timeout_s,
        proxy=settings.proxy.get_secret_value(),
    )

    def make() -> PushProvider:
        match settings.transport:
            case "native":
                from providers.apns.native import ApnsNativeProvider

                return ApnsNativeProvider(options, clock=clock)
            case "sdk":
                from providers.apns.sdk import ApnsSdkProvider

                return ApnsSdkProvider(options, clock=clock)
            case _:
                assert_never(settings.transport)

    return Plan(settings.rate_per_s, settings.ramp_s, make)


VENDOR = Vendor(
    name="apns",
    settings=ApnsSettings,
    platforms=frozenset({Platform.IOS}),
    environments=frozenset(_PARTS),
    parts=tuple(_PARTS.values()),
    part_of=part_of,
    prune_reasons=("Unregistered", "ExpiredToken"),
    read_address=read_address,
    plan=plan,
)
