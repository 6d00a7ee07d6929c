"""FCM, as the gateway sees it: see `providers.vendor`."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import partial
from typing import assert_never
from urllib.parse import unquote

from providers.contract import Address, AddressKind, Environment, Platform, PushProvider
from providers.fcm.meanings import MEANINGS
from providers.fcm.settings import FcmSettings
from providers.vendor import (
    AddressProblem,
    Clock,
    Plan,
    ReportedAddress,
    Vendor,
    transport_identity,
)

# a table, for `part_of` is called for every push: a `match` over members takes ten times as long
_PARTS = {Platform.ANDROID: "android", Platform.IOS: "ios", Platform.WEB: "web"}


# what a form or a link made of the colon in a registration token
_ENCODED = re.compile(r"[\w-]+%3A[\w-]+", re.ASCII | re.IGNORECASE)


def read_address(reported: ReportedAddress) -> ReportedAddress | list[AddressProblem]:
    """A registration token or an installation id is taken as it is, but for blanks, which neither
    has: FCM names no form of either."""
    value = "".join(reported.value.split())
    if _ENCODED.fullmatch(value):
        value = unquote(value)
    if value[:1] in ("<", "{", "["):
        found = "a printed object, or an APNs token"
        return [("address", f"must be FCM's registration token; found {found}")]
    if reported.environment not in (None, Environment.PRODUCTION):
        return [("environment", "fcm has no sandbox, which is of apns alone")]
    return ReportedAddress(
        value, reported.platform, reported.kind or AddressKind.TOKEN, environment=None
    )


def part_of(address: Address) -> str:
    """Behind one project there is a service for each platform: FCM's own, APNs, web push."""
    return _PARTS[address.platform]


def plan(settings: FcmSettings, _every: Sequence[FcmSettings], clock: Clock) -> Plan:
    """Read the service account. Raises CredentialError with all that is wrong."""
    from providers.fcm.credentials import FcmCredentials
    from providers.fcm.options import FcmOptions
    from providers.fcm.payload import FcmStyle
    from providers.transport.proxies import Proxies
    from providers.transport.trust import beside_trust

    files = (settings.credentials_file, settings.ca_file)
    proxies = Proxies(settings.proxy.get_secret_value(), os.environ.copy())
    ca_file = str(settings.ca_file or "")
    before = transport_identity(settings, files)
    load = partial(
        FcmCredentials.load,
        settings.credentials_file,
        clock=clock,
        ca_file=ca_file,
        proxies=proxies,
    )
    credentials = beside_trust(ca_file, load)
    options = FcmOptions(
        project_id=settings.project_id or credentials.project_id,
        endpoint=settings.endpoint,
        credentials=credentials,
        style=FcmStyle(
            android_channel_id=settings.android_channel_id,
            kept_s=settings.vendor_ttl_s,
            bandwidth_constrained_ok=settings.bandwidth_constrained_ok,
            restricted_satellite_ok=settings.restricted_satellite_ok,
            label=settings.analytics_label,
        ),
        ca_file=ca_file,
        max_connections=settings.max_connections,
        timeout_s=settings.timeout_s,
        proxies=proxies,
    )

    def make() -> PushProvider:
        match settings.transport:
            case "native":
                from providers.fcm.native import FcmNativeProvider

                return FcmNativeProvider(options, clock=clock)
            case "sdk":
                from providers.fcm.sdk import FcmSdkProvider

                return FcmSdkProvider(options, clock=clock)
            case _:
                assert_never(settings.transport)

    hosts = (options.url, credentials.token_uri)
    identity = before, [proxies.to(url) for url in hosts]
    sites = (("endpoint", settings.endpoint), ("credentials_file", credentials.token_uri))
    return Plan(
        settings.rate_per_s,
        settings.ramp_s,
        make,
        identity,
        way=proxies.told(hosts),
        sites=tuple((name, url, proxies.to(url) is not None) for name, url in sites),
    )


VENDOR = Vendor(
    name="fcm",
    settings=FcmSettings,
    platforms=frozenset(_PARTS),
    environments=frozenset(),
    parts=tuple(_PARTS.values()),
    part_of=part_of,
    # the last two are APNs' words, which FCM passes on
    prune_reasons=("UNREGISTERED", "INVALID_ARGUMENT", "Unregistered", "ExpiredToken"),
    read_address=read_address,
    plan=plan,
    tells_time=True,
    meanings=MEANINGS,
    company="Google",
)
