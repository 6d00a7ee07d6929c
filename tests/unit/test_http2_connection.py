"""One HTTP/2 connection, frame by frame: what its requests come to.

What the peer may not do is in test_http2_violations.py, windows are in test_http2_windows.py.
"""

from __future__ import annotations

import pytest
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from providers.http2 import connection as limits
from providers.http2 import exchange, frames
from providers.http2.connection import Connection
from providers.http2.exchange import Lost, NotProcessed, Response
from providers.http2.headers import ConstantFields, literal
from providers.http2.streams import LARGEST_ANSWER
from tests.kit.http2_peer import (
    CONSTANT,
    OK,
    block,
    connected,
    data,
    goaway,
    headers,
    named,
    opened,
    request,
    requests,
    sent,
)

CANCEL, REFUSED = frames.CANCEL, frames.REFUSED_STREAM
GONE = block((":status", "410"), ("apns-id", "AB-1"))
NO_END = frames.END_HEADERS

# --- the beginning --------------------------------------------------------------------------------


def test_the_first_bytes_are_the_preface_and_settings_that_spare_us_work() -> None:
    connection = Connection(ConstantFields(CONSTANT))

    assert connection.data_to_send().startswith(frames.PREFACE)
    hello, window = sent(Connection(ConstantFields(CONSTANT)))
    assert isinstance(hello, SettingsFrame)
    assert hello.settings == {SettingsFrame.HEADER_TABLE_SIZE: 0, SettingsFrame.ENABLE_PUSH: 0}
    assert isinstance(window, WindowUpdateFrame)
    assert window.stream_id == 0
    assert window.window_increment + frames.DEFAULT_WINDOW == limits.RECEIVE_WINDOW


def test_before_the_peer_has_spoken_one_request_may_go() -> None:
    connection = Connection(ConstantFields(CONSTANT))
    connection.data_to_send()
    assert connection.room == 1

    connection.open([request()], 100.0)

    assert [frame.type for frame in sent(connection)] == [frames.HEADERS, frames.DATA]
    assert connection.room == 0
    assert connection.receive(frames.settings({})) == []
    assert connection.room == limits.MOST_STREAMS - 1


def test_settings_are_acknowledged_and_set_the_room() -> None:
    connection = Connection(ConstantFields(CONSTANT))
    connection.data_to_send()

    connection.receive(frames.settings({frames.MAX_CONCURRENT_STREAMS: 7, 0xFACE: 1}))

    (ack,) = sent(connection)
    assert isinstance(ack, SettingsFrame)
    assert set(ack.flags) == {"ACK"}
    assert connection.room == 7


def test_the_room_follows_the_peers_limit_up_and_down_and_is_never_negative() -> None:
    connection = opened(5, {frames.MAX_CONCURRENT_STREAMS: 5})
    assert connection.room == 0

    for limit, room in [(8, 3), (3, 0), (0, 0), (5, 0), (6, 1), (2**32 - 1, 995)]:
        connection.receive(frames.settings({frames.MAX_CONCURRENT_STREAMS: limit}))
        assert connection.room == room

    assert len(connection.receive(b"".join(headers(n) for n in (1, 3, 5, 7, 9)))) == 5
    assert connection.room == limits.MOST_STREAMS


def test_requests_of_one_pass_leave_in_order_and_each_with_its_body() -> None:
    connection = connected()

    connection.open([request("x", b"one"), request("y", b""), request("z", b"three")], 100.0)

    leaving = sent(connection)
    assert [frame.stream_id for frame in leaving] == [1, 1, 3, 3, 5, 5]
    bodies = [frame for frame in leaving if isinstance(frame, DataFrame)]
    assert [frame.data for frame in bodies] == [b"one", b"", b"three"]
    assert all(set(frame.flags) == {"END_STREAM"} for frame in bodies)
    assert connection.in_flight == 3


