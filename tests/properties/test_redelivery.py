"""Whatever is delivered again, and wherever a process dies: nothing is lost, nothing comes early.

A broker that keeps every message until it is acknowledged, a journal, and relays that may stop
between any two steps; what decides is the real code. A message is with one relay at a time, as its
lease sees to.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.fanout import Plan, plan
from gateway.core.model import Chunk, Claim, Item, Remainder, Target
from gateway.core.states import DeliveryState
from gateway.core.stored import NEWEST
from gateway.queue.nats.coding import chunk_of, head_of, messages_of
from gateway.queue.nats.holding import not_held
from gateway.relay.work import Work
from tests.kit.build import NOW, chunk, item, target

DEVICES = [target(1), target(2)]
ITEMS = [item(0)]

Outcome = Literal["delivered", "retry", "snooze"]
Step = Literal["send", "journal", "publish", "acknowledge"]


@dataclass
class InHand:
    """A message that a relay has: how far it is with it."""

    subject: str
    work: Work
    plan: Plan
    next: Step = "send"
    rows: dict[tuple[int, int], tuple[DeliveryState, int, float | None]] = field(
        default_factory=dict
    )
    missing: list[Chunk] = field(default_factory=list)


class World:
    """The stream, the journal, and who has what."""

    def __init__(self) -> None:
        self.now = NOW
        self.stream: dict[str, bytes] = {}
        self.ids: set[str] = set()
        self.remembers_ids = True
        self.journal: dict[tuple[int, int], tuple[DeliveryState, int, float | None]] = {}
        self.hands: list[InHand] = []
        self.crashed: set[tuple[int, int]] = set()
        self.sent: dict[tuple[int, int], list[tuple[int, bool]]] = {}
        self.publish(chunk(ITEMS))

    def publish(self, left: Chunk) -> None:
        for message in messages_of(left, form=NEWEST, max_payload=1024 * 1024):
            if message.subject in self.stream or (self.remembers_ids and message.id in self.ids):
                continue
            self.ids.add(message.id)
            self.stream[message.subject] = message.data

    def read(self, subject: str) -> Chunk:
        data = self.stream[subject]
        return chunk_of(head_of(data), data)

    def due(self) -> list[str]:
        with_somebody = {hand.subject for hand in self.hands}
        return [
            subject
            for subject in self.stream
            if subject not in with_somebody and self.read(subject).due_at <= self.now
        ]

    def claim(self, subject: str) -> None:
        found = self.read(subject)
        work = Work(
            Claim(1, "lease", found, 1),
            proven_until=float("inf"),
            jitter=0.0,
            ended=lambda _work: None,
        )
        targets: list[list[Target]] = [DEVICES for _ in found.items]
        todo = plan(found, targets, self.journal, now=self.now)
        for said, to, attempts, due_at in todo.waits:
            work.keep(said, Remainder(to.device_id, attempts), place=("l", "p"), due_at=due_at)
        self.hands.append(InHand(subject, work, todo))

    def step(self, hand: InHand, outcomes: list[Outcome]) -> None:
        match hand.next:
            case "send":
                for number, send in enumerate(hand.plan.sends):
                    outcome = outcomes[number % len(outcomes)]
                    self._send(hand, send.item, send.target.device_id, send.attempts, outcome)
                hand.next = "journal"
            case "journal":
                for key, row in hand.rows.items():
                    if not self.journal.get(key, (DeliveryState.PENDING,))[0].is_terminal:
                        self.journal[key] = row
                hand.next = "publish"
            case "publish":
                others = [self.read(one) for one in self.stream if one != hand.subject]
                again = list(hand.work.chunks_of(hand.work.postponed))
                missing = not_held(hand.work.chunk, again, others)
                for left in [*hand.work.chunks_of(hand.work.leftovers), *missing]:
                    self.publish(left)
                hand.next = "acknowledge"
            case _:
                self.stream.pop(hand.subject, None)
                self.hands.remove(hand)

    def crash(self, hand: InHand) -> None:
        if hand.next == "journal":
            # what was sent and is not on record may come again: under the same ids
            self.crashed |= set(hand.rows)
        self.hands.remove(hand)

    def _send(
        self, hand: InHand, said: Item, device_id: int, attempts: int, outcome: Outcome
    ) -> None:
        key = (said.index, device_id)
        row = self.journal.get(key)
        assert row is None or not row[0].is_terminal, "what is settled was sent again"
        assert row is None or row[2] is None or row[2] <= self.now, "it came before its time"
        in_flight = [
            other
            for other in self.hands
            if other is not hand and other.next == "journal" and key in other.rows
        ]
        assert not in_flight, "two have it in flight at once"
        if outcome == "delivered":
            earlier = self.sent.setdefault(key, [])
            assert key in self.crashed or not earlier, "it was delivered twice"
            earlier.append((attempts, True))
            hand.rows[key] = (DeliveryState.DELIVERED, attempts + 1, None)
            return
        made = attempts + (outcome == "retry")
        due_at = hand.work.due(self.now + (10 if outcome == "retry" else 0), self.now)
        hand.rows[key] = (DeliveryState.PENDING, made, due_at)
        hand.work.leave(said, Remainder(device_id, made), place=("l", "p"), due_at=due_at)


WHATS = st.sampled_from(["claim", "claim", "step", "step", "step", "crash", "wait"])
OUTCOMES: st.SearchStrategy[list[Outcome]] = st.lists(
    st.sampled_from(("delivered", "retry", "snooze")), min_size=1, max_size=6
)


@settings(max_examples=400)
@given(st.data(), st.booleans())
def test_no_delivery_is_lost_early_or_double_whatever_comes_again(
    data: st.DataObject, remembers_ids: bool
) -> None:
    world = World()
    world.remembers_ids = remembers_ids
    for _ in range(data.draw(st.integers(0, 60))):
        what = data.draw(
            st.sampled_from(["claim", "claim", "step", "step", "step", "crash", "wait"])
        )
        if what == "wait":
            world.now += data.draw(st.sampled_from([0.5, 1.0, 5.0, 20.0]))
        elif what == "claim" and (due := world.due()):
            world.claim(data.draw(st.sampled_from(due)))
        elif what == "step" and world.hands:
            world.step(data.draw(st.sampled_from(world.hands)), data.draw(OUTCOMES))
        elif what == "crash" and world.hands:
            world.crash(data.draw(st.sampled_from(world.hands)))
    # everybody who is left works on until the queue is empty
    for _ in range(500):
        while world.hands:
            world.step(world.hands[0], ["delivered"])
        if not world.stream:
            break
        for subject in world.due()[:1]:
            world.claim(subject)
        world.now += 1.0
    assert not world.stream
    assert {key: row[0] for key, row in world.journal.items()} == {
        (said.index, to.device_id): DeliveryState.DELIVERED for said in ITEMS for to in DEVICES
    }
