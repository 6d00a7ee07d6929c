"""One connection's side of HTTP/2, against h2 in the part of the server."""

from __future__ import annotations

import h2.config
import h2.connection
import h2.events
import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes, Settings
from hyperframe.frame import GoAwayFrame, HeadersFrame

from providers.apns.channel import CannotOpen, Channel, End, Lost, NotProcessed
from providers.apns.desk import Answer

HEADERS = (
    (":method", "POST"),
    (":scheme", "https"),
    (":path", "/3/device/ab"),
    (":authority", "apns"),
    ("apns-id", "1"),
)


class Pair:
    """A channel and its server, with the bytes between them moved by hand."""

    def __init__(self, limit: int = 100) -> None:
        self.channel = Channel()
        config = h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        self.server = h2.connection.H2Connection(config)
        self.server.local_settings = Settings(
            client=False, initial_values={SettingCodes.MAX_CONCURRENT_STREAMS: limit}
        )
        self.server.initiate_connection()
        self.channel.start()
        self.seen: list[h2.events.Event] = []

    def to_server(self) -> None:
        self.seen += self.server.receive_data(self.channel.data_to_send())

    def to_client(self) -> list[tuple[int, End]]:
        return self.channel.receive(self.server.data_to_send())

    def settle(self) -> None:
        self.to_server()
        self.to_client()
        self.to_server()

    def open(self, count: int = 1, body: bytes = b"{}") -> list[int]:
        streams = [self.channel.open(HEADERS, body) for _ in range(count)]
        self.to_server()
        return streams

    def answer(self, stream: int, status: int = 200, body: bytes = b"") -> None:
        self.server.send_headers(stream, [(":status", str(status))], end_stream=not body)
        if body:
            self.server.send_data(stream, body, end_stream=True)


@pytest.fixture
def pair() -> Pair:
    ready = Pair()
    ready.settle()
    return ready


def goaway(last_stream_id: int, data: bytes = b'{"reason":"Shutdown"}') -> bytes:
    frame = GoAwayFrame(0)
    frame.last_stream_id = last_stream_id
    frame.additional_data = data
    return frame.serialize()


def test_a_request_arrives_whole_and_its_answer_comes_back(pair: Pair) -> None:
    (stream,) = pair.open(body=b'{"aps":{}}')
    assert any(isinstance(event, h2.events.RequestReceived) for event in pair.seen)
    pair.server.send_headers(stream, [(":status", "429"), ("apns-id", "x"), ("retry-after", "5")])
    pair.server.send_data(stream, b'{"reason":', end_stream=False)
    assert pair.to_client() == []
    pair.server.send_data(stream, b'"TooManyRequests"}', end_stream=True)

    ends = pair.to_client()

    assert ends == [(stream, Answer(429, b'{"reason":"TooManyRequests"}', "x", "5"))]
    assert pair.channel.open_streams == 0


def test_an_answer_without_a_body_is_an_end(pair: Pair) -> None:
    (stream,) = pair.open()
    pair.answer(stream, 503)

    assert pair.to_client() == [(stream, Answer(503, b""))]


def test_more_than_a_window_of_rejections_is_read(pair: Pair) -> None:
    body = b'{"reason":"Unregistered","timestamp":1700000000000}'
    for _ in range(2000):  # 100 kB, where HTTP/2 allows 65 535 bytes without an acknowledgement
        (stream,) = pair.open()
        pair.answer(stream, 410, body)
        assert pair.to_client() == [(stream, Answer(410, body))]
        pair.to_server()


def test_one_stream_until_the_peer_says_more() -> None:
    pair = Pair(limit=1)
    assert pair.channel.room == 1
    pair.settle()
    assert pair.channel.room == 1

    pair.open()
    assert pair.channel.room == 0
    pair.server.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: 1000})
    pair.to_client()

    assert pair.channel.room == 999


def test_a_lowered_limit_leaves_no_room_until_enough_has_ended(pair: Pair) -> None:
    streams = pair.open(5)
    pair.server.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: 2})
    pair.to_client()
    assert pair.channel.room <= 0

    for stream in streams:
        pair.answer(stream)
    pair.to_client()

    assert pair.channel.room == 2


