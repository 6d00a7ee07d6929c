"""Receipts from end to end: what phones tell, in any order and by any clock, is told once.

The handlers are the public listener's, on a store in memory; the clock is the test's.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, TypeVar

import pytest

from gateway.app.clocks import SYSTEM
from gateway.core.model import Profile, Record, Registration, UserRef, day_of
from gateway.core.receipts import Measure, ReceiptWords, Told
from gateway.core.seen import NOTHING
from gateway.core.seen import Told as Seen
from gateway.devices.receipts import MOST, ReceiptBook
from gateway.events import GatewayEvent, ReceiptsTold
from gateway.ports import KeptReceipt
from providers.contract import Platform
from tests.kit.build import NOW, item
from tests.kit.handlers import PublicHandlers, public_handlers
from tests.kit.questions import ask, asked
from tests.kit.stores import batch, eraser_on, record

T = TypeVar("T")
HOUR = 3_600.0
DAY = 86_400.0
RECEIPTS = "/v1/receipts"
KINDS = ("received", "displayed", "opened")


@pytest.fixture
async def public() -> AsyncIterator[PublicHandlers]:
    async with public_handlers() as handlers:
        handlers.clock.now = NOW
        handlers.modes["agent"] = "received"
        yield handlers


def batched(some: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (some[start : start + size] for start in range(0, len(some), size))


async def post(public: PublicHandlers, receipts: Sequence[Any], sent_at: Any = None) -> Any:
    sent = {"receipts": list(receipts)} | ({} if sent_at is None else {"sent_at": sent_at})
    answer = await ask(public, asked("POST", RECEIPTS, "", sent))
    assert answer.status == 202, answer.document
    return answer.document


# --- ten thousand pushes --------------------------------------------------------------------------


@dataclass
class Phone:
    """A phone of the test: what its clock shows is the true time and `off`; one that is `uneven`
    is put right, or wrong, by a day between what happens and the next sending."""

    number: int
    device_id: int
    measure: str | None
    off: float
    jump: float
    #: what its first user said last, once another one has the phone
    last_said: str | None = None
    waiting: list[tuple[float, dict[str, Any]]] = field(default_factory=list)

    @property
    def user(self) -> str:
        return f"user-{self.number}"

    def registration(self, user: str, measure: str | None) -> Registration:
        return Registration(
            f"phone-{self.number}",
            "agent",
            Platform.ANDROID,
            "fcm",
            f"address-{self.number}",
            user_id=user,
            profile=Profile(measure=measure, can="received displayed opened"),
        )


PHONES, EVENTS = 1_000, 10


async def test_of_ten_thousand_pushes_every_receipt_is_told_once_and_in_its_time(
    public: PublicHandlers,
) -> None:
    chance = random.Random(15)  # a course of events, not secrets
    phones = await registered(public, chance)
    happened = await pushed(public, phones, chance)
    await hands_change(public, phones, chance)
    refused = await told_in_any_order(public, phones, chance)

    kept = (await public.store.receipts.of(deliveries(phones))).rows
    allowed = {phone.device_id for phone in phones if phone.last_said == "granted"}
    assert refused == {"not_measured"}
    # all that may be kept is, each once, and nothing of anybody who said no
    assert {row[:4] for row in kept} == {key for key in happened if key[2] in allowed}
    news = [event for event in public.events if isinstance(event, ReceiptsTold)]
    counted = Counter(
        {kind: sum(n for e in news for *_, k, n in e.counts if k == kind) for kind in KINDS}
    )
    assert counted == Counter(row.kind for row in kept)
    assert len(kept) > PHONES * EVENTS

    by_device = {phone.device_id: phone for phone in phones}
    for row in kept:
        phone = by_device[row.device_id]
        if phone.jump:
            assert row.clock == "bounded"
        else:
            assert abs(row.at - happened[row[:4]]) < 60, row
            assert row.clock == ("ok" if abs(phone.off) <= 50 else "shifted")

    erased = [phone for phone in phones if phone.device_id in allowed][:20]
    for phone in erased:
        user = UserRef.either(phone.user)
        await public.store.registry.erase(user, now=public.clock())
    await eraser_on(public.store, public.clock).carry_on()
    left = (await public.store.receipts.of(deliveries(phones))).rows
    assert {row.device_id for row in left} == allowed - {phone.device_id for phone in erased}


async def registered(public: PublicHandlers, chance: random.Random) -> list[Phone]:
    says = ("granted", "granted", "granted", "denied", None)
    clocks = (0.0, 0.0, 3.0, -40.0, DAY, -DAY, 200 * DAY)
    phones = []
    for number in range(PHONES):
        jump = chance.choice((DAY, -DAY)) if number % 10 == 0 else 0.0
        said = chance.choice(says)
        phones.append(Phone(number, 0, said, chance.choice(clocks), jump, last_said=said))
    await public.store.registry.register_many(
        [phone.registration(phone.user, phone.measure) for phone in phones], now=NOW
    )
    async for page in public.store.registry.export():
        for device in page:
            phones[int(device.installation_id.removeprefix("phone-"))].device_id = device.id
    return phones


def taken_at(number: int) -> float:
    return NOW + 60 + number * HOUR


async def pushed(
    public: PublicHandlers, phones: Sequence[Phone], chance: random.Random
) -> dict[tuple[str, int, int, str], float]:
    """The vendor takes a push for every phone, event by event; what happens on the phone is kept
    there. Returns when each thing happened."""
    happened: dict[tuple[str, int, int, str], float] = {}
    for number in range(EVENTS):
        event_id, at = f"msg_{number}", taken_at(number)
        event, chunks = batch(event_id, [item(0)], at=at - 30)
        await public.queue.accept(event, chunks)
        lines = [line(event_id, phone, at) for phone in phones]
        await public.store.journal.record(lines, [])
        sign = public.receipt_words.of_event(event_id, day_of(at))
        for phone in phones:
            when = at
            for kind in KINDS[: chance.randint(1, 3)]:
                when += chance.uniform(1, HOUR)
                happened[event_id, phone.number, phone.device_id, kind] = when
                receipt = {
                    "event_id": event_id,
                    "receipt": sign(phone.number, phone.device_id, phone.measure),
                    "kind": kind,
                    "at": when + phone.off,
                }
                phone.waiting.append((when, receipt))
    return happened


def line(event_id: str, phone: Phone, at: float) -> Record:
    return record(
        event_id, phone.number, phone.device_id, user_id=phone.user, at=at, day=day_of(at)
    )


def deliveries(phones: Sequence[Phone]) -> list[Record]:
    return [
        line(f"msg_{number}", phone, taken_at(number))
        for number, phone in product(range(EVENTS), phones)
    ]


async def hands_change(
    public: PublicHandlers, phones: Sequence[Phone], chance: random.Random
) -> None:
    """Some say no, and some phones have another user then, who says something else."""
    public.clock.now = taken_at(EVENTS)
    for phone in phones:
        if phone.number % 7 == 0:
            phone.last_said = "denied"
            await again(public, phone, phone.user, "denied")
        if phone.number % 5 == 0:
            said = chance.choice(("granted", "denied", None))
            await again(public, phone, f"next-{phone.number}", said)


async def again(public: PublicHandlers, phone: Phone, user: str, said: str | None) -> None:
    asked_for = phone.registration(user, said)
    await public.store.registry.register(asked_for, proven=None, now=public.clock())


async def told_in_any_order(
    public: PublicHandlers, phones: Sequence[Phone], chance: random.Random
) -> set[str]:
    """Every phone tells all it has, some of it late, some twice, in no order. Returns why receipts
    were ignored."""
    calls: list[tuple[float, Phone, list[dict[str, Any]]]] = []
    for phone in phones:
        ended = max(when for when, _ in phone.waiting)
        receipts = [receipt for _, receipt in phone.waiting]
        receipts += chance.sample(receipts, len(receipts) // 2)
        chance.shuffle(receipts)
        for some in batched(receipts, chance.choice((1, 7, MOST))):
            # one whose clock jumps is told of within half a day, so that the jump shows
            later = chance.uniform(1, HOUR if phone.jump else 3 * DAY)
            calls.append((ended + later, phone, list(some)))
    refused: set[str] = set()
    for at, phone, some in sorted(calls, key=lambda call: call[0]):
        public.clock.now = max(public.clock.now, at)
        sent_at = public.clock.now + phone.off + phone.jump
        answer = await post(public, some, sent_at)
        assert answer["accepted"] + len(answer["ignored"]) == len(some)
        refused |= {one["reason"] for one in answer["ignored"]}
    return refused


# --- words that do not hold -----------------------------------------------------------------------


class Untouched:
    """A store that must not be asked."""

    async def keep(self, told: Sequence[Told], *, rule: Measure) -> list[KeptReceipt]:
        raise AssertionError((told, rule))

    async def of(self, deliveries: Sequence[Record]) -> Seen:
        raise AssertionError(deliveries)


async def test_of_ten_thousand_words_with_one_bit_changed_none_is_taken_and_no_row_read() -> None:
    chance = random.Random(16)  # which bits, not secrets
    words = ReceiptWords(b"s" * 32)
    told: list[GatewayEvent] = []
    book = ReceiptBook(
        Untouched(), words, rule=lambda: "opt_out", observer=told.append, clocks=SYSTEM
    )
    receipts = []
    for number in range(10_000):
        word = bytearray(words.of_event(f"msg_{number}", 20_700)(number, 7, "granted").encode())
        place = chance.randrange(8 * len(word))
        word[place // 8] ^= 1 << (place % 8)
        receipts.append(
            {"event_id": f"msg_{number}", "receipt": word.decode("latin-1"), "kind": "opened"}
        )
    for some in batched(receipts, MOST):
        taken = await book.take(list(some), None)
        assert (taken.accepted, taken.proven) == (0, 0)
        assert {one.reason for one in taken.ignored} == {"not_proven"}
    assert not told
    assert NOTHING.rows == ()


# --- what a request may say -----------------------------------------------------------------------


@pytest.fixture
async def marys(public: PublicHandlers) -> dict[str, Any]:
    """A receipt that holds, of a push to Mary's phone."""
    done = await public.store.registry.register(
        Registration(
            "phone",
            "agent",
            Platform.ANDROID,
            "fcm",
            "fcm-address-1",
            custom_id="mary",
            profile=Profile(measure="granted", can="opened"),
        ),
        proven=None,
        now=NOW,
    )
    event, chunks = batch("msg_1", [item(0)], at=NOW)
    await public.queue.accept(event, chunks)
    delivery = record(
        device_id=done.device.id, user_id=None, custom_id="mary", at=NOW, day=day_of(NOW)
    )
    await public.store.journal.record([delivery], [])
    public.clock.now = NOW + HOUR
    word = public.receipt_words.of_event("msg_1", day_of(NOW))(0, done.device.id, "granted")
    return {"event_id": "msg_1", "receipt": word, "kind": "opened", "at": NOW + 60}


