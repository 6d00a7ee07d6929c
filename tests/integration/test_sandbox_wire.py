"""What the sandbox does to a connection, seen frame by frame."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from hyperframe.frame import HeadersFrame, PriorityFrame, RstStreamFrame, WindowUpdateFrame

from providers.sandbox import Answer, Settings
from tests.kit.sandbox_rig import TOKEN, SandboxRig, sandbox_rig, until

PROTOCOL_ERROR, FLOW_CONTROL_ERROR, REFUSED_STREAM = 1, 3, 7


@pytest.fixture
async def rig() -> AsyncIterator[SandboxRig]:
    async with sandbox_rig() as rig:
        yield rig


def tokens(count: int) -> list[str]:
    return [f"{number:064x}" for number in range(count)]


# --- streams ----------------------------------------------------------------------------------


async def test_an_unknown_sender_may_open_one_stream(rig: SandboxRig) -> None:
    async with rig.wire() as wire:
        rig.sandbox.latency_s = 0.05
        first, second, third = wire.push_all(tokens(3))
        await until(lambda: wire.answers[first].ended)
        assert wire.limits[0] == 1
        assert wire.resets == {second: REFUSED_STREAM, third: REFUSED_STREAM}
        await until(lambda: wire.limits == [1, 1000])
    assert [push.address for push in rig.sandbox.pushes] == tokens(1)


async def test_a_wrong_key_opens_no_further_streams(rig: SandboxRig) -> None:
    rig.sandbox.settings.trust_apns_key = False
    async with rig.wire() as wire:
        stream = wire.push()
        await until(lambda: wire.answers[stream].ended)
        assert wire.answers[stream].status == "403"
        rig.sandbox.settings.trust_apns_key = True
        stream = wire.push()
        await until(lambda: wire.limits == [1, 1000])
        assert wire.answers[stream].status == "200"


async def test_a_refusal_of_the_push_still_proves_the_sender(rig: SandboxRig) -> None:
    rig.sandbox.script(TOKEN, Answer.unregistered())
    async with rig.wire() as wire:
        wire.push()
        await until(lambda: wire.limits == [1, 1000])


async def test_a_scripted_limit_holds_from_then_on(rig: SandboxRig) -> None:
    rig.sandbox.script(TOKEN, Answer.set_stream_limit(2))
    async with rig.wire() as wire:
        await wire.authenticate()
        wire.push()
        await until(lambda: wire.limits == [1, 1000, 2])
        rig.sandbox.default_answer = Answer.hang()
        *_, third = wire.push_all(tokens(3))
        await until(lambda: wire.resets == {third: REFUSED_STREAM})


async def test_a_stream_its_sender_gave_up_makes_room(rig: SandboxRig) -> None:
    rig.sandbox.default_answer = Answer.hang()
    async with rig.wire() as wire:
        stream = wire.push()
        await until(lambda: rig.sandbox.pushes)
        wire.send(RstStreamFrame(stream, error_code=8))
        rig.sandbox.default_answer = Answer.ok()
        stream = wire.push()
        await until(lambda: wire.answers[stream].ended)


async def test_a_push_given_up_in_the_same_breath_harms_nobody(rig: SandboxRig) -> None:
    async with rig.wire() as wire:
        await wire.authenticate()
        wire.transport.pause_reading()
        stream = wire.push()
        wire.send(RstStreamFrame(stream, error_code=8))
        wire.transport.resume_reading()
        stream = wire.push()
        await until(lambda: wire.answers[stream].ended)
        assert wire.goaway is None


async def test_a_reset_ends_one_stream_and_no_other(rig: SandboxRig) -> None:
    rig.sandbox.script(TOKEN, Answer.reset(2), Answer.reset())
    async with rig.wire() as wire:
        await wire.authenticate()
        first, second = wire.push(), wire.push()
        other = wire.push("ef" * 32)
        await until(lambda: wire.answers[other].ended)
        assert wire.resets == {first: 2, second: REFUSED_STREAM}
    reasons = [(push.status, push.reason) for push in rig.sandbox.pushes]
    assert reasons == [(200, ""), (0, "reset"), (0, "reset"), (200, "")]


async def test_an_answer_that_hangs_holds_up_no_other(rig: SandboxRig) -> None:
    rig.sandbox.script(TOKEN, Answer.hang(taken=True))
    async with rig.wire() as wire:
        await wire.authenticate()
        hanging, other = wire.push(), wire.push("ef" * 32)
        await until(lambda: wire.answers[other].ended)
        assert wire.answers[hanging].status == ""
    assert len(rig.sandbox.phone(TOKEN)) == 1


async def test_a_slow_answer_is_overtaken(rig: SandboxRig) -> None:
    rig.sandbox.script(TOKEN, Answer.slow(0.1, then=Answer.internal()))
    async with rig.wire() as wire:
        await wire.authenticate()
        slow, other = wire.push(), wire.push("ef" * 32)
        await until(lambda: wire.answers[other].ended)
        await until(lambda: wire.answers[slow].ended)
        assert list(wire.ended) == sorted(wire.ended)
        assert wire.answers[slow].status == "500"


# --- the whole connection ---------------------------------------------------------------------


async def test_goaway_before_a_push_means_it_was_never_seen(rig: SandboxRig) -> None:
    rig.sandbox.script(TOKEN, Answer.goaway(process_current=False))
    async with rig.wire() as wire:
        await wire.authenticate()
        before, current, after = wire.push_all(["cd" * 32, TOKEN, "ef" * 32])
        await until(lambda: wire.closed)
        assert wire.goaway is not None
        assert (wire.goaway.last_stream_id, wire.goaway.additional_data) == (
            before,
            b'{"reason":"Shutdown"}',
        )
        assert wire.answers[before].status == "200"
        assert wire.answers[current].status == wire.answers[after].status == ""
    assert rig.sandbox.phone(TOKEN) == rig.sandbox.phone("ef" * 32) == []


async def test_goaway_after_a_push_means_it_was_taken(rig: SandboxRig) -> None:
    rig.sandbox.script(TOKEN, Answer.goaway())
    async with rig.wire() as wire:
        await wire.authenticate()
        current, after = wire.push_all([TOKEN, "ef" * 32])
        await until(lambda: wire.closed)
        assert wire.goaway is not None
        assert wire.goaway.last_stream_id == current
        assert (wire.answers[current].status, wire.answers[after].status) == ("200", "")
    assert len(rig.sandbox.phone(TOKEN)) == 1


async def test_after_goaway_what_was_in_flight_is_still_answered(rig: SandboxRig) -> None:
    rig.sandbox.script("ef" * 32, Answer.slow(0.1))
    async with rig.wire() as wire:
        await wire.authenticate()
        slow = wire.push("ef" * 32)
        await until(lambda: len(rig.sandbox.pushes) == 2)
        assert rig.sandbox.go_away() == 1
        late = wire.push()
        await until(lambda: wire.closed)
        assert wire.goaway is not None
        assert (wire.answers[slow].status, wire.answers[late].status) == ("200", "")


@pytest.mark.parametrize("taken", [True, False])
async def test_a_cut_connection_answers_nothing(rig: SandboxRig, taken: bool) -> None:
    rig.sandbox.script(TOKEN, Answer.drop(taken=taken))
    async with rig.wire() as wire:
        await wire.authenticate()
        wire.push_all([TOKEN, "ef" * 32])
        await until(lambda: wire.closed)
        assert len(wire.ended) == 1
    assert len(rig.sandbox.phone(TOKEN)) == taken
    assert rig.sandbox.phone("ef" * 32) == []


async def test_all_connections_can_be_cut_at_once(rig: SandboxRig) -> None:
    async with rig.wire() as one, rig.wire(rig.sandbox.apns_sandbox_url) as two:
        await until(lambda: one.limits and two.limits)
        assert rig.sandbox.stats()["connections_open"]["apns"] == 2
        assert rig.sandbox.drop_connections() == 2
        await until(lambda: one.closed and two.closed)
    stats = rig.sandbox.stats()
    assert (stats["connections_open"]["apns"], stats["connections_opened"]["apns"]) == (0, 2)


# --- flow control -----------------------------------------------------------------------------


async def test_6000_refusals_pass_over_one_connection(rig: SandboxRig) -> None:
    rig.sandbox.default_answer = Answer.unregistered()
    async with rig.wire() as wire:
        await wire.authenticate()
        for _ in range(12):
            await wire.push_and_wait(tokens(500))
        assert len(wire.ended) == 6001


async def test_a_sender_that_opens_no_window_stalls_until_it_does(rig: SandboxRig) -> None:
    rig.sandbox.default_answer = Answer.unregistered()
    async with rig.wire(credits=False) as wire:
        await wire.authenticate()
        wire.push_all(tokens(900))
        await until(lambda: len(rig.sandbox.pushes) == 901)
        wire.push_all(tokens(600))
        await until(lambda: len(rig.sandbox.pushes) == 1501)
        # All 1 501 were judged, yet 65 535 bytes hold fewer answers.
        await until(lambda: sum(len(each.body) for each in wire.answers.values()) == 65_535)
        assert len(wire.ended) < 1501
        wire.open_window(65_535)
        await until(lambda: len(wire.ended) == 1501)


async def test_the_senders_window_is_opened_again(rig: SandboxRig) -> None:
    rig.sandbox.settings.receive_window = 0
    async with rig.wire() as wire:
        await wire.authenticate()
        for _ in range(8):
            await wire.push_and_wait(tokens(200))
        assert wire.goaway is None


async def test_a_sender_that_oversteps_its_window_is_sent_away(rig: SandboxRig) -> None:
    rig.sandbox.settings.receive_window = 0
    async with rig.wire() as wire:
        await wire.authenticate()
        # Handed over in one piece: a socket may cut it, and the window is opened between pieces.
        (connection,) = rig.sandbox._listeners[1]._connections
        connection.data_received(wire.requests(tokens(999)))
        await until(lambda: wire.closed)
        assert wire.goaway is not None
        assert wire.goaway.error_code == FLOW_CONTROL_ERROR


# --- senders that break the protocol ----------------------------------------------------------


async def test_a_broken_frame_ends_the_connection_politely(rig: SandboxRig) -> None:
    async with rig.wire() as wire:
        await until(lambda: wire.limits)
        wire.send(PriorityFrame(1, depends_on=1))
        wire.send(WindowUpdateFrame(99, window_increment=1))
        await until(lambda: wire.closed)
        assert wire.goaway is not None
        assert wire.goaway.error_code == PROTOCOL_ERROR


async def test_what_is_no_http2_is_hung_up_on(rig: SandboxRig) -> None:
    async with rig.wire() as wire:
        await until(lambda: wire.limits)
        wire.transport.write(b"\x00" * 64)
        await until(lambda: wire.closed)


@pytest.mark.parametrize(
    "headers",
    [
        [("Apns-Topic", "x")],
        [("connection", "close")],
        [(":odd", "x")],
        [("apns-topic", "x"), (":authority", "y")],
        [(":method", "POST")],
    ],
)
async def test_headers_that_http2_forbids_cost_the_stream(
    rig: SandboxRig, headers: list[tuple[str, str]]
) -> None:
    needed = [(":method", "POST"), (":scheme", "https"), (":path", f"/3/device/{TOKEN}")]
    async with rig.wire() as wire:
        block = wire._encoder.encode([*needed, *headers])
        wire.send(HeadersFrame(1, block, flags=["END_HEADERS", "END_STREAM"]))
        await until(lambda: wire.resets == {1: PROTOCOL_ERROR})


async def test_plain_text_on_the_tls_port_is_hung_up_on(rig: SandboxRig) -> None:
    port = int(rig.sandbox.apns_url.rsplit(":", 1)[1])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    assert b"HTTP" not in await reader.read()
    writer.close()
    await writer.wait_closed()


async def test_a_sandbox_closes_cleanly_with_everything_in_flight() -> None:
    async with sandbox_rig(settings=Settings(default_answer=Answer.slow(60))) as rig:
        async with rig.wire() as wire:
            wire.push()
            await until(lambda: rig.sandbox.pushes)
            await rig.sandbox.aclose()
            await until(lambda: wire.closed)
        await rig.sandbox.aclose()
