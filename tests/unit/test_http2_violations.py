"""A peer that breaks HTTP/2: each rule, the code it is told, and what becomes of the requests."""

from __future__ import annotations

import pytest
from hyperframe.frame import GoAwayFrame

from providers.http2 import connection as limits
from providers.http2 import frames
from providers.http2.connection import Connection
from providers.http2.exchange import Lost, NotProcessed, Response
from providers.http2.headers import ConstantFields
from tests.kit.http2_peer import (
    CONSTANT,
    OK,
    connected,
    data,
    goaway,
    headers,
    named,
    opened,
    request,
    sent,
)

NO_END = frames.END_HEADERS
PROTOCOL, FLOW, SIZE = frames.PROTOCOL_ERROR, frames.FLOW_CONTROL_ERROR, frames.FRAME_SIZE_ERROR
COMPRESSION, CALM = frames.COMPRESSION_ERROR, frames.ENHANCE_YOUR_CALM
PING = frames.frame(frames.PING, 0, 0, b"12345678")
CONTINUED = headers(1, OK, 0)


def continuation(stream_id: int = 1, fragment: bytes = b"", flags: int = 0) -> bytes:
    return frames.frame(frames.CONTINUATION, flags, stream_id, fragment)


def setting(name: int, value: int) -> bytes:
    return frames.settings({name: value})


def promise(flags: int = 4) -> bytes:
    return frames.frame(frames.PUSH_PROMISE, flags, 1, b"\0\0\0\2" + OK)


