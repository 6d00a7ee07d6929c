"""Who is suspected of ending processes, and when a chunk is given up: the table, and what holds
for every history."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.model import Chunk, ChunkItem, Remainder
from gateway.core.suspects import (
    FORGOTTEN_S,
    MOST_LONE_ENDS,
    SUSPECT_AFTER,
    Past,
    is_hopeless,
    went_on,
)
from gateway.store.queries import load_migrations, load_queries
from tests.kit.build import NOW, item

FRESH = Past()
SUSPECT = Past(tries=2, claimed_at=NOW)
TRIED = Past(tries=3, lone_ends=0, alone=True, claimed_at=NOW)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (FRESH, Past(1, 0, False, NOW + 5)),
        (Past(1, 0, False, NOW), Past(2, 0, False, NOW + 5)),
        (SUSPECT, Past(3, 0, True, NOW + 5)),
        (TRIED, Past(4, 1, True, NOW + 5)),
        (Past(9, 6, True, NOW), Past(10, 7, True, NOW + 5)),
        # a trial that was given back is no end, and takes none away
        (Past(9, 6, False, NOW), Past(10, 6, True, NOW + 5)),
        # an hour ago: forgotten, the last trial's end included
        (Past(9, 6, True, NOW + 5 - FORGOTTEN_S), Past(10, 7, True, NOW + 5)),
        (Past(9, 6, True, NOW + 4.9 - FORGOTTEN_S), Past(10, 0, True, NOW + 5)),
        # by a clock that was put back meanwhile nothing is
        (Past(9, 6, True, NOW + 9_000), Past(10, 7, True, NOW + 5)),
    ],
)
def test_what_the_next_claim_of_a_chunk_is(before: Past, after: Past) -> None:
    assert before.claimed(NOW + 5) == after


@pytest.mark.parametrize(("tries", "suspect"), [(0, False), (1, False), (2, True), (21, True)])
def test_two_ends_in_a_row_make_a_suspect(tries: int, suspect: bool) -> None:
    assert Past(tries).suspect is suspect


def test_what_was_given_back_in_order_was_neither_try_nor_trial() -> None:
    assert FRESH.given_back() == FRESH
    assert FRESH.claimed(NOW).given_back().tries == 0
    back = Past(5, 2, False, NOW).claimed(NOW + 1).given_back()
    assert (back.tries, back.lone_ends_by(NOW + 2)) == (5, 2)


def test_twenty_lone_ends_are_enough() -> None:
    assert not is_hopeless(MOST_LONE_ENDS - 1)
    assert is_hopeless(MOST_LONE_ENDS)
    assert MOST_LONE_ENDS == 20


# --- every history -------------------------------------------------------------------------------

steps = st.lists(
    st.tuples(
        st.sampled_from(["ends", "lives on", "given back"]),
        st.sampled_from([1.0, 60.0, FORGOTTEN_S, FORGOTTEN_S + 1]),
    ),
    max_size=60,
)


@given(steps)
def test_a_chunk_has_the_lone_ends_of_its_last_trials_and_no_others(
    history: list[tuple[str, float]],
) -> None:
    """Counted by hand: ends while alone, since it last started anew, none an hour after it was
    tried."""
    past, now = FRESH, NOW
    in_a_row, lone_ends, claimed_at = 0, 0, -1e9
    for what, wait in history:
        now += wait
        if now - claimed_at > FORGOTTEN_S:
            lone_ends = 0
        assert past.suspect == (in_a_row >= SUSPECT_AFTER)
        assert past.lone_ends_by(now) == lone_ends
        alone = past.suspect
        past, claimed_at = past.claimed(now), now
        if what == "ends":
            in_a_row += 1
            lone_ends += alone
        elif what == "lives on":
            past, in_a_row, lone_ends, claimed_at = Past(), 0, 0, -1e9
        else:
            past = past.given_back()


@given(st.integers(1, 12), st.integers(0, 40))
def test_kills_that_hit_whoever_is_tried_bury_nobody_before_each_was_tried_as_often(
    innocents: int, kills: int
) -> None:
    """A process is killed again and again in the middle of its first trial: with the fewest lone
    ends first they are shared out evenly."""
    chunks = [SUSPECT] * innocents
    for kill in range(kills):
        now = NOW + kill
        next_ = min(range(innocents), key=lambda n: (chunks[n].lone_ends_by(now), n))
        chunks[next_] = chunks[next_].claimed(now)
    counts = [one.lone_ends_by(NOW + kills) for one in chunks]
    assert sum(counts) == kills
    assert max(counts) - min(counts) <= 1


# --- progress ------------------------------------------------------------------------------------


def chunk(*entries: ChunkItem) -> Chunk:
    return Chunk("msg_1", 0, NOW, NOW + 60, entries)


WHOLE = ChunkItem(item(3), None)
LEFT = ChunkItem(item(4), (Remainder(7, 1), Remainder(8, 1)))


@pytest.mark.parametrize(
    ("journaled", "went"),
    [
        (set(), False),
        ({(3, 1)}, True),
        ({(3, 0)}, True),
        ({(4, 7)}, True),
        ({(4, 9)}, False),
        ({(5, 7)}, False),
        ({(4, 9), (5, 7), (4, 8)}, True),
    ],
)
def test_a_chunk_went_on_when_a_delivery_of_its_own_was_journaled(
    journaled: set[tuple[int, int]], went: bool
) -> None:
    assert went_on(chunk(WHOLE, LEFT), journaled) is went


# --- the queries say the same --------------------------------------------------------------------


@pytest.mark.parametrize("dialect", ["sqlite", "postgres"])
def test_queries_and_indexes_have_the_same_threshold(dialect: str) -> None:
    queries = load_queries(dialect)
    assert f"AND tries < {SUSPECT_AFTER}" in queries["queue_claim"]
    looks = [text for name, text in queries.items() if name.endswith("suspect")]
    assert all(f"WHERE tries >= {SUSPECT_AFTER} AND" in " ".join(text.split()) for text in looks)
    scripts = "\n".join(script for _, script in load_migrations(dialect))
    assert f"WHERE tries >= {SUSPECT_AFTER};" in scripts
