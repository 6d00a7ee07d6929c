"""What strangers do in the token endpoint's place: bounded, said, and mended by itself."""

from __future__ import annotations

import asyncio
import json
import resource
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from providers.contract import Unavailable
from providers.fcm.credentials import AccessToken, FcmCredentials
from providers.http2.once import LARGEST_ANSWER
from tests.kit.dead_addresses import answer_dns, dead, note_connects
from tests.kit.provider_rig import until
from tests.kit.scripted_server import Trust
from tests.kit.stream_server import Serve, serving
from tests.unit.test_fcm_credentials import ACCOUNT

GRANTED = json.dumps({"access_token": "ya29.secret", "expires_in": 3600}).encode()
FOR_EVER = 1_000_000


def answer(body: bytes, status: str = "200 OK", *fields: str) -> bytes:
    head = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", *fields, "", ""]
    return "\r\n".join(head).encode() + body


Say = Callable[[asyncio.StreamWriter], Awaitable[None]]


def says(data: bytes) -> Say:
    async def say(writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return say


def drips(data: bytes, pause_s: float = 0.05) -> Say:
    async def say(writer: asyncio.StreamWriter) -> None:
        for byte in data:
            writer.write(bytes([byte]))
            await asyncio.sleep(pause_s)

    return say


def pours(head: bytes, piece: bytes) -> Say:
    async def say(writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        for _ in range(FOR_EVER):
            writer.write(piece)
            await writer.drain()

    return say


async def nothing(_: asyncio.StreamWriter) -> None:
    await asyncio.sleep(FOR_EVER)


STRANGERS: dict[str, tuple[Say, str, str]] = {
    "drips its body": (drips(answer(GRANTED)), "OAuthUnreachable", "no answer in time"),
    "drips fields": (
        drips(b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 999),
        "OAuthUnreachable",
        "no answer in time",
    ),
    "says nothing": (nothing, "OAuthUnreachable", "no answer in time"),
    "hangs up": (says(b""), "OAuthUnreachable", "hangs up"),
    "hangs up in the middle": (says(answer(GRANTED)[:-5]), "OAuthUnreachable", "hangs up"),
    "never ends its body": (
        pours(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65_536),
        "OAuthForeign",
        "over 64 KiB",
    ),
    "never ends its chunks": (
        pours(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 999),
        "OAuthForeign",
        "over 64 KiB",
    ),
    "never ends its fields": (pours(b"HTTP/1.1 200 OK\r\n", b"x: y\r\n" * 999), "OAuthForeign", ""),
    "never comes to its answer": (
        pours(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 99),
        "OAuthForeign",
        "over 64 KiB",
    ),
    "is a little too long": (
        says(answer(b" " * LARGEST_ANSWER + GRANTED)),
        "OAuthForeign",
        "over 64 KiB",
    ),
    "redirects": (
        says(answer(b"", "307 Temporary Redirect", "location: http://elsewhere.example/")),
        "OAuthForeign",
        "HTTP 307, a redirect",
    ),
    "redirects with a token": (
        says(answer(GRANTED, "302 Found", "location: /token")),
        "OAuthForeign",
        "HTTP 302, a redirect",
    ),
    "is a page": (says(answer(b"<html>Log in</html>")), "OAuthForeign", "HTTP 200 without JSON"),
    "is a page of 403": (
        says(answer(b"<html>No</html>", "403 Forbidden")),
        "OAuthForeign",
        "HTTP 403 without JSON",
    ),
    "is no HTTP": (says(b"220 mail.example ESMTP\r\n"), "OAuthForeign", "no HTTP"),
    "has no token": (says(answer(b'{"access_token": null}')), "OAuthForeign", "a token that is"),
}


@asynccontextmanager
async def endpoint(tmp_path: Path, serve: Serve) -> AsyncIterator[FcmCredentials]:
    async with serving(serve) as port:
        file = tmp_path / "fcm.json"
        file.write_text(json.dumps(ACCOUNT | {"token_uri": f"http://127.0.0.1:{port}/token"}))
        credentials = FcmCredentials.load(file, clock=asyncio.get_running_loop().time)
        try:
            yield credentials
        finally:
            await credentials.aclose()


def memory_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@pytest.mark.parametrize("what", STRANGERS)
async def test_a_stranger_in_the_endpoints_place_costs_one_bounded_fetch_and_no_more(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("providers.fcm.credentials.OAUTH_TIMEOUT_S", 1.5)
    monkeypatch.setattr("providers.fcm.credentials.HOLD_S", 0.0)
    say, reason, told = STRANGERS[what]
    mended = False

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await (says(answer(GRANTED)) if mended else say)(writer)
        finally:
            writer.close()

    before = memory_mib()
    tasks = asyncio.all_tasks()
    async with endpoint(tmp_path, serve) as credentials:
        failed = await asyncio.wait_for(credentials.token(), 30)

        assert failed == Unavailable.not_looked_at(reason, 10.0)
        trouble = credentials.trouble
        assert trouble is not None
        assert "the token endpoint" in trouble.reason
        assert told in trouble.reason
        assert "ya29" not in trouble.reason
        assert memory_mib() - before < 30
        mended = True
        fetched = await asyncio.wait_for(credentials.token(), 30)
        assert isinstance(fetched, AccessToken)
        assert credentials.trouble is None
    await until(lambda: asyncio.all_tasks() <= tasks)


async def test_one_hanging_fetch_serves_all_who_wait_and_is_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("providers.fcm.credentials.OAUTH_TIMEOUT_S", 0.5)
    asked, gone = 0, 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked, gone
        asked += 1
        try:
            while await reader.read(4096):
                pass
        finally:
            gone += 1
            writer.close()

    async with endpoint(tmp_path, serve) as credentials:
        failed = await asyncio.gather(*(credentials.token() for _ in range(20)))

        assert {one.reason for one in failed if isinstance(one, Unavailable)} == {
            "OAuthUnreachable"
        }
        assert asked == 1
        await until(lambda: gone == 1)
        await credentials.token(insist=True)
        assert asked == 2


async def test_a_brief_failure_of_googles_is_asked_once_more_at_once(tmp_path: Path) -> None:
    asked = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        await reader.readuntil(b"\r\n\r\n")
        ill = answer(b'{"error": "internal_failure"}', "503 Service Unavailable")
        writer.write(ill if asked == 1 else answer(GRANTED))
        writer.close()

    async with endpoint(tmp_path, serve) as credentials:
        assert isinstance(await credentials.token(), AccessToken)
    assert asked == 2


async def test_why_the_endpoint_is_not_trusted_is_said(tmp_path: Path, trust: Trust) -> None:
    file = tmp_path / "fcm.json"

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(trust.certificate)
    async with serving(serve, context) as port:
        file.write_text(json.dumps(ACCOUNT | {"token_uri": f"https://localhost:{port}/token"}))
        credentials = FcmCredentials.load(file, clock=asyncio.get_running_loop().time)
        await credentials.token()
        trouble = credentials.trouble
        await credentials.aclose()

    assert trouble is not None
    assert "the token endpoint cannot be reached" in trouble.reason
    assert "unable to get local issuer certificate" in trouble.reason
    assert "at 127.0.0.1" in trouble.reason or "at ::1" in trouble.reason


async def test_dead_ipv6_addresses_do_not_keep_a_token_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer(GRANTED))
        writer.close()

    file = tmp_path / "fcm.json"
    loop = asyncio.get_running_loop()
    async with serving(serve) as port:
        file.write_text(json.dumps(ACCOUNT | {"token_uri": f"http://token.example:{port}/token"}))
        with dead(socket.AF_INET6, 8) as silent:
            answer_dns(monkeypatch, "token.example", [*silent, (socket.AF_INET, "127.0.0.1", port)])
            credentials = FcmCredentials.load(file, clock=loop.time)
            tried = note_connects(monkeypatch)
            assert isinstance(await credentials.token(), AccessToken)
            assert tried[1].address == ("127.0.0.1", port)
            await credentials.aclose()
