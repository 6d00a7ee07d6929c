"""What a connection of a stranger may cost at the door: time, headers, descriptors, log lines."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from gateway.app.door import MAX_HEAD
from gateway.core.bodies import SLOW
from tests.kit.clocks import monotonic
from tests.kit.events import EXAMPLE
from tests.kit.knocking import Knocker, knocking, lines_of, parsed, request
from tests.kit.webhook import PATH, Webhook, running_webhook, signed

HEAD_S = 0.5
SOON = HEAD_S + 3.0


@pytest.fixture
async def webhook(tmp_path: Path) -> AsyncIterator[Webhook]:
    async with running_webhook(tmp_path, head_s=HEAD_S) as running:
        yield running


def posting(body: bytes = EXAMPLE, *headers: str) -> bytes:
    lines = [*lines_of(signed(body)), f"Content-Length: {len(body)}", *headers]
    return request("POST", PATH, *lines, body=body)


async def accepted(stranger: Knocker) -> str:
    status: str = parsed(await stranger.hear(until=b"}")).json["status"]
    return status


# --- time --------------------------------------------------------------------------------------


@pytest.mark.parametrize("piece", [b"", b"P", b"POST / HTTP/1.1\r\n", b"\r\n"])
async def test_who_asks_nothing_in_time_is_let_go(webhook: Webhook, piece: bytes) -> None:
    async with knocking(webhook.port) as stranger, asyncio.timeout(SOON):
        await stranger.say(piece)
        assert await stranger.hear() == b""
    assert webhook.refusals() == ["slow" if piece else "silent"]


async def test_a_header_that_drips_is_not_waited_for(webhook: Webhook) -> None:
    async with knocking(webhook.port) as stranger, asyncio.timeout(SOON):
        hearing = asyncio.create_task(stranger.hear())
        for byte in request("POST", PATH, *lines_of(signed(EXAMPLE))) * 100:
            await stranger.say(bytes([byte]))
            await asyncio.sleep(0.02)
            if hearing.done():
                break
        assert await hearing == b""
    assert webhook.refusals() == ["slow"]


async def test_a_connection_is_kept_between_requests_but_not_within_a_header(
    webhook: Webhook,
) -> None:
    async with knocking(webhook.port) as sender:
        await sender.say(posting())
        assert await accepted(sender) == "accepted"
        await asyncio.sleep(HEAD_S + 1.5)  # the sweep has gone by
        await sender.say(posting())
        assert await accepted(sender) == "duplicate"
        assert webhook.refusals() == []
        await sender.say(b"POST /web")
        async with asyncio.timeout(SOON):
            assert await sender.hear() == b""
    assert webhook.refusals() == ["slow"]


async def test_a_body_has_longer_than_a_header(webhook: Webhook) -> None:
    sent = posting()
    async with knocking(webhook.port) as sender:
        await sender.say(sent[:-10])
        await asyncio.sleep(HEAD_S + 1.5)
        await sender.say(sent[-10:])
        assert await accepted(sender) == "accepted"
    assert webhook.refusals() == []


async def test_who_reads_a_body_and_whether_or_not_it_ends(tmp_path: Path) -> None:
    """The door bounds a request itself, for routes that read bodies in their own way."""
    async with (
        running_webhook(tmp_path, head_s=HEAD_S, request_s=HEAD_S) as webhook,
        knocking(webhook.port) as stranger,
        asyncio.timeout(SOON),
    ):
        await stranger.say(posting()[:-10])
        assert await stranger.hear() == b""
        assert webhook.refusals() == ["slow"]


# --- headers in all ----------------------------------------------------------------------------


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize(("count", "size"), [(20, 60_000), (2, 40_000), (100, 800)])
async def test_headers_have_one_limit_together(
    webhook: Webhook, count: int, size: int, whole: bool
) -> None:
    headers = [f"x-{number}: {'a' * size}" for number in range(count)]
    sent = request("POST", PATH, *headers)
    async with knocking(webhook.port) as stranger:
        saying = asyncio.create_task(stranger.say(sent if whole else sent[:-2]))
        heard = await stranger.answer()
        saying.cancel()
    assert (heard.status, heard.code) == (400, "bad_request")
    assert b"aaa" not in heard.raw


async def test_headers_under_the_limit_are_read(webhook: Webhook) -> None:
    filler = [f"x-{number}: {'a' * 8_000}" for number in range(7)]
    sent = posting(EXAMPLE, *filler)
    assert len(sent) - len(EXAMPLE) < MAX_HEAD
    async with knocking(webhook.port) as sender:
        await sender.say(sent[:30_000])
        await asyncio.sleep(0.05)
        await sender.say(sent[30_000:])
        assert await accepted(sender) == "accepted"


async def test_many_requests_on_one_connection_are_no_long_header(webhook: Webhook) -> None:
    """Cut anywhere: what ends one request may begin the next."""
    sent = posting() * 300
    assert len(sent) > 2 * MAX_HEAD
    async with knocking(webhook.port) as sender:
        hearing = asyncio.create_task(_count(sender, 300))
        for start in range(0, len(sent), 7_001):
            await sender.say(sent[start : start + 7_001])
            await asyncio.sleep(0)
        assert await hearing == 300
    assert webhook.refusals() == []


async def _count(sender: Knocker, count: int) -> int:
    heard = b""
    async with asyncio.timeout(30):
        while heard.count(b"HTTP/1.1 200") < count or not heard.endswith(b"}"):
            part = await sender.reader.read(65_536)
            if not part:
                break
            heard += part
    return heard.count(b"HTTP/1.1 200")


# --- how many ----------------------------------------------------------------------------------


async def test_the_oldest_that_waits_makes_room_for_another(tmp_path: Path) -> None:
    async with running_webhook(tmp_path, most=4) as webhook, AsyncExitStack() as stack:
        strangers = []
        for _ in range(4):
            stranger = await stack.enter_async_context(knocking(webhook.port))
            await stranger.say(b"P")
            strangers.append(stranger)
            await asyncio.sleep(0.02)
        sender = await stack.enter_async_context(knocking(webhook.port))
        await sender.say(posting())
        assert await accepted(sender) == "accepted"
        assert webhook.refusals() == ["displaced"]
        assert await strangers[0].hear() == b""
        # the others are still there
        await strangers[3].say(posting()[1:])
        assert await accepted(strangers[3]) == "duplicate"


async def test_a_body_that_does_not_come_makes_room_as_well(tmp_path: Path) -> None:
    async with running_webhook(tmp_path, most=3) as webhook, AsyncExitStack() as stack:
        for _ in range(3):
            stranger = await stack.enter_async_context(knocking(webhook.port))
            await stranger.say(posting()[:-10])
            await asyncio.sleep(0.02)
        sender = await stack.enter_async_context(knocking(webhook.port))
        await sender.say(posting())
        assert await accepted(sender) == "accepted"
        assert webhook.refusals() == ["displaced"]


async def test_who_is_being_answered_is_never_cut_off(tmp_path: Path) -> None:
    """With nobody to end, the newcomer goes: here the others' events are being stored."""
    async with running_webhook(tmp_path, most=2) as webhook, AsyncExitStack() as stack:
        release, writing = threading.Event(), threading.Event()

        def hold(_: object) -> None:
            writing.set()
            release.wait(30)

        held = asyncio.ensure_future(webhook.store.database.write(hold))
        await _until(writing.is_set)
        before = webhook.engine.writes
        senders = []
        for number in range(2):
            sender = await stack.enter_async_context(knocking(webhook.port))
            await sender.say(_another(number))
            senders.append(sender)
        await _until(lambda: webhook.engine.writes == before + 2)
        newcomer = await stack.enter_async_context(knocking(webhook.port))
        assert await newcomer.hear() == b""
        assert webhook.refusals() == ["full"]
        release.set()
        await held
        assert [await accepted(sender) for sender in senders] == ["accepted", "accepted"]


