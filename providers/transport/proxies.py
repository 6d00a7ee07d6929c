"""Which proxy a host is reached by, if any: one rule for pushes and token fetches. Pure.

Owns the rule: an app's own `proxy` goes first, for all its hosts; else what the environment names,
HTTPS_PROXY (for http:// addresses HTTP_PROXY), but for the hosts in NO_PROXY. Each name may be
written small, which goes before. Refuses to connect.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from providers.errors import CredentialError
from providers.http2.dial import Proxy

_VARIABLES = {"https": "HTTPS_PROXY", "http": "HTTP_PROXY"}


@dataclass(frozen=True, slots=True)
class Proxies:
    """The proxies of one app. `setting` is its own, "" for none; both may hold a login."""

    setting: str = field(default="", repr=False)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    def to(self, url: str) -> Proxy | None:
        """The proxy that is asked to connect to the host of an address; None: nobody is.

        Raises CredentialError for one that cannot be understood.
        """
        if self.setting:
            return Proxy.parse(self.setting)
        parts = urlsplit(url)
        name = _VARIABLES.get(parts.scheme, "")
        named = self._variable(name)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        if not named or self._spares(parts.hostname or "", port):
            return None
        try:
            return Proxy.parse(named if "://" in named else f"http://{named}")
        except CredentialError as error:
            told = [text.removeprefix("proxy: ") for text in error.problems]
            raise CredentialError(
                [f"proxy: {name} in the environment {text}" for text in told]
            ) from None

    def told(self, urls: Iterable[str]) -> str:
        """For people: which hosts are reached how. No login is shown."""
        hosts: dict[str, list[str]] = {}
        for url in urls:
            parts = urlsplit(url)
            proxy = self.to(url)
            way = "directly"
            if proxy is not None:
                source = "proxy" if self.setting else _VARIABLES[parts.scheme]
                way = f"by the proxy {proxy.host}:{proxy.port} ({source})"
            host = parts.hostname or ""
            if host not in hosts.setdefault(way, []):
                hosts[way].append(host)
        return ", ".join(f"{' and '.join(names)} {way}" for way, names in hosts.items())

    def _variable(self, name: str) -> str:
        return self.environment.get(name.lower()) or self.environment.get(name, "")

    def _spares(self, host: str, port: int) -> bool:
        """Whether NO_PROXY names a host."""
        spared = self._variable("NO_PROXY").replace(",", " ").split()
        return any(_names(one.lower(), host.lower(), port) for one in spared)


DIRECT = Proxies()
"""No proxy for any host."""


def _names(spared: str, host: str, port: int) -> bool:
    """Whether one word of NO_PROXY is about a host: `*`, a domain and all within, an address, or a
    network, with a port or without."""
    if spared == "*":
        return True
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(spared.strip("[]"), strict=False)
    except (ValueError, TypeError):
        pass  # one of both is a name, or has a port
    name, colon, number = spared.rpartition(":")
    if colon and number.isdigit() and (":" not in name or name.startswith("[")):
        return port == int(number) and _names(name, host, port)
    domain = spared.removeprefix("*").lstrip(".").rstrip(".")
    return bool(domain) and (host == domain or host.endswith(f".{domain}"))
