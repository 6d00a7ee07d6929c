"""Which addresses a hook may be posted to, in whatever spelling somebody finds."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address

import pytest

from providers.hook.addresses import BadTarget, literal, refusal, target, usual_host

INSIDE = (
    # loopback, in the spellings that inet_aton(3) takes
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "127.255.255.254",
    "2130706433",
    "0x7f000001",
    "0X7F.1",
    "0x7f.0x0.0x0.0x1",
    "0177.0.0.1",
    "017700000001",
    "0177.0.1",
    "127.0.0.1.",
    "127.00.00.01",
    # this host, whichever it is
    "0",
    "0.0.0.0",
    "0x0",
    # private, carrier's, link-local, and where clouds keep their secrets
    "10.0.0.1",
    "10.1",
    "167772161",
    "172.16.5.4",
    "172.31.255.255",
    "192.168.1.1",
    "192.168.257",
    "0xc0a80101",
    "100.64.0.1",
    "100.100.100.200",
    "169.254.169.254",
    "169.254.43518",
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "168.63.129.16",
    "192.0.0.192",
    # multicast, broadcast, reserved, benchmarks, documents
    "224.0.0.1",
    "239.255.255.250",
    "255.255.255.255",
    "240.0.0.1",
    "198.18.0.1",
    "192.0.2.1",
    "198.51.100.7",
    "203.0.113.9",
    "192.88.99.1",
    # digits and dots of other scripts
    "\uff11\uff12\uff17.0.0.1",
    "\u2460\u2461\u2466.\u24ea.\u24ea.\u2460",
    "127\u30020\u30020\u30021",
    "1\uff127\uff0e0\uff0e0\uff0e1",
    "\U0001d7cf\U0001d7d0\U0001d7d5.\U0001d7ce.\U0001d7ce.\U0001d7cf",
    # IPv6: loopback, none, private, link-local with and without zone, site-local, multicast
    "[::1]",
    "[::]",
    "[0:0:0:0:0:0:0:1]",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[fe80::1]",
    "[fe80::1%25eth0]",
    "[fec0::1]",
    "[ff02::1]",
    # IPv4 inside of IPv6: mapped, compatible, NAT64, 6to4, Teredo, ISATAP
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:ffff:a9fe:a9fe]",
    "[::127.0.0.1]",
    "[::ffff:0:127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b::a9fe:a9fe]",
    "[64:ff9b:1::10.0.0.1]",
    "[2002:7f00:1::]",
    "[2002:a9fe:a9fe::1]",
    "[2001:0:4136:e378:8000:63bf:3fff:fdd2]",
    "[2a00:1450::5efe:127.0.0.1]",
    "[2a00:1450::200:5efe:10.0.0.1]",
    "[2001:db8::1]",
    "[3fff::1]",
    "[100::1]",
    "[5f00::1]",
)


@pytest.mark.parametrize("host", INSIDE)
def test_an_address_of_the_inside_is_refused_however_it_is_spelt(host: str) -> None:
    for port in ("", ":443"):
        with pytest.raises(BadTarget):
            target(f"https://{host}{port}/inkpush")


@pytest.mark.parametrize("host", INSIDE)
def test_with_allow_private_it_is_one_address_that_is_known_for_what_it_is(host: str) -> None:
    try:
        found = target(f"https://{host}/", allow_private=True)
    except BadTarget:
        return
    assert found.address is not None
    assert refusal(found.address) != ""


@pytest.mark.parametrize(
    "url",
    [
        "https://user@crm.example.com/",
        "https://user:word@crm.example.com/",
        "https://crm.example.com@127.0.0.1/",
        "https://127.0.0.1\\@crm.example.com/",
        "https://crm.example.com\t.evil/",
        "https://crm.example.com/#part",
        "http://crm.example.com/",
        "ftp://crm.example.com/",
        "file:///etc/passwd",
        "https://",
        "https:///path",
        "https://crm.example.com:0/",
        "https://crm.example.com:99999/",
        "https://crm..example.com/",
        "https://.example.com/",
        "https://crm.example.com../",
        "https://cr m.example.com/",
        "https://crm%2eexample.com/",
        "https://127.0.0.1%00.example.com/",
        "https://1.2.3.4.5/",
        "https://256.1.1.1/",
        "https://1.2.3.256/",
        "https://08.8.8.8/",
        "https://0x100000000/",
        "https://example.1/",
        "https://[::1/",
        "https://[::g]/",
        "https://" + "a" * 64 + ".com/",
    ],
)
def test_what_is_no_target_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(BadTarget) as caught:
        target(url)
    assert "expected" in str(caught.value) or "has a host" in str(caught.value)
    assert "word" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "plain"),
    [
        ("https://crm.example.com/in?key=1", "https://crm.example.com/in?key=1"),
        ("https://CRM.Example.com.", "https://crm.example.com/"),
        ("https://crm.example.com:8443/x", "https://crm.example.com:8443/x"),
        ("https://b\u00fccher.example/", "https://xn--bcher-kva.example/"),
        ("https://8.8.8.8/", "https://8.8.8.8/"),
        ("https://134744072/", "https://8.8.8.8/"),
        ("https://[2606:4700::1111]/", "https://[2606:4700::1111]/"),
        ("https://a_b.example.com/", "https://a_b.example.com/"),
    ],
)
def test_a_public_target_is_brought_into_its_usual_spelling(url: str, plain: str) -> None:
    assert target(url).url == plain


def test_the_spellings_of_an_address_are_those_of_inet_aton() -> None:
    assert literal("1.2.3") == IPv4Address("1.2.0.3")
    assert literal("1.2") == IPv4Address("1.0.0.2")
    assert literal("crm.example.com") is None
    assert usual_host("\uff23\uff32\uff2d.example.com") == "crm.example.com"


@pytest.mark.parametrize("text", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "2a00:1450:4001::200e"])
def test_public_addresses_are_let_through(text: str) -> None:
    assert refusal(ip_address(text)) == ""
