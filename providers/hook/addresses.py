"""Which addresses a hook may be posted to, and how its host may be spelt. Pure.

Owns the list of what is not public (IANA's special-purpose registries, and where clouds keep their
secrets), and the spellings that a resolver would take for an address: `127.1`, `0x7f000001`,
`2130706433`, `0177.0.0.1`, full-width digits. Refuses to resolve: who does, asks here of each
answer.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
)
from urllib.parse import urlsplit

Address = IPv4Address | IPv6Address

_V4 = {
    IPv4Network(network): kind
    for network, kind in {
        "0.0.0.0/8": "no host's",
        "10.0.0.0/8": "private",
        "100.64.0.0/10": "a carrier's own (CGNAT)",
        "127.0.0.0/8": "loopback",
        "168.63.129.16/32": "a cloud's metadata",
        "169.254.0.0/16": "link-local",
        "172.16.0.0/12": "private",
        "192.0.0.0/24": "reserved",
        "192.0.2.0/24": "for documents",
        "192.88.99.0/24": "a relay's (6to4)",
        "192.168.0.0/16": "private",
        "198.18.0.0/15": "for benchmarks",
        "198.51.100.0/24": "for documents",
        "203.0.113.0/24": "for documents",
        "224.0.0.0/4": "multicast",
        "240.0.0.0/4": "reserved",
    }.items()
}
_PUBLIC_V6 = IPv6Network("2000::/3")
"""Nothing outside of it is a host's on the internet: loopback, link-local, private, multicast, and
all forms with an IPv4 address inside (mapped, compatible, NAT64) are."""
_V6 = {
    IPv6Network(network): kind
    for network, kind in {
        "2001::/23": "reserved (Teredo and others)",
        "2001:db8::/32": "for documents",
        "2002::/16": "a tunnel's (6to4)",
        "3fff::/20": "for documents",
    }.items()
}
#: the third quarter of an ISATAP address: an IPv4 address is the last
_ISATAP = frozenset({0x0000_5EFE, 0x0200_5EFE})
_NUMBER = re.compile(r"0[xX][0-9a-fA-F]*|[0-9]+", re.ASCII)
_NAME = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
_LONGEST_NAME = 253


class BadTarget(ValueError):
    """A URL that no hook can have; the text says what is wrong, and what is expected."""


def refusal(address: Address) -> str:
    """Why nothing is posted to this address; "": it is public."""
    if isinstance(address, IPv4Address):
        return next((kind for network, kind in _V4.items() if address in network), "")
    if address.scope_id is not None:
        return "link-local"
    if address not in _PUBLIC_V6:
        return "not of the public internet"
    for network, kind in _V6.items():
        if address in network:
            return kind
    if int(address) >> 32 & 0xFFFF_FFFF in _ISATAP:
        return "a tunnel's (ISATAP)"
    return ""


def read_address(text: str) -> Address | None:
    """The address that a resolver answered with; None: it is none."""
    try:
        return ip_address(text)
    except ValueError:
        return None


def literal(host: str) -> Address | None:
    """The address that a host is, in any spelling that a resolver would take for one; None: it is a
    name. Raises BadTarget for what looks like an address and is none."""
    bare = host.removesuffix(".")
    if ":" in bare:
        found = read_address(bare)
        if found is None:
            raise BadTarget("has a host that is no address")
        return found
    parts = bare.split(".")
    if not _NUMBER.fullmatch(parts[-1]):
        return None
    numbers = [_number(part) for part in parts]
    if len(parts) > 4 or any(number is None for number in numbers):
        raise BadTarget("has a host that is no address")
    whole = [number for number in numbers if number is not None]
    room = 256 ** (5 - len(whole))
    if any(number > 255 for number in whole[:-1]) or whole[-1] >= room:
        raise BadTarget("has a host that is no address")
    value = whole[-1]
    for place, number in enumerate(whole[:-1]):
        value += number << (24 - 8 * place)
    return IPv4Address(value)


@dataclass(frozen=True, slots=True)
class Target:
    """Where a hook is posted to: the URL in its usual spelling, its host, and the address if the
    host is one."""

    url: str
    host: str
    address: Address | None
    is_secure: bool


def target(url: str, *, allow_private: bool = False) -> Target:
    """Read a hook's URL. Raises BadTarget, whose text does not show the URL: a path may be secret.

    The host is brought into its usual spelling (lower case, ASCII, an address as four numbers), so
    that what is checked is what is connected to.
    """
    if any(char.isspace() or ord(char) < 33 or char == "\\" for char in url):
        raise BadTarget("is not a valid URL; expected e.g. https://crm.example.com/inkpush")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, urlsplit("")
    if parts.scheme not in {"http", "https"} or not host or port == 0:
        raise BadTarget("is not a valid URL; expected e.g. https://crm.example.com/inkpush")
    if "@" in parts.netloc or parts.fragment:
        raise BadTarget("has a login or a fragment; expected a URL without")
    is_secure = parts.scheme == "https"
    if not is_secure and not allow_private:
        raise BadTarget("is not https; expected https, or allow_private = true for a test")
    plain = usual_host(host)
    address = literal(plain)
    if address is not None and not allow_private and (kind := refusal(address)):
        raise BadTarget(f"leads to an address that is {kind}; expected a public one")
    if address is not None:
        plain = str(address)
    shown = f"[{plain}]" if ":" in plain else plain
    rest = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    where = shown if port is None else f"{shown}:{port}"
    return Target(f"{parts.scheme}://{where}{rest}", plain, address, is_secure)


def usual_host(host: str) -> str:
    """A host in lower case and ASCII. Raises BadTarget for what is none."""
    plain = unicodedata.normalize("NFKC", host).lower()
    for dot in "\u3002\uff0e\uff61":
        plain = plain.replace(dot, ".")
    if ":" in plain:
        return plain
    try:
        plain = plain.encode("idna").decode() if not plain.isascii() else plain
    except UnicodeError:
        raise BadTarget("has a host that is no name") from None
    bare = plain.removesuffix(".")
    labels = bare.split(".")
    if len(bare) > _LONGEST_NAME or not all(map(_NAME.fullmatch, labels)):
        raise BadTarget("has a host that is no name")
    return bare


# --- inside ---------------------------------------------------------------------------------------


def _number(text: str) -> int | None:
    if not _NUMBER.fullmatch(text):
        return None
    if text[:2].lower() == "0x":
        return int(text[2:] or "0", 16)
    if len(text) > 1 and text[0] == "0":
        return int(text, 8) if set(text) <= set("01234567") else None
    return int(text) if len(text) <= 10 else None
