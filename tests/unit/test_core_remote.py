"""Who is behind a request: only configured proxies are believed, and never by their own address."""

from __future__ import annotations

import pytest

from gateway.core.remote import networks, party

PROXIES = networks(
    (
        "10.0.0.0/8",
        "192.0.2.7",
        "fd00::/8",
        " 172.16.0.1/12",
    )
)

TABLE: dict[str, tuple[str | None, list[str], str]] = {
    "direct": ("203.0.113.9", [], "203.0.113.9"),
    "direct, and it claims to be another": ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),
    "behind a proxy": ("10.1.2.3", ["203.0.113.9"], "203.0.113.9"),
    "behind two": ("10.1.2.3", ["203.0.113.9, 192.0.2.7"], "203.0.113.9"),
    "behind two, in two headers": ("10.1.2.3", ["203.0.113.9", "192.0.2.7"], "203.0.113.9"),
    "what it claimed itself comes first": (
        "10.1.2.3",
        ["198.51.100.1", "203.0.113.9, fd00::1"],
        "203.0.113.9",
    ),
    "the proxy itself": ("10.1.2.3", [], ""),
    "the proxy itself, by another": ("10.1.2.3", ["192.0.2.7"], ""),
    "a proxy with its port": ("192.0.2.7", ["203.0.113.9:4711"], "203.0.113.9"),
    "rubbish": ("10.1.2.3", ["203.0.113.9, unknown"], ""),
    "an obfuscated name": ("10.1.2.3", ["_hidden"], ""),
    "an empty header": ("10.1.2.3", [""], ""),
    "IPv6 counts by its /64": ("2001:db8:1:2:3::4", [], "2001:db8:1:2::/64"),
    "IPv6 in brackets": ("fd00::1", ["[2001:db8:1:2::9]:443"], "2001:db8:1:2::/64"),
    "IPv6 with a zone": ("fe80::1%eth0", [], "fe80::/64"),
    "IPv4 in IPv6": ("::ffff:203.0.113.9", [], "203.0.113.9"),
    "a proxy's IPv4 in IPv6": ("::ffff:10.0.0.1", ["::ffff:203.0.113.9"], "203.0.113.9"),
    "a socket without an address": (None, ["203.0.113.9"], ""),
    "no address at all": ("", [], ""),
}


@pytest.mark.parametrize(("peer", "forwarded", "expected"), TABLE.values(), ids=TABLE)
def test_who_is_behind(peer: str | None, forwarded: list[str], expected: str) -> None:
    assert party(peer, forwarded, PROXIES) == expected


def test_without_proxies_nobody_is_believed() -> None:
    assert party("127.0.0.1", ["203.0.113.9"], ()) == "127.0.0.1"


@pytest.mark.parametrize("text", ["", "proxy", "10.0.0.0/33", "10.0.0", "1.2.3.4:80"])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        networks((text,))
