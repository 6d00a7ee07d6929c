"""The client's side of HTTP/2 against h2 as the server, in any order and cut at any byte."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hyperframe.frame import DataFrame
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from providers.http2 import connection as limits
from providers.http2 import frames
from providers.http2.connection import Connection
from providers.http2.exchange import End, Ends, Lost, NotProcessed, Request
from providers.http2.headers import ConstantFields, literal
from tests.kit.http2_peer import CONSTANT, parsed
from tests.kit.http2_server import Mark, Server

LIFE_S = 10.0
NOISE = [
    frames.frame(0x77, 0xFF, 5, b"unknown"),
    frames.frame(frames.PRIORITY, 0, 2, b"\0\0\0\0\x10"),
    frames.frame(frames.PING, frames.ACK, 0, b"unasked!"),
    frames.frame(0xC, 0, 0, b"x" * 300),
]
CHUNKS = [0, 1, 20, 30, 5_000, 16_000, 16_384]
PADDINGS = [None, None, 0, 1, 255]
STATUSES = [200, 200, 200, 400, 403, 410, 429, 500, 503]
CODES = [0, 1, 2, 5, 7, 7, 7, 8, 11, 99]

some = st.integers(0, 30)
body_sizes = st.sampled_from([0, 1, 2, 110, 110, 110, 4_096, 16_384, 16_385, 40_000, 70_000])
field_sizes = st.sampled_from([0, 30, 30, 30, 200, 17_000, 40_000])
chunks = st.sampled_from(CHUNKS)
paddings = st.sampled_from(PADDINGS)
statuses = st.sampled_from(STATUSES)
bytes_at_once = st.just(10**9) | st.sampled_from([1, 3, 9, 10, 17, 60, 500, 20_000])


@dataclass(slots=True)
class Sent:
    request: Request
    fields: list[tuple[bytes, bytes]]
    deadline: float


class Conversation(RuleBasedStateMachine):
    """One client, one server, and a wire each way that delivers as little as it likes."""

    @initialize()
    def connect(self) -> None:
        self.client, self.server = Connection(ConstantFields(CONSTANT)), Server()
        self.now, self.next_id, self.deadline = 0.0, 1, 0.0
        self.open: dict[int, Sent] = {}
        self.sent: dict[int, Sent] = {}
        self.ended: dict[int, End] = {}
        self.unfinished: set[int] = set()
        self.limit, self.window, self.draining = limits.FIRST_STREAMS, frames.DEFAULT_WINDOW, False
        self.delivered = self.checked = self.refusals = 0
        self.to_server = bytearray()
        self.collect()

    # --- the wires ------------------------------------------------------------------------------

    def collect(self) -> None:
        """Put on the wire what the client has to send, and see which bodies that completes."""
        data = self.client.data_to_send()
        self.to_server += data
        for frame in parsed(data.removeprefix(frames.PREFACE)):
            if isinstance(frame, DataFrame):
                self.window -= frame.flow_controlled_length
                if "END_STREAM" in frame.flags:
                    self.unfinished.discard(frame.stream_id)

    @rule(most=bytes_at_once)
    def deliver_to_server(self, most: int = 10**9) -> None:
        data = bytes(self.to_server[:most])
        del self.to_server[:most]
        self.server.receive(data)
        assert set(self.server.resets) <= {frames.CANCEL}
        for stream_id, incoming in self.server.seen.items():
            if incoming.complete:
                assert incoming.fields == self.sent[stream_id].fields
                assert bytes(incoming.body) == self.sent[stream_id].request.body

    @rule(most=bytes_at_once)
    def deliver_to_client(self, most: int = 10**9) -> None:
        data = bytes(self.server.sent[self.delivered : self.delivered + most])
        self.delivered += len(data)
        ends = self.client.receive(data)
        self.collect()
        assert self.client.error is None
        expected: list[tuple[int, End]] = []
        marks = self.server.marks
        while self.checked < len(marks) and marks[self.checked].offset <= self.delivered:
            expected += self.follow(marks[self.checked])
            self.checked += 1
        self.settle(ends, expected)

    def follow(self, mark: Mark) -> list[tuple[int, End]]:
        """What the client must make of what the server has said."""
        stream_id = mark.stream_id
        match mark.what:
            case "limit":
                self.refusals = 0
                self.limit = min(mark.number, limits.MOST_STREAMS)
            case "window":
                self.window += mark.number
            case "goaway":
                self.draining = True
                above = [late for late in self.open if late > mark.number]
                for late in above:
                    del self.open[late]
                return [(late, NotProcessed("GoAway")) for late in above]
            case "answer" if stream_id in self.open:
                assert mark.answer is not None
                self.refusals = 0
                del self.open[stream_id]
                return [(stream_id, mark.answer)]
            case "reset" if stream_id in self.open:
                del self.open[stream_id]
                if mark.number == frames.REFUSED_STREAM:
                    self.refusals += 1
                    self.draining |= self.refusals >= 3
                    return [(stream_id, NotProcessed("StreamRefused"))]
                if stream_id in self.unfinished:
                    return [(stream_id, NotProcessed("StreamReset"))]
                return [(stream_id, Lost("StreamReset"))]
            case _:
                pass
        return []

    def settle(self, ends: Ends, expected: Sequence[tuple[int, End]]) -> None:
        assert [(self.sent[n].request, end) for n, end in expected] == ends
        for stream_id, end in expected:
            assert stream_id not in self.ended
            self.ended[stream_id] = end
            self.unfinished.discard(stream_id)

    @rule(times=st.integers(1, 3))
    def deliver_all(self, times: int) -> None:
        for _ in range(times):
            self.deliver_to_server()
            self.deliver_to_client()

    # --- the client -----------------------------------------------------------------------------

    @precondition(lambda self: self.client.room > 0)
    @rule(bodies=st.lists(st.tuples(body_sizes, field_sizes), min_size=1, max_size=30))
    def open_requests(self, bodies: list[tuple[int, int]]) -> None:
        self.deadline = max(self.deadline, self.now + LIFE_S)
        requests = []
        for size, field_size in bodies[: self.client.room]:
            stream_id, self.next_id = self.next_id, self.next_id + 2
            own = [(":path", f"/3/device/{stream_id}")]
            if field_size:
                own.append(("authorization", "x" * field_size))
            body = (b"%d." % stream_id * size)[:size]
            coded = b"".join(literal(*pair, secret=bool(size % 2)) for pair in own)
            request = Request(coded, body, stream_id)
            pairs = [*CONSTANT[:3], *own, *CONSTANT[3:]]
            fields = [(name.encode(), value.encode()) for name, value in pairs]
            self.open[stream_id] = self.sent[stream_id] = Sent(request, fields, self.deadline)
            self.unfinished.add(stream_id)
            requests.append(request)
        self.client.open(requests, self.deadline)
        self.collect()

    @rule(seconds=st.sampled_from([0.0, 0.5, 2.0, LIFE_S - 0.5, LIFE_S]))
    def let_time_pass(self, seconds: float) -> None:
        self.now += seconds
        oldest = min(self.open, default=0)
        got_through = any(
            oldest < stream_id for stream_id in self.sent if stream_id not in self.open
        )
        ends = self.client.expire(self.now)
        expected = []
        for stream_id, sent in list(self.open.items()):
            if sent.deadline <= self.now:
                del self.open[stream_id]
                unsent = stream_id in self.unfinished
                expected.append(
                    (stream_id, NotProcessed("Timeout", 10.0) if unsent else Lost("Timeout"))
                )
        self.draining |= bool(expected) and not got_through
        self.settle(ends, expected)
        self.collect()

    @rule()
    def ping_server(self) -> None:
        self.client.ping()
        self.collect()

    @rule(really=st.sampled_from([False] * 9 + [True]))
    def lose_and_reconnect(self, *, really: bool) -> None:
        if really:
            self.lose()
            self.connect()

    def lose(self) -> None:
        ends = self.client.lose("Gone")
        expected = [
            (n, NotProcessed("Gone") if n in self.unfinished else Lost("Gone")) for n in self.open
        ]
        self.open.clear()
        self.settle(ends, expected)
        self.judge()
        rest = bytes(self.server.sent[self.delivered :])
        assert self.client.receive(rest) == self.client.lose("Gone") == []
        assert (self.client.in_flight, self.client.room) == (0, 0)

    def judge(self) -> None:
        """At the end: one end each, and nothing that was acted upon is said not to have been."""
        assert self.ended.keys() == self.sent.keys()
        for stream_id, end in self.ended.items():
            if isinstance(end, NotProcessed):
                incoming = self.server.seen.get(stream_id)
                assert incoming is None or not incoming.processed

    # --- the server -----------------------------------------------------------------------------

    def pick(self, streams: list[int], which: int) -> int | None:
        return streams[which % len(streams)] if streams else None

    @rule(
        streams=st.sampled_from([0, 1, 2, 5, 100, 2_000]),
        window=st.sampled_from([0, 1, 100, 16_384, 65_535, 2**20]),
        frame=st.sampled_from([16_384, 16_385, 50_000, 2**24 - 1]),
        table=st.sampled_from([0, 0, 1, 100, 162, 4_096, 65_536]),
    )
    def change_settings(self, streams: int, window: int, frame: int, table: int) -> None:
        self.server.change(streams=streams, window=window, frame=frame, table=table)

    @rule(size=st.sampled_from([1, 10, 5_000, 2**17]))
    def grant(self, size: int) -> None:
        self.server.grant(size)

    @rule(which=some, size=st.sampled_from([1, 10, 5_000, 2**17]))
    def grant_stream(self, which: int, size: int) -> None:
        if stream_id := self.pick(self.server.alive, which):
            self.server.grant_stream(stream_id, size)

    @rule(most=st.sampled_from([1, 5, 10_000]))
    def process(self, most: int) -> None:
        self.server.process(most)

    @rule(which=some, status=st.sampled_from([100, 103]))
    def inform(self, which: int, status: int) -> None:
        if stream_id := self.pick(self.server.answerable, which):
            self.server.inform(stream_id, status)

    @rule(which=some, status=statuses, field_size=field_sizes, end=st.booleans())
    def begin_answer(self, which: int, status: int, field_size: int, *, end: bool) -> None:
        begun = [n for n in self.server.answerable if self.server.open[n].answer is None]
        if stream_id := self.pick(begun, which):
            fields = [("apns-id", str(stream_id)), ("x", "y" * field_size)][: 1 + field_size % 2]
            if field_size > 1_000:
                fields.append(("large", "z" * field_size))
            self.server.answer(stream_id, status, fields, end=end)

    def begun(self) -> list[int]:
        return [n for n in self.server.answerable if self.server.open[n].answer is not None]

    @rule(which=some, size=chunks, padding=paddings, end=st.booleans())
    def go_on_answering(self, which: int, size: int, padding: int | None, *, end: bool) -> None:
        if stream_id := self.pick(self.begun(), which):
            content = (b"answer %d " % stream_id * 2_000)[: max(0, size - (padding or 0) - 1)]
            self.server.more(stream_id, content, padding, end=end)

    @rule(which=some)
    def end_with_trailers(self, which: int) -> None:
        if stream_id := self.pick(self.begun(), which):
            self.server.trail(stream_id)

    @rule(most=some, status=statuses)
    def answer_many(self, most: int, status: int) -> None:
        for stream_id in self.server.answerable[:most]:
            if self.server.open[stream_id].answer is None:
                self.server.answer(stream_id, status, end=status < 300)
                if status >= 300:
                    self.server.more(stream_id, b'{"reason":"BadDeviceToken"}', None, end=True)

    @rule(which=some, code=st.sampled_from(CODES))
    def reset(self, which: int, code: int) -> None:
        if stream_id := self.pick(self.server.alive, which):
            self.server.reset(stream_id, code)

    @rule(
        really=st.sampled_from([False, False, True]),
        wanted=st.sampled_from([0, 1, 5, 11, 2**31 - 1, 2**31 - 1]) | st.integers(0, 400),
        code=st.sampled_from([0, 2, 11]),
    )
    def go_away(self, wanted: int, code: int, *, really: bool) -> None:
        if really:
            self.server.go_away(wanted, code)

    @rule(noise=st.sampled_from(NOISE))
    def say_something_odd(self, noise: bytes) -> None:
        self.server.say(noise)

    @rule()
    def ping_client(self) -> None:
        self.server.ping()

    # --- what holds at any time -----------------------------------------------------------------

    @invariant()
    def what_is_open_is_what_has_no_end_yet(self) -> None:
        client = self.client
        assert client.in_flight == len(self.open)
        oldest = next(iter(self.open.values()), None)
        assert client.next_deadline == (oldest.deadline if oldest else None)
        assert client.draining == self.draining

    @invariant()
    def there_is_room_exactly_for_what_is_allowed(self) -> None:
        assert self.window >= 0
        room = max(0, self.limit - len(self.open))
        if self.draining or self.window == 0 or len(self.unfinished) >= 8:
            room = 0
        assert self.client.room == room

    def teardown(self) -> None:
        """A server that becomes generous gets all that is due to it, and then all is answered."""
        if not hasattr(self, "client"):
            return
        self.server.change(streams=2_000, window=2**20, frame=2**20, table=4_096)
        self.server.grant(2**24)
        self.deliver_to_client()
        self.deliver_to_server()
        for _ in range(2):
            self.server.process()
            for stream_id in self.server.alive:
                incoming = self.server.open[stream_id]
                assert incoming.complete
                if incoming.answer is None:
                    self.server.answer(stream_id, 200, end=True)
                else:
                    self.server.trail(stream_id)
            self.deliver_to_client()
            self.deliver_to_server()
        assert self.open == {}
        self.judge()


TestConversation = Conversation.TestCase
TestConversation.settings = settings(max_examples=100, stateful_step_count=60)


def open_some(it: Conversation, rng: random.Random) -> None:
    if it.client.room:
        sizes = [0, 1, 110, 110, 110, 110, 4_096, 20_000, 70_000]
        count = rng.choice([1, 2, 5, 30])
        it.open_requests([(rng.choice(sizes), rng.choice([0, 30, 300])) for _ in range(count)])


#: what happens in a long conversation, and how often
ACTS: dict[Callable[[Conversation, random.Random], None], int] = {
    lambda it, rng: it.deliver_to_server(rng.choice([1, 9, 50, 500, 10**9, 10**9])): 10,
    lambda it, rng: it.deliver_to_client(rng.choice([1, 9, 50, 500, 10**9, 10**9])): 10,
    open_some: 10,
    lambda it, rng: it.process(rng.choice([1, 5, 10_000])): 6,
    lambda it, rng: it.begin_answer(
        rng.randrange(30),
        rng.choice(STATUSES),
        rng.choice([0, 31, 250]),
        end=rng.random() < 0.4,
    ): 10,
    lambda it, rng: it.go_on_answering(
        rng.randrange(30), rng.choice(CHUNKS), rng.choice(PADDINGS), end=rng.random() < 0.4
    ): 10,
    lambda it, rng: it.end_with_trailers(rng.randrange(30)): 1,
    lambda it, rng: it.answer_many(rng.randrange(30), rng.choice(STATUSES)): 3,
    lambda it, rng: it.inform(rng.randrange(30), rng.choice([100, 103])): 1,
    lambda it, rng: it.reset(rng.randrange(30), rng.choice(CODES)): 2,
    lambda it, rng: it.change_settings(
        rng.choice([0, 1, 5, 30, 100, 2_000]),
        rng.choice([0, 1, 100, 16_384, 65_535, 2**20]),
        rng.choice([16_384, 16_385, 50_000]),
        rng.choice([0, 100, 162, 4_096, 65_536]),
    ): 3,
    lambda it, rng: it.grant(rng.choice([1, 5_000, 2**17])): 3,
    lambda it, rng: it.grant_stream(rng.randrange(30), rng.choice([1, 5_000, 2**17])): 5,
    lambda it, rng: it.let_time_pass(rng.choice([0.0, 0.5, 2.0, 6.0])): 4,
    lambda it, rng: it.go_away(it.next_id - rng.randrange(-3, 60), 0, really=rng.random() < 0.2): 1,
    lambda it, rng: it.say_something_odd(rng.choice(NOISE)): 1,
    lambda it, _: it.ping_client(): 1,
    lambda it, _: it.ping_server(): 1,
}


def test_long_conversations_come_to_every_kind_of_end_and_each_is_right() -> None:
    rng = random.Random(9113)
    kinds: Counter[str] = Counter()
    for _ in range(300):
        it = Conversation()
        it.connect()
        for act in rng.choices(list(ACTS), list(ACTS.values()), k=rng.choice([50, 150, 300])):
            act(it, rng)
            it.what_is_open_is_what_has_no_end_yet()
            it.there_is_room_exactly_for_what_is_allowed()
        if rng.random() < 0.3:
            it.lose()
        else:
            it.teardown()
        kinds.update(getattr(end, "reason", "answer") for end in it.ended.values())
    assert min(kinds.values()) >= 50, kinds
    assert kinds.keys() == {
        "answer",
        "GoAway",
        "Gone",
        "StreamRefused",
        "StreamReset",
        "Timeout",
    }