def nonsense() -> Iterator[Any]:
    yield from (None, 1, "x", [], {})
    values: list[Any] = [None, 1, [], {}, True]
    yield from product(("event_id", "receipt", "kind"), values)
    yield "kind", "clicked"
    yield "kind", ""


@pytest.mark.parametrize("wrong", list(nonsense()), ids=repr)
async def test_what_is_not_understood_is_named_and_the_rest_is_taken(
    public: PublicHandlers, marys: dict[str, Any], wrong: Any
) -> None:
    bad = marys | {wrong[0]: wrong[1]} if isinstance(wrong, tuple) else wrong
    answer = await post(public, [bad, marys], NOW + HOUR)
    assert answer == {"accepted": 1, "ignored": [{"index": 0, "reason": "invalid"}]}


@pytest.mark.parametrize("at", [None, "yesterday", -1, [], "0001-01-01", 1e30])
@pytest.mark.parametrize("sent_at", [None, "now", 0, {}])
async def test_no_time_refuses_a_receipt(
    public: PublicHandlers, marys: dict[str, Any], at: Any, sent_at: Any
) -> None:
    assert (await post(public, [marys | {"at": at}], sent_at))["accepted"] == 1
    (row,) = (await public.store.receipts.of([record(device_id=1)])).rows
    assert (row.at, row.clock) == (NOW + HOUR, "bounded")


