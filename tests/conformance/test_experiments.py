"""Experiments, on every backend: who is in them, what is held back of whom, and until when."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.core.drawn import Drawn, HeldBack, Member, Stage, Tally, What
from gateway.core.hashes import person_word
from gateway.core.model import UserRef, day_of
from gateway.core.sources import Limits
from gateway.core.states import DeliveryState
from gateway.errors import StoreUnavailable
from gateway.ports import Experiments
from tests.kit.build import ALICE, NOW, item
from tests.kit.experiments import WINDOW_S, drawn, kept, word
from tests.kit.planting import change
from tests.kit.stores import (
    SECRET,
    Backend,
    Handle,
    accept,
    erase,
    record,
    register,
)

DAY_S = 86_400.0
LATER = NOW + WINDOW_S
"""When those who enter now are let go."""


@pytest.fixture
def experiments(handle: Handle) -> Experiments:
    return handle.store.experiments


async def keep(handle: Handle, *rows: Drawn) -> None:
    """As the journal does, with the deliveries that they come from."""
    held_out = [
        record(
            one.event_id,
            one.item.index,
            0,
            state=DeliveryState.HELD_OUT,
            user_id=one.item.user_id,
            custom_id=one.item.custom_id,
            day=day_of(NOW),
        )
        for one in rows
    ]
    await handle.journal.record(held_out, [], drawn=rows)


async def members(handle: Handle, *users: str) -> list[Member]:
    met = await handle.store.experiments.met([word(user) for user in users], [])
    return sorted(met.members)


async def is_exempt(experiments: Experiments, words: Collection[str]) -> bool:
    return bool((await experiments.met(words, [])).exempt)


async def waiting(handle: Handle, *, now: float = LATER) -> list[tuple[str, int]]:
    """What is due, by (event, index)."""
    due = await handle.store.experiments.due(now=now, limit=99)
    return [(one.event_id, one.item.index) for one in due]


async def begun(handle: Handle, stage: Stage = Stage.RUNNING, experiment: str = "spring") -> None:
    assert await handle.store.experiments.begin(kept(stage, experiment))


# --- how one begins and ends ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "asked", "may"),
    [
        (None, Stage.DRY, True),
        (None, Stage.RUNNING, True),
        (Stage.DRY, Stage.DRY, True),
        (Stage.DRY, Stage.RUNNING, True),
        (Stage.RUNNING, Stage.DRY, False),
        (Stage.RUNNING, Stage.RUNNING, False),
        (Stage.ENDED, Stage.DRY, False),
        (Stage.ENDED, Stage.RUNNING, False),
    ],
)
async def test_one_begins_where_none_runs_or_has_ended(
    handle: Handle, experiments: Experiments, before: Stage | None, asked: Stage, may: bool
) -> None:
    await begun(handle, experiment="another")
    if before is Stage.ENDED:
        await begun(handle)
        assert await experiments.end("spring", at=NOW + 1, reason="its time is over")
    elif before is not None:
        await begun(handle, before)
    there = await experiments.all()
    anew = kept(asked, terms='{"holdout": 0.2}', key=b"n" * 32, dry_at=NOW + 2)
    act = ALICE.does("lanes.pause", "spring", at=NOW + 2)
    assert await experiments.begin(anew, act=act) is may
    rest = [one for one in there if one.id != "spring"]
    assert list(await experiments.all()) == ([*rest, anew] if may else there)
    acts = await handle.audit.page(limit=9)
    assert [row.object for row in acts] == (["spring"] if may else [])


@pytest.mark.parametrize("asked", [Stage.DRY, Stage.RUNNING])
async def test_whom_a_dry_run_noted_is_forgotten_when_it_begins_anew(
    handle: Handle, experiments: Experiments, asked: Stage
) -> None:
    for name in ("spring", "another"):
        await begun(handle, Stage.DRY, name)
        rows = [
            drawn(what, f"{what}", stage=Stage.DRY, experiment=name, keeps=False) for what in What
        ]
        await keep(handle, *rows)
    one_each = Tally(reminded=1, held=1, left_out={"no_device": 1})
    assert await experiments.tally("spring") == one_each
    await begun(handle, asked)
    assert await experiments.tally("spring") == Tally()
    assert await experiments.tally("another") == one_each


async def test_an_end_lets_everybody_go_and_forgets_the_key(
    handle: Handle, experiments: Experiments
) -> None:
    await begun(handle)
    await begun(handle, experiment="another")
    rows = [
        drawn(What.HELD, "mary"),
        drawn(What.HELD, "was-let-go", since=NOW - 2 * WINDOW_S),
        drawn(What.REMINDED, "john"),
        drawn(What.HELD, "mary", experiment="another"),
    ]
    await keep(handle, *rows)
    act = ALICE.does("lanes.pause", "spring", at=NOW + 9)
    assert await experiments.end("spring", at=NOW + 9, reason="enough", act=act)
    assert not await experiments.end("spring", at=NOW + 10, reason="again", act=act)
    assert not await experiments.end("unknown", at=NOW + 10, reason="again", act=act)
    ended = replace(kept(), stage=Stage.ENDED, key=b"", ended_at=NOW + 9, reason="enough")
    assert list(await experiments.all()) == [kept(experiment="another"), ended]
    found = await members(handle, "mary", "was-let-go", "john")
    assert {(one.experiment, one.person, one.held): one.until for one in found} == {
        ("spring", word("mary"), True): NOW + 9,
        ("another", word("mary"), True): LATER,
        ("spring", word("was-let-go"), True): NOW - WINDOW_S,
        ("spring", word("john"), False): LATER,
    }
    assert len(await handle.audit.page(limit=9)) == 1


async def test_a_dry_run_that_ends_leaves_nobody(handle: Handle, experiments: Experiments) -> None:
    await begun(handle, Stage.DRY)
    rows = [drawn(what, f"{what}", stage=Stage.DRY, keeps=False) for what in What]
    await keep(handle, *rows)
    assert await experiments.end("spring", at=NOW + 9, reason="enough")
    assert await experiments.tally("spring") == Tally()
    assert (await experiments.all())[0].stage is Stage.ENDED


@pytest.mark.parametrize("stage", [None, Stage.DRY, Stage.RUNNING, Stage.ENDED])
async def test_people_are_forgotten_of_one_that_has_ended_alone(
    handle: Handle, experiments: Experiments, stage: Stage | None
) -> None:
    for name in ("spring", "another"):
        await begun(handle, experiment=name)
        await keep(handle, *(drawn(what, f"{what}", experiment=name) for what in What))
    before = await experiments.tally("another")
    assert before.held == before.waiting == 1
    if stage is None:
        await experiments.forget("unknown")
    elif stage is Stage.ENDED:
        await experiments.end("spring", at=NOW, reason="enough")
        await experiments.forget("spring")
    elif stage is Stage.DRY:
        await begun(handle, Stage.DRY, "dry")
        await keep(handle, drawn(What.HELD, experiment="dry", stage=Stage.DRY, keeps=False))
        await experiments.forget("dry")
        assert (await experiments.tally("dry")).held == 1
    else:
        await experiments.forget("spring")
    assert await experiments.tally("spring") == (Tally() if stage is Stage.ENDED else before)
    assert await experiments.tally("another") == before
    assert "spring" in {one.id for one in await experiments.all()}


# --- what the journal keeps -----------------------------------------------------------------------


async def test_people_enter_once_and_stay_what_they_were(handle: Handle) -> None:
    await begun(handle)
    await keep(handle, drawn(What.REMINDED, "john"), drawn(What.HELD, "mary"))
    again = [
        drawn(What.HELD, "john", since=NOW + 5, keeps=False),
        drawn(What.REMINDED, "mary", since=NOW + 5),
        drawn(What.REMINDED, "late", since=NOW + 7),
        drawn(What.REMINDED, "late", since=NOW + 6),
    ]
    await keep(handle, *again)
    assert await members(handle, "john", "mary", "late", "nobody") == sorted(
        [
            Member("spring", word("john"), False, NOW, LATER),
            Member("spring", word("mary"), True, NOW, LATER),
            Member("spring", word("late"), False, NOW + 6, LATER + 6),
        ]
    )


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize(
    ("first", "second", "newest"),
    [
        ((NOW, "msg_1", 0), (NOW + 1, "msg_0", 0), 1),
        ((NOW + 1, "msg_0", 0), (NOW, "msg_1", 0), 0),
        ((NOW, "msg_1", 0), (NOW, "msg_2", 0), 1),
        ((NOW, "msg_2", 0), (NOW, "msg_1", 9), 0),
        ((NOW, "msg_1", 2), (NOW, "msg_1", 10), 1),
        ((NOW, "msg_1", 10), (NOW, "msg_1", 2), 0),
    ],
)
async def test_the_newest_of_a_person_is_held_back(
    handle: Handle,
    first: tuple[float, str, int],
    second: tuple[float, str, int],
    newest: int,
    together: bool,
) -> None:
    await begun(handle)
    rows = [
        drawn(
            event_id=event_id,
            seen_at=seen_at,
            item=item(index, title=f"{event_id}/{index}"),
        )
        for seen_at, event_id, index in (first, second)
    ]
    for some in [rows] if together else [[row] for row in rows]:
        await keep(handle, *some)
    (held,) = await handle.store.experiments.due(now=LATER, limit=9)
    want = rows[newest]
    assert held == HeldBack(
        "spring", word("mary"), want.event_id, want.item, want.seen_at, want.until
    )


async def test_all_of_a_reminder_is_kept(handle: Handle) -> None:
    await begun(handle)
    limits = Limits(apps=frozenset({"agent"}))
    told = item(3, title="Ünï", body="\x00 and \U0001f600", custom_id="own-mary")
    told = told._replace(source="crm", part="android", occurred_at=NOW - 9.5, limits=limits)
    await keep(handle, drawn(item=told))
    (held,) = await handle.store.experiments.due(now=LATER, limit=9)
    assert held.item == told


@pytest.mark.parametrize("stage", [None, Stage.DRY, Stage.RUNNING, Stage.ENDED])
@pytest.mark.parametrize("of", [Stage.DRY, Stage.RUNNING])
async def test_nothing_is_kept_of_a_stage_that_is_over(
    handle: Handle, experiments: Experiments, stage: Stage | None, of: Stage
) -> None:
    if stage is Stage.ENDED:
        await begun(handle)
        await experiments.end("spring", at=NOW + 5, reason="enough")
    elif stage is not None:
        await begun(handle, stage)
    await keep(handle, *(drawn(what, what.value, stage=of, keeps=False) for what in What))
    await keep(handle, drawn(What.ALSO, What.HELD.value, stage=of))
    entered = await members(handle, *(what.value for what in What))
    if stage is of:
        both = [(word(what.value), what is What.HELD) for what in (What.REMINDED, What.HELD)]
        assert [(one.person, one.held) for one in entered] == sorted(both)
        assert await experiments.tally("spring") == Tally(1, 1, {"no_device": 1}, also_got=1)
    else:
        assert entered == []
        assert await experiments.tally("spring") == Tally()


async def test_what_was_held_back_as_the_experiment_ended_is_due_at_once(
    handle: Handle, experiments: Experiments
) -> None:
    """Its delivery is journaled as held out: nobody else would send it."""
    await begun(handle)
    await keep(handle, drawn(What.HELD, "mary", keeps=False))
    await experiments.end("spring", at=NOW + 5, reason="enough")
    await keep(
        handle,
        drawn(What.HELD, "mary", seen_at=NOW + 6),
        drawn(What.HELD, "new", seen_at=NOW + 6, event_id="msg_2"),
    )
    assert await waiting(handle, now=NOW + 6) == [("msg_1", 0), ("msg_2", 0)]
    # who would have entered after the end is in neither group
    assert [one.until for one in await members(handle, "mary", "new")] == [NOW + 5]


async def test_what_a_dry_run_would_have_held_is_never_kept(
    handle: Handle, experiments: Experiments
) -> None:
    await begun(handle, Stage.DRY)
    late = drawn(What.HELD, stage=Stage.DRY, keeps=True)
    await keep(handle, late)
    await experiments.end("spring", at=NOW + 5, reason="enough")
    await keep(handle, late)
    assert await waiting(handle) == []


async def test_people_count_once_in_a_tally(handle: Handle, experiments: Experiments) -> None:
    await begun(handle)
    await keep(
        handle,
        drawn(What.LEFT_OUT, "mary", reason="shared"),
        drawn(What.LEFT_OUT, "anna", reason="shared"),
        drawn(What.LEFT_OUT, "anna", reason="no_device", since=NOW + 1),
        drawn(What.LEFT_OUT, "otto", reason="exempt"),
        drawn(What.LEFT_OUT, "john", reason="exempt"),
    )
    await keep(
        handle,
        drawn(What.LEFT_OUT, "otto", reason="shared", since=NOW + 1),
        drawn(What.HELD, "mary"),
        drawn(What.HELD, "max", keeps=False),
        drawn(What.REMINDED, "john"),
        drawn(What.ALSO, "mary"),
        drawn(What.ALSO, "mary", since=NOW + 2),
        drawn(What.ALSO, "john"),
        drawn(What.ALSO, "anna"),
    )
    await keep(handle, drawn(What.ALSO, "mary"))
    assert await experiments.tally("spring") == Tally(
        reminded=1, held=2, left_out={"shared": 1, "exempt": 1}, also_got=1, waiting=1
    )
    assert await experiments.tally("unknown") == Tally()


async def test_nothing_of_it_is_written_where_the_deliveries_are_not(
    handle: Handle, experiments: Experiments
) -> None:
    """They are one transaction: a row that cannot be written undoes the delivery as well."""
    await begun(handle)
    no_date: Any = None
    bad = drawn(What.REMINDED)._replace(since=no_date, until=no_date)
    with pytest.raises(StoreUnavailable):
        await keep(handle, bad)
    assert await handle.journal.items_of("msg_1") == []


# --- what is due ----------------------------------------------------------------------------------


async def test_what_is_due_is_of_those_let_go_the_longest_ago_first(
    handle: Handle, experiments: Experiments
) -> None:
    await begun(handle)
    await keep(
        handle,
        *(drawn(What.HELD, f"user-{n}", event_id=f"msg_{n}", since=NOW + n) for n in (3, 1, 2, 4)),
    )
    assert await waiting(handle, now=LATER) == []
    assert await waiting(handle, now=LATER + 3) == [("msg_1", 0), ("msg_2", 0), ("msg_3", 0)]
    some = await experiments.due(now=LATER + 3, limit=2)
    assert [(one.event_id, one.until) for one in some] == [
        ("msg_1", LATER + 1),
        ("msg_2", LATER + 2),
    ]
    assert await experiments.due(now=LATER + 3, limit=0) == []


async def test_what_has_no_member_is_due_at_once(handle: Handle) -> None:
    await begun(handle)
    await keep(handle, drawn(What.HELD, "mary", seen_at=NOW - 5))
    await change(handle, "DELETE FROM experiment_members")
    assert await waiting(handle, now=NOW - 100) == [("msg_1", 0)]


async def test_one_that_cannot_be_read_stays_and_keeps_no_other_back(
    handle: Handle, experiments: Experiments
) -> None:
    await begun(handle)
    rows = [
        drawn(What.HELD, f"user-{n}", event_id=f"msg_{n}", since=NOW + n / 10) for n in range(6)
    ]
    await keep(handle, *rows)
    unread = ", ".join(f"'msg_{n}'" for n in (0, 1, 3))
    await change(
        handle,
        f"UPDATE experiment_held SET content = raw_form WHERE event_id IN ({unread})".replace(
            "raw_form", "substr(content, 3)"
        ),
    )
    for limit, found in ((1, ["msg_2"]), (2, ["msg_2", "msg_4"]), (9, ["msg_2", "msg_4", "msg_5"])):
        due = await experiments.due(now=LATER + 1, limit=limit)
        assert [one.event_id for one in due] == found
    assert (await experiments.tally("spring")).waiting == 6


@pytest.mark.parametrize("newer", [False, True])
async def test_what_was_sent_goes_and_a_newer_one_stays(
    handle: Handle, experiments: Experiments, newer: bool
) -> None:
    await begun(handle)
    await keep(handle, drawn(), drawn(user="john", event_id="msg_j"))
    (held, _) = await experiments.due(now=LATER, limit=9)
    if newer:
        await keep(handle, drawn(item=item(1), seen_at=NOW + 1))
    for _ in range(2):
        await experiments.sent(held)
    found = await waiting(handle)
    assert sorted(found) == ([("msg_1", 1)] if newer else []) + [("msg_j", 0)]


# --- who is exempt --------------------------------------------------------------------------------


async def test_who_is_exempt_is_let_go_in_every_experiment_and_stays_in_their_group(
    handle: Handle, experiments: Experiments
) -> None:
    for name in ("spring", "another"):
        await begun(handle, experiment=name)
        await keep(
            handle,
            drawn(What.HELD, "mary", experiment=name),
            drawn(What.HELD, "john", experiment=name),
        )
    assert not await is_exempt(experiments, [word("mary")])
    act = ALICE.does("lanes.pause", "mary", at=NOW + 9)
    await experiments.exempt([word("mary"), "", "x"], is_exempt=True, at=NOW + 9, act=act)
    await experiments.exempt([word("mary")], is_exempt=True, at=NOW + 20, act=act)
    await experiments.exempt([word("john")], is_exempt=False, at=NOW + 20, act=act)
    assert await is_exempt(experiments, [word("john"), word("mary")])
    assert not await is_exempt(experiments, [word("john"), ""])
    assert not await is_exempt(experiments, [])
    met = await experiments.met([word("mary"), word("john")], [])
    assert met.exempt == {word("mary")}
    assert {(one.person, one.held, one.until) for one in met.members} == {
        (word("mary"), True, NOW + 9),
        (word("john"), True, LATER),
    }
    assert await waiting(handle, now=NOW + 9) == [("msg_1", 0)] * 2
    await experiments.exempt([word("mary")], is_exempt=False, at=NOW + 30)
    assert not await is_exempt(experiments, [word("mary")])
    assert [one.until for one in await members(handle, "mary")] == [NOW + 9] * 2
    assert len(await handle.audit.page(limit=9)) == 1


async def test_who_was_let_go_before_is_not_let_go_later_by_it(
    handle: Handle, experiments: Experiments
) -> None:
    await begun(handle)
    await keep(handle, drawn())
    await experiments.exempt([word("mary")], is_exempt=True, at=LATER + 5)
    assert [one.until for one in await members(handle, "mary")] == [LATER]


OWN = person_word(SECRET, "custom_id", "own-mary").hex()


@pytest.mark.parametrize("by", [word("mary"), OWN], ids=["their id there", "their other id"])
@pytest.mark.parametrize("first", [False, True], ids=["held first", "exempt first"])
async def test_who_is_exempt_by_either_id_of_the_reminder_gets_it_at_once(
    handle: Handle, experiments: Experiments, by: str, first: bool
) -> None:
    await begun(handle)
    if first:
        await experiments.exempt([by], is_exempt=True, at=NOW - 5)
    await keep(handle, drawn(item=item(custom_id="own-mary")))
    if not first:
        await experiments.exempt([by], is_exempt=True, at=NOW + 5)
    until = NOW - 5 if first else NOW + 5
    assert await members(handle, "mary") == [Member("spring", word("mary"), True, NOW, until)]
    assert await waiting(handle, now=NOW + 5) == [("msg_1", 0)]


async def test_a_member_who_became_exempt_by_another_id_is_let_go_by_the_next_reminder(
    handle: Handle, experiments: Experiments
) -> None:
    await begun(handle)
    await keep(handle, drawn(keeps=False))
    await experiments.exempt([OWN], is_exempt=True, at=NOW + 5)
    await keep(handle, drawn(item=item(custom_id="own-mary"), since=NOW + 6))
    assert await waiting(handle, now=NOW + 6) == [("msg_1", 0)]


# --- what is known before the lot -----------------------------------------------------------------


async def test_devices_are_met_with_when_they_came_from_another_and_what_they_are(
    handle: Handle, experiments: Experiments
) -> None:
    alone = await register(handle, "phone-1", "address-1", user_id="mary", now=NOW)
    await register(handle, "phone-2", "address-2", user_id="john", now=NOW)
    shared = await register(handle, "phone-2", "address-2", user_id="mary", now=NOW + 5)
    met = await experiments.met([word("mary")], [alone.id, shared.id, 99])
    assert met.changed == {alone.id: None, shared.id: NOW + 5}
    assert met.platforms == {alone.id: "android", shared.id: "android"}
    assert (met.members, met.exempt) == ([], frozenset())


# --- an erase -------------------------------------------------------------------------------------


async def all_of(handle: Handle, *users: str) -> None:
    """These people, in all that there is."""
    for name in ("spring", "autumn"):
        await begun(handle, experiment=name)
    for number, user in enumerate(users):
        await keep(
            handle,
            drawn(What.HELD, user, event_id=f"msg_{user}", item=item(number, user_id=user)),
            drawn(What.ALSO, user),
            drawn(What.LEFT_OUT, user, experiment="autumn"),
        )
        await handle.store.experiments.exempt([word(user)], is_exempt=True, at=NOW + 1)


async def test_an_erase_takes_a_person_out_of_all_and_nobody_else(
    handle: Handle, experiments: Experiments
) -> None:
    await all_of(handle, "mary", "john")
    await handle.registry.erase(UserRef(custom_id="mary"), now=NOW + 5)
    assert (await experiments.tally("spring")).held == 2
    await handle.registry.erase(UserRef(user_id="mary"), now=NOW + 5)
    assert await experiments.tally("spring") == Tally(held=1, also_got=1, waiting=1)
    assert await experiments.tally("autumn") == Tally(left_out={"no_device": 1})
    assert await waiting(handle) == [("msg_john", 1)]
    assert not await is_exempt(experiments, [word("mary")])
    assert await is_exempt(experiments, [word("john")])
    mary = await handle.store.people.held(UserRef(user_id="mary"), [])
    assert (mary.members, mary.left_out, mary.reminders) == ([], [], [])
    assert mary.exempt_since is None
    john = await handle.store.people.held(UserRef(user_id="john"), [])
    assert [tuple(row) for row in john.members] == [("spring", 1, NOW, NOW + 1, 1)]
    assert list(john.left_out) == [("autumn", "no_device", NOW)]
    assert john.exempt_since == NOW + 1
    assert [one.item.title for one in john.reminders] == [item().title]


@pytest.mark.parametrize("who", [UserRef(user_id="mary"), UserRef(custom_id="own-mary")], ids=str)
async def test_an_erase_by_either_id_takes_what_is_held_back(
    handle: Handle, experiments: Experiments, who: UserRef
) -> None:
    await begun(handle)
    named = item(custom_id="own-mary")
    await keep(handle, drawn(item=named))
    await handle.registry.erase(who, now=NOW + 5)
    assert (await experiments.tally("spring")).waiting == 0


async def test_the_erase_of_an_event_takes_what_is_held_back_of_it_by_its_index(
    handle: Handle, experiments: Experiments
) -> None:
    """The journal may say whose an item was, where it names only the other id."""
    await begun(handle)
    await accept(handle, "msg_1", [item(0, user_id="mary"), item(1, user_id="john")])
    await keep(handle, drawn(), drawn(user="john", item=item(1, user_id="john")))
    known = record("msg_1", 0, 7, user_id="mary", custom_id="own-mary", day=day_of(NOW))
    await handle.journal.record([known], [])
    await erase(handle, UserRef(custom_id="own-mary"), now=NOW + 5)
    assert await waiting(handle) == [("msg_1", 1)]


@pytest.mark.parametrize("what", What)
@pytest.mark.parametrize("who", [UserRef(user_id="mary"), UserRef(custom_id="own-mary")], ids=str)
async def test_nothing_is_kept_of_who_was_erased_since_their_event_came(
    handle: Handle, experiments: Experiments, what: What, who: UserRef
) -> None:
    await begun(handle)
    await accept(handle, "msg_1", at=NOW)
    await handle.registry.erase(who, now=NOW + 5)
    named = item(custom_id="own-mary")
    late = drawn(what, item=named)
    await keep(handle, late, drawn(What.REMINDED, "john", item=item(1, user_id="john")))
    assert await experiments.tally("spring") == Tally(reminded=1)
    # they came back
    await accept(handle, "msg_2", at=NOW + 9)
    await keep(handle, late._replace(event_id="msg_2"))
    again = await experiments.tally("spring")
    assert again.reminded + again.held + sum(again.left_out.values()) == (
        1 if what is What.ALSO else 2
    )
    assert again.waiting == (what is What.HELD)


async def test_what_was_written_beside_an_erase_is_gone_when_it_is_done(
    handle: Handle, experiments: Experiments
) -> None:
    """A transaction that did not see the erase is over before its job looks."""
    await accept(handle, "msg_1", at=NOW)
    await handle.registry.erase(UserRef(user_id="mary"), now=NOW + 5)
    await change(
        handle,
        "INSERT INTO experiment_members VALUES "
        f"('spring', '{word('mary')}', 1, {NOW}, {LATER}, 'agent', 'android', 'learnink')",
    )
    await change(
        handle,
        f"INSERT INTO experiment_left_out VALUES ('autumn', '{word('mary')}', 'shared', {NOW})",
    )
    await change(handle, f"INSERT INTO experiment_also VALUES ('spring', '{word('mary')}')")
    await erase(handle, UserRef(user_id="mary"), now=NOW + 6)
    held = await handle.store.people.held(UserRef(user_id="mary"), [])
    assert (held.members, held.left_out) == ([], [])
    assert await experiments.tally("autumn") == Tally()


# --- several processes, and one that ends ---------------------------------------------------------


async def test_of_two_that_enter_somebody_at_once_one_does(handle: Handle, replica: Handle) -> None:
    await begun(handle)
    rows = [
        [
            drawn(What.HELD, f"user-{n}", event_id=f"msg_{by}", since=NOW + by, seen_at=NOW + by)
            for n in range(20)
        ]
        for by in range(2)
    ]
    await asyncio.gather(keep(handle, *rows[0]), keep(replica, *reversed(rows[1])))
    found = await members(handle, *(f"user-{n}" for n in range(20)))
    assert len(found) == 20
    assert {one.until - one.since for one in found} == {WINDOW_S}
    due = await handle.store.experiments.due(now=LATER + 1, limit=99)
    assert [one.event_id for one in due] == ["msg_1"] * 20


async def test_of_two_that_begin_at_once_one_does(handle: Handle, replica: Handle) -> None:
    begin = [
        one.store.experiments.begin(kept(key=key * 32))
        for one, key in ((handle, b"a"), (replica, b"b"))
    ]
    done = await asyncio.gather(*begin)
    assert sorted(done) == [False, True]
    (found,) = await handle.store.experiments.all()
    assert found.key == (b"a" if done[0] else b"b") * 32


@pytest.mark.parametrize("what", ["end", "exempt"])
async def test_nobody_is_held_whose_row_is_written_while_they_are_let_go(
    handle: Handle, replica: Handle, what: str
) -> None:
    """Whichever is first: who is held is let go, and what is held back is due."""
    await begun(handle)
    users = [f"user-{n}" for n in range(30)]

    async def let_go() -> None:
        there = replica.store.experiments
        if what == "end":
            await there.end("spring", at=NOW + 5, reason="enough")
        else:
            await there.exempt([word(user) for user in users], is_exempt=True, at=NOW + 5)

    rows = [drawn(What.HELD, user, event_id=f"msg_{user}") for user in users]
    slices: Sequence[Sequence[Drawn]] = [rows[n : n + 3] for n in range(0, 30, 3)]
    await asyncio.gather(
        *(keep(handle, *some) for some in slices[:5]),
        let_go(),
        *(keep(handle, *some) for some in slices[5:]),
    )
    assert len(await waiting(handle, now=NOW + 5)) == 30
    assert {one.until for one in await members(handle, *users)} <= {NOW + 5}


async def test_all_is_there_after_a_restart(backend: Backend, tmp_path: Path) -> None:
    async with backend.open(tmp_path, lambda: NOW) as handle:
        await all_of(handle, "mary")
        before = [
            await handle.store.experiments.all(),
            await handle.store.experiments.tally("spring"),
            await handle.store.experiments.due(now=LATER, limit=9),
        ]
    async with backend.open(tmp_path, lambda: NOW) as handle:
        assert before == [
            await handle.store.experiments.all(),
            await handle.store.experiments.tally("spring"),
            await handle.store.experiments.due(now=LATER, limit=9),
        ]
        assert await is_exempt(handle.store.experiments, [word("mary")])


async def test_what_is_held_back_outlives_its_event(handle: Handle) -> None:
    await begun(handle)
    await accept(handle, "msg_1", at=NOW - 20 * DAY_S)
    await keep(handle, drawn())
    await handle.journal.purge(before=NOW - 10 * DAY_S)
    assert await waiting(handle) == [("msg_1", 0)]
