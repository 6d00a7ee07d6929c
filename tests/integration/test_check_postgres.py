"""`inkpush check` beside PostgreSQL: addresses in every form connect; its clock is a witness."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from config.formats import store_url
from gateway.app import surroundings
from gateway.store.postgres.connections import connect
from tests.kit.postgres import databases

FORMS = (
    "{url}",
    "psql '{url}'",
    "DATABASE_URL={url}",
    "{driver}",
    "{url}{mark}sslmode=prefer&channel_binding=prefer&pgbouncer=true&connect_timeout=10",
)


async def test_an_address_in_every_form_connects(tmp_path: Path) -> None:
    async with databases().using(tmp_path) as url:
        driver = url.replace("://", "+asyncpg://", 1)
        mark = "&" if "?" in url else "?"
        for form in FORMS:
            connection = await connect(store_url(form.format(url=url, driver=driver, mark=mark)))
            assert await connection.fetchval("SELECT 1") == 1
            await connection.close()


@pytest.mark.parametrize(("ahead", "told"), [(0, ""), (3_600, "ahead of"), (-120, "behind")])
async def test_the_databases_clock_is_a_witness(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead: float, told: str
) -> None:
    async with databases().using(tmp_path) as url:
        now = time.time
        monkeypatch.setattr(surroundings, "time", type("Off", (), {"time": lambda: now() + ahead}))
        found = await surroundings.wrong_clock([], url)
    assert [told in what and "the database's" in what for what, _ in found] == [True] * bool(told)
