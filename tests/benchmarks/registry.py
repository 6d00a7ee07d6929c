"""Registries of any size, filled in seconds: what a test's registrations would take hours for.

A device of each provider is registered as usual; SQL copies it. So every column is as the gateway
wrote it, whatever columns there are, and only the ids differ.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
import time
from pathlib import Path

import asyncpg

from gateway.app import open_store
from gateway.app.benching.served import APP
from gateway.app.settings import load
from gateway.app.vendors import VENDORS
from gateway.core.model import Registration
from providers.contract import Platform

_IDS = {
    "installation_id": "'phone-' || :provider || '-' || i",
    "custom_id": ":provider || '-' || i",
    "address": "CASE :provider WHEN 'apns' THEN printf('%064x', i) "
    "ELSE printf('bench%017d:APA91b%.134c', i, 'x') END",
}
_POSTGRES_IDS = {
    "installation_id": "'phone-' || $1::text || '-' || i",
    "custom_id": "$1::text || '-' || i",
    "address": "CASE $1::text WHEN 'apns' THEN lpad(i::text, 64, '0') "
    "ELSE 'bench' || lpad(i::text, 17, '0') || ':APA91b' || repeat('x', 134) END",
}


def fill(config: Path, database: Path, devices: int) -> None:
    """Register so many devices in a new database, half of them with each provider."""
    asyncio.run(_register_templates(config))
    with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA cache_size = -262144")
        columns = [row[1] for row in connection.execute("PRAGMA table_info(devices)")]
        copied = [column for column in columns if column not in {"id", *_IDS}]
        connection.execute("BEGIN")
        for provider in VENDORS:
            connection.execute(
                f"WITH RECURSIVE numbers(i) AS "
                f"(SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < :count) "
                f"INSERT INTO devices ({', '.join((*_IDS, *copied))}) "
                f"SELECT {', '.join((*_IDS.values(), *copied))} "
                f"FROM numbers, (SELECT * FROM devices WHERE installation_id = :template)",
                {
                    "provider": provider,
                    "count": devices // 2 - 1,
                    "template": f"phone-{provider}-0",
                },
            )
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def fill_postgres(config: Path, url: str, devices: int) -> None:
    """The same in a new database of a PostgreSQL."""
    asyncio.run(_register_templates(config))
    asyncio.run(_copy_templates(url, devices))


async def _copy_templates(url: str, devices: int) -> None:
    connection = await asyncpg.connect(url)
    try:
        found = await connection.fetch(
            "SELECT column_name FROM information_schema.columns WHERE table_name = 'devices'"
        )
        copied = [row[0] for row in found if row[0] not in {"id", *_POSTGRES_IDS}]
        for provider in VENDORS:
            await connection.execute(
                f"INSERT INTO devices ({', '.join((*_POSTGRES_IDS, *copied))}) "
                f"SELECT {', '.join((*_POSTGRES_IDS.values(), *copied))} "
                f"FROM generate_series(1, $2::int) AS numbers (i), "
                f"(SELECT {', '.join(copied)} FROM devices WHERE installation_id = $3) AS template",
                provider,
                devices // 2 - 1,
                f"phone-{provider}-0",
            )
        await connection.execute("VACUUM ANALYZE devices")
    finally:
        await connection.close()


def users(provider: str, devices: int, count: int) -> list[str]:
    """So many of the users with a device of this provider, in no order, the same in every run."""
    rng = random.Random(0)
    return [f"{provider}-{rng.randrange(devices // 2)}" for _ in range(count)]


async def _register_templates(config: Path) -> None:
    async with open_store(load(config, {}), made=lambda _place: None) as stores:
        for provider in VENDORS:
            is_apple = provider == "apns"
            await stores.registry.register_many(
                [
                    Registration(
                        installation_id=f"phone-{provider}-0",
                        app=APP,
                        platform=Platform.IOS if is_apple else Platform.ANDROID,
                        provider=provider,
                        address="0" * 64 if is_apple else f"bench{0:017d}:APA91b{'x' * 134}",
                        custom_id=f"{provider}-0",
                    )
                ],
                now=time.time(),
            )
