"""Whose wrong guesses are counted together: the address behind a request. Pure.

A header says who is behind a proxy, and anybody can write one: it is believed only from the proxies
that the settings name, and only as far as those pass it on.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network
_Address = IPv4Address | IPv6Address

_PREFIX_V6 = 64
"""Bits of an IPv6 address that one party has: who has one address has 2**64 of them."""
_MOST_HOPS = 16


@lru_cache(maxsize=8)
def networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    """The networks of addresses and CIDR blocks. Raises ValueError for what is neither."""
    return tuple(ip_network(text.strip(), strict=False) for text in texts)


def party(peer: str | None, forwarded: Sequence[str], proxies: Sequence[Network]) -> str:
    """Who is behind a request: an address, of IPv6 its /64. "": a proxy itself, or not known.

    `peer` is the other end of the connection, `forwarded` the X-Forwarded-For headers in their
    order. Each proxy adds at the end whom it heard; the last that is no proxy of ours counts.
    """
    at = _read(peer or "")
    if at is None:
        return ""
    if not _among(at, proxies):
        return _shown(at)
    hops = [hop for line in forwarded for hop in line.split(",")]
    for hop in reversed(hops[-_MOST_HOPS:]):
        before = _read(hop)
        if before is None:
            return ""
        if not _among(before, proxies):
            return _shown(before)
    return ""


def _read(text: str) -> _Address | None:
    """An address as proxies write it: alone, in brackets, with a port."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _among(address: _Address, proxies: Sequence[Network]) -> bool:
    return any(address.version == one.version and address in one for one in proxies)


def _shown(address: _Address) -> str:
    if isinstance(address, IPv4Address):
        return str(address)
    return str(ip_network((address, _PREFIX_V6), strict=False))