@pytest.mark.parametrize(
    ("at", "sent_at"),
    [
        (NOW + 60, NOW + HOUR),
        ((NOW + 60) * 1000, (NOW + HOUR) * 1000),
        ("2027-01-15T08:01:00Z", "2027-01-15T09:00:00Z"),
        ("2027-01-15T11:01:00+03:00", str(int(NOW + HOUR))),
    ],
)
async def test_times_are_read_in_every_clear_form(
    public: PublicHandlers, marys: dict[str, Any], at: Any, sent_at: Any
) -> None:
    await post(public, [marys | {"at": at}], sent_at)
    (row,) = (await public.store.receipts.of([record(device_id=1)])).rows
    assert (row.at, row.clock) == (NOW + 60, "ok")


async def test_one_call_at_launch_registers_and_tells(
    public: PublicHandlers, marys: dict[str, Any]
) -> None:
    key = await public.key("devices:write")
    device = {
        "platform": "android",
        "provider": "fcm",
        "address": "fcm-address-1",
        "custom_id": "mary",
    }
    body = {"sent_at": NOW + HOUR, "receipts": [marys, marys | {"receipt": "no"}]}
    told = {"accepted": 1, "ignored": [{"index": 1, "reason": "not_proven"}]}
    for sent in (device | body, device | {"receipts": body}):
        answer = await ask(public, asked("PUT", "/v1/devices/phone", key, sent))
        assert (answer.status, answer.document["receipts"]) == (200, told)
        assert answer.document["ignored"] == []
    (row,) = (await public.store.receipts.of([record(device_id=1)])).rows
    assert (row.at, row.clock) == (NOW + 60, "ok")


