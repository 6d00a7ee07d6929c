"""`inkpush clock`: what is known of clocks, and a person's word for this machine's."""

from __future__ import annotations

import time
from pathlib import Path

from gateway.app.clocks import SYSTEM, clocks_beside
from gateway.app.settings import load
from gateway.app.storage import open_store
from gateway.core.instants import read_instant
from gateway.core.model import Event, day_of
from gateway.ports import PERSON, ClockRow
from gateway.store.sqlite import open_sqlite
from tests.kit.build import ALICE
from tests.kit.commands import Workplace
from tests.kit.stores import fresh_secret, record


def test_it_shows_this_machines_clock_and_nobody_who_says_more(tmp_path: Path) -> None:
    place = Workplace.make(tmp_path)
    done = place.run("clock", "--json")
    assert done.status == 0
    assert done.json["processes"] == []
    assert done.json["database_ahead_s"] is None
    assert abs((read_instant(done.json["machine"]) or 0.0) - time.time()) < 60
    assert "machine" in place.run("clock").out


def test_a_persons_word_is_kept_and_shown(tmp_path: Path) -> None:
    place = Workplace.make(tmp_path)
    done = place.run("clock", "accept", "--json")
    assert done.status == 0
    shown = place.run("clock", "--json")
    assert shown.json["accepted_at"] == done.json["accepted_at"]
    assert place.run("clock", "accept").status == 0


async def test_a_persons_word_is_dated_by_the_time_that_counts_and_not_by_what_it_is_for(
    tmp_path: Path,
) -> None:
    place = Workplace.make(tmp_path)
    async with open_store(load(tmp_path / "inkpush.toml", {})) as stores:
        # this machine is a day ahead of the gateway beside it
        day = 86_400.0
        await stores.store.times.report(ClockRow("here", time.time() - day, -day))
        place.run("clock", "accept")
        (row,) = await stores.audit.page(limit=9)
        assert abs(row.at - (time.time() - day)) < 60
        shown = place.run("clock", "--json").json
        assert abs((read_instant(shown["accepted_at"]) or 0.0) - time.time()) < 60


ACTS: tuple[tuple[str, ...], ...] = (
    ("lanes", "pause", "agent/fcm"),
    ("lanes", "resume", "agent/fcm"),
    ("lanes", "pause", "agent/fcm"),
    ("clock", "accept"),
    ("clock", "accept"),
    ("keys", "create", "--scope", "admin"),
)


async def test_an_act_on_a_machine_whose_clock_is_behind_is_still_the_newest(
    tmp_path: Path,
) -> None:
    """No gateway says what time it is: the rows that are there do, as far as they can."""
    place = Workplace.make(tmp_path)
    years = time.time() + 1e8
    async with open_store(load(tmp_path / "inkpush.toml", {})) as stores:
        await stores.audit.note(ALICE.does("lanes.pause", "agent/apns", at=years))
        for command in ACTS:
            assert place.run(*command).status == 0
        rows = await stores.audit.page(limit=9)
        # a repeat of the very same counts on in its row
        told = ["keys.create", "clock.accept", "lanes.pause", "lanes.resume", "lanes.pause"]
        assert [row.what for row in rows] == [*told, "lanes.pause"]
        assert [row.affected for row in rows] == [1, 2, 1, 1, 1, 1]
        assert await stores.audit.purge(before=years, routine_before=years) == 0
        # one act of several transactions stays one, whatever comes in between
        act = ALICE.does("devices.import", at=years + 1)
        await stores.audit.note(act)
        await stores.audit.note(ALICE.does("lanes.pause", "agent/fcm", at=years + 2))
        await stores.audit.note(act)
        assert [row.affected for row in await stores.audit.page(limit=2)] == [1, 2]


async def test_ages_go_by_the_clock_of_the_gateway_beside(tmp_path: Path) -> None:
    place = Workplace.make(tmp_path)
    days = 2 * 86_400.0
    then = time.time() - days
    async with open_store(load(tmp_path / "inkpush.toml", {})) as stores:
        await stores.store.times.report(ClockRow("here", then, -days))
        await stores.audit.note(ALICE.does("lanes.pause", "agent/fcm", at=then - 60))
        event = Event("msg_1", "", "ignored", then - 60)
        await stores.queue.accept(event, [])
        line = record("msg_1", at=then - 60, day=day_of(then))
        await stores.journal.record([line], [])
    for name, command in {
        "audit": ("audit",),
        "deliveries": ("deliveries", "show", "--user", "mary"),
    }.items():
        for age, count in (("1h", 1), ("5s", 0)):
            found = place.run(*command, "--since", age, "--json")
            assert len(found.json[name]) == count, (name, age, found.err)
    for name, command in {"audit": ("audit",), "events": ("events", "list")}.items():
        for age, count in (("1h", 0), ("5s", 1)):
            found = place.run(*command, "--before", age, "--json")
            assert len(found.json[name]) == count, (name, age, found.err)


async def test_a_command_beside_a_gateway_goes_by_the_time_that_it_knows(tmp_path: Path) -> None:
    store = await open_sqlite(tmp_path / "inkpush.db", fresh=fresh_secret)
    try:
        assert await clocks_beside(store) is SYSTEM
        now = time.time()
        await store.times.report(ClockRow(PERSON, now, 500.0))
        await store.times.report(ClockRow("doubts", now, 7_200.0, "contradicted"))
        await store.times.report(ClockRow("long gone", now - 7_000.0, -7_000.0 + 500.0))
        assert await clocks_beside(store) is SYSTEM
        await store.times.report(ClockRow("here", now - 3_600.0, -3_600.0))
        clocks = await clocks_beside(store)
        assert abs(clocks.wall() - (time.time() - 3_600.0)) < 5
    finally:
        await store.aclose()