#: what a peer may not say at any time to a client with two streams open, and the code for it
RULES = {
    # frames (RFC 9113, 4.1 and 4.2)
    "a frame larger than we take": (b"\0\x40\x01\0\0\0\0\0\1", SIZE),
    "the largest frame there is, of an unknown kind": (b"\xff\xff\xff\x77\0\0\0\0\1", SIZE),
    # section 6.1: DATA
    "data on the connection": (data(0, b"x"), PROTOCOL),
    "data on a stream of the server's": (data(2, b"x"), PROTOCOL),
    "data on a stream that nobody opened": (data(5, b"x"), PROTOCOL),
    "data padded by its own length": (data(1, b"\x02\0", 0x8), PROTOCOL),
    "data padded by more than its length": (data(1, b"\xff\0", 0x8), PROTOCOL),
    "padded data without a length of the padding": (data(1, b"", 0x8), SIZE),
    # section 6.2: HEADERS
    "headers on the connection": (headers(0), PROTOCOL),
    "headers on a stream of the server's": (headers(2), PROTOCOL),
    "headers on a stream that nobody opened": (headers(5), PROTOCOL),
    "headers padded by their own length": (headers(1, b"\x02\0", 0xD), PROTOCOL),
    "padded headers without a length of the padding": (headers(1, b"", 0xD), SIZE),
    "headers too short for the priority they announce": (headers(1, b"\0\0\0\0", 0x25), SIZE),
    "headers padded into their priority": (headers(1, b"\x03\0\0\0\0\x10\0\0", 0x2D), SIZE),
    "headers that refer to a table we do not keep": (headers(1, b"\xbe"), COMPRESSION),
    "headers with a table that we refused": (headers(1, b"\x3f\xe1\x1f\x88"), COMPRESSION),
    "headers that end in a field": (headers(1, b"\x48\x03410\x00\x05ab"), COMPRESSION),
    # section 6.3: PRIORITY
    "a priority on the connection": (frames.frame(2, 0, 0, b"\0\0\0\0\x10"), PROTOCOL),
    "a priority that is too short": (frames.frame(2, 0, 1, b"\0\0\0\0"), SIZE),
    "a priority that is too long": (frames.frame(2, 0, 1, b"\0\0\0\0\0\0"), SIZE),
    # section 6.4: RST_STREAM
    "a reset of the connection": (frames.rst_stream(0, 0), PROTOCOL),
    "a reset of a stream of the server's": (frames.rst_stream(2, 0), PROTOCOL),
    "a reset of a stream that nobody opened": (frames.rst_stream(5, 0), PROTOCOL),
    "a reset that is too short": (frames.frame(3, 0, 1, b"\0\0\0"), SIZE),
    "a reset that is too long": (frames.frame(3, 0, 1, b"\0\0\0\0\0"), SIZE),
    # section 6.5: SETTINGS
    "settings on a stream": (frames.frame(4, 0, 1), PROTOCOL),
    "settings of half a pair": (frames.frame(4, 0, 0, b"\0\3\0"), SIZE),
    "settings of one byte more": (frames.frame(4, 0, 0, b"\0\3\0\0\0\1\0"), SIZE),
    "an acknowledgement with settings": (frames.frame(4, 1, 0, b"\0\3\0\0\0\1"), SIZE),
    "an acknowledgement on a stream": (frames.frame(4, 1, 1), PROTOCOL),
    "push switched on by a server": (setting(frames.ENABLE_PUSH, 1), PROTOCOL),
    "push switched to what is no switch": (setting(frames.ENABLE_PUSH, 2), PROTOCOL),
    "a window that is too large": (setting(frames.INITIAL_WINDOW_SIZE, 2**31), FLOW),
    "a frame size that is too small": (setting(frames.MAX_FRAME_SIZE, 16_383), PROTOCOL),
    "a frame size that is too large": (setting(frames.MAX_FRAME_SIZE, 2**24), PROTOCOL),
    # section 6.6: PUSH_PROMISE
    "a promise, which we refused": (promise(), PROTOCOL),
    "the beginning of a promise": (promise(0), PROTOCOL),
    # section 6.7: PING
    "a ping on a stream": (frames.frame(6, 0, 1, b"12345678"), PROTOCOL),
    "a ping that is too short": (frames.frame(6, 0, 0, b"1234567"), SIZE),
    "a ping that is too long": (frames.frame(6, 1, 0, b"123456789"), SIZE),
    # section 6.8: GOAWAY
    "a goaway on a stream": (frames.frame(7, 0, 1, b"\0" * 8), PROTOCOL),
    "a goaway that is too short": (frames.frame(7, 0, 0, b"\0" * 7), SIZE),
    "a goaway that takes back what another said": (goaway(3) + goaway(5), PROTOCOL),
    "a goaway that rises to the beginning": (goaway(3) + goaway(2**31 - 1), PROTOCOL),
    # section 6.9: WINDOW_UPDATE
    "a window update of nothing": (frames.window_update(0, 0), PROTOCOL),
    "a window of the connection that is too large": (frames.window_update(0, 2**31 - 1), FLOW),
    "a window update that is too short": (frames.frame(8, 0, 0, b"\0\0\1"), SIZE),
    "a window update that is too long": (frames.frame(8, 0, 1, b"\0\0\0\0\1"), SIZE),
    "a window for a stream of the server's": (frames.window_update(2, 1), PROTOCOL),
    "a window for a stream that nobody opened": (frames.window_update(5, 1), PROTOCOL),
    # section 6.10: CONTINUATION
    "a continuation of nothing": (continuation(), PROTOCOL),
    "a continuation of what is complete": (headers(1) + continuation(), PROTOCOL),
    "a continuation on another stream": (CONTINUED + continuation(3), PROTOCOL),
    "a continuation on the connection": (CONTINUED + continuation(0), PROTOCOL),
    "a ping within headers": (CONTINUED + PING, PROTOCOL),
    "settings within headers": (CONTINUED + frames.settings({}), PROTOCOL),
    "data within headers": (headers(3, OK, NO_END) + CONTINUED + data(3, b"x"), PROTOCOL),
    "headers within headers of their own": (CONTINUED + CONTINUED, PROTOCOL),
    "headers within headers of another stream": (CONTINUED + headers(3), PROTOCOL),
    "an unknown kind within headers": (CONTINUED + frames.frame(0x77, 0, 1), PROTOCOL),
    "headers in very many parts": (CONTINUED + continuation() * 64, CALM),
    "headers that are very long": (CONTINUED + continuation(1, b"\0" * 16_384) * 4, CALM),
    "headers that are very long, for nobody": (
        frames.rst_stream(1, 0) + CONTINUED + continuation(1, b"\0" * 16_384) * 4,
        CALM,
    ),
    # section 10.5: floods
    "a flood of pings": (PING * 1_001, CALM),
    "a flood of settings": (frames.settings({}) * 1_001, CALM),
    "a flood of both": ((PING + frames.settings({})) * 501, CALM),
}


def goodbye(connection: Connection) -> GoAwayFrame:
    last = sent(connection)[-1]
    assert isinstance(last, GoAwayFrame)
    return last


@pytest.mark.parametrize("rule", RULES)
def test_who_breaks_a_rule_is_told_which_and_left(rule: str) -> None:
    wrong, code = RULES[rule]
    connection = opened(2)

    ends = connection.receive(wrong)

    assert goodbye(connection).error_code == connection.error == code
    assert connection.draining
    assert (connection.in_flight, connection.room, connection.next_deadline) == (0, 0, None)
    assert set(named(ends)) == {1, 3}
    assert connection.receive(headers(1) + headers(3)) == []
    assert connection.lose("Closed") == []
    assert connection.data_to_send() == b""


