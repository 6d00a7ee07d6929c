"""What every store promises of experiments: who counts, and whose outcomes do."""

from __future__ import annotations

from collections import defaultdict

from gateway.core.effect import Groups
from gateway.core.effect_standing import Entered, groups_of
from gateway.core.model import UserRef
from gateway.ports.effect import Mark, Outcomes
from tests.kit.build import NOW
from tests.kit.experiments import member, outcome, word
from tests.kit.planting import change
from tests.kit.reminded import WINDOW_S, by_day, has_outcome, population
from tests.kit.stores import Handle

DAY = 86_400.0
HOUR = 3_600.0
ASKED = Outcomes(WINDOW_S, ("done", "passed"), ("begun",))


async def told(handle: Handle, *statements: str) -> None:
    for statement in statements:
        await change(handle, statement)


async def entered(handle: Handle, begins: float = NOW, ends: float = NOW + DAY) -> list[Entered]:
    return [*await handle.store.effects.entered("spring", begins, ends, ASKED)]


async def test_people_are_counted_by_group_app_and_platform(handle: Handle) -> None:
    await told(
        handle,
        member("spring", "mary"),
        member("spring", "zoe", since=NOW + HOUR),
        member("spring", "ann", held=True),
        member("spring", "eve", platform="ios"),
        member("spring", "too late", since=NOW + DAY),
        member("autumn", "mary"),
    )
    assert [(one.app, one.platform, one.held, one.people) for one in await entered(handle)] == [
        ("agent", "android", False, 2),
        ("agent", "android", True, 1),
        ("agent", "ios", False, 1),
    ]
    effects = handle.store.effects
    assert await effects.reminded_on("spring", NOW, NOW + HOUR) == {word("mary"), word("eve")}
    assert await effects.first_entry("spring") == NOW
    assert await effects.first_entry("winter") is None


async def test_an_outcome_counts_after_the_reminder_and_within_the_window(handle: Handle) -> None:
    times = {"at once": 0.0, "just after": 1.0, "at the end": WINDOW_S, "too late": WINDOW_S + 1}
    for user, after in times.items():
        await told(handle, member("spring", user), outcome(user, "done", NOW + after))
    (row,) = await entered(handle)
    assert (row.people, row.completed, row.began) == (4, 2, 0)
    # what was done at that very moment was done before
    assert (row.completed_before, row.began_before) == (1, 0)


async def test_a_person_counts_once_for_any_of_the_types(handle: Handle) -> None:
    await told(
        handle,
        member("spring", "mary"),
        outcome("mary", "done", NOW + 1),
        outcome("mary", "passed", NOW + 2),
        outcome("mary", "begun", NOW + 3),
        outcome("mary", "begun", NOW + 3, seq=2),
        outcome("mary", "else", NOW + 4),
        outcome("zoe", "done", NOW + 1),
    )
    (row,) = await entered(handle)
    assert (row.people, row.completed, row.began) == (1, 1, 1)


async def test_only_the_first_event_of_an_object_counts(handle: Handle) -> None:
    await told(
        handle,
        member("spring", "mary"),
        outcome("mary", "done", NOW - 30 * DAY, what="algebra"),
        outcome("mary", "done", NOW + HOUR, what="algebra"),
        member("spring", "zoe"),
        outcome("zoe", "done", NOW - 30 * DAY, what="algebra"),
        outcome("zoe", "done", NOW + HOUR, what="biology"),
        member("spring", "ann"),
        outcome("ann", "done", NOW - 30 * DAY),
        outcome("ann", "done", NOW + HOUR),
    )
    (row,) = await entered(handle)
    assert (row.people, row.completed, row.completed_before) == (3, 2, 0)


async def test_the_week_before_is_counted_in_the_same_way(handle: Handle) -> None:
    for user, before in {"mary": 1.0, "zoe": WINDOW_S - 1, "ann": WINDOW_S}.items():
        await told(handle, member("spring", user), outcome(user, "begun", NOW - before))
    (row,) = await entered(handle)
    assert (row.began, row.began_before) == (0, 2)


async def test_a_day_stays_as_it_was_counted_and_what_comes_later_is_added(
    handle: Handle, replica: Handle
) -> None:
    effects = handle.store.effects
    mark = Mark(NOW, NOW + DAY, NOW + 9 * DAY, settled=False)
    for number in range(3):
        await told(handle, member("spring", f"user-{number}"))
    await told(handle, outcome("user-0", "done", NOW + 1))
    await effects.keep_entered("spring", mark, await entered(handle))
    await told(handle, outcome("user-1", "done", NOW + 2), outcome("user-1", "begun", NOW + 2))
    await replica.store.effects.keep_entered("spring", mark, await entered(replica))
    expected = Entered(NOW, NOW + DAY, "agent", "android", False, 3, 1, 0, 0, 0, 1, 1)
    assert await effects.entered_of("spring") == [expected]
    # who is erased takes nothing back: the count names nobody
    await handle.registry.erase(UserRef("user-1"), now=NOW)
    await effects.keep_entered("spring", mark, await entered(handle))
    assert await effects.entered_of("spring") == [expected]
    assert await effects.entered_of("autumn") == []
    assert await effects.last("spring") == mark


async def test_terms_are_kept_by_experiment(handle: Handle) -> None:
    effects = handle.store.effects
    await effects.keep_terms("spring", '{"a": 1}')
    await effects.keep_terms("spring", '{"a": 2}')
    await effects.keep_terms("autumn", "{}")
    assert await effects.terms() == {"autumn": "{}", "spring": '{"a": 2}'}


async def test_the_query_finds_what_the_reference_finds_in_a_simulated_population(
    handle: Handle,
) -> None:
    people = population(7, size=400, holdout=0.2, helps=True)
    rows = [
        member("spring", str(person), held=held, since=NOW + since).partition("VALUES ")[2]
        for person, held, since in people.members
    ]
    head = member("spring", "x").partition("VALUES ")[0]
    await change(handle, f"{head} VALUES {', '.join(rows)}")
    told_rows = [
        outcome(str(one.person), "done", NOW + one.occurred_at, seq=seq, what=one.object)
        for seq, one in enumerate(people.events)
        if one.person is not None
    ]
    values = ", ".join(row.partition("VALUES ")[2] for row in told_rows)
    head = outcome("x", "done", NOW).partition("VALUES ")[0]
    await change(handle, f"{head} VALUES {values}")
    found = await entered(handle, NOW, NOW + 28 * DAY)
    # a store has all events in the end, also those that came too late to be settled
    theirs = defaultdict(list)
    for event in people.events:
        if event.person is not None:
            theirs[event.person].append(event)
    expected = [0, 0]
    for person, held, since in people.members:
        expected[held] += has_outcome(since, theirs[person]) if theirs[person] else 0
    groups = groups_of(found, "completed")
    assert [groups.reminded.outcome, groups.held.outcome] == expected
    total = Groups()
    for day in by_day(people):
        total = total.plus(day)
    assert [groups.reminded.people, groups.held.people] == [
        total.reminded.people,
        total.held.people,
    ]
