"""What time other machines have: the `Date` of https hosts, to compare clocks with."""

from __future__ import annotations

import asyncio
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp

from gateway.app.lanes import LanePlan
from gateway.core.clocks import Told
from providers.contract import date_in
from providers.errors import CredentialError
from providers.transport.trust import client_context

if TYPE_CHECKING:
    from config.settings import Settings

_ANSWER_S = 3.0


@dataclass(frozen=True, slots=True)
class Site:
    """A web address that the gateway speaks to, and the setting that names it."""

    setting: str
    url: str
    ca_file: str = ""
    proxy: bool = False

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        parts = urlsplit(self.url)
        return parts.port or (80 if parts.scheme == "http" else 443)

    @property
    def direct(self) -> bool:
        """Whether no proxy stands between, by the settings or by the environment."""
        proxies = urllib.request.getproxies()
        scheme = urlsplit(self.url).scheme
        by_environment = scheme in proxies and not urllib.request.proxy_bypass(self.host)
        return not self.proxy and not by_environment


@dataclass(frozen=True, slots=True)
class Host:
    """A host that is asked; `witness` is whose clock it shows."""

    witness: str
    site: Site


def sites_of(settings: Settings, plans: Sequence[LanePlan]) -> list[tuple[LanePlan, Site]]:
    """The addresses that the lanes speak to."""
    numbers = {app.id: number for number, app in enumerate(settings.apps)}
    sites = []
    for plan in plans:
        number = numbers[plan.app]
        table = settings.apps[number].vendors[plan.vendor.name]
        ca_file = getattr(table, "ca_file", None)  # most vendors have one
        place = f"apps[{number}].{plan.vendor.name}"
        for name, url, proxied in plan.sites:
            sites.append((plan, Site(f"{place}.{name}", url, str(ca_file or ""), proxied)))
    return sites


def hosts_of(settings: Settings, plans: Sequence[LanePlan]) -> list[Host]:
    """The hosts that this gateway speaks to, and that tell the time."""
    sites = sites_of(settings, plans)
    hosts = [Host(plan.vendor.name, site) for plan, site in sites if plan.vendor.tells_time]
    if settings.auth.jwks_url:
        site = Site("auth.jwks_url", settings.auth.jwks_url)
        hosts.append(Host(site.host, site))
    return hosts


async def ask_dates(hosts: Sequence[Host], told: Told) -> None:
    """Ask all of these hosts at once. Who does not answer says nothing."""
    https = [host for host in hosts if urlsplit(host.site.url).scheme == "https"]

    async def ask(host: Host) -> None:
        bounds = await date_of(host.site) if host.site.direct else None
        if bounds is not None:
            told(host.witness, *bounds)

    await asyncio.gather(*map(ask, https))


async def date_of(site: Site) -> tuple[float, float] | None:
    """Between which two times (epoch seconds) it is now by the clock of a host; None: it does not
    say so."""
    try:
        trust = client_context(site.ca_file)
        timeout = aiohttp.ClientTimeout(total=_ANSWER_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            asked_at = time.monotonic()
            async with session.head(
                f"https://{urlsplit(site.url).netloc}/", ssl=trust, allow_redirects=False
            ) as answer:
                date = date_in(answer.headers)
    except (aiohttp.ClientError, OSError, TimeoutError, CredentialError, ValueError):
        return None
    if date is None:
        return None
    # a Date has whole seconds, and is as old as the answer took
    return date, date + 1.0 + time.monotonic() - asked_at
