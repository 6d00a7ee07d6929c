"""POST /webhooks/learnink over HTTP: every line of the contract's table of answers."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from gateway.ingest.signature import sign
from tests.kit.events import EXAMPLE, body_of, example
from tests.kit.signers import FAMILIES, SIGNERS, Signer, headers_of, secret_of, sign_as_svix
from tests.kit.webhook import HOST, KEY, SECRET, Answer, Webhook, running_webhook, signed

LIMIT = 100_000
OTHER_KEY = b"somebody else's key ....."


@pytest.fixture
async def webhook(tmp_path: Path) -> AsyncIterator[Webhook]:
    async with running_webhook(tmp_path) as running:
        yield running


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition; the limit is for a test that would hang, not for speed."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110  # what is waited for may happen in another thread
            await asyncio.sleep(0.005)


def assert_refused(webhook: Webhook, answer: Answer, status: int, code: str) -> None:
    """A problem document, and nothing stored."""
    assert (answer.status, answer.json["status"], answer.json["code"]) == (status, status, code)
    assert answer.is_problem
    assert webhook.events() == []
    assert webhook.queued() == []
    assert webhook.woken == 0


# --- 200 accepted ------------------------------------------------------------------------------


@pytest.mark.parametrize("signer", SIGNERS.values(), ids=SIGNERS)
@pytest.mark.parametrize("family", FAMILIES)
async def test_learninks_example_signed_by_an_independent_signer_is_accepted(
    webhook: Webhook, signer: Signer, family: str
) -> None:
    now = int(time.time())
    headers = headers_of(family, "msg_1", now, signer(SECRET, "msg_1", now, EXAMPLE))
    answer = await webhook.post(EXAMPLE, headers)
    assert answer.status == 200
    assert answer.json == {
        "status": "accepted",
        "event_id": "msg_1",
        "notifications": 1,
        "rejected": 0,
    }
    assert webhook.events() == [("msg_1", "notifications.sent", "accepted", 1, 0)]
    assert [item.custom_id for item in webhook.queued()] == ["3c2143e4-3e8e-478a-bf0b-9dc6e284fa33"]
    assert webhook.woken == 1
    assert webhook.results() == ["accepted"]


async def test_the_answer_comes_only_after_the_event_is_on_disk(webhook: Webhook) -> None:
    """The writer is held before it gets to the event; until it is let go nobody hears a 200."""
    release, writing = threading.Event(), threading.Event()

    def hold(_: object) -> None:
        writing.set()
        release.wait(30)

    held = asyncio.ensure_future(webhook.store.database.write(hold))
    await until(writing.is_set)
    before = webhook.engine.writes
    answering = asyncio.ensure_future(webhook.send(EXAMPLE))
    try:
        await until(lambda: webhook.engine.writes == before + 1)
        assert webhook.events() == []
        assert not answering.done()
        assert webhook.woken == 0
    finally:
        release.set()
    await held
    assert (await answering).json["status"] == "accepted"
    assert len(webhook.events()) == 1


async def test_a_bad_item_is_counted_and_the_others_go_out(webhook: Webhook) -> None:
    document = example(count=4)
    document["data"]["notifications"][1]["path"] = "//evil.example"
    document["data"]["notifications"][3] = None
    answer = await webhook.send(body_of(document))
    assert (answer.status, answer.json["status"]) == (200, "accepted")
    assert (answer.json["notifications"], answer.json["rejected"]) == (2, 2)
    assert [item.index for item in webhook.queued()] == [0, 2]
    ((rejections,),) = webhook.rows("SELECT rejections FROM events")
    assert "evil.example" not in rejections
    assert "path does not start with one /" in rejections


async def test_a_batch_without_a_good_item_is_accepted_and_wakes_nobody(webhook: Webhook) -> None:
    answer = await webhook.send(body_of(example() | {"data": {"notifications": [{}]}}))
    assert answer.json == {
        "status": "accepted",
        "event_id": "msg_1",
        "notifications": 0,
        "rejected": 1,
    }
    assert webhook.woken == 0


async def test_any_of_several_secrets_signs_and_a_reload_takes_effect_at_once(
    webhook: Webhook,
) -> None:
    now = int(time.time())
    signature = sign_as_svix(secret_of(OTHER_KEY), "msg_1", now, EXAMPLE)
    headers = headers_of("svix", "msg_1", now, signature)
    assert (await webhook.post(EXAMPLE, headers)).status == 401
    webhook.change(keys=[KEY, OTHER_KEY])
    assert (await webhook.post(EXAMPLE, headers)).status == 200


# --- 200 duplicate -----------------------------------------------------------------------------


async def test_the_same_id_again_is_a_duplicate_and_queues_nothing(webhook: Webhook) -> None:
    assert (await webhook.send(EXAMPLE)).json["status"] == "accepted"
    # Each attempt of Svix has a timestamp and a signature of its own.
    again = await webhook.post(EXAMPLE, signed(EXAMPLE, at=time.time() - 60))
    assert again.status == 200
    assert again.json == {
        "status": "duplicate",
        "event_id": "msg_1",
        "notifications": 1,
        "rejected": 0,
    }
    assert len(webhook.events()) == 1
    assert len(webhook.queued()) == 1
    assert webhook.woken == 1
    assert webhook.results() == ["accepted", "duplicate"]


@pytest.mark.parametrize("first", [b"not JSON", body_of({"type": "user.course.started"})])
async def test_an_id_that_was_ignored_or_quarantined_is_known_as_well(
    webhook: Webhook, first: bytes
) -> None:
    await webhook.send(first)
    stored = webhook.events()
    assert (await webhook.send(EXAMPLE)).json["status"] == "duplicate"
    assert webhook.events() == stored
    assert webhook.queued() == []


async def test_the_same_id_posted_50_times_at_once_makes_one_set_of_chunks(
    webhook: Webhook,
) -> None:
    body = body_of(example(count=300))
    answers = await asyncio.gather(*(webhook.send(body) for _ in range(50)))
    assert {answer.status for answer in answers} == {200}
    statuses = sorted(answer.json["status"] for answer in answers)
    assert statuses == ["accepted"] + 49 * ["duplicate"]
    assert [item.index for item in webhook.queued()] == list(range(300))
    assert len(webhook.rows("SELECT 1 FROM queue")) == 2
    assert webhook.woken == 1


async def test_the_same_body_under_another_id_is_another_event(webhook: Webhook) -> None:
    for message_id in ("msg_1", "msg_2"):
        answer = await webhook.send(EXAMPLE, message_id=message_id)
        assert answer.json["status"] == "accepted"
    assert len(webhook.queued()) == 2


# --- 200 ignored, 200 quarantined --------------------------------------------------------------


async def test_another_type_is_ignored_and_kept(webhook: Webhook) -> None:
    body = body_of(example() | {"type": "user.course.started"})
    answer = await webhook.send(body)
    assert answer.status == 200
    assert answer.json == {"status": "ignored", "event_id": "msg_1"}
    assert webhook.events() == [("msg_1", "user.course.started", "ignored", 0, 0)]
    assert webhook.rows("SELECT body FROM events") == [(body,)]
    assert webhook.queued() == []


@pytest.mark.parametrize(
    "body",
    [
        b"not JSON",
        b"[]",
        b"[" * 50_000,
        b'{"type": "notifications.sent", "data": {"notifications": "none"}}',
        b'{"api_version": "2031-01-01", "notifications": []}',
    ],
)
async def test_what_is_signed_but_not_understood_is_quarantined_with_its_body(
    webhook: Webhook, body: bytes
) -> None:
    answer = await webhook.send(body)
    assert answer.status == 200
    assert answer.json == {"status": "quarantined", "event_id": "msg_1"}
    assert webhook.rows("SELECT status, body FROM events") == [("quarantined", body)]
    assert webhook.queued() == []
    assert webhook.results() == ["quarantined"]


async def test_a_body_that_is_no_text_is_quarantined_too(webhook: Webhook) -> None:
    body, now = b"\xff\xfe\x00\x80", int(time.time())
    headers = headers_of("svix", "msg_1", now, sign(KEY, "msg_1", now, body))
    assert (await webhook.post(body, headers)).json["status"] == "quarantined"
    assert webhook.rows("SELECT body FROM events") == [(body,)]


# --- 401 ---------------------------------------------------------------------------------------


def _without(name: str) -> dict[str, str]:
    headers = signed(EXAMPLE)
    del headers[name]
    return headers


def _with(name: str, value: str) -> dict[str, str]:
    return signed(EXAMPLE) | {name: value}


def _signed_by_another() -> dict[str, str]:
    now = int(time.time())
    signature = sign_as_svix(secret_of(OTHER_KEY), "msg_1", now, EXAMPLE)
    return headers_of("svix", "msg_1", now, signature)


UNPROVEN: dict[str, Callable[[], dict[str, str]]] = {
    "unsigned": dict,
    "no id": lambda: _without("svix-id"),
    "no timestamp": lambda: _without("svix-timestamp"),
    "no signature": lambda: _without("svix-signature"),
    "empty signature": lambda: _with("svix-signature", ""),
    "another secret": _signed_by_another,
    "another id": lambda: _with("svix-id", "msg_2"),
    "another timestamp": lambda: _with("svix-timestamp", str(int(time.time()) - 1)),
    "another body": lambda: signed(EXAMPLE + b" "),
    "an unknown version": lambda: _with("svix-signature", "v2,AAAA"),
    "no comma": lambda: _with("svix-signature", "v1"),
    "many commas": lambda: _with("svix-signature", "v1,a,b,c"),
    "no base64": lambda: _with("svix-signature", "v1,%%%"),
    "not ASCII": lambda: _with("svix-signature", "v1,\u00e9\u0921"),
    "an id that is not ASCII": lambda: _with("svix-id", "msg_\u00e9"),
    "a float": lambda: _with("svix-timestamp", f"{int(time.time())}.0"),
    "nan": lambda: _with("svix-timestamp", "nan"),
    "inf": lambda: _with("svix-timestamp", "inf"),
    "a negative time": lambda: _with("svix-timestamp", "-1"),
    "a huge time": lambda: _with("svix-timestamp", "9" * 400),
    "8 kB of signature": lambda: _with("svix-signature", "v1," + "A" * 8_000),
    "301 s old": lambda: signed(EXAMPLE, at=time.time() - 302),
    "301 s ahead": lambda: signed(EXAMPLE, at=time.time() + 302),
}


@pytest.mark.parametrize("headers", UNPROVEN.values(), ids=UNPROVEN)
async def test_a_request_that_does_not_prove_its_sender_is_401_and_leaves_no_trace(
    webhook: Webhook, headers: Callable[[], dict[str, str]]
) -> None:
    answer = await webhook.post(EXAMPLE, headers())
    assert_refused(webhook, answer, 401, "unauthorized")
    assert webhook.results() == ["unauthorized"]


@pytest.mark.parametrize("off", [-290, 290])
async def test_a_clock_that_is_290_seconds_off_is_no_reason_to_refuse(
    webhook: Webhook, off: int
) -> None:
    assert (await webhook.post(EXAMPLE, signed(EXAMPLE, at=time.time() + off))).status == 200


async def raw_post(webhook: Webhook, head: bytes, body: bytes = b"", *, cut: bool = False) -> bytes:
    """Post what no HTTP client would; returns the first line of the answer."""
    reader, writer = await asyncio.open_connection(HOST, webhook.port)
    writer.write(b"POST /webhooks/learnink HTTP/1.1\r\nHost: localhost\r\n" + head + b"\r\n" + body)
    if cut:
        writer.write_eof()
    async with asyncio.timeout(30):
        line = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return line


async def test_header_bytes_that_are_no_text_are_401_not_500(webhook: Webhook) -> None:
    names = (b"svix-id", b"svix-timestamp", b"svix-signature")
    head = b"".join(name + b": v1,\xff\xfe\r\n" for name in names)
    assert b" 401 " in await raw_post(webhook, b"Content-Length: 2\r\n" + head, b"{}")
    assert webhook.events() == []


async def test_a_signature_of_many_kilobytes_is_401_like_any_other(webhook: Webhook) -> None:
    head = b"svix-id: m\r\nsvix-timestamp: 1\r\nsvix-signature: " + b"A" * 60_000 + b"\r\n"
    assert b" 401 " in await raw_post(webhook, b"Content-Length: 2\r\n" + head, b"{}")
    assert webhook.events() == []


@pytest.mark.parametrize(
    "head",
    [
        b"svix-signature: " + b"A" * 70_000 + b"\r\n",
        b"svix-signature: v1,\x00\r\n",
        b"svix-signature v1\r\n",
    ],
)
async def test_what_is_no_http_is_refused_by_the_server_before_it_is_read(
    webhook: Webhook, head: bytes
) -> None:
    assert b" 400 " in await raw_post(webhook, b"Content-Length: 2\r\n" + head, b"{}")
    assert webhook.events() == []


async def test_chunks_that_are_none_are_refused_and_leave_no_trace(webhook: Webhook) -> None:
    head = "".join(f"{name}: {value}\r\n" for name, value in signed(EXAMPLE).items())
    head += "Transfer-Encoding: chunked\r\n"
    line = await raw_post(webhook, head.encode(), b"5\r\nabcde\r\nno size\r\n")
    assert b" 40" in line
    assert webhook.events() == []


async def test_a_sender_that_stalls_in_the_middle_is_not_waited_for_for_ever(
    tmp_path: Path,
) -> None:
    async with running_webhook(tmp_path, body_timeout_s=0.05) as webhook:
        head = "".join(f"{name}: {value}\r\n" for name, value in signed(EXAMPLE).items())
        length = f"Content-Length: {len(EXAMPLE)}\r\n"
        assert b" 408 " in await raw_post(webhook, (head + length).encode(), EXAMPLE[:50])
        assert webhook.results() == ["too_slow"]
        assert webhook.events() == []


async def test_a_sender_that_hangs_up_in_the_middle_leaves_no_trace(webhook: Webhook) -> None:
    head = "".join(f"{name}: {value}\r\n" for name, value in signed(EXAMPLE).items())
    length = f"Content-Length: {len(EXAMPLE)}\r\n"
    await raw_post(webhook, (head + length).encode(), EXAMPLE[:50], cut=True)
    await until(lambda: webhook.results() == ["unauthorized"])
    assert webhook.events() == []


# --- 413 ---------------------------------------------------------------------------------------


def padded(size: int) -> bytes:
    """A good event of exactly this many bytes."""
    return EXAMPLE + b" " * (size - len(EXAMPLE))


async def in_parts(body: bytes) -> AsyncIterator[bytes]:
    """A body without a Content-Length."""
    for start in range(0, len(body), 16_384):
        yield body[start : start + 16_384]


Poster = Callable[[Webhook, bytes], Awaitable[Answer]]


async def post_whole(webhook: Webhook, body: bytes) -> Answer:
    return await webhook.post(body, signed(body))


async def post_chunked(webhook: Webhook, body: bytes) -> Answer:
    return await webhook.post(in_parts(body), signed(body))


@pytest.mark.parametrize("post", [post_whole, post_chunked])
async def test_a_body_of_exactly_the_limit_is_accepted(webhook: Webhook, post: Poster) -> None:
    assert (await post(webhook, padded(LIMIT))).status == 200


@pytest.mark.parametrize("post", [post_whole, post_chunked])
async def test_a_body_over_the_limit_is_413_however_well_it_is_signed(
    webhook: Webhook, post: Poster
) -> None:
    assert_refused(webhook, await post(webhook, padded(LIMIT + 1)), 413, "body_too_large")
    assert webhook.results() == ["too_large"]


# --- 503 ---------------------------------------------------------------------------------------


async def test_a_full_backlog_is_503_and_the_sender_keeps_the_event(webhook: Webhook) -> None:
    webhook.backlog = 1_000
    answer = await webhook.send(EXAMPLE)
    assert_refused(webhook, answer, 503, "unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    webhook.backlog = 999
    assert (await webhook.send(EXAMPLE)).json["status"] == "accepted"
    assert webhook.results() == ["unavailable", "accepted"]


async def test_a_stranger_does_not_learn_that_the_backlog_is_full(webhook: Webhook) -> None:
    webhook.backlog = 1_000
    assert (await webhook.post(EXAMPLE, _signed_by_another())).status == 401


async def test_a_full_disk_is_503_and_the_event_is_taken_when_there_is_room(
    webhook: Webhook,
) -> None:
    def pages(limit: int) -> Awaitable[object]:
        return webhook.store.database.write(
            lambda connection: connection.execute(f"PRAGMA max_page_count = {limit}").fetchone()
        )

    body = body_of(example(count=200))
    await pages(1)  # SQLite takes it as: as many as there are
    answer = await webhook.send(body)
    assert_refused(webhook, answer, 503, "unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    await pages(1_000_000)
    # It is not a duplicate, for nothing of it was kept.
    assert (await webhook.send(body)).json["status"] == "accepted"
    assert len(webhook.queued()) == 200


async def test_a_store_that_is_away_is_503(webhook: Webhook) -> None:
    await webhook.store.aclose()
    answer = await webhook.send(EXAMPLE)
    assert_refused(webhook, answer, 503, "unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert webhook.results() == ["unavailable"]


async def test_no_answer_repeats_what_was_sent(webhook: Webhook) -> None:
    """Not even to LearnInk: answers end in the logs of others."""
    answers = [
        await webhook.send(body_of({"type": "Mary's secret"})),
        await webhook.send(b"Mary's secret", message_id="msg_2"),
        await webhook.post(EXAMPLE, _with("svix-signature", "v1,Mary's secret")),
    ]
    assert all("Mary" not in str(answer.json) for answer in answers)