def test_a_header_block_that_is_too_long_for_a_frame_is_continued() -> None:
    connection = connected()

    connection.open([request("n" * 40_000)], 100.0)

    first, second, third, body = sent(connection)
    assert isinstance(first, HeadersFrame)
    assert isinstance(second, ContinuationFrame)
    assert isinstance(third, ContinuationFrame)
    assert isinstance(body, DataFrame)
    assert set(first.flags) | set(second.flags) == set()
    assert set(third.flags) == {"END_HEADERS"}
    assert len(first.data) == len(second.data) == frames.DEFAULT_FRAME


def test_a_larger_frame_size_of_the_peers_is_used() -> None:
    connection = connected({frames.MAX_FRAME_SIZE: 60_000})

    connection.open([request("n" * 40_000, b"b" * 50_000)], 100.0)

    assert [frame.type for frame in sent(connection)] == [frames.HEADERS, frames.DATA]


# --- answers --------------------------------------------------------------------------------------


def test_an_answer_without_a_body_is_its_status() -> None:
    connection = opened()

    ((_, end),) = connection.receive(headers(1))

    assert end == Response(200)
    assert connection.in_flight == 0
    assert connection.answered
    assert connection.data_to_send() == b""


def test_of_an_error_status_the_fields_are_read_too() -> None:
    connection = opened()

    assert connection.receive(headers(1, GONE, NO_END)) == []
    assert not connection.answered
    assert connection.receive(data(1, b'{"reason":', flags=0)) == []
    ends = connection.receive(data(1, b'"Gone"}'))

    assert named(ends) == {1: Response(410, b'{"reason":"Gone"}', {b"apns-id": b"AB-1"})}


DATED = block((":status", "200"), ("date", "Mon, 30 Nov 2026 14:06:53 GMT"), ("server", "ESF"))


def test_of_a_success_the_date_is_read_once_and_again_when_somebody_is_curious() -> None:
    connection = opened(4)
    dates = []
    for stream_id in (1, 3, 5, 7):
        ((_, end),) = connection.receive(headers(stream_id, DATED))
        assert isinstance(end, Response)
        dates.append(end.header(b"date"))
        assert set(end.headers) <= {b"date"}
        if stream_id == 3:
            connection.be_curious()
    told = "Mon, 30 Nov 2026 14:06:53 GMT"
    assert dates == [told, None, told, None]


@pytest.mark.parametrize(
    "fields",
    [literal("date", "no date"), literal("content-length", "7"), literal("Date", "x"), b"\xff\xff"],
)
def test_a_success_is_one_whatever_stands_in_its_headers(fields: bytes) -> None:
    connection = opened()
    ((_, end),) = connection.receive(headers(1, OK + fields))
    assert isinstance(end, Response)
    assert end.status == 200


def test_bodies_of_many_streams_may_come_in_turns() -> None:
    connection = opened(3)
    stream = b"".join(
        [
            headers(3, OK, NO_END),
            headers(1, GONE, NO_END),
            data(1, b"a", flags=0),
            data(3, b"x", flags=0),
            headers(5, GONE),
            data(3, b"y"),
            data(1, b"b"),
        ]
    )

    ends = connection.receive(stream)

    assert [request.context for request, _ in ends] == [5, 3, 1]
    assert named(ends)[3] == Response(200, b"xy")
    assert named(ends)[1] == Response(410, b"ab", {b"apns-id": b"AB-1"})


def test_an_answer_reads_the_same_byte_by_byte() -> None:
    connection = opened(2)
    stream = headers(1, GONE, NO_END) + headers(3) + data(1, b"body", 0) + data(1)

    ends = [end for byte in stream for end in connection.receive(bytes([byte]))]

    assert named(ends) == {
        3: Response(200),
        1: Response(410, b"body", {b"apns-id": b"AB-1"}),
    }


