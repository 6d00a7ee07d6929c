"""What the word of a delivery proves, and how a phone's clock is put right."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.receipts import (
    IMPLIED,
    Clock,
    Key,
    Kind,
    ReceiptWords,
    Row,
    earliest,
    is_measured,
    kept_time,
    told_of,
)
from providers.contract import LONGEST_RECEIPT
from tests.kit.build import NOW

WORDS = ReceiptWords(b"s" * 32)
KEY = Key("msg_1", 3, 12_345, 20_700, "granted")
DAY = 86_400.0

event_ids = st.text(min_size=1, max_size=60)


def word(key: Key = KEY, words: ReceiptWords = WORDS) -> str:
    return words.of_event(key.event_id, key.day)(key.index, key.device_id, key.measure)


@given(
    event_ids,
    st.integers(0, 2**32 - 1),
    st.integers(1, 2**63 - 1),
    st.integers(0, 2**16 - 1),
    st.sampled_from([None, "granted", "denied"]),
)
def test_a_word_names_its_delivery(
    event_id: str, index: int, device_id: int, day: int, measure: str | None
) -> None:
    key = Key(event_id, index, device_id, day, measure)
    made = word(key)
    assert WORDS.read(event_id, made) == key
    assert re.fullmatch(r"[A-Za-z0-9_-]+", made)
    assert len(made) == len(LONGEST_RECEIPT)


def test_of_ten_thousand_words_with_one_bit_changed_none_holds() -> None:
    chosen = random.Random(1)  # which bits, not secrets
    accepted = 0
    for number in range(10_000):
        key = Key(f"msg_{number}", number % 256, number + 1, 20_700, "granted")
        good = word(key)
        bits = bytearray(good.encode())
        place = chosen.randrange(len(bits) * 8)
        bits[place // 8] ^= 1 << (place % 8)
        accepted += WORDS.read(key.event_id, bits.decode("latin-1")) is not None
    assert accepted == 0


def test_each_bit_of_a_word_counts() -> None:
    good = word().encode()
    for place in range(len(good) * 8):
        bits = bytearray(good)
        bits[place // 8] ^= 1 << (place % 8)
        assert WORDS.read(KEY.event_id, bits.decode("latin-1")) is None, place


@pytest.mark.parametrize(
    "text",
    ["", "A", word()[:-1], word() + "A", word() + "=", word() + "\n", " " + word(), word() * 2],
)
def test_what_is_no_word_does_not_hold(text: str) -> None:
    assert WORDS.read(KEY.event_id, text) is None


@pytest.mark.parametrize("event_id", ["msg_2", "msg_1 ", "MSG_1", "", "msg_1\0"])
def test_a_word_holds_for_its_own_event_alone(event_id: str) -> None:
    assert WORDS.read(event_id, word()) is None


def test_another_gateways_word_does_not_hold() -> None:
    assert WORDS.read(KEY.event_id, word(words=ReceiptWords(b"t" * 32))) is None


def test_events_and_what_is_named_never_run_into_each_other() -> None:
    texts = {word(KEY._replace(event_id=event_id)) for event_id in ("a", "ab", "a\0", "")}
    assert len(texts) == 4


# --- when it was ----------------------------------------------------------------------------------


def kept(
    *, happened: float, sent: float, off: float = 0.0, jump: float = 0.0, taken: float = NOW
) -> tuple[float, Clock]:
    """By a phone whose clock is off by so much, and by `jump` more when it sends."""
    told = told_of(
        KEY, Kind.OPENED, at=happened + off, sent_at=sent + off + jump, received=sent + 0.5
    )
    return kept_time(told, taken=taken)


@given(
    st.floats(0, 14 * DAY),
    st.floats(0, 14 * DAY),
    st.floats(-400 * DAY, 400 * DAY),
)
def test_where_the_clock_ran_evenly_the_time_is_right_within_a_minute(
    after: float, later: float, off: float
) -> None:
    happened = NOW + after
    at, clock = kept(happened=happened, sent=happened + later, off=off)
    assert abs(at - happened) < 60
    assert clock is (Clock.OK if abs(off - 0.5) <= 60 else Clock.SHIFTED)


@given(st.floats(0, 3_600), st.floats(0, 3_600), st.sampled_from([-1, 1]), st.floats(0, DAY))
def test_where_it_jumped_a_day_the_time_is_possible_and_marked(
    after: float, later: float, way: int, off: float
) -> None:
    happened = NOW + after
    sent = happened + later
    at, clock = kept(happened=happened, sent=sent, off=off, jump=way * DAY)
    assert NOW <= at <= sent + 0.5
    assert clock is Clock.BOUNDED


def test_a_phone_that_was_quicker_than_the_vendors_answer_has_a_good_clock() -> None:
    assert kept(happened=NOW - 1.0, sent=NOW - 0.9) == (NOW, Clock.OK)


@pytest.mark.parametrize(("at", "sent_at"), [(None, NOW), (NOW, None), (None, None)])
def test_without_a_time_it_was_when_it_was_told_at_the_latest(
    at: float | None, sent_at: float | None
) -> None:
    told = told_of(KEY, Kind.RECEIVED, at=at, sent_at=sent_at, received=NOW + 60)
    assert kept_time(told, taken=NOW) == (NOW + 60, Clock.BOUNDED)


@pytest.mark.parametrize(
    ("said", "opt_in", "opt_out"),
    [
        ("granted", True, True),
        ("denied", False, False),
        ("unknown", False, True),
        (None, False, True),
        ("a later version's word", False, True),
    ],
)
def test_whose_receipts_are_kept(said: str | None, opt_in: bool, opt_out: bool) -> None:
    assert is_measured(said, "opt_in") is opt_in
    assert is_measured(said, "opt_out") is opt_out


def test_of_each_kind_the_earliest_is_written_and_in_the_order_of_the_keys() -> None:
    def row(device_id: int, kind: str, at: float) -> Row:
        return Row("msg_1", 0, device_id, kind, at, "ok", 1)

    rows = [row(2, "opened", 5), row(1, "opened", 7), row(2, "opened", 3), row(2, "opened", 4)]
    assert earliest(rows) == [row(1, "opened", 7), row(2, "opened", 3)]


def test_what_is_opened_was_shown_and_came() -> None:
    assert Kind.OPENED in IMPLIED["received_at"]
    assert Kind.OPENED in IMPLIED["displayed_at"]
    assert IMPLIED["opened_at"] == (Kind.OPENED,)
    assert Kind.RECEIVED not in IMPLIED["displayed_at"]