@pytest.mark.parametrize("receipts", ["x", 1, {}, {"receipts": 1}, [1] * (MOST + 1)], ids=str)
async def test_receipts_that_cannot_be_read_refuse_no_registration(
    public: PublicHandlers, receipts: Any
) -> None:
    device = {
        "platform": "android",
        "provider": "fcm",
        "address": "fcm-address-1",
        "custom_id": "mary",
        "receipts": receipts,
    }
    key = await public.key("devices:write")
    answer = await ask(public, asked("PUT", "/v1/devices/phone", key, device))
    assert (answer.status, answer.document["ignored"]) == (201, ["receipts"])


async def test_receipts_that_hold_are_never_refused_for_how_many_there_are(
    public: PublicHandlers, marys: dict[str, Any]
) -> None:
    for _ in range(200):
        assert (await post(public, [marys, {}], NOW + HOUR))["accepted"] == 1
    for _ in range(100):
        await ask(public, asked("POST", RECEIPTS, "", {"receipts": [{}]}))
    answer = await ask(public, asked("POST", RECEIPTS, "", {"receipts": [{}]}))
    assert answer.status == 429
    assert (await post(public, [marys], NOW + HOUR))["accepted"] == 1


async def test_a_hundred_receipts_fit_into_a_call(
    public: PublicHandlers, marys: dict[str, Any]
) -> None:
    """With the longest event id, and every field spelt out."""
    long = marys | {"event_id": "m" * 256, "at": "2027-01-15T08:01:00.000000+03:00"}
    body = {"sent_at": "2027-01-15T09:00:00.000000+03:00", "receipts": [long] * MOST}
    assert len(json.dumps(body)) < 64 * 1024
    answer = await ask(public, asked("POST", RECEIPTS, "", body))
    assert answer.status == 202


# --- who may know what ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scopes", "shown"),
    [
        (["deliveries:read"], "2027-01-15"),
        (["deliveries:read", "receipts:read"], "2027-01-15T08:01:00.000Z"),
        (["admin"], "2027-01-15T08:01:00.000Z"),
    ],
)
async def test_one_persons_times_need_a_scope_of_their_own(
    public: PublicHandlers, marys: dict[str, Any], scopes: list[str], shown: str
) -> None:
    await post(public, [marys], NOW + HOUR)
    key = await public.key(*scopes)
    user = await ask(public, asked("GET", "/v1/users/mary/deliveries", key))
    event = await ask(public, asked("GET", "/v1/events/msg_1?items=1", key))
    for one in (*user.document["deliveries"], *event.document["items"]):
        assert [one[f"{kind}_at"] for kind in KINDS] == [shown] * 3
        assert one["receipts"] == [{"kind": "opened", "at": shown, "clock": "ok"}]
        # what the vendor said stays what it was
        assert one["state"] == "delivered"


async def test_the_scope_alone_opens_nothing(public: PublicHandlers, marys: dict[str, Any]) -> None:
    await post(public, [marys], NOW + HOUR)
    key = await public.key("receipts:read")
    for path in ("/v1/users/mary/deliveries", "/v1/events/msg_1"):
        assert (await ask(public, asked("GET", path, key))).status == 403