@pytest.mark.parametrize("padding", [0, 1, 255])
def test_padding_is_taken_away(padding: int) -> None:
    connection, behind = opened(), b"\0" * padding
    stream = headers(1, bytes([padding]) + OK + behind, NO_END | frames.PADDED)
    stream += data(1, bytes([padding]) + b"body" + behind, 0x1 | frames.PADDED)

    ((_, end),) = connection.receive(stream)

    assert end == Response(200, b"body")


def test_a_frame_of_nothing_but_padding_is_an_empty_one() -> None:
    connection = opened()

    ends = connection.receive(headers(1, OK, NO_END) + data(1, b"\x03\0\0\0", 0x1 | frames.PADDED))

    assert named(ends) == {1: Response(200)}


def test_a_priority_in_front_of_an_answer_is_passed_over() -> None:
    connection = opened(2)
    plain = headers(1, b"\0\0\0\0\x10" + OK, 0x5 | frames.PRIORITISED)
    padded = headers(3, b"\x02\0\0\0\0\x10" + OK + b"\0\0", 0x5 | 0x20 | frames.PADDED)

    assert named(connection.receive(plain + padded)) == {1: Response(200), 3: Response(200)}


def test_a_priority_that_looks_like_an_answer_is_none() -> None:
    connection = opened()

    ((_, end),) = connection.receive(headers(1, OK + b"\0\0\0\x10" + GONE, 0x25))

    assert end == Response(410, b"", {b"apns-id": b"AB-1"})


@pytest.mark.parametrize("parts", [2, 3, 20])
@pytest.mark.parametrize("fragment", [OK, b"\x20" + OK, GONE, b"\x20" + GONE])
def test_a_header_block_may_come_in_many_frames(fragment: bytes, parts: int) -> None:
    connection = opened()
    cuts = [fragment[number : number + 1] for number in range(parts - 1)] + [fragment[parts - 1 :]]
    stream = headers(1, cuts[0], frames.END_STREAM)
    for part in cuts[1:-1]:
        stream += frames.frame(frames.CONTINUATION, 0, 1, part)

    assert connection.receive(stream) == []
    ((_, end),) = connection.receive(
        frames.frame(frames.CONTINUATION, frames.END_HEADERS, 1, cuts[-1])
    )

    assert isinstance(end, Response)
    assert end.status == (200 if OK in fragment else 410)


def test_what_is_said_before_the_answer_is_not_the_answer() -> None:
    connection = opened()
    early = block((":status", "103"), ("link", "</a>"))

    stream = headers(1, block((":status", "100")), NO_END) + headers(1, early, NO_END)
    assert connection.receive(stream) == []

    assert named(connection.receive(headers(1))) == {1: Response(200)}


@pytest.mark.parametrize("length", ["3", "5", "-4", "four", "", "4, 4"])
def test_an_answer_whose_length_is_a_lie_is_no_answer(length: str) -> None:
    connection = opened(2)
    lie = block((":status", "410"), ("content-length", length))
    ends = connection.receive(headers(1, lie, NO_END) + data(1, b"body") + headers(3))

    assert named(ends) == {1: Lost("ProtocolError"), 3: Response(200)}
    (reset,) = sent(connection)
    assert isinstance(reset, RstStreamFrame)
    assert (reset.stream_id, reset.error_code) == (1, frames.PROTOCOL_ERROR)
    assert not connection.draining


def test_a_length_without_a_body_is_a_lie_too() -> None:
    connection = opened()
    lie = block((":status", "410"), ("content-length", "4"))
    assert named(connection.receive(headers(1, lie))) == {1: Lost("ProtocolError")}


def test_a_malformed_answer_costs_its_own_request_alone() -> None:
    connection = opened(2)
    ends = connection.receive(headers(1, literal("a", "b")) + headers(3, GONE))

    assert named(ends)[1] == Lost("ProtocolError")
    assert named(ends)[3] == Response(410, b"", {b"apns-id": b"AB-1"})