# a flood is one only when it comes at once
@pytest.mark.parametrize("rule", [rule for rule in RULES if "flood" not in rule])
def test_a_broken_rule_is_noticed_byte_by_byte_too(rule: str) -> None:
    wrong, code = RULES[rule]
    connection = opened(2)

    ends = [end for byte in wrong for end in connection.receive(bytes([byte]))]

    assert set(named(ends)) == {1, 3}
    assert connection.error == code


def test_a_violation_loses_what_was_sent_and_spares_what_was_not_and_what_was_answered() -> None:
    connection = connected({frames.INITIAL_WINDOW_SIZE: 2})
    connection.open([request("answered"), request("sent"), request("unsent", b"long")], 100.0)

    ends = connection.receive(headers(1) + headers(3, OK, NO_END) + promise())

    assert named(ends) == {
        "answered": Response(200),
        "sent": Lost("ProtocolError"),
        "unsent": NotProcessed("ProtocolError"),
    }


@pytest.mark.parametrize(
    "first",
    [
        headers(1),
        headers(1, OK, NO_END) + data(1),
        PING,
        data(1),
        frames.rst_stream(1, frames.REFUSED_STREAM),
        frames.frame(frames.SETTINGS, frames.ACK, 0),
        frames.window_update(0, 1),
        goaway(0),
        frames.frame(0x77, 0, 0, b"unknown"),
        frames.frame(frames.PRIORITY, 0, 1, b"\0\0\0\0\x10"),
        continuation(),
    ],
)
def test_a_peer_that_does_not_begin_with_its_settings_is_left(first: bytes) -> None:
    connection = Connection(ConstantFields(CONSTANT))
    connection.open([request("a")], 100.0)

    ends = connection.receive(first + frames.settings({}))

    assert named(ends) == {"a": Lost("ProtocolError")}
    assert connection.error == goodbye(connection).error_code == PROTOCOL


@pytest.mark.parametrize(
    "words",
    [
        b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"220 mail.test ESMTP\r\n",
        b"\x15\x03\x03\x00\x02\x02\x28\x15\x03",
    ],
)
def test_a_peer_that_speaks_something_else_is_left(words: bytes) -> None:
    connection = Connection(ConstantFields(CONSTANT))
    connection.open([request("a")], 100.0)

    assert named(connection.receive(words)) == {"a": Lost("ProtocolError")}
    assert connection.error == SIZE


def test_more_than_the_window_it_was_given_is_a_violation() -> None:
    connection = opened()
    connection.receive(headers(1, OK, NO_END))
    connection.expire(100.0)
    most = limits.RECEIVE_WINDOW // 16_384

    assert connection.receive(data(1, b"x" * 16_384, 0) * most) == []
    assert connection.error is None
    connection.receive(data(1, b"x" * 16_384, 0) * most + data(1, b"x", 0))

    assert connection.error == goodbye(connection).error_code == FLOW


def test_a_body_in_debt_may_not_be_lent_more_than_there_is() -> None:
    connection = connected({frames.INITIAL_WINDOW_SIZE: 2**31 - 1})
    # the windows of streams begin at the most there is; only that of the connection is in the way
    connection.open([request("a", b"a" * 65_535), request("b", b"b" * 20_000)], 100.0)
    connection.receive(frames.settings({frames.INITIAL_WINDOW_SIZE: 1}))
    connection.receive(frames.window_update(3, 2))
    assert connection.error is None

    connection.receive(frames.settings({frames.INITIAL_WINDOW_SIZE: 2**31 - 1}))

    assert connection.error == FLOW


def test_a_thousand_pings_at_once_are_no_flood_and_next_time_as_many() -> None:
    connection = opened()

    for _ in range(3):
        assert connection.receive(PING * 1_000) == []

    assert named(connection.receive(headers(1))) == {1: Response(200)}
    assert len(sent(connection)) == 3_000


def test_headers_just_short_of_the_limits_are_read() -> None:
    connection = opened(2)
    long = b"\x00\x01a\x7f\x80\x7e" + b"v" * 16_255  # one field of nearly a frame

    many = headers(1, b"\x8d", 1) + continuation() * 62 + continuation(flags=4)
    large = headers(3, b"\x8d", 1) + continuation(3, long) * 2 + continuation(3, long, 4)

    ends = named(connection.receive(many + large))
    assert ends == {1: Response(404), 3: Response(404, b"", {b"a": b"v" * 16_255})}


def test_the_words_of_a_violation_hold_nothing_of_what_was_said() -> None:
    ends = opened().receive(headers(1, b"\x00\x05token"))

    assert named(ends) == {1: Lost("ProtocolError")}
