"""Whatever a peer sends: no crash, no growth, and each request comes to one end.

The bulk is made by seeded dice, 10 million bytes and more; hypothesis looks for the small ones.
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

    def __init__(self, dice: random.Random, streams: int | None = None) -> None:
        self.dice = dice
        self.connection: Connection = connected(
            {
                frames.MAX_CONCURRENT_STREAMS: streams or dice.choice([1, 5, 1_000]),
                frames.INITIAL_WINDOW_SIZE: dice.choice([0, 1, 65_535, 65_535]),
            }
        )
        self.open: set[Request] = set()
        self.fed = 0
        self.clock = 0.0

    def ask(self, count: int) -> None:
        """Open so many requests, or what there is room for."""
        body = self.dice.choice([b"", b"{}", b"b" * 5_000])
        new = [request(number, body) for number in range(min(self.connection.room, count))]
        self.open.update(new)
        if new:
            self.connection.open(new, self.clock + 10.0)

    def feed(self, stream: bytes, cuts: int) -> None:
        places = [self.dice.randrange(len(stream) + 1) for _ in range(cuts)]
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
        self.clock += self.dice.choice([0.0, 1.0, 10.0])
        self.check(self.connection.expire(self.clock))

    def end(self) -> int:
        """The connection is lost; returns how many bytes it has read."""
        self.check(self.connection.lose("Gone"))
        assert not self.open
        assert self.connection.lose("Gone") == []
        self.connection.data_to_send()
        return self.fed


# --- three ways to make bytes --------------------------------------------------------------------


def noise(dice: random.Random) -> Iterator[bytes]:
    """Random bytes; mostly behind the head of a frame that is small enough to be read."""
    for _ in range(dice.choice([1, 5, 30])):
        kind = dice.randrange(10 if dice.random() > 0.02 else 0, 256)
        content = dice.randbytes(dice.choice([0, 4, 5, 6, 8, 30, 300, 3_000, 16_384]))
        yield frames.frame(kind, dice.randrange(256), dice.randrange(2**31), content)
    yield dice.randbytes(dice.choice([0, 10, 2_000]))


@cache
def valid_stream() -> bytes:
    """What a server may say to the first hundred requests."""
    dice, said = random.Random(1), [frames.settings({frames.MAX_CONCURRENT_STREAMS: 200})]
    for stream_id in range(1, 200, 2):
        kind = dice.randrange(7)
        if kind < 3:
            said.append(headers(stream_id, BLOCKS[kind]))
        elif kind < 5:
            said += [headers(stream_id, BLOCKS[kind - 1], 4), data(stream_id, CUTS[kind - 2])]
        elif kind == 5:
            said.append(frames.rst_stream(stream_id, dice.randrange(12)))
        else:
            said += [
                frames.frame(frames.PING, 0, 0, b"12345678"),
                frames.window_update(0, 1_000),
                headers(stream_id, b"\x02" + OK + b"\0\0", 0xC),
                data(stream_id, b"\x05{}" + b"\0" * 5, 0x9),
            ]
    return b"".join(said)


def mutants(dice: random.Random) -> Iterator[bytes]:
    """A valid stream with a few bytes changed, gone, twice or in between."""
    stream = bytearray(valid_stream())
    for _ in range(dice.choice([0, 1, 1, 2, 5])):
        at, size = dice.randrange(len(stream)), dice.choice([1, 1, 2, 9, 30])
        match dice.randrange(5):
            case 0:
                stream[at] ^= 1 << dice.randrange(8)
            case 1:
                stream[at] = dice.randrange(256)
            case 2:
                del stream[at : at + size]
            case 3:
                stream[at:at] = stream[at : at + size]
            case _:
                stream[at:at] = dice.randbytes(size)
    yield bytes(stream)


def sentences(dice: random.Random) -> Iterator[bytes]:
    """Frames that mean something, in any order; now and then with a wrong field."""
    for _ in range(dice.choice([10, 100, 300])):
        stream_id = 2 * dice.randrange(40) + 1
        match dice.randrange(12):
            case 0 | 1:
                fragment = dice.choice(BLOCKS[:5])
                yield headers(stream_id, fragment, dice.choice([4, 5, 5]))
            case 2:
                fragment, cut = dice.choice(BLOCKS), dice.randrange(3)
                yield headers(stream_id, fragment[:cut], dice.choice([0, 1]))
                yield frames.frame(frames.CONTINUATION, 4, stream_id, fragment[cut:])
            case 3 | 4:
                yield data(stream_id, dice.choice(CUTS), dice.choice([0, 0, 1]))
            case 5:
                padding = dice.randrange(256)
                content = bytes([padding]) + dice.choice(CUTS[:4]) + b"\0" * padding
                yield data(stream_id, content, dice.choice([8, 9]))
            case 6:
                yield frames.rst_stream(stream_id, dice.randrange(14))
            case 7:
                yield frames.window_update(dice.choice([0, stream_id]), dice.choice([1, 9, 5_000]))
            case 8:
                window = dice.choice([0, 1, 65_535, 2**20])
                yield frames.settings({3: dice.choice([0, 1, 100]), 4: window})
            case 9:
                yield frames.frame(frames.PING, dice.choice([0, 1]), 0, dice.randbytes(8))
            case 10:
                yield goaway(dice.choice([2**31 - 1, 2**31 - 1, stream_id])) * (stream_id == 1)
            case _:
                if dice.random() < 0.05:
                    stream_id = dice.choice([0, 2, 2**31 - 1, stream_id])
                    content = dice.randbytes(dice.choice([0, 1, 4, 5, 6, 8, 16_384, 16_385]))
                    yield frames.frame(dice.randrange(12), dice.randrange(256), stream_id, content)


def run(make: Callable[[random.Random], Iterator[bytes]], dice: random.Random) -> Peer:
    peer = Peer(dice, streams=None if make is noise else 100)
    peer.ask(100)
    for stream in make(dice):
        peer.ask(dice.choice([0, 1, 30]))
        peer.feed(stream, cuts=dice.choice([0, 0, 1, 3, 20]))
        if peer.connection.error is not None:
            break
        if dice.random() < 0.02:
            peer.pass_time()
    return peer


@pytest.mark.parametrize("make", [noise, mutants, sentences])
def test_millions_of_bytes_do_no_harm(
    make: Callable[[random.Random], Iterator[bytes]],
) -> None:
    dice, read, broken, whole = random.Random(make.__name__), 0, 0, 0
    while read < 6_000_000:
        peer = run(make, dice)
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
def test_no_few_frames_do_harm(said: list[bytes], cuts: list[int], dice: random.Random) -> None:
    peer = Peer(dice)
    for piece in pieces(b"".join(said), cuts):
        peer.ask(dice.choice([0, 1, 30]))
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