def test_an_answer_as_long_as_it_says_is_one() -> None:
    connection = opened()
    told = block((":status", "410"), ("content-length", "4"))
    ends = connection.receive(headers(1, told, NO_END) + data(1, b"bo", 0) + data(1, b"dy"))
    assert named(ends) == {1: Response(410, b"body", {b"content-length": b"4"})}


def test_trailers_end_an_answer_and_are_not_part_of_it() -> None:
    connection = opened(2)
    stream = headers(1, GONE, NO_END) + data(1, b"body", 0) + headers(1, block(("grpc", "0")))
    stream += headers(3, OK, NO_END) + headers(3, OK)  # even if they look like an answer

    assert named(connection.receive(stream)) == {
        1: Response(410, b"body", {b"apns-id": b"AB-1"}),
        3: Response(200),
    }


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (data(1, b"body"), "a body without headers"),
        (data(1, b"body", 0), "the beginning of one"),
        (headers(1, block((":status", "100"))), "no answer after what came before it"),
        (headers(1, block(("apns-id", "1"))), "no status"),
        (headers(1, b""), "no fields at all"),
        (headers(1, block((":status", "99")), NO_END), "a status that is none"),
        (headers(1, OK, NO_END) + headers(1, OK, NO_END), "trailers that do not end the stream"),
    ],
)
def test_a_stream_whose_answer_breaks_the_rules_is_lost_alone(wrong: bytes, why: str) -> None:
    connection = opened(2)

    ends = connection.receive(wrong)

    assert named(ends) == {1: Lost("ProtocolError")}, why
    (reset,) = sent(connection)
    assert isinstance(reset, RstStreamFrame)
    assert (reset.stream_id, reset.error_code) == (1, frames.PROTOCOL_ERROR)
    assert not connection.draining
    assert named(connection.receive(headers(3))) == {3: Response(200)}


def test_a_body_that_is_too_large_to_be_of_use_ends_as_an_answer_and_the_stream() -> None:
    connection = opened()
    part = b"x" * 16_384

    ends = connection.receive(
        headers(1, GONE, NO_END) + data(1, part, 0) + data(1, part, 0) + data(1, part, 0)
    )

    ((_, end),) = ends
    assert end == Response(410, part + part, {b"apns-id": b"AB-1"})
    assert len(part + part) == LARGEST_ANSWER
    (reset,) = sent(connection)
    assert isinstance(reset, RstStreamFrame)
    assert (reset.stream_id, reset.error_code) == (1, CANCEL)
    assert connection.in_flight == 0
    assert connection.answered


def test_a_large_body_that_is_complete_needs_no_reset() -> None:
    connection, part = opened(), b"x" * 16_384

    stream = headers(1, OK, NO_END) + data(1, part, 0) + data(1, part[:-1], 0) + data(1, part)

    assert named(connection.receive(stream)) == {1: Response(200, b"x" * (3 * 16_384 - 1))}
    assert sent(connection) == []


# --- resets ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [code for code in range(0x20) if code != REFUSED] + [2**32 - 1])
def test_a_reset_stream_is_lost_whatever_the_reason(code: int) -> None:
    connection = opened(2)

    assert named(connection.receive(frames.rst_stream(1, code))) == {1: Lost("StreamReset")}
    assert named(connection.receive(headers(3))) == {3: Response(200)}
    assert connection.data_to_send() == b""


def test_a_refused_stream_is_surely_not_processed_and_tried_again_soon() -> None:
    ends = opened().receive(frames.rst_stream(1, REFUSED))

    assert named(ends) == {1: NotProcessed("StreamRefused")}


def refusals(*stream_ids: int) -> bytes:
    return b"".join(frames.rst_stream(stream_id, REFUSED) for stream_id in stream_ids)