def _another(number: int) -> bytes:
    headers = signed(EXAMPLE, message_id=f"msg_{number}")
    lines = [*lines_of(headers), f"Content-Length: {len(EXAMPLE)}"]
    return request("POST", PATH, *lines, body=EXAMPLE)


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_slow_connections_shut_nobody_out(tmp_path: Path) -> None:
    """Twice as many as there is room for, each with a piece of a header; a sender comes between."""
    async with running_webhook(tmp_path, most=50) as webhook, AsyncExitStack() as stack:
        for number in range(100):
            stranger = await stack.enter_async_context(knocking(webhook.port))
            await stranger.say(b"POST ")
            if number % 10 == 9:
                async with knocking(webhook.port) as sender:
                    await sender.say(_another(number))
                    assert await accepted(sender) == "accepted"
        assert set(webhook.refusals()) == {"displaced"}


# --- what is no HTTP ---------------------------------------------------------------------------

PLANTED = "PLANTED-SECRET"
NO_HTTP = {
    "no HTTP": f"{PLANTED}\r\n\r\n",
    "TLS": "\x16\x03\x01\x02\x00\x01\x00" + PLANTED,
    "a bad version": f"GET /{PLANTED} HTTP/9.1\r\n\r\n",
    "no host": f"GET /{PLANTED} HTTP/1.1\r\n\r\n",
    "two hosts": f"GET /{PLANTED} HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "a control in a header": f"GET / HTTP/1.1\r\nHost: a\r\nx: {PLANTED}\x01\r\n\r\n",
    "a header without a colon": f"GET / HTTP/1.1\r\nHost: a\r\n{PLANTED}\r\n\r\n",
    "a bare line feed": f"POST / HTTP/1.1\nHost: a\nx: {PLANTED}\n\n",
    "an address that is no text": f"GET /{PLANTED}\xe9 HTTP/1.1\r\nHost: a\r\n\r\n",
    "a long address": f"GET /{PLANTED}{'a' * 20_000} HTTP/1.1\r\nHost: a\r\n\r\n",
    "a bad length": f"POST /{PLANTED} HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
    "two lengths": "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "both framings": (
        f"POST / HTTP/1.1\r\nHost: a\r\nx: {PLANTED}\r\nContent-Length: 1\r\n"
        "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
}


