"""APNs, as the gateway sees it: see `providers.vendor`."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, assert_never

from providers.apns.meanings import MEANINGS
from providers.apns.settings import ApnsSettings
from providers.contract import Address, AddressKind, Environment, Platform, PushProvider
from providers.errors import CredentialError
from providers.vendor import (
    AddressProblem,
    Clock,
    Plan,
    ReportedAddress,
    Vendor,
    transport_identity,
)

if TYPE_CHECKING:
    from providers.apns.credentials import ApnsCredentials

# a table, for `part_of` is called for every push: a `match` over members takes ten times as long
_PARTS = {Environment.PRODUCTION: "production", Environment.SANDBOX: "sandbox"}
# Hex of even length. Apple tells providers not to assume a length; all seen so far fit in here.
_DEVICE_TOKEN = re.compile(r"(?:[0-9a-fA-F]{2}){16,100}")


# how iOS prints the bytes, `<740f4707 ...>`, and since version 13 `{length = 32, bytes = 0x...}`
_PRINTED = re.compile(r"<([^<>]*)>|\{length=\d+,bytes=0x([^{}]*)\}")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{43}=?")
_HEX = re.compile(r"[0-9a-fA-F]*")


def read_address(reported: ReportedAddress) -> ReportedAddress | list[AddressProblem]:
    """A device token's hex digits in one case: two spellings would be two devices."""
    problems: list[AddressProblem] = []
    if reported.kind not in (None, AddressKind.TOKEN):
        problems.append(("address_kind", "must be token with apns"))
    token = _hex_of(reported.value)
    if _DEVICE_TOKEN.fullmatch(token) is None:
        found = _what_is(token)
        problems.append(("address", f"must be 32 to 200 hex digits, of even number; found {found}"))
    return problems or replace(reported, value=token.lower(), kind=AddressKind.TOKEN)


def _hex_of(text: str) -> str:
    """The digits of a token that was printed, spaced out or coded; else what there is."""
    text = "".join(text.split())
    if printed := _PRINTED.fullmatch(text):
        text = printed[1] or printed[2] or ""
    spaced = re.sub(r"^0[xX]|[:-]", "", text)
    if _HEX.fullmatch(spaced):
        return spaced
    if _BASE64.fullmatch(text):
        return base64.b64decode(text.rstrip("=") + "=", altchars=b"-_").hex()
    return text


def _what_is(token: str) -> str:
    """What was sent in place of a token, in words without it."""
    if _HEX.fullmatch(token):
        return f"{len(token)} of them"
    if "..." in token:
        return "a printed token that leaves out its middle: print its bytes one by one"
    if ":" in token:
        return "what looks like FCM's registration token: register it with provider fcm"
    return f"{len(token)} characters, not all of them hex digits"


def part_of(address: Address) -> str:
    """Each environment has hosts of its own, and may have a key of its own."""
    return _PARTS[address.environment]


def _load_keys(
    settings: ApnsSettings, clock: Clock
) -> tuple[ApnsCredentials, ApnsCredentials | None]:
    """The key, and the sandbox's own where there is one. Raises with what is wrong with both."""
    from providers.apns.credentials import ApnsCredentials

    keys = [(settings.key_file, settings.key_id, "")]
    if settings.sandbox_key_file is not None:
        keys.append((settings.sandbox_key_file, settings.sandbox_key_id, "sandbox_"))
    problems: list[str] = []
    loaded: list[ApnsCredentials] = []
    for file, key_id, prefix in keys:
        try:
            loaded.append(
                ApnsCredentials.load(file, key_id, settings.team_id, clock=clock, prefix=prefix)
            )
        except CredentialError as error:
            problems += [text for text in error.problems if text not in problems]
    if problems:
        raise CredentialError(problems)
    return loaded[0], loaded[1] if len(loaded) > 1 else None


def _keys_of_team(team_id: str, every: Sequence[ApnsSettings]) -> list[str]:
    """The ids of all keys of a team, in the order that says which changes its token when."""
    of_team = [table for table in every if table.team_id == team_id]
    ids = {key_id for table in of_team for key_id in (table.key_id, table.sandbox_key_id)}
    return sorted(ids - {""})


def _too_many_keys(settings: ApnsSettings, keys: list[str]) -> list[tuple[str, str]]:
    """Advice where tokens of a team cannot keep apart."""
    text = (
        f"is one of {len(keys)} keys of team {settings.team_id}; better two at most: Apple takes a "
        "new token of a team every 20 minutes, and only two keys keep so far apart"
    )
    names = ("key_id", "sandbox_key_id")
    return [(name, text) for name in names if getattr(settings, name) in keys[2:]]


def plan(settings: ApnsSettings, every: Sequence[ApnsSettings], clock: Clock) -> Plan:
    """Read the signing key. Raises CredentialError with all that is wrong."""
    from providers.apns.options import PRODUCTION_ENDPOINT, SANDBOX_ENDPOINT, ApnsOptions
    from providers.apns.payload import ApnsStyle
    from providers.transport.proxies import Proxies
    from providers.transport.trust import beside_trust

    keys = _keys_of_team(settings.team_id, every)
    seconds = {settings.key_id, settings.sandbox_key_id}.intersection(keys[1::2])
    files = (settings.key_file, settings.sandbox_key_file, settings.ca_file)
    proxies = Proxies(settings.proxy.get_secret_value(), os.environ.copy())
    before = transport_identity(settings, files, seconds)
    ca_file = str(settings.ca_file or "")
    credentials, sandbox_credentials = beside_trust(ca_file, partial(_load_keys, settings, clock))
    options = ApnsOptions(
        topic=settings.topic,
        endpoint=settings.endpoint,
        sandbox_endpoint=settings.sandbox_endpoint,
        credentials=credentials,
        sandbox_credentials=sandbox_credentials,
        style=ApnsStyle(sound=settings.sound, kept_s=settings.vendor_ttl_s),
        ca_file=ca_file,
        max_connections=settings.max_connections,
        timeout_s=settings.timeout_s,
        proxies=proxies,
    )

    def make() -> PushProvider:
        for each in (credentials, sandbox_credentials):
            if each is not None:
                each.is_second = each.key_id in seconds
        match settings.transport:
            case "native":
                from providers.apns.native import ApnsNativeProvider

                return ApnsNativeProvider(options, clock=clock)
            case "sdk":
                from providers.apns.sdk import ApnsSdkProvider

                return ApnsSdkProvider(options, clock=clock)
            case _:
                assert_never(settings.transport)

    hosts = options.endpoints.values()
    identity = before, [proxies.to(url) for url in hosts]
    sites = (
        ("endpoint", settings.endpoint or PRODUCTION_ENDPOINT),
        ("sandbox_endpoint", settings.sandbox_endpoint or SANDBOX_ENDPOINT),
    )
    return Plan(
        settings.rate_per_s,
        settings.ramp_s,
        make,
        identity,
        tuple(_too_many_keys(settings, keys)),
        proxies.told(hosts),
        tuple((name, url, proxies.to(url) is not None) for name, url in sites),
    )


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
    company="Apple",
    meanings=MEANINGS,
)