def test_a_peer_that_refuses_what_it_allowed_again_and_again_gets_no_more() -> None:
    connection = opened(4)

    connection.receive(refusals(1, 3))
    assert connection.room > 0
    connection.receive(refusals(5))

    assert connection.room == 0
    assert connection.draining
    assert named(connection.receive(headers(7))) == {7: Response(200)}


@pytest.mark.parametrize(
    "between",
    [
        headers(1),
        headers(1, OK, NO_END) + data(1, b"x" * 16_384, 0) * 2,
        frames.settings({frames.MAX_CONCURRENT_STREAMS: 20}),
    ],
)
def test_refusals_with_a_sign_of_good_will_between_them_are_borne(between: bytes) -> None:
    connection = opened(5)

    connection.receive(refusals(3, 5) + between + refusals(7, 9))

    assert connection.room > 0


def test_an_answer_that_is_cut_short_is_lost() -> None:
    connection = opened()

    ends = connection.receive(headers(1, OK, NO_END) + data(1, b"x", 0) + frames.rst_stream(1, 0))

    assert named(ends) == {1: Lost("StreamReset")}


def test_a_reset_before_the_whole_request_has_left_is_surely_not_processed() -> None:
    connection = opened(settings={frames.INITIAL_WINDOW_SIZE: 1})

    assert named(connection.receive(frames.rst_stream(1, CANCEL))) == {
        1: NotProcessed("StreamReset")
    }
    assert sent(connection) == []


def test_a_reset_behind_a_complete_answer_changes_nothing() -> None:
    connection = opened()

    ends = connection.receive(headers(1) + frames.rst_stream(1, 0) + frames.rst_stream(1, REFUSED))

    assert named(ends) == {1: Response(200)}
    assert not connection.draining


def test_an_answer_before_the_whole_request_has_left_is_an_answer_and_the_rest_stays_here() -> None:
    connection = opened(settings={frames.INITIAL_WINDOW_SIZE: 1})

    assert named(connection.receive(headers(1, GONE))) == {
        1: Response(410, b"", {b"apns-id": b"AB-1"})
    }
    (reset,) = sent(connection)
    assert isinstance(reset, RstStreamFrame)
    assert (reset.stream_id, reset.error_code) == (1, CANCEL)
    connection.receive(frames.window_update(1, 100))
    assert sent(connection) == []


# --- the peer goes away ---------------------------------------------------------------------------


def test_streams_above_a_goaway_are_surely_not_processed() -> None:
    connection = opened(4)
    connection.receive(headers(5, OK, NO_END))

    ends = connection.receive(goaway(3))

    above = NotProcessed("GoAway")
    assert named(ends) == {5: above, 7: above}
    assert connection.draining
    assert connection.room == 0
    assert connection.in_flight == 2
    assert connection.receive(data(5, b"late") + headers(7) + frames.rst_stream(7, 0)) == []


def test_streams_below_a_goaway_are_still_answered() -> None:
    connection = opened(4)
    connection.receive(goaway(5))

    ends = connection.receive(headers(1) + headers(5, OK, NO_END) + data(5, b"x") + headers(7))

    assert named(ends) == {1: Response(200), 5: Response(200, b"x")}
    assert named(connection.lose("Gone")) == {3: Lost("Gone")}


def test_a_goaway_may_announce_itself_and_say_later_where_the_line_is() -> None:
    connection = opened(4)

    assert connection.receive(goaway(2**31 - 1)) == []
    assert connection.draining
    assert set(named(connection.receive(goaway(3)))) == {5, 7}
    assert connection.receive(goaway(3)) == []
    assert set(named(connection.receive(goaway(0, code=2)))) == {1, 3}
    assert connection.in_flight == 0


def test_a_body_that_waits_for_its_window_goes_on_below_a_goaway_and_ends_above() -> None:
    connection = opened(2, {frames.INITIAL_WINDOW_SIZE: 1})

    ends = connection.receive(goaway(1) + frames.window_update(1, 9) + frames.window_update(3, 9))

    assert named(ends) == {3: NotProcessed("GoAway")}
    (rest,) = sent(connection)
    assert isinstance(rest, DataFrame)
    assert (rest.stream_id, rest.data, set(rest.flags)) == (1, b"}", {"END_STREAM"})


