"""The order and manner of refusals at the public door, over real sockets.

The order: the encoding, then the address, then who asks by the headers alone, then the length, and
only then is a body read. The manner: the answer reaches its sender, and nobody reads the body.
"""

from __future__ import annotations

import asyncio
import gzip
import time
import zlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from gateway.app import door
from gateway.app.door import DISCARD_S
from tests.kit.events import EXAMPLE
from tests.kit.handlers import user_token
from tests.kit.knocking import knocking, lines_of, parsed, request
from tests.kit.public import PublicListener, public_listener
from tests.kit.webhook import PATH, Webhook, running_webhook, signed

HUGE = 2 * 1024 * 1024
KEPT_BACK = b"{"
"""The only byte of a body that a sender shows before it has an answer."""


@pytest.fixture
async def webhook(tmp_path: Path) -> AsyncIterator[Webhook]:
    async with running_webhook(tmp_path) as running:
        yield running


@pytest.fixture
async def public(tmp_path: Path) -> AsyncIterator[PublicListener]:
    async with public_listener(tmp_path) as listener:
        yield listener


def good() -> dict[str, str]:
    return {name: value for name, value in signed(EXAMPLE).items() if name.startswith("svix")}


def changed(**headers: str | None) -> list[str]:
    """Good headers, some of them others or not there."""
    news = {name.replace("_", "-"): value for name, value in headers.items()}
    return lines_of([(name, value) for name, value in (good() | news).items() if value is not None])


#: by the headers alone: nothing that a body could mend
UNPROVEN_BY_HEADERS = {
    "no headers": [],
    "no id": changed(svix_id=None),
    "no timestamp": changed(svix_timestamp=None),
    "no signature": changed(svix_signature=None),
    "an empty signature": changed(svix_signature=""),
    "a malformed signature": changed(svix_signature="v1"),
    "a signature that is no base64": changed(svix_signature="v1,%%%"),
    "a signature of an unknown version": changed(svix_signature="v9,AAAA"),
    "a malformed timestamp": changed(svix_timestamp="yesterday"),
    "a stale timestamp": changed(svix_timestamp=str(int(time.time()) - 1_000)),
    "a timestamp to come": changed(svix_timestamp=str(int(time.time()) + 10_000)),
    "a long id": changed(svix_id="m" * 300),
    "two ids": [*changed(), "svix-id: msg_2"],
    "the same id twice": [*changed(), "svix-id: msg_1"],
    "two timestamps": [*changed(), f"svix-timestamp: {int(time.time())}"],
    "two signatures": [*changed(), "svix-signature: v1,AAAA"],
    "another id in the other family": [*changed(), "webhook-id: msg_2"],
    "another signature in the other family": [*changed(), "webhook-signature: v1,AAAA"],
}
LENGTHS = {"length": f"Content-Length: {HUGE}", "chunks": "Transfer-Encoding: chunked"}


