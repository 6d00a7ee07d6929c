"""Until when a chunk is fresh, while the time is known and while it is doubted."""

from __future__ import annotations

import math

import pytest

from gateway.core.chunks import cut, fresh_until
from gateway.core.clocks import Unsure
from gateway.core.model import Chunk
from tests.kit.build import NOW, item

LIFE_S = 1_000.0
STEPS = [172_800.0, 3_600.0, 100.0, -100.0, -3_600.0, -NOW + 1.0]


def chunk(first_seen: float, life: float = LIFE_S) -> Chunk:
    (made,) = cut("msg_1", [item()], received_at=first_seen, deadline=first_seen + life)
    return made


@pytest.mark.parametrize("off", STEPS)
def test_a_known_time_believes_what_is_written(off: float) -> None:
    one = chunk(NOW + off)
    assert fresh_until(one, now=NOW, doubt=None) == one.deadline


@pytest.mark.parametrize("contradicted", [False, True])
@pytest.mark.parametrize("off", STEPS)
def test_what_this_process_dated_itself_can_be_compared(off: float, contradicted: bool) -> None:
    doubt = Unsure(NOW + off, contradicted)
    one = chunk(NOW + off + 1)
    assert fresh_until(one, now=NOW + off + 9, doubt=doubt) == one.deadline
    # a time that was agreed once runs on over a step
    after_a_step = Unsure(-math.inf, contradicted)
    assert fresh_until(one, now=NOW + off + 9, doubt=after_a_step) == one.deadline


@pytest.mark.parametrize("off", STEPS)
def test_by_a_clock_that_is_contradicted_the_whole_life_is_left_from_the_start(off: float) -> None:
    started = NOW + off
    doubt = Unsure(started, contradicted=True)
    for seen in (NOW, NOW - 500.0):
        assert fresh_until(chunk(seen), now=started + 5, doubt=doubt) == started + LIFE_S
    assert fresh_until(chunk(NOW, life=-5.0), now=started + 5, doubt=doubt) == started


@pytest.mark.parametrize("off", STEPS)
def test_by_a_clock_of_which_nobody_spoke_no_life_gets_longer(off: float) -> None:
    now = NOW + off
    until = fresh_until(chunk(NOW), now=now, doubt=Unsure(now))
    assert until <= NOW + LIFE_S
    assert until - now <= LIFE_S