# --- time -----------------------------------------------------------------------------------------


def due(connection: Connection) -> float | None:
    return connection.next_deadline


def test_requests_expire_in_the_order_of_their_deadlines() -> None:
    connection = connected()
    assert due(connection) is None
    for name, deadline in [("a", 10.0), ("b", 20.0), ("c", 20.0), ("d", 30.0)]:
        connection.open([request(name)], deadline)
    sent(connection)

    assert due(connection) == 10.0
    assert connection.expire(9.9) == []
    assert [(r.context, end) for r, end in connection.expire(10.0)] == [("a", Lost("Timeout"))]
    assert due(connection) == 20.0
    assert [r.context for r, _ in connection.expire(29.0)] == ["b", "c"]
    assert due(connection) == 30.0
    assert [r.context for r, _ in connection.expire(1e9)] == ["d"]
    assert due(connection) is None
    assert connection.expire(2e9) == []
    resets = sent(connection)
    assert all(isinstance(reset, RstStreamFrame) for reset in resets)
    assert [reset.stream_id for reset in resets] == [1, 3, 5, 7]


def test_the_next_deadline_is_of_what_is_still_open() -> None:
    connection = connected()
    for deadline in (10.0, 20.0, 30.0):
        connection.open([request(), request()], deadline)

    connection.receive(headers(1) + headers(5) + headers(7))
    assert due(connection) == 10.0
    connection.receive(headers(3))
    assert due(connection) == 30.0
    assert connection.expire(25.0) == []
    connection.receive(headers(9) + headers(11))
    assert due(connection) is None
    connection.open([request("late")], 40.0)
    assert due(connection) == 40.0


def test_what_did_not_leave_before_its_deadline_is_surely_not_processed() -> None:
    connection = opened(2, {frames.INITIAL_WINDOW_SIZE: 1})
    connection.receive(frames.window_update(1, 1))

    assert named(connection.expire(100.0)) == {
        1: Lost("Timeout"),
        3: NotProcessed("Timeout", exchange.NEVER_SENT_S),
    }


def test_an_answer_to_a_stream_that_was_given_up_is_ignored() -> None:
    connection = opened(3)
    connection.receive(headers(5))
    connection.expire(100.0)
    sent(connection)

    ends = connection.receive(
        headers(1, GONE, NO_END)
        + data(1, b"late")
        + headers(3, b"\xbe\xbe", NO_END)
        + data(3, b"x")
        + frames.rst_stream(3, 0)
        + frames.window_update(3, 0)
    )

    assert ends == []
    assert not connection.draining
    assert sent(connection) == []


@pytest.mark.parametrize(
    ("answered", "drains"), [([], True), ([1], True), ([5], False), ([1, 5], False)]
)
def test_a_connection_drains_when_nothing_after_what_expired_got_through_either(
    answered: list[int], drains: bool
) -> None:
    connection = opened(3)
    for stream in answered:
        connection.receive(headers(stream))

    assert len(connection.expire(100.0)) == 3 - len(answered)
    assert connection.draining is drains


def test_a_header_block_that_outlives_its_stream_is_read_to_its_end() -> None:
    connection = opened(2)
    connection.receive(headers(1, GONE[:2], 0))
    assert len(connection.expire(100.0)) == 2
    connection.open([request("next")], 200.0)

    assert connection.receive(frames.frame(frames.CONTINUATION, 0x4, 1, GONE[2:])) == []
    assert named(connection.receive(headers(5))) == {"next": Response(200)}


# --- the end --------------------------------------------------------------------------------------


