"""Pigeon post, as the gateway sees it: see `providers.vendor`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import aiohttp

from providers.contract import (
    Address,
    AddressKind,
    CredentialStatus,
    Delivered,
    Misconfigured,
    Platform,
    Push,
    Settle,
    TokenGone,
    Trouble,
    Unavailable,
    Verdict,
)
from providers.errors import CredentialError
from providers.settings import HttpUrl, Rate, VendorSettings
from providers.transport.in_flight import InFlight
from providers.vendor import AddressProblem, Clock, Plan, ReportedAddress, Vendor

_RING = re.compile(r"[A-Za-z]{4}-[0-9]{4}")


class PigeonSettings(VendorSettings):
    """Pigeon post, for the app in a browser on a roof."""

    loft: HttpUrl
    """Where the birds are."""
    whistle_file: Path
    """The tune they come to."""
    rate_per_s: Rate = 0
    """Birds a second at most, 0 for no limit."""


class PigeonProvider:
    """Sends one bird a push."""

    burst = 8

    def __init__(self, settings: PigeonSettings, whistle: str) -> None:
        self._url = f"{settings.loft}/birds"
        self._whistle = whistle
        self._in_flight = InFlight(self._fly)
        self._http: aiohttp.ClientSession | None = None

    def free(self, part: str) -> int:  # noqa: ARG002  # there is one way to a roof
        return 64 - len(self._in_flight)

    @property
    def in_flight(self) -> int:
        return len(self._in_flight)

    @property
    def connections(self) -> int:
        return int(self._http is not None)

    @property
    def credential(self) -> CredentialStatus:
        return CredentialStatus()

    async def start(self) -> None:
        self._http = aiohttp.ClientSession(headers={"whistle": self._whistle})

    def send(self, pushes: Sequence[Push], settle: Settle) -> None:
        self._in_flight.launch(pushes, settle, self.free("roof"))

    def trouble(self, part: str) -> Trouble | None:  # noqa: ARG002  # as above
        return None

    async def reach(self, part: str) -> Trouble | None:  # noqa: ARG002  # as above
        return None

    async def check(self, part: str) -> Misconfigured | Unavailable | None:  # noqa: ARG002  # as above
        return None

    async def aclose(self) -> None:
        await self._in_flight.aclose()
        if self._http is not None:
            await self._http.close()

    async def _fly(self, push: Push) -> Verdict:
        assert self._http is not None
        message = push.message
        letter = {"ring": push.address.value, "title": message.title, "body": message.body}
        async with self._http.post(self._url, json=letter) as answer:
            match answer.status:
                case 200:
                    return Delivered(await answer.text())
                case 404:
                    return TokenGone("Flown")
                case _:
                    return Unavailable(f"HTTP {answer.status}", outcome_known=True)


def read_address(reported: ReportedAddress) -> ReportedAddress | list[AddressProblem]:
    """A ring's letters in one case."""
    if _RING.fullmatch(reported.value) is None:
        return [("address", "must be a ring such as loft-0042")]
    return replace(reported, value=reported.value.lower(), kind=AddressKind.TOKEN)


def part_of(_address: Address) -> str:
    return "roof"


def plan(settings: PigeonSettings, _every: Sequence[PigeonSettings], _clock: Clock) -> Plan:
    whistle = settings.whistle_file.read_text()
    if not whistle:
        raise CredentialError(["whistle_file: no tune is in it."])
    return Plan(settings.rate_per_s, 0.0, lambda: PigeonProvider(settings, whistle))


VENDOR = Vendor(
    name="pigeon",
    settings=PigeonSettings,
    platforms=frozenset({Platform.WEB}),
    environments=frozenset(),
    parts=("roof",),
    part_of=part_of,
    prune_reasons=("Flown",),
    read_address=read_address,
    plan=plan,
)
