"""Which of a host's addresses are tried, in what order, and which of them wins."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.http2.addresses import STAGGER_S, Known, NoAddress, Place, Race
from tests.kit.dead_addresses import dead

V4, V6 = socket.AF_INET, socket.AF_INET6

places = st.lists(
    st.builds(
        Place, st.sampled_from([V4, V6]), st.tuples(st.integers(0, 30).map(str), st.just(443))
    ),
    unique=True,
    min_size=1,
    max_size=16,
)


def fours(count: int) -> list[Place]:
    return [Place(V4, (f"192.0.2.{number}", 443)) for number in range(count)]


def sixes(count: int) -> list[Place]:
    return [Place(V6, (f"2001:db8::{number}", 443)) for number in range(count)]


def families(order: Sequence[Place]) -> list[int]:
    return [place.family for place in order]


@given(found=places, failed=places, worked=places)
def test_every_address_is_tried_once_whatever_is_known(
    found: list[Place], failed: list[Place], worked: list[Place]
) -> None:
    known = Known()
    known.failed(failed)
    for place in worked:
        known.worked(place)

    assert sorted(known.order(found)) == sorted(found)


@given(found=places)
def test_each_family_is_reached_by_its_second_turn(found: list[Place]) -> None:
    order = Known().order(found)

    assert set(families(order[:2])) == set(families(found)) or len(order) == 1
    assert order[0].family == found[0].family


def test_families_take_turns_until_one_has_no_more() -> None:
    assert families(Known().order([*sixes(4), *fours(2)])) == [V6, V4, V6, V4, V6, V6]


def test_what_worked_last_goes_first_and_what_failed_goes_last_of_all() -> None:
    known = Known()
    found = [*sixes(3), *fours(3)]
    known.failed(sixes(3)[:2])
    known.worked(fours(3)[1])

    for _ in range(20):
        order = known.order(found)
        assert order[0] == fours(3)[1]
        assert set(order[4:]) == set(sixes(3)[:2])


def test_many_connections_reach_many_machines_while_none_has_failed() -> None:
    known = Known()
    known.worked(fours(8)[0])

    assert len({known.order(fours(8))[0] for _ in range(200)}) == 8


def test_an_address_that_works_again_is_like_the_others() -> None:
    known = Known()
    known.failed(fours(2)[:1])
    known.worked(fours(2)[0])

    assert len({known.order(fours(2))[0] for _ in range(100)}) == 2


def place_of(known: tuple[int, str, int]) -> Place:
    return Place(known[0], known[1:])


@pytest.mark.parametrize("count", range(1, 9))
async def test_dead_addresses_cost_a_quarter_of_a_second_each(count: int) -> None:
    loop = asyncio.get_running_loop()
    with dead(V4, count) as silent, socket.create_server(("127.0.0.1", 0)) as good:
        there = Place(V4, good.getsockname())
        race = Race([*map(place_of, silent), there])
        began = loop.time()
        place, won = await race.run()
        took = loop.time() - began
        won.close()

    assert place == there
    assert count * STAGGER_S <= took + 0.01
    assert race.slow == [*map(place_of, silent)]


async def test_a_refusal_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("providers.http2.addresses.STAGGER_S", 3_600.0)
    with socket.create_server(("127.0.0.1", 0)) as good:
        there = Place(V4, good.getsockname())
        refusing = [Place(V4, (f"127.0.0.{number}", there.address[1])) for number in (2, 3, 4)]
        race = Race([*refusing, there])
        place, won = await race.run()
        won.close()

    assert place == there
    assert race.slow == []


async def test_when_all_refuse_the_refusal_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        await Race([Place(V4, ("127.0.0.1", port)), Place(V4, ("127.0.0.2", port))]).run()
    with pytest.raises(NoAddress):
        await Race([]).run()


async def test_a_race_that_is_given_up_closes_its_sockets() -> None:
    with dead(V4, 3) as silent:
        racing = asyncio.create_task(Race([*map(place_of, silent)]).run())
        await asyncio.sleep(2.5 * STAGGER_S)
        racing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await racing
    # a socket that is not closed warns when it is collected, and warnings are errors
