"""Flow control of one HTTP/2 connection, both ways (RFC 9113, 5.2 and 6.9)."""

from __future__ import annotations

import pytest
from hyperframe.frame import DataFrame, RstStreamFrame, WindowUpdateFrame

from providers.http2 import connection as limits
from providers.http2 import frames
from providers.http2.connection import Connection
from providers.http2.exchange import NotProcessed, Response
from tests.kit.http2_peer import (
    OK,
    connected,
    data,
    headers,
    named,
    opened,
    request,
    requests,
    sent,
)

NO_END = frames.END_HEADERS
SMALL = {frames.INITIAL_WINDOW_SIZE: 4}
SHUT = {frames.INITIAL_WINDOW_SIZE: 0}


def bodies(connection: Connection) -> list[tuple[int, bytes, bool]]:
    return [
        (frame.stream_id, frame.data, "END_STREAM" in frame.flags)
        for frame in sent(connection)
        if isinstance(frame, DataFrame)
    ]


# --- what we send ---------------------------------------------------------------------------------


def test_a_body_waits_for_its_streams_window() -> None:
    connection = connected(SMALL)

    connection.open([request("a", b"0123456789")], 100.0)

    assert bodies(connection) == [(1, b"0123", False)]
    connection.receive(frames.window_update(1, 1))
    assert bodies(connection) == [(1, b"4", False)]
    connection.receive(frames.window_update(1, 50))
    assert bodies(connection) == [(1, b"56789", True)]
    assert named(connection.receive(headers(1))) == {"a": Response(200)}


def test_a_body_that_fits_its_window_exactly_waits_for_nothing() -> None:
    connection = connected(SMALL)

    connection.open([request("a", b"0123")], 100.0)

    assert bodies(connection) == [(1, b"0123", True)]


def test_an_empty_body_needs_no_window() -> None:
    connection = connected(SHUT)

    connection.open([request("a", b""), request("b", b"x"), request("c", b"")], 100.0)

    assert bodies(connection) == [(1, b"", True), (5, b"", True)]


def test_bodies_wait_for_the_window_of_the_connection_too_oldest_first() -> None:
    connection = connected({frames.INITIAL_WINDOW_SIZE: 2**20})
    body = b"b" * 30_000

    connection.open(requests(3, body), 100.0)

    assert sum(len(part) for _, part, _ in bodies(connection)) == frames.DEFAULT_WINDOW
    assert connection.room == 0
    connection.receive(frames.window_update(0, 24_464))
    rest = body[65_535 - 60_000 :]
    assert bodies(connection) == [(5, rest[:16_384], False), (5, rest[16_384:24_464], False)]
    connection.receive(frames.window_update(0, 7_000))
    assert bodies(connection) == [(5, body[29_999:], True)]


def test_what_was_sent_is_counted_and_stops_at_the_window_of_the_connection() -> None:
    connection = connected()

    connection.open(requests(655, b"b" * 100), 100.0)
    assert connection.room > 0
    connection.open([request("small", b"b" * 36)], 100.0)

    assert sum(len(part) for _, part, _ in bodies(connection)) == frames.DEFAULT_WINDOW
    assert connection.room == 0
    connection.receive(frames.window_update(0, 1))
    assert bodies(connection) == [(1311, b"b", True)]


def test_a_smaller_initial_window_may_leave_a_stream_in_debt() -> None:
    connection = connected({frames.INITIAL_WINDOW_SIZE: 10})
    connection.open([request("a", b"0123456789abcdef")], 100.0)
    assert bodies(connection) == [(1, b"0123456789", False)]

    connection.receive(frames.settings({frames.INITIAL_WINDOW_SIZE: 4}))
    connection.receive(frames.window_update(1, 6))
    assert bodies(connection) == []
    connection.receive(frames.window_update(1, 2))
    assert bodies(connection) == [(1, b"ab", False)]
    connection.receive(frames.settings({frames.INITIAL_WINDOW_SIZE: 400}))
    assert bodies(connection) == [(1, b"cdef", True)]


def test_of_several_initial_windows_in_one_frame_the_last_counts() -> None:
    connection = connected(SHUT)
    connection.open([request("a", b"0123456789")], 100.0)
    pairs = b"".join(b"\0\x04" + value.to_bytes(4, "big") for value in (100, 0, 2**31 - 1, 3))

    connection.receive(frames.frame(frames.SETTINGS, 0, 0, pairs))

    assert bodies(connection) == [(1, b"012", False)]