@pytest.mark.parametrize("sent", NO_HTTP.values(), ids=NO_HTTP)
async def test_what_is_no_http_is_a_problem_that_does_not_repeat_it(
    webhook: Webhook, sent: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    async with knocking(webhook.port) as stranger:
        await stranger.say(sent.encode("latin-1"))
        heard = await stranger.answer()
    assert heard.status in (400, 404)  # an address of other bytes is one that is not there
    assert heard.code in ("bad_request", "not_found")
    assert heard.headers["connection"] == "close"
    assert PLANTED.encode() not in heard.raw
    assert PLANTED not in caplog.text
    assert PLANTED not in "".join(capfd.readouterr())
    assert PLANTED not in repr(webhook.heard)


@pytest.mark.parametrize(
    "chunks",
    [b"5\nab%s\n0\r\n\r\n", b"3\r\n%s\r\n0\r\n\r\n", b"zz\r\n%s", b"5 ;x\r\n%s\r\n", b"-1\r\n%s"],
)
async def test_a_body_that_breaks_its_framing_is_refused_at_once_and_not_told_to_the_log(
    webhook: Webhook, chunks: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    lines = [*lines_of(signed(EXAMPLE)), "Transfer-Encoding: chunked"]
    async with knocking(webhook.port) as sender:
        await sender.say(request("POST", PATH, *lines))
        await asyncio.sleep(0.05)
        await sender.say(chunks % PLANTED.encode())
        heard = await sender.answer()
    assert (heard.status, heard.code) == (401, "unauthorized")
    assert webhook.refusals() == ["malformed"]
    assert PLANTED not in caplog.text
    assert PLANTED.encode() not in heard.raw


async def test_what_an_expectation_names_is_no_reason_to_refuse(webhook: Webhook) -> None:
    async with knocking(webhook.port) as sender:
        await sender.say(posting(EXAMPLE, "Expect: miracles"))
        assert await accepted(sender) == "accepted"


# --- the budget of bodies ----------------------------------------------------------------------

MIB = 2**20


def opening(size: int, *, message_id: str = "msg_1") -> bytes:
    """The head of a request that looks signed."""
    lines = [*lines_of(signed(b"", message_id=message_id)), f"Content-Length: {size}"]
    return request("POST", PATH, *lines)


async def test_bodies_have_one_budget_and_small_ones_their_part_of_it(tmp_path: Path) -> None:
    """Two large ones fill it and stall. A third is too much, until it is clear who is slow; a
    short webhook passes at all times."""
    now = [0.0]
    async with (
        running_webhook(
            tmp_path, body_memory=4 * MIB, monotonic=monotonic(lambda: now[0])
        ) as webhook,
        AsyncExitStack() as stack,
    ):
        webhook.change(max_body_bytes=2 * MIB)

        async def begin(sent: int) -> Knocker:
            stranger = await stack.enter_async_context(knocking(webhook.port))
            await stranger.say(opening(2 * MIB) + bytes(sent))
            return stranger

        slowest = await begin(MIB)
        other = await begin(2 * MIB - 1)
        await asyncio.sleep(0.2)

        refused = await begin(0)
        heard = await refused.answer()
        assert (heard.status, heard.code) == (503, "overloaded")
        assert int(heard.headers["retry-after"]) >= 1

        short = await stack.enter_async_context(knocking(webhook.port))
        await short.say(posting())
        assert await accepted(short) == "accepted"

        now[0] += MIB / SLOW + 1  # only the first is slow now
        newcomer = await begin(2 * MIB)
        heard = await slowest.answer()
        assert (heard.status, heard.code) == (408, "body_too_slow")
        # and then, for all that comes in, the other
        assert (await other.answer()).status == 408
        assert (await newcomer.answer()).status == 401
    results = ["overloaded", "accepted", "too_slow", "too_slow", "unauthorized"]
    assert webhook.results() == results
