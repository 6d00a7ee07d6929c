"""Whatever a peer sends: no crash, no growth, and each request comes to one end.

A seeded generator makes the bulk, over 10 million bytes; hypothesis looks for the small ones.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.http2 import frames
from providers.http2.connection import Connection
from providers.http2.exchange import Ends, Request
from tests.kit.http2_peer import (
    OK,
    block,
    connected,
    data,
    goaway,
    headers,
    pieces,
    request,
)

MOST_KEPT = frames.HEAD_SIZE + frames.DEFAULT_FRAME
LARGEST_BLOCK = 65_536 + frames.DEFAULT_FRAME
BLOCKS = [
    OK,
    b"\x20" + OK,
    block((":status", "410"), ("apns-id", "AB-1"), ("content-type", "application/json")),
    block((":status", "503"), ("retry-after", "7")),
    block((":status", "103"), ("link", "</a>")),
    block(("x-checksum", "1")),
    b"",
    b"\xbe",
]
CUTS = [b"", b"{", b'{"reason":"BadDeviceToken"}', b"x" * 1_000, b"x" * 16_384]


class Peer:
    """Feeds a connection, and checks after each read what always has to hold."""

    def __init__(self, rng: random.Random, streams: int | None = None) -> None:
        self.rng = rng
        self.connection: Connection = connected(
            {
                frames.MAX_CONCURRENT_STREAMS: streams or rng.choice([1, 5, 1_000]),
                frames.INITIAL_WINDOW_SIZE: rng.choice([0, 1, 65_535, 65_535]),
            }
        )
        self.open: set[Request] = set()
        self.fed = 0
        self.clock = 0.0

    def ask(self, count: int) -> None:
        """Open so many requests, or what there is room for."""
        body = self.rng.choice([b"", b"{}", b"b" * 5_000])
        new = [request(number, body) for number in range(min(self.connection.room, count))]
        self.open.update(new)
        if new:
            self.connection.open(new, self.clock + 10.0)

    def feed(self, stream: bytes, cuts: int) -> None:
        places = [self.rng.randrange(len(stream) + 1) for _ in range(cuts)]
        for piece in pieces(stream, places):
            if self.connection.error is None:
                self.fed += len(piece)
            self.check(self.connection.receive(piece))

    def check(self, ends: Ends) -> None:
        connection = self.connection
        for ended, _ in ends:
            self.open.remove(ended)  # raises at the second end of a request
        assert connection.in_flight == len(self.open)
        assert connection.room >= 0
        assert len(connection._rest) <= MOST_KEPT
        assert connection._block is None or connection._block.size <= LARGEST_BLOCK
        assert len(connection._streams.answers) + len(connection._sender._unsent) <= 2 * len(
            self.open
        )
        if connection.error is not None:
            assert connection.draining
            assert not self.open
            assert connection.next_deadline is None

    def pass_time(self) -> None:
        self.clock += self.rng.choice([0.0, 1.0, 10.0])
        self.check(self.connection.expire(self.clock))

    def end(self) -> int:
        """The connection is lost; returns how many bytes it has read."""
        self.check(self.connection.lose("Gone"))
        assert not self.open
        assert self.connection.lose("Gone") == []
        self.connection.data_to_send()
        return self.fed


# --- three ways to make bytes --------------------------------------------------------------------


def noise(rng: random.Random) -> Iterator[bytes]:
    """Random bytes; mostly behind the head of a frame that is small enough to be read."""
    for _ in range(rng.choice([1, 5, 30])):
        kind = rng.randrange(10 if rng.random() > 0.02 else 0, 256)
        content = rng.randbytes(rng.choice([0, 4, 5, 6, 8, 30, 300, 3_000, 16_384]))
        yield frames.frame(kind, rng.randrange(256), rng.randrange(2**31), content)
    yield rng.randbytes(rng.choice([0, 10, 2_000]))


@cache
def valid_stream() -> bytes:
    """What a server may say to the first hundred requests."""
    rng, said = random.Random(1), [frames.settings({frames.MAX_CONCURRENT_STREAMS: 200})]
    for stream_id in range(1, 200, 2):
        kind = rng.randrange(7)
        if kind < 3:
            said.append(headers(stream_id, BLOCKS[kind]))
        elif kind < 5:
            said += [headers(stream_id, BLOCKS[kind - 1], 4), data(stream_id, CUTS[kind - 2])]
        elif kind == 5:
            said.append(frames.rst_stream(stream_id, rng.randrange(12)))
        else:
            said += [
                frames.frame(frames.PING, 0, 0, b"12345678"),
                frames.window_update(0, 1_000),
                headers(stream_id, b"\x02" + OK + b"\0\0", 0xC),
                data(stream_id, b"\x05{}" + b"\0" * 5, 0x9),
            ]
    return b"".join(said)


def mutants(rng: random.Random) -> Iterator[bytes]:
    """A valid stream with a few bytes changed, gone, twice or in between."""
    stream = bytearray(valid_stream())
    for _ in range(rng.choice([0, 1, 1, 2, 5])):
        at, size = rng.randrange(len(stream)), rng.choice([1, 1, 2, 9, 30])
        match rng.randrange(5):
            case 0:
                stream[at] ^= 1 << rng.randrange(8)
            case 1:
                stream[at] = rng.randrange(256)
            case 2:
                del stream[at : at + size]
            case 3:
                stream[at:at] = stream[at : at + size]
            case _:
                stream[at:at] = rng.randbytes(size)
    yield bytes(stream)


def sentences(rng: random.Random) -> Iterator[bytes]:
    """Frames that mean something, in any order; now and then with a wrong field."""
    for _ in range(rng.choice([10, 100, 300])):
        stream_id = 2 * rng.randrange(40) + 1
        match rng.randrange(12):
            case 0 | 1:
                fragment = rng.choice(BLOCKS[:5])
                yield headers(stream_id, fragment, rng.choice([4, 5, 5]))
            case 2:
                fragment, cut = rng.choice(BLOCKS), rng.randrange(3)
                yield headers(stream_id, fragment[:cut], rng.choice([0, 1]))
                yield frames.frame(frames.CONTINUATION, 4, stream_id, fragment[cut:])
            case 3 | 4:
                yield data(stream_id, rng.choice(CUTS), rng.choice([0, 0, 1]))
            case 5:
                padding = rng.randrange(256)
                content = bytes([padding]) + rng.choice(CUTS[:4]) + b"\0" * padding
                yield data(stream_id, content, rng.choice([8, 9]))
            case 6:
                yield frames.rst_stream(stream_id, rng.randrange(14))
            case 7:
                yield frames.window_update(rng.choice([0, stream_id]), rng.choice([1, 9, 5_000]))
            case 8:
                window = rng.choice([0, 1, 65_535, 2**20])
                yield frames.settings({3: rng.choice([0, 1, 100]), 4: window})
            case 9:
                yield frames.frame(frames.PING, rng.choice([0, 1]), 0, rng.randbytes(8))
            case 10:
                yield goaway(rng.choice([2**31 - 1, 2**31 - 1, stream_id])) * (stream_id == 1)
            case _:
                if rng.random() < 0.05:
                    stream_id = rng.choice([0, 2, 2**31 - 1, stream_id])
                    content = rng.randbytes(rng.choice([0, 1, 4, 5, 6, 8, 16_384, 16_385]))
                    yield frames.frame(rng.randrange(12), rng.randrange(256), stream_id, content)


def run(make: Callable[[random.Random], Iterator[bytes]], rng: random.Random) -> Peer:
    peer = Peer(rng, streams=None if make is noise else 100)
    peer.ask(100)
    for stream in make(rng):
        peer.ask(rng.choice([0, 1, 30]))
        peer.feed(stream, cuts=rng.choice([0, 0, 1, 3, 20]))
        if peer.connection.error is not None:
            break
        if rng.random() < 0.02:
            peer.pass_time()
    return peer


@pytest.mark.parametrize("make", [noise, mutants, sentences])
def test_millions_of_bytes_do_no_harm(
    make: Callable[[random.Random], Iterator[bytes]],
) -> None:
    rng, read, broken, whole = random.Random(make.__name__), 0, 0, 0
    while read < 6_000_000:
        peer = run(make, rng)
        broken += peer.connection.error is not None
        whole += peer.connection.error is None
        read += peer.end()
    assert broken > 20
    assert whole > 20


small_frames = st.builds(
    frames.frame,
    st.integers(0, 11),
    st.sampled_from([0, 1, 4, 5, 8, 9, 12, 13, 0x20, 0x24, 0x2D]) | st.integers(0, 255),
    st.sampled_from([0, 1, 1, 3, 5, 2, 99]),
    st.binary(max_size=12) | st.sampled_from(BLOCKS) | st.binary(max_size=300),
)


@given(
    st.lists(small_frames | st.binary(max_size=20) | st.just(frames.settings({4: 1})), max_size=20),
    st.lists(st.integers(0, 10_000), max_size=10),
    st.randoms(use_true_random=False),
)
def test_no_few_frames_do_harm(said: list[bytes], cuts: list[int], rng: random.Random) -> None:
    peer = Peer(rng)
    for piece in pieces(b"".join(said), cuts):
        peer.ask(rng.choice([0, 1, 30]))
        peer.feed(piece, cuts=0)
    peer.pass_time()
    peer.end()


@given(st.lists(small_frames, max_size=10), st.lists(st.integers(0, 10_000), max_size=10))
def test_where_bytes_are_cut_makes_no_difference(said: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(said)
    outcomes = []
    for parts in ([stream], pieces(stream, cuts), [bytes([byte]) for byte in stream]):
        connection = connected()
        connection.open([request(1), request(3), request(5, b"b" * 70_000)], 10.0)
        ends = [(asked.context, end) for part in parts for asked, end in connection.receive(part)]
        outcomes.append((ends, connection.error, connection.room, connection.data_to_send()))
    assert outcomes[0] == outcomes[1] == outcomes[2]