def test_a_lost_connection_ends_everything_once() -> None:
    connection = opened(3)
    connection.receive(headers(3, OK, NO_END))

    assert named(connection.lose("Reset")) == dict.fromkeys((1, 3, 5), Lost("Reset"))
    assert connection.lose("Reset") == []
    assert connection.expire(1e9) == []
    assert connection.receive(headers(1)) == []
    assert (connection.in_flight, connection.room, connection.next_deadline) == (0, 0, None)
    assert connection.draining


def test_what_had_not_left_when_the_connection_was_lost_is_surely_not_processed() -> None:
    connection = opened(2, {frames.INITIAL_WINDOW_SIZE: 1})
    connection.receive(frames.window_update(3, 1))

    assert named(connection.lose("Reset")) == {1: NotProcessed("Reset"), 3: Lost("Reset")}


def test_goodbye_is_said_once_and_what_is_open_may_still_be_answered() -> None:
    connection = opened()

    connection.close()

    (bye,) = sent(connection)
    assert isinstance(bye, GoAwayFrame)
    assert (bye.error_code, bye.last_stream_id) == (frames.NO_ERROR, 0)
    assert connection.room == 0
    assert named(connection.receive(headers(1))) == {1: Response(200)}
    connection.lose("Closed")
    connection.close()
    assert sent(connection) == []


def test_a_connection_drains_before_its_stream_ids_run_out() -> None:
    connection = connected()
    connection._next_id = last = 2**31 - 1 - 2 * limits.MOST_STREAMS
    connection.open([request("last but many")], 100.0)
    assert connection.room == 0
    assert connection.draining

    assert named(connection.receive(headers(last))) == {"last but many": Response(200)}


def test_the_fullest_pass_there_can_be_stays_within_the_stream_ids() -> None:
    connection = connected()
    connection._next_id = 2**31 - 1 - 2 * limits.MOST_STREAMS - 2
    connection.open([request("one more")], 100.0)
    assert connection.room > 0
    connection.receive(headers(connection._next_id - 2))
    assert connection.room == limits.MOST_STREAMS

    connection.open(requests(limits.MOST_STREAMS), 100.0)

    assert connection.draining
    assert max(frame.stream_id for frame in sent(connection)) <= 2**31 - 1


# --- small talk -----------------------------------------------------------------------------------


def test_a_ping_is_answered_with_its_own_words() -> None:
    connection = opened()

    connection.receive(frames.frame(frames.PING, 0, 0, b"12345678"))

    (pong,) = sent(connection)
    assert isinstance(pong, PingFrame)
    assert (set(pong.flags), pong.opaque_data) == ({"ACK"}, b"12345678")


def test_a_ping_of_ours_is_answered_in_silence() -> None:
    connection = connected()

    connection.ping()

    (ping,) = sent(connection)
    assert isinstance(ping, PingFrame)
    assert not set(ping.flags)
    connection.receive(frames.frame(frames.PING, frames.ACK, 0, ping.opaque_data))
    assert sent(connection) == []


@pytest.mark.parametrize("kind", [0xA, 0xC, 0x10, 0x77, 0xFF])
@pytest.mark.parametrize("stream_id", [0, 1, 2, 3, 2**31 - 1])
def test_frames_of_unknown_kinds_are_ignored(kind: int, stream_id: int) -> None:
    connection = opened()

    unknown = frames.frame(kind, 0xFF, stream_id, b"whatever")

    assert named(connection.receive(unknown + headers(1) + unknown)) == {1: Response(200)}


def test_a_priority_is_ignored_on_any_stream() -> None:
    connection = opened()
    advice = b"".join(frames.frame(frames.PRIORITY, 0, n, b"\0\0\0\0\x10") for n in (1, 2, 9))

    assert named(connection.receive(advice + headers(1))) == {1: Response(200)}


def test_the_reserved_bit_of_a_stream_id_means_nothing() -> None:
    connection = opened()

    assert named(connection.receive(headers(0x8000_0001))) == {1: Response(200)}