def test_no_room_without_a_window_to_send_in(pair: Pair) -> None:
    pair.open(16, b"x" * 4000)
    assert pair.channel.room == 0

    pair.server.acknowledge_received_data(60_000, 1)
    pair.to_client()

    assert pair.channel.room > 0


def test_a_refused_stream_was_not_processed(pair: Pair) -> None:
    (stream,) = pair.open()
    pair.server.reset_stream(stream, ErrorCodes.REFUSED_STREAM)

    assert pair.to_client() == [(stream, NotProcessed("StreamRefused", 1.0))]


def test_any_other_reset_leaves_the_outcome_open(pair: Pair) -> None:
    (stream,) = pair.open()
    pair.server.reset_stream(stream, ErrorCodes.INTERNAL_ERROR)

    assert pair.to_client() == [(stream, Lost("StreamReset"))]


def test_after_goaway_late_streams_are_free_and_earlier_ones_still_answered(pair: Pair) -> None:
    first, second, third = pair.open(3)
    pair.answer(first)
    before = pair.server.data_to_send()
    pair.answer(second)
    after = pair.server.data_to_send()

    ends = pair.channel.receive(before + goaway(second) + after)

    assert ends == [
        (first, Answer(200, b"")),
        (third, NotProcessed("GoAway", 0.0)),
        (second, Answer(200, b"")),
    ]
    assert pair.channel.draining
    assert pair.channel.room == 0


def test_a_first_goaway_that_promises_everything_frees_nothing(pair: Pair) -> None:
    (stream,) = pair.open()

    assert pair.channel.receive(goaway(2**31 - 1)) == []
    pair.answer(stream)
    assert pair.to_client() == [(stream, Answer(200, b""))]


@pytest.mark.parametrize("piece", [1, 7, 9, 10])
def test_bytes_may_come_in_any_pieces(pair: Pair, piece: int) -> None:
    first, second = pair.open(2)
    pair.answer(first, 410, b'{"reason":"Unregistered"}')
    data = pair.server.data_to_send() + goaway(first)

    ends: list[tuple[int, End]] = []
    for start in range(0, len(data), piece):
        ends += pair.channel.receive(data[start : start + piece])

    assert ends == [
        (first, Answer(410, b'{"reason":"Unregistered"}')),
        (second, NotProcessed("GoAway", 0.0)),
    ]


def test_a_late_answer_to_an_abandoned_request_harms_nobody(pair: Pair) -> None:
    first, second = pair.open(2)
    pair.channel.abandon(first)
    pair.answer(first, 200, b"late")
    pair.answer(second)

    assert pair.to_client() == [(second, Answer(200, b""))]
    assert not pair.channel.draining
    assert pair.channel.room == 100


def test_abandoned_requests_give_their_streams_back(pair: Pair) -> None:
    for _ in range(5):
        for stream in pair.open(100):
            pair.channel.abandon(stream)
        pair.to_server()

    assert pair.channel.room == 100


@pytest.mark.parametrize(
    "garbage",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\xff" * 64,
        HeadersFrame(1, data=b"\xff\xff\xff", flags=["END_HEADERS"]).serialize(),
    ],
    ids=["HTTP/1.1", "an endless frame", "broken headers"],
)
def test_garbage_ends_everything_with_an_open_outcome(pair: Pair, garbage: bytes) -> None:
    (stream,) = pair.open()

    assert pair.channel.receive(garbage) == [(stream, Lost("ProtocolError"))]
    assert pair.channel.draining


def test_a_lost_connection_leaves_the_outcome_open(pair: Pair) -> None:
    streams = pair.open(2)

    ends = pair.channel.lose("ConnectionLost")

    assert ends == [(stream, Lost("ConnectionLost")) for stream in streams]


def test_a_channel_that_said_goodbye_opens_nothing(pair: Pair) -> None:
    pair.channel.close()

    with pytest.raises(CannotOpen):
        pair.channel.open(HEADERS, b"{}")


def test_device_token_and_authorization_stay_out_of_the_header_table(pair: Pair) -> None:
    pair.channel.open((*HEADERS, ("authorization", "bearer x"), ("apns-topic", "t")), b"{}")

    in_table = {name for name, _ in pair.channel._h2.encoder.header_table.dynamic_entries}
    assert in_table == {b":authority", b"apns-id", b"apns-topic"}
