"""A peer that sends small frames without end costs work in proportion to what it sends."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from providers.http2 import frames
from providers.http2.exchange import Ends, Lost
from tests.kit.http2_peer import OK, block, data, goaway, headers, opened

MANY = 1_000
SHUT = {frames.INITIAL_WINDOW_SIZE: 0}
WINDOWS = b"".join(b"\0\4" + (n % 2).to_bytes(4, "big") for n in range(2_730))
EARLY = headers(1, block((":status", "103"), ("link", "</a>")), frames.END_HEADERS)

#: what MANY open requests meet: the peer's settings, each body, the flood, lines of code per byte
FLOODS: dict[str, tuple[dict[int, int], bytes, bytes, int]] = {
    "a stream's window, byte by byte": (
        SHUT,
        b"b" * 4_000,
        frames.window_update(2 * MANY - 1, 1) * MANY,
        5,
    ),
    "the connection's window, of which no stream can use anything": (
        SHUT,
        b"b" * 4_000,
        frames.window_update(0, 1) * MANY,
        5,
    ),
    "the connection's window, byte by byte": (
        {},
        b"b" * 4_000,
        frames.window_update(0, 1) * MANY,
        5,
    ),
    "windows that open and close within a frame": (
        SHUT,
        b"b" * 4_000,
        frames.frame(frames.SETTINGS, 0, 0, WINDOWS),
        5,
    ),
    "settings that change nothing": (SHUT, b"b" * 4_000, frames.settings(SHUT) * 900, 5),
    "goaways that say the same": ({}, b"", goaway(2**31 - 1) * MANY + goaway(2_001) * MANY, 5),
    "goaways that fall and say nothing": (
        {},
        b"",
        b"".join(goaway(last) for last in range(9_000, 8_000, -1)),
        5,
    ),
    "goaways that fall": ({}, b"", b"".join(goaway(last) for last in range(2_001, 0, -1)), 5),
    "pings": ({}, b"", frames.frame(frames.PING, 0, 0, b"12345678") * MANY, 5),
    "empty data": ({}, b"", headers(1, OK, 4) + data(1, b"", 0) * MANY, 5),
    "words before the answer": ({}, b"", EARLY * 100, 20),
    "unknown frames": ({}, b"", frames.frame(0x77, 0, 0) * MANY, 5),
}


def lines_run(call: Callable[[], Any]) -> int:
    """How many lines of Python a call runs, here and below."""
    count = 0

    def on_event(_frame: FrameType, event: str, _arg: Any) -> Any:
        nonlocal count
        count += event == "line"
        return on_event

    before = sys.gettrace()
    sys.settrace(on_event)
    try:
        call()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("flood", FLOODS)
def test_a_flood_costs_what_it_weighs(flood: str) -> None:
    settings, body, stream, lines_per_byte = FLOODS[flood]
    connection = opened(MANY, settings, body)

    assert lines_run(lambda: connection.receive(stream)) < lines_per_byte * len(stream)
    assert connection.error is None


PINGS = frames.frame(frames.PING, 0, 0, b"12345678") * 200
SETTINGS = frames.settings(SHUT) * 200


@pytest.mark.parametrize("asked", [PINGS, SETTINGS, PINGS + SETTINGS], ids=["ping", "set", "both"])
def test_answers_that_nobody_reads_are_owed_up_to_a_bound(asked: bytes) -> None:
    connection = opened()
    connection.peer_reads = False
    ends: Ends = []
    sent = 0
    for _ in range(1_000):
        ends += connection.receive(asked)
        sent += len(connection.data_to_send())

    assert connection.error == frames.ENHANCE_YOUR_CALM
    assert [end for _, end in ends] == [Lost("ProtocolError")]
    assert sent < 70_000


def test_a_peer_that_reads_in_between_may_ask_for_ever() -> None:
    connection = opened()
    for _ in range(1_000):
        connection.peer_reads = False
        connection.receive(PINGS)
        connection.peer_reads = True
        connection.receive(PINGS)
        connection.data_to_send()

    assert connection.error is None