@pytest.mark.parametrize("length", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize("headers", UNPROVEN_BY_HEADERS.values(), ids=UNPROVEN_BY_HEADERS)
async def test_what_headers_alone_show_is_401_before_a_byte_of_the_body(
    webhook: Webhook, headers: list[str], length: str
) -> None:
    webhook.change(max_body_bytes=4 * HUGE)
    async with knocking(webhook.port) as stranger:
        await stranger.say(request("POST", PATH, *headers, length))
        heard = await stranger.answer()
    assert (heard.status, heard.code) == (401, "unauthorized")
    assert heard.headers["connection"] == "close"
    assert webhook.results() == ["unauthorized"]
    assert webhook.events() == []


async def test_an_equal_id_in_both_families_is_fine(webhook: Webhook) -> None:
    both = signed(EXAMPLE)
    both |= {
        name.replace("svix", "webhook"): value
        for name, value in both.items()
        if name.startswith("svix")
    }
    assert (await webhook.post(EXAMPLE, both)).json["status"] == "accepted"


ENCODINGS = {
    "gzip": ["Content-Encoding: gzip"],
    "in capitals": ["content-encoding: GZIP"],
    "deflate": ["Content-Encoding: deflate"],
    "br": ["Content-Encoding: br"],
    "unknown": ["Content-Encoding: x-mine"],
    "two of them": ["Content-Encoding: identity, gzip"],
    "two headers": ["Content-Encoding: identity", "Content-Encoding: gzip"],
}
ROUTES = [
    ("POST", PATH),
    ("GET", PATH),
    ("POST", "/webhooks/nobody"),
    ("PUT", "/v1/devices/x"),
    ("DELETE", "/v1/devices/x"),
    ("DELETE", "/v1/users/mary"),
    ("POST", "/v1/notifications"),
    ("GET", "/openapi.json"),
    ("POST", "/nope"),
    ("OPTIONS", "/v1/devices/x"),
]


@pytest.mark.parametrize("encoding", ENCODINGS.values(), ids=ENCODINGS)
@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_a_packed_body_is_415_on_every_route_whoever_sends_it(
    public: PublicListener, method: str, path: str, encoding: list[str]
) -> None:
    async with knocking(public.port) as stranger:
        length = f"Content-Length: {HUGE}"
        await stranger.say(request(method, path, *encoding, length, body=KEPT_BACK))
        heard = await stranger.answer()
    assert (heard.status, heard.code) == (415, "unsupported_encoding")
    assert heard.headers["connection"] == "close"


@pytest.mark.parametrize("value", ["identity", "Identity", "", " identity , identity "])
async def test_a_body_as_it_is_is_no_packed_one(webhook: Webhook, value: str) -> None:
    headers = signed(EXAMPLE) | {"Content-Encoding": value}
    lines = [*lines_of(headers), f"Content-Length: {len(EXAMPLE)}"]
    async with knocking(webhook.port) as sender:
        await sender.say(request("POST", PATH, *lines, body=EXAMPLE))
        assert parsed(await sender.hear(until=b"}")).status == 200


@pytest.mark.parametrize(("name", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
async def test_nothing_is_unpacked(
    webhook: Webhook, name: str, pack: Callable[[bytes], bytes]
) -> None:
    """64 MiB of nothing would take a good part of a second of the loop to unpack."""
    packed = pack(bytes(64 * 2**20))
    before = time.thread_time()
    async with knocking(webhook.port) as stranger:
        lines = [*changed(), f"Content-Encoding: {name}", f"Content-Length: {len(packed)}"]
        await stranger.say(request("POST", PATH, *lines, body=packed))
        assert (await stranger.answer()).status == 415
    assert time.thread_time() - before < 0.1


EARLY = {
    "415": (["Content-Encoding: gzip"], "POST", PATH, 415),
    "404": ([], "POST", "/nope", 404),
    "405": ([], "PUT", PATH, 405),
    "401": ([], "POST", PATH, 401),
    "401 of a phone": ([], "PUT", "/v1/devices/x", 401),
    "401 of a backend": (["X-API-Key: ik_nobody"], "POST", "/v1/notifications", 401),
    "413": (["SIGNED"], "POST", PATH, 413),
    "413 of a phone": (["TOKEN"], "PUT", "/v1/devices/x", 413),
}


@pytest.mark.parametrize(("headers", "method", "path", "status"), EARLY.values(), ids=EARLY)
class TestEarly:
    """Each answer that is given before the body was read."""

    async def test_its_sender_reads_it_though_it_sends_all_of_its_body_first(
        self, public: PublicListener, headers: list[str], method: str, path: str, status: int
    ) -> None:
        lines = [*with_proof(headers), f"Content-Length: {HUGE}"]
        async with knocking(public.port) as stranger:
            sending = asyncio.create_task(
                stranger.say(request(method, path, *lines, body=bytes(HUGE)))
            )
            heard = await stranger.answer()
            sending.cancel()
        assert heard.status == status
        assert heard.code
        assert heard.headers["connection"] == "close"

    async def test_nobody_is_told_to_go_on(
        self,
        public: PublicListener,
        monkeypatch: pytest.MonkeyPatch,
        headers: list[str],
        method: str,
        path: str,
        status: int,
    ) -> None:
        """The answer does not wait for the end of the connection either."""
        monkeypatch.setattr(door, "DISCARD_S", 3_600.0)
        lines = [*with_proof(headers), f"Content-Length: {HUGE}", "Expect: 100-continue"]
        async with knocking(public.port) as sender:
            await sender.say(request(method, path, *lines))
            heard = await sender.answer()
        assert b" 100 " not in heard.raw
        assert heard.status == status

    async def test_the_door_ends_it_after_a_second(
        self, public: PublicListener, headers: list[str], method: str, path: str, status: int
    ) -> None:
        """The half of the door is closed at once, and the whole of it whether the sender does so
        or not."""
        lines = [*with_proof(headers), f"Content-Length: {HUGE}"]
        async with knocking(public.port) as stranger:
            began = time.monotonic()
            await stranger.say(request(method, path, *lines, body=KEPT_BACK))
            assert (await stranger.answer()).status == status
            async with asyncio.timeout(DISCARD_S + 60):
                while not await refuses(stranger.writer):  # noqa: ASYNC110  # only a byte shows it
                    await asyncio.sleep(0.02)
            assert time.monotonic() - began > DISCARD_S / 2


def with_proof(headers: list[str]) -> list[str]:
    """What proves the sender is made when it is sent: it holds for minutes."""
    proofs = {
        "TOKEN": lambda: [f"Authorization: Bearer {user_token('mary')}"],
        "SIGNED": lambda: lines_of(good()),
    }
    return [line for one in headers for line in (proofs[one]() if one in proofs else [one])]


async def refuses(writer: asyncio.StreamWriter) -> bool:
    """Whether the other side has gone: a byte that is sent comes back as a reset."""
    try:
        writer.write(b"x")
        await writer.drain()
    except OSError:
        return True
    return writer.transport.is_closing()


async def test_the_encoding_comes_before_the_address_and_the_address_before_the_sender(
    public: PublicListener,
) -> None:
    packed, long = "Content-Encoding: gzip", f"Content-Length: {HUGE}"
    table = [
        (request("POST", "/nope", packed, long), 415),
        (request("PUT", PATH, packed, long), 415),
        (request("POST", "/nope", long), 404),
        (request("PUT", PATH, long), 405),
        (request("POST", PATH, long), 401),
        (request("POST", PATH, *changed(), long), 413),
    ]
    for sent, status in table:
        async with knocking(public.port) as stranger:
            await stranger.say(sent)
            assert (await stranger.answer()).status == status


async def test_a_wrong_signature_is_told_only_when_the_body_is_here(webhook: Webhook) -> None:
    lines = [*changed(svix_signature="v1,AAAA"), f"Content-Length: {len(EXAMPLE)}"]
    async with knocking(webhook.port) as stranger:
        await stranger.say(request("POST", PATH, *lines, body=EXAMPLE[:10]))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await stranger.hear(until=b"\r\n")
        await stranger.say(EXAMPLE[10:])
        assert (await stranger.answer()).status == 401


async def test_who_is_let_in_is_told_to_go_on(webhook: Webhook) -> None:
    lines = [*changed(), f"Content-Length: {len(EXAMPLE)}", "Expect: 100-continue"]
    async with knocking(webhook.port) as sender:
        await sender.say(request("POST", PATH, *lines))
        assert await sender.hear(until=b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await sender.say(EXAMPLE)
        assert parsed(await sender.hear(until=b"}")).json["status"] == "accepted"


async def test_two_credentials_are_no_credential(public: PublicListener) -> None:
    mary, eve = (f"Authorization: Bearer {user_token(name)}" for name in ("mary", "eve"))
    for pair in ([mary, eve], [eve, mary], [mary, mary], ["X-API-Key: ik_a", "X-API-Key: ik_b"]):
        async with knocking(public.port) as caller:
            await caller.say(request("GET", "/v1/users/mary/devices", *pair, "Connection: close"))
            heard = await caller.answer()
        assert (heard.status, heard.code) == (400, "bad_request")


async def test_no_answer_names_the_server_and_none_is_kept(public: PublicListener) -> None:
    key = f"X-API-Key: {await public.key('devices:read')}"
    for sent in (
        request("GET", "/v1/users/mary/devices", key, "Connection: close"),
        request("GET", "/openapi.json", "Connection: close"),
        request("POST", PATH),
        request("GET", "/nope"),
        b"nonsense\r\n\r\n",
    ):
        async with knocking(public.port) as caller:
            await caller.say(sent)
            heard = await caller.answer()
        assert "server" not in heard.headers
        assert b"aiohttp" not in heard.raw
        assert heard.headers["cache-control"] == "no-store"
        assert heard.headers["x-content-type-options"] == "nosniff"
