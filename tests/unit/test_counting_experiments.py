"""Experiments are counted as their days are settled, and told as they may be."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from gateway.app.counting import DayCounter, Running, people_words
from gateway.app.effects import experiments_of
from gateway.core.effect import Terms
from gateway.core.effect_standing import Asked, Heard
from gateway.core.model import Profile, day_of
from gateway.core.pace import Pace
from gateway.core.seen import Asking
from tests.kit.build import NOW, item
from tests.kit.clocks import both
from tests.kit.experiments import member, outcome
from tests.kit.planting import change
from tests.kit.stores import BACKENDS, SECRET, Handle, accept, record, register

DAY = 86_400.0
MIDNIGHT = NOW - NOW % DAY
ASKED = Asked(
    id="spring",
    paths=("/learning",),
    window_h=168,
    terms=Terms(holdout=0.2, worth=0.03, planned=1000),
    main="completed",
    types={"completed": ("course.done",), "began": ("course.begun",)},
    ended=False,
)
RUNS = Running(
    ASKED,
    "user_id",
    3 * DAY,
    None,
    {"completed": Heard(9, 0), "began": Heard(9, 0)},
    {"no phone": 40},
    0,
)


class World:
    """A store, and a job whose time and experiments a test moves."""

    def __init__(self, handle: Handle) -> None:
        self.handle = handle
        self.now = NOW
        self.running: Sequence[Running] = (RUNS,)
        self.job = DayCounter(
            handle.store.effects,
            named=people_words(SECRET),
            source=lambda: (Asking({"agent": "opened"}, "opt_in"), UTC),
            experiments=self._experiments,
            observer=lambda _event: None,
            clocks=both(lambda: self.now),
            pace=Pace(),
        )

    async def _experiments(self) -> Sequence[Running]:
        return self.running

    async def enter(self, day: int, reminded: int, held: int, share: float) -> None:
        """People enter on a day; of the reminded this share completes a course, of the held a
        tenth less."""
        since = MIDNIGHT + day * DAY + 60.0
        rows, done = [], []
        for group, size in ((False, reminded), (True, held)):
            for number in range(size):
                user = f"{day}-{group}-{number}"
                rows.append(member("spring", user, held=group, since=since).partition("S ")[2])
                if number < size * (share - 0.1 * group):
                    done.append(outcome(user, "course.done", since + DAY).partition("S ")[2])
        head = member("spring", "x").partition("VALUES ")[0]
        await change(self.handle, f"{head} VALUES {', '.join(rows)}")
        head = outcome("x", "course.done", 0.0).partition("VALUES ")[0]
        await change(self.handle, f"{head} VALUES {', '.join(done)}")

    async def told(self, day: float, since: float = 0.0) -> list[dict[str, Any]]:
        """What is told at the beginning of a day, after what was due was counted."""
        self.now = MIDNIGHT + day * DAY
        await self.job.count_due()
        return await experiments_of(self.handle.store.effects, "UTC", since=since)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with BACKENDS["sqlite"].open(tmp_path, lambda: NOW) as opened:
        yield World(opened)


async def test_a_day_of_an_experiment_counts_once_its_last_window_is_settled(world: World) -> None:
    await world.enter(0, 400, 100, 0.4)
    # the day, a week, three days; counted when all of that is over
    (before,) = await world.told(11 - 0.01)
    assert (before["reminded"], before["state"]) == (None, "so_far")
    (found,) = await world.told(11)
    assert (found["reminded"], found["held"]) == (400, 100)
    assert found["outcomes"][0]["verdict"] == "so_far"
    assert (found["from"], found["to"]) == ("2027-01-15", "2027-01-15")


async def test_the_figure_grows_by_days_and_is_settled_at_the_end(world: World) -> None:
    for day in range(3):
        await world.enter(day, 400, 100, 0.4)
    assert [(await world.told(day))[0]["held"] for day in (11, 12)] == [100, 200]
    world.running = (RUNS._replace(last=MIDNIGHT + 2 * DAY + 100.0),)
    (found,) = await world.told(13)
    assert (found["state"], found["held"]) == ("settled", 300)
    assert found["outcomes"][0]["verdict"] == "helped"
    assert found["left_out"] == {"no phone": 40}
    assert "The reminders helped." in " ".join(found["words"])


async def test_a_closed_experiment_is_told_when_nothing_else_knows_it(world: World) -> None:
    await world.enter(0, 400, 100, 0.4)
    world.running = (RUNS._replace(last=MIDNIGHT + 100.0),)
    (before,) = await world.told(12)
    world.running = ()
    await change(world.handle, "DELETE FROM experiment_members")
    assert await world.told(30) == [before]
    assert await world.told(30, since=MIDNIGHT + 5 * DAY) == []


async def test_what_comes_late_is_added_at_night_for_a_month(world: World) -> None:
    await world.enter(0, 400, 100, 0.4)
    world.running = (RUNS._replace(last=MIDNIGHT + 100.0),)
    (found,) = await world.told(11)
    assert (found["outcomes"][0]["late"], found["outcomes"][0]["reminded"]) == (0, 160)
    for number in range(200, 240):
        late = outcome(f"0-False-{number}", "course.done", MIDNIGHT + 2 * DAY)
        await change(world.handle, late)
    (found,) = await world.told(12)
    assert (found["outcomes"][0]["late"], found["outcomes"][0]["reminded"]) == (40, 200)
    await world.told(42)
    for number in range(240, 280):
        late = outcome(f"0-False-{number}", "course.done", MIDNIGHT + 2 * DAY)
        await change(world.handle, late)
    (found,) = await world.told(43)
    assert found["outcomes"][0]["late"] == 40


@pytest.mark.parametrize(("others", "told"), [(0, True), (1, False), (20, True)])
async def test_the_way_of_the_reminded_is_told_unless_it_tells_of_a_few_others(
    world: World, others: int, told: bool
) -> None:
    handle = world.handle
    await world.enter(0, 40, 20, 0.4)
    people = [f"0-False-{number}" for number in range(40)]
    people += [f"somebody else {number}" for number in range(others)]
    items = [item(n, user_id=user) for n, user in enumerate(people)]
    await accept(handle, "msg_1", items)
    profile = Profile(measure="granted", can="displayed opened")
    lines = []
    for n, user in enumerate(people):
        phone = await register(handle, f"p{n}", f"a{n}", user_id=user, profile=profile)
        lines.append(record("msg_1", n, phone.id, user_id=user, day=day_of(NOW)))
    await handle.journal.record(lines, [])
    world.running = (RUNS._replace(last=MIDNIGHT + 100.0),)
    (found,) = await world.told(11)
    way = {
        "taken_of_100": 100,
        "phones_that_can_tell": 40,
        "shown_of_100": 0,
        "opened_of_100": 0,
    }
    assert found["way"] == (way if told else None)
