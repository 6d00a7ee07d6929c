"""From a name to a connection: DNS, TLS, and a proxy that is asked to CONNECT."""

from __future__ import annotations

import asyncio
import base64
import gc
import logging
import os
import socket
import struct
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from providers.errors import CredentialError
from providers.http2.addresses import Place
from providers.http2.dial import Origin, Proxy, _hosts, dial
from providers.transport.trust import client_context
from tests.kit.dead_addresses import answer_dns, dead, note_connects
from tests.kit.pool_rig import assert_trouble, pool_rig, statuses, unreachable
from tests.kit.provider_rig import until
from tests.kit.proxy import ConnectProxy
from tests.kit.scripted_server import Http2Server, Trust, make_trust
from tests.kit.stream_server import serving

LOGIN, PASSWORD = "relay", "p@ss:wörd/1"
HEADER = "Basic " + base64.b64encode(f"{LOGIN}:{PASSWORD}".encode()).decode()
QUOTED = "relay:p%40ss%3Aw%C3%B6rd%2F1"


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - only how many


# --- TLS -----------------------------------------------------------------------------------------


async def test_a_certificate_of_another_authority_is_refused_before_anything_is_sent(
    trust: Trust, tmp_path: Path
) -> None:
    server = Http2Server()
    other = make_trust(tmp_path)
    async with server.running(trust.certificate):
        before = descriptors()
        async with pool_rig(server.port, other.ca_file) as rig:
            unreachable((await rig.send(b"request"))[0])
        await until(lambda: descriptors() <= before)
    assert server.bodies == []
    said = "its certificate is not trusted (unable to get local issuer certificate)"
    assert_trouble(rig.pool, said, "ca_file")


async def test_a_certificate_for_another_host_is_refused(
    trust: Trust, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Http2Server()
    answer_with(monkeypatch, ["127.0.0.1"])
    async with (
        server.running(trust.certificate),
        pool_rig(server.port, trust.ca_file, host="push.example.com") as rig,
    ):
        unreachable((await rig.send(b"request"))[0])
    assert server.bodies == []
    assert_trouble(rig.pool, "its certificate is not trusted (Hostname mismatch", "ca_file")
    assert_trouble(rig.pool, "push.example.com'), at 127.0.0.1", "")


async def test_a_certificate_whose_time_is_over_is_called_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Http2Server()
    monkeypatch.setattr("providers.sandbox.certificates._LIFE", timedelta(hours=-12))
    expired = make_trust(tmp_path)
    async with (
        server.running(expired.certificate),
        pool_rig(server.port, expired.ca_file) as rig,
    ):
        unreachable((await rig.send(b"request"))[0])
    assert_trouble(rig.pool, "its certificate is not trusted (certificate has expired)", "clock")


async def test_a_server_without_tls_is_called_so() -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"220 mail.example ESMTP\r\n")
        writer.close()

    async with serving(speak) as port, pool_rig(port, "") as rig:
        unreachable((await rig.send(b"request"))[0])
    assert_trouble(rig.pool, "TLS fails (wrong version number)", "speaks TLS")


async def test_a_server_that_agrees_on_no_protocol_is_spoken_to_only_where_there_is_a_fallback(
    trust: Trust,
) -> None:
    server = Http2Server(alpn=())
    async with server.running(trust.certificate):
        async with pool_rig(server.port, trust.ca_file, fallback=False) as rig:
            unreachable((await rig.send(b"request"))[0])
        assert server.bodies == []


async def test_a_server_that_resets_at_once_leaves_no_socket_that_closes_anothers_descriptor(
    trust: Trust,
) -> None:
    """A socket that does not know that its descriptor was closed closes it again, when it is
    collected: by then it may be a database's. It warns of that, and warnings are errors."""
    loop = asyncio.get_running_loop()
    origin = Origin("127.0.0.1", 0, client_context(str(trust.ca_file), alpn=("h2",)))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)

        async def reset_all() -> None:
            while True:
                accepted, _ = await loop.sock_accept(listening)
                at_once = struct.pack("ii", 1, 0)
                accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
                accepted.close()

        resetting = loop.create_task(reset_all())
        origin = replace(origin, port=listening.getsockname()[1])
        before = descriptors()
        for _ in range(20):
            with pytest.raises(OSError):  # noqa: PT011 - of any kind
                await dial(origin, asyncio.Protocol)
            gc.collect()
        assert descriptors() <= before + 1
        resetting.cancel()
        await asyncio.wait([resetting])


