"""`inkpush clock`: what is known of clocks, and a person's word for this machine's."""

from __future__ import annotations

import time
from pathlib import Path

from gateway.app.clocks import SYSTEM, clocks_beside
from gateway.core.instants import read_instant
from gateway.ports import PERSON, ClockRow
from gateway.store.sqlite import open_sqlite
from tests.kit.commands import Workplace
from tests.kit.stores import fresh_secret


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
