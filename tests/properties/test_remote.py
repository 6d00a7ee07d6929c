"""Who is behind a request, whatever its headers hold."""

from __future__ import annotations

from ipaddress import IPv6Address

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.remote import networks, party

PROXIES = networks(("10.0.0.0/8",))


@given(st.lists(st.text()), st.ip_addresses().map(str))
def test_no_header_makes_a_stranger_another(forwarded: list[str], peer: str) -> None:
    assert party(peer, forwarded, ()) == party(peer, [], ())


@given(st.lists(st.text()))
def test_any_header_is_read(forwarded: list[str]) -> None:
    party("10.0.0.1", forwarded, PROXIES)


@given(st.ip_addresses(v=6))
def test_all_of_a_64_are_one_party(address: IPv6Address) -> None:
    if address.ipv4_mapped is None:
        neighbour = IPv6Address(int(address) ^ 0xFFFF)
        assert party(str(address), [], ()) == party(str(neighbour), [], ())