# --- DNS -----------------------------------------------------------------------------------------


def answer_with(monkeypatch: pytest.MonkeyPatch, addresses: list[str]) -> list[str]:
    """Play a DNS that has these addresses for every name; returns the names asked for."""
    loop = asyncio.get_running_loop()
    asked: list[str] = []

    async def getaddrinfo(host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
        named = host[:1].isalpha()
        if named:
            asked.append(host)
        return [
            (
                socket.AF_INET6 if ":" in address else socket.AF_INET,
                socket.SOCK_STREAM,
                6,
                "",
                (address, port),
            )
            # uvloop asks again about an address
            for address in (addresses if named else [host])
        ]

    monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo)
    return asked


async def test_the_name_is_looked_up_for_each_connection(
    trust: Trust, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Http2Server()
    asked = answer_with(monkeypatch, ["127.0.0.1"])
    async with (
        server.running(trust.certificate),
        pool_rig(server.port, trust.ca_file, host="localhost", max_connections=1) as rig,
    ):
        for number in range(3):
            assert statuses(await rig.send(b"request-%d" % number)) == {200: 1}
            server.peers[-1].go_away(2**31 - 1)
            await until(lambda: rig.pool.connections == 0)
    assert asked == ["localhost"] * 3


async def test_an_address_that_refuses_leads_to_the_next_one(
    trust: Trust, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Http2Server()
    # nobody listens at ::1, the family that is asked for first
    answer_with(monkeypatch, ["::1", "127.0.0.1"])
    async with server.running(trust.certificate):
        before = descriptors()
        async with pool_rig(server.port, trust.ca_file, host="localhost") as rig:
            assert statuses(await rig.send(b"request")) == {200: 1}
        await until(lambda: descriptors() <= before)


async def test_addresses_are_tried_in_any_order_until_one_answers(
    trust: Trust, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Http2Server()
    # all of 127.0.0.0/8 but one refuse
    asked = answer_with(monkeypatch, ["127.0.0.2", "127.0.0.1", "127.0.0.3"])
    async with (
        server.running(trust.certificate),
        pool_rig(server.port, trust.ca_file, host="localhost", max_connections=1) as rig,
    ):
        for number in range(5):
            assert statuses(await rig.send(b"request-%d" % number)) == {200: 1}
            server.peers[-1].go_away(2**31 - 1)
            await until(lambda: rig.pool.connections == 0)
    assert len(asked) == 5


@pytest.mark.parametrize("count", range(1, 9))
async def test_however_many_ipv6_addresses_are_dead_the_good_one_is_tried_second(
    trust: Trust, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    server = Http2Server()
    async with server.running(trust.certificate):
        good = (socket.AF_INET, "127.0.0.1", server.port)
        with dead(socket.AF_INET6, count) as silent:
            answer_dns(monkeypatch, "localhost", [*silent, good])
            before = descriptors()
            tried = note_connects(monkeypatch)
            async with pool_rig(server.port, trust.ca_file, host="localhost") as rig:
                assert statuses(await rig.send(b"request")) == {200: 1}
            assert tried[1].address == good[1:]
            await until(lambda: descriptors() <= before)
    found = [Place(family, (host, port)) for family, host, port in [*silent, good]]
    assert _hosts.known("localhost", server.port).order(found)[0].address == good[1:]


async def test_an_address_that_connects_and_says_nothing_is_not_the_next_ones_first(
    trust: Trust, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So it is where large packets vanish on the way: TCP connects, and TLS never begins."""
    monkeypatch.setattr("providers.http2.dial.DIAL_S", 0.5)
    server = Http2Server()
    async with server.running(trust.certificate):
        with socket.create_server(("::1", 0), family=socket.AF_INET6) as mute:
            known = [
                (socket.AF_INET6, "::1", mute.getsockname()[1]),
                (socket.AF_INET, "127.0.0.1", server.port),
            ]
            answer_dns(monkeypatch, "localhost", known)
            async with pool_rig(server.port, trust.ca_file, host="localhost") as rig:
                unreachable((await rig.send(b"first"))[0])
                assert_trouble(rig.pool, "no answer in time when TLS begins, at ::1", "TLS")
                await until(lambda: rig.pool.free > 0)
                assert statuses(await rig.send(b"second")) == {200: 1}


async def test_a_name_without_an_address_is_nobody(
    trust: Trust, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer_with(monkeypatch, [])
    async with pool_rig(443, trust.ca_file, host="push.example.com") as rig:
        unreachable((await rig.send(b"request"))[0])
    assert_trouble(rig.pool, "no connection to push.example.com: its name has no address", "DNS")


# --- a proxy -------------------------------------------------------------------------------------


async def test_a_tunnel_carries_requests_and_the_proxy_sees_only_where_they_go(
    trust: Trust,
) -> None:
    server, proxy = Http2Server(), ConnectProxy()
    async with (
        server.running(trust.certificate),
        proxy.running(),
        pool_rig(server.port, trust.ca_file, proxy=Proxy.parse(proxy.url())) as rig,
    ):
        assert statuses(await rig.send(b"secret text", b"other")) == {200: 2}
    place = f"127.0.0.1:{server.port}"
    assert proxy.heads == [f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n\r\n"]
    # what follows is TLS: a handshake record, and nothing anyone can read
    (first,) = proxy.first_bytes
    assert first[:1] == b"\x16"


async def test_the_proxys_login_is_shown_to_the_proxy_alone(trust: Trust) -> None:
    server, proxy = Http2Server(), ConnectProxy(login=HEADER)
    async with (
        server.running(trust.certificate),
        proxy.running(),
        pool_rig(server.port, trust.ca_file, proxy=Proxy.parse(proxy.url(QUOTED))) as rig,
    ):
        assert statuses(await rig.send(b"request")) == {200: 1}
    assert f"Proxy-Authorization: {HEADER}\r\n" in proxy.heads[0]


REFUSALS = {
    "a wrong login": (ConnectProxy(login=HEADER), "the proxy answered 407"),
    "a dead end": (ConnectProxy(b"HTTP/1.1 502 Bad Gateway\r\n\r\n"), "the proxy answered 502"),
    "nonsense": (ConnectProxy(b"+OK what do you want?\r\n\r\n"), "the proxy answered nonsense"),
    "no status": (ConnectProxy(b"HTTP/1.1\r\n\r\n"), "the proxy answered nonsense"),
    "nothing": (ConnectProxy(b""), "the proxy gave no answer"),
    "no end": (ConnectProxy(b"HTTP/1.1 20" + b"0" * 20_000), "the proxy gave no answer"),
}


@pytest.mark.parametrize("what", REFUSALS)
async def test_a_proxy_that_does_not_connect_says_why_and_no_secret_is_told(
    what: str, trust: Trust, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    proxy, told = REFUSALS[what]
    server = Http2Server()
    async with server.running(trust.certificate), proxy.running():
        before = descriptors()
        chosen = Proxy.parse(proxy.url("relay:not-that"))
        async with pool_rig(server.port, trust.ca_file, proxy=chosen) as rig:
            unreachable((await rig.send(b"request"))[0])
            assert "not-that" not in repr(chosen)
        await until(lambda: descriptors() <= before + 1)  # the proxy's own end may linger
    assert server.peers == []
    assert_trouble(rig.pool, told, "proxy in the configuration")
    for secret in ("not-that", base64.b64encode(b"relay:not-that").decode()):
        assert secret not in caplog.text + repr(rig.pool.trouble)


async def test_a_proxy_that_is_away_is_a_failure_like_any_other(trust: Trust) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    async with pool_rig(443, trust.ca_file, proxy=Proxy("127.0.0.1", port)) as rig:
        unreachable((await rig.send(b"request"))[0])


async def test_what_a_proxy_says_behind_its_answer_belongs_to_the_server(trust: Trust) -> None:
    """The end of its head is the end of what it may say: the rest is the tunnel's."""
    reply = b"HTTP/1.1 200 OK\r\nProxy-Agent: small/1.0\r\nContent-Length: 0\r\n\r\n"
    server, proxy = Http2Server(), ConnectProxy(reply)
    async with (
        server.running(trust.certificate),
        proxy.running(),
        pool_rig(server.port, trust.ca_file, proxy=Proxy.parse(proxy.url())) as rig,
    ):
        assert statuses(await rig.send(b"request")) == {200: 1}


@pytest.mark.parametrize(
    "url",
    ["https://proxy:1", "proxy:8080", "http://", "http://proxy:port", "http://proxy:1/path"],
)
def test_a_proxy_that_cannot_be_understood_is_said_without_quoting_it(url: str) -> None:
    with pytest.raises(CredentialError) as raised:
        Proxy.parse(url)
    assert "http://user:password@host:port" in str(raised.value)
