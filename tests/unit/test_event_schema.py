"""LearnInk's event envelope: what is accepted, ignored and quarantined, and how old it is."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.core.instants import to_iso
from gateway.core.model import Item, Rejection
from gateway.ingest.schema import Understood, understand
from tests.kit.build import NOW
from tests.kit.events import EXAMPLE, body_of, example

MAX_AGE_S = 86_400.0
SECRET = "Mary's secret"


def understood(body: bytes) -> Understood:
    return understand("msg_1", body, received_at=NOW, max_age_s=MAX_AGE_S)


def quarantine_reason(body: bytes) -> str:
    found = understood(body)
    assert found.event.status == "quarantined"
    assert found.chunks == ()
    assert found.event.body == body  # kept as it came, for a replay
    assert SECRET not in found.event.reason
    return found.event.reason


def occurred_at(timestamp: object) -> float | None:
    found = understood(body_of(example(timestamp=timestamp)))
    assert found.event.status == "accepted"
    return found.event.occurred_at


# --- accepted ----------------------------------------------------------------------------------


def test_the_example_of_learninks_documentation_is_understood() -> None:
    found = understood(EXAMPLE)
    event = found.event
    assert (event.event_id, event.type, event.status) == ("msg_1", "notifications.sent", "accepted")
    assert (event.notifications, event.rejections, event.chunks) == (1, (), 1)
    assert to_iso(event.occurred_at or 0.0) == "2025-11-06T09:58:58.233Z"
    assert event.received_at == NOW
    # nobody reads the phone number
    assert event.body == EXAMPLE.replace(b',"phone_number":"+254705408079"', b"")
    assert len(event.body) < len(EXAMPLE)
    (chunk,) = found.chunks
    assert [entry.item for entry in chunk.items] == [
        Item(
            index=0,
            title="Hi Mary!",
            body="Don't forget to complete your training today",
            path="/learning",
            user_id="le2bB6Fi4CMgrIOIqMCJryZb9PR2",
            custom_id="3c2143e4-3e8e-478a-bf0b-9dc6e284fa33",
            occurred_at=event.occurred_at,
        )
    ]


def test_a_batch_is_cut_into_chunks_that_share_its_deadline() -> None:
    found = understood(body_of(example(count=600, timestamp="2027-01-15T07:00:00Z")))
    assert (found.event.notifications, found.event.chunks) == (600, 3)
    assert [len(chunk.items) for chunk in found.chunks] == [256, 256, 88]
    # It occurred an hour before it came: an hour less to live.
    assert {chunk.deadline for chunk in found.chunks} == {NOW - 3600 + MAX_AGE_S}


def test_one_bad_item_is_rejected_alone_and_all_keep_their_index() -> None:
    document = example(count=3)
    document["data"]["notifications"][1]["path"] = "https://evil.example"
    found = understood(body_of(document))
    assert (found.event.status, found.event.notifications) == ("accepted", 2)
    assert found.event.rejections == (Rejection(1, "path does not start with one /"),)
    assert [entry.item.index for entry in found.chunks[0].items] == [0, 2]


def test_half_of_a_surrogate_pair_rejects_its_item_only() -> None:
    body = body_of(example(count=2)).replace(b"Hi Mary!", b"Hi \\ud83d", 1)
    found = understood(body)
    assert (found.event.notifications, len(found.event.rejections)) == (1, 1)


@pytest.mark.parametrize("entries", [[], [None], [{}, 7, "x"]])
def test_a_batch_without_a_good_item_is_accepted_and_comes_to_no_chunk(entries: list[Any]) -> None:
    found = understood(body_of(example() | {"data": {"notifications": entries}}))
    assert (found.event.status, found.event.notifications) == ("accepted", 0)
    assert len(found.event.rejections) == len(entries)
    assert found.chunks == ()


def test_another_api_version_that_can_be_read_is_read() -> None:
    found = understood(body_of(example() | {"api_version": "2031-01-01", "object": "envelope"}))
    assert found.event.status == "accepted"


def test_a_byte_order_mark_is_no_reason_to_lose_a_batch() -> None:
    assert understood(b"\xef\xbb\xbf" + EXAMPLE).event.status == "accepted"


# --- ignored -----------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [{"user_id": "u", "course_id": "c"}, None, "text", []])
def test_an_event_of_another_type_is_kept_and_ignored_whatever_it_holds(data: object) -> None:
    body = body_of(example() | {"type": "user.course.started", "data": data})
    found = understood(body)
    assert (found.event.status, found.event.type) == ("ignored", "user.course.started")
    assert (found.event.body, found.chunks) == (body, ())
    assert to_iso(found.event.occurred_at or 0.0) == "2025-11-06T09:58:58.233Z"


# --- quarantined -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        f"{{{SECRET}}}".encode(),
        b"\xff\xfe\xfd",
        b'{"type": "notifications.sent", "title": "\xff"}',
        b"\x00" * 64,
        EXAMPLE[:-1],
        EXAMPLE + b"}",
        b"[" * 100_000,
        b'{"data":' * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"n": ' + b"9" * 100_000 + b"}",
    ],
)
def test_what_is_no_json_is_quarantined(body: bytes) -> None:
    assert quarantine_reason(body) == "the body is not JSON"


@pytest.mark.parametrize("body", [b"null", b"true", b"7", b"NaN", b'"Mary\'s secret"', b"[{}]"])
def test_json_that_is_no_object_is_quarantined(body: bytes) -> None:
    assert quarantine_reason(body) == "the body is not a JSON object"


@pytest.mark.parametrize("event_type", [None, "", 7, ["notifications.sent"], {}, True])
def test_an_event_without_a_type_is_quarantined(event_type: object) -> None:
    assert quarantine_reason(body_of(example() | {"type": event_type})) == "type is missing"


@pytest.mark.parametrize("event_type", ["x" * 129, "a\nb", "\x00", "\ud800", "\u202e"])
def test_a_type_that_could_break_a_log_is_quarantined(event_type: str) -> None:
    assert quarantine_reason(body_of(example() | {"type": event_type})) == "type is malformed"


@pytest.mark.parametrize(
    "data", [None, 7, SECRET, [], {}, {"notifications": None}, {"notifications": {"0": SECRET}}]
)
def test_a_batch_of_another_shape_is_quarantined(data: object) -> None:
    reason = quarantine_reason(body_of(example() | {"data": data}))
    assert reason == "data.notifications is not an array"


def test_a_quarantined_batch_keeps_its_type() -> None:
    event = understood(body_of(example() | {"data": None})).event
    assert event.type == "notifications.sent"


def test_more_notifications_than_any_audience_has_are_quarantined() -> None:
    document = example() | {"data": {"notifications": [0] * 100_001}}
    assert quarantine_reason(body_of(document)) == "more than 100000 notifications"
    document["data"]["notifications"].pop()
    assert len(understood(body_of(document)).event.rejections) == 100_000


# --- timestamps --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("timestamp", "seconds"),
    [
        ("2025-11-06T09:58:58.233Z", 1762423138.233),
        ("2025-11-06T09:58:58Z", 1762423138.0),
        ("2025-11-06T12:58:58.233+03:00", 1762423138.233),
        ("2025-11-05T23:58:58.233-10:00", 1762423138.233),
        ("2025-11-06T09:58:58.233", 1762423138.233),  # without a zone it is taken as UTC
        ("2025-11-06T09:58:58.233456789Z", 1762423138.233456),
        ("1969-12-31T23:59:59Z", -1.0),
        ("2999-01-01T00:00:00Z", 32472144000.0),
    ],
)
def test_a_timestamp_is_read_in_every_usual_form(timestamp: str, seconds: float) -> None:
    assert occurred_at(timestamp) == pytest.approx(seconds, abs=1e-6)


@pytest.mark.parametrize(
    "timestamp",
    [
        None,
        "",
        "yesterday",
        "2025-13-40T99:99:99Z",
        1762423138,
        1762423138.233,
        float("nan"),
        True,
        {"at": 1},
        "\ud800",
        "9" * 10_000,
        # in UTC the year 0 and the year 10 000: no calendar could show them
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
    ],
)
def test_a_timestamp_that_cannot_be_read_is_as_good_as_none(timestamp: object) -> None:
    assert occurred_at(timestamp) is None
    (chunk,) = understood(body_of(example(timestamp=timestamp))).chunks
    assert chunk.deadline == NOW + MAX_AGE_S


@pytest.mark.parametrize("timestamp", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z"])
def test_every_time_that_was_read_can_be_shown(timestamp: str) -> None:
    assert to_iso(occurred_at(timestamp) or 0.0).startswith(timestamp[:19])


def test_a_timestamp_in_the_future_prolongs_no_life() -> None:
    (chunk,) = understood(body_of(example(timestamp="2999-01-01T00:00:00Z"))).chunks
    assert chunk.deadline == NOW + MAX_AGE_S