def test_a_body_leaves_in_frames_that_the_peer_takes() -> None:
    connection = connected({frames.INITIAL_WINDOW_SIZE: 2**20, frames.MAX_FRAME_SIZE: 20_000})

    connection.open([request("a", b"b" * 50_000)], 100.0)

    assert [(len(part), end) for _, part, end in bodies(connection)] == [
        (20_000, False),
        (20_000, False),
        (10_000, True),
    ]


def test_while_bodies_wait_few_more_are_begun() -> None:
    connection = connected(SHUT)
    opened_in_all = 0

    while connection.room:
        connection.open([request()], 100.0)
        opened_in_all += 1

    assert opened_in_all == 8
    connection.receive(frames.window_update(1, 2))
    assert connection.room > 0


def test_a_stream_that_gets_no_window_holds_up_no_other() -> None:
    connection = connected(SMALL)
    connection.open([request("large", b"0123456789"), request("small", b"01")], 100.0)

    assert bodies(connection) == [(3, b"01", True), (1, b"0123", False)]
    assert named(connection.receive(headers(3))) == {"small": Response(200)}


@pytest.mark.parametrize(
    ("increment", "code"), [(0, frames.PROTOCOL_ERROR), (2**31 - 1, frames.FLOW_CONTROL_ERROR)]
)
def test_a_window_that_breaks_the_rules_of_one_stream_ends_that_stream(
    increment: int, code: int
) -> None:
    connection = connected()
    connection.open(
        [request("a", b"a" * 65_535), request("b", b"b" * 20_000), request("c", b"")], 100.0
    )
    sent(connection)

    ends = connection.receive(frames.window_update(3, increment))

    assert named(ends) == {"b": NotProcessed("ProtocolError")}
    (reset,) = sent(connection)
    assert isinstance(reset, RstStreamFrame)
    assert (reset.stream_id, reset.error_code) == (3, code)
    assert connection.in_flight == 2


def test_a_window_for_a_body_that_has_left_says_nothing() -> None:
    connection = opened()

    connection.receive(frames.window_update(1, 2**31 - 1) + frames.window_update(1, 2**31 - 1))

    assert named(connection.receive(headers(1))) == {1: Response(200)}
    connection.receive(frames.window_update(1, 7))
    assert not connection.draining


# --- what we receive ------------------------------------------------------------------------------


def test_the_window_for_answers_is_opened_again_and_again() -> None:
    connection, part = connected(), b"x" * 16_384
    received = granted = 0

    for round_ in range(1_500):
        stream_id = 2 * round_ + 1
        connection.open([request(round_)], 100.0)
        # as most of ours: a small one; and some that end early because they are too large
        parts = 1 + round_ % 2
        stream = headers(stream_id, OK, NO_END) + data(stream_id, part, flags=0) * parts
        if parts == 1:
            stream += data(stream_id, b"x")
        assert len(connection.receive(stream)) == 1
        received += len(part) * parts + (parts == 1)
        for frame in sent(connection):
            if isinstance(frame, WindowUpdateFrame):
                assert frame.stream_id == 0
                granted += frame.window_increment
        assert received - granted < limits.RECEIVE_WINDOW // 2
    assert received > 2 * limits.RECEIVE_WINDOW
    assert not connection.draining


@pytest.mark.parametrize("flags", [frames.END_STREAM, 0])
def test_more_than_the_window_that_the_peer_was_given_is_a_violation(flags: int) -> None:
    connection = opened(1)
    connection.receive(headers(1, OK, NO_END))
    connection._received = limits.RECEIVE_WINDOW - 3

    connection.receive(data(1, b"1234", flags))

    assert connection.error == frames.FLOW_CONTROL_ERROR


@pytest.mark.parametrize("flags", [frames.END_STREAM, 0])
def test_all_of_the_window_that_the_peer_was_given_is_its_to_use(flags: int) -> None:
    connection = opened(1)
    connection.receive(headers(1, OK, NO_END))
    connection._received = limits.RECEIVE_WINDOW - 4

    connection.receive(data(1, b"1234", flags))

    assert connection.error is None


def test_padding_and_answers_to_given_up_streams_count_against_the_window() -> None:
    connection = opened(2)
    connection.receive(headers(1, OK, NO_END))
    connection.expire(100.0)
    sent(connection)
    connection._received = limits.RECEIVE_WINDOW // 2 - 500

    connection.receive(data(1, b"\xff" + b"\0" * 255, frames.PADDED))
    assert sent(connection) == []
    connection.receive(data(1, b"x" * 244))

    (update,) = sent(connection)
    assert isinstance(update, WindowUpdateFrame)
    assert update.window_increment == limits.RECEIVE_WINDOW // 2
