"""No figure about fewer than 20 people can be had from what is shown, also not by subtraction."""

from __future__ import annotations

from itertools import combinations, pairwise

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.effect_cells import LEAST, Day, able, cuts, is_enough, merged, rounded

sizes = st.integers(0, 60)
days = st.lists(st.tuples(sizes, st.integers(0, 30)), max_size=30)
tables = st.dictionaries(
    st.text("abcdefgh", min_size=1, max_size=2), st.lists(sizes, min_size=2, max_size=2)
)


@given(tables, st.sampled_from([LEAST, 40]))
def test_cells_the_rest_and_the_whole_differ_by_nobody_or_by_20(
    table: dict[str, list[int]], least: int
) -> None:
    shown, rest = merged(table, least)
    if not shown:
        # then there is the whole, if it is large enough itself
        return
    assert sorted(shown + rest) == sorted(table)
    for group in (0, 1):
        parts = [table[key][group] for key in shown] + [sum(table[key][group] for key in rest)]
        assert min(parts[:-1]) >= least
        whole = sum(one[group] for one in table.values())
        some = parts[-6:]
        for number in range(len(some) + 1):
            for summed in map(sum, combinations(some, number)):
                assert is_enough(summed)
                assert is_enough(whole - summed)


@given(days)
def test_two_looks_at_an_experiment_differ_by_nobody_or_by_20_in_each_group(
    entered: list[tuple[int, int]],
) -> None:
    every = [Day(float(end), *groups) for end, groups in enumerate(entered)]
    looks = []
    for today in range(len(every) + 1):
        ends = cuts(every[:today])
        upto = ends[-1] if ends else -1.0
        seen = [day for day in every if day.end <= upto]
        looks.append([sum(day.reminded for day in seen), sum(day.held for day in seen)])
    for earlier, later in combinations(looks, 2):
        for before, after in zip(earlier, later, strict=True):
            assert is_enough(after - before)


@given(days)
def test_a_cut_never_moves_when_days_come(entered: list[tuple[int, int]]) -> None:
    every = [Day(float(end), *groups) for end, groups in enumerate(entered)]
    for fewer, more in pairwise(range(len(every) + 1)):
        before, after = cuts(every[:fewer]), cuts(every[:more])
        assert after[: len(before)] == before


@given(sizes, sizes)
def test_those_whose_phones_can_tell_cannot_be_told_from_a_few_others(
    can: int, cannot: int
) -> None:
    over = able(can + cannot, can)
    assert is_enough(over)
    assert is_enough(can + cannot - over) or can + cannot < LEAST


@given(st.integers(0, 5000))
def test_a_count_is_rounded_to_five_below_a_thousand(count: int) -> None:
    shown = rounded(count)
    assert abs(shown - count) <= 2
    assert shown == count if count >= 1000 else shown % 5 == 0
