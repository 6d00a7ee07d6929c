"""Whether the database still has the tables and indexes of this schema, and what follows if not.

What must be there is read off the migrations. Owns the look every few seconds, and what is made
anew at once, because nothing can be lost by it: tables that hold nothing that lasts, and indexes of
tables so small that building one holds up nobody. For the rest a person is asked, by the command
that makes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from gateway.errors import StoreUnavailable
from gateway.ports import Standing
from gateway.store.postgres.database import LOCK_WAIT, PATIENT, PostgresDatabase, Session
from gateway.store.postgres.failures import is_lock_timeout
from gateway.store.postgres.migrating import who_locks
from gateway.store.queries import load_migrations

#: nothing that lasts is in these
_FLEETING = frozenset({"replicas", "pulse", "server_life", "trial"})
#: the index of a table of this size is built in less than a second
_SMALL_BYTES = 64 * 1024 * 1024
_LOCK = 0x1A4F

_TABLE = re.compile(r"^CREATE (?:UNLOGGED )?TABLE (?:IF NOT EXISTS )?(\w+) \((.*)\)", re.DOTALL)
_INDEX = re.compile(r"^CREATE (?:UNIQUE )?INDEX (?:IF NOT EXISTS )?(\w+) ON (\w+)", re.DOTALL)
_ABOUT = re.compile(r"^(?:ALTER TABLE|INSERT INTO) (\w+)")
#: of a table as a whole, or of one column
_UNIQUE = re.compile(r"^\s*UNIQUE \(([\w, ]+)\)|^\s*(\w+) [^,\n]* UNIQUE", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Schema:
    """By the name of a table the statements that make it, and by the name of an index its table and
    the one that makes it; `keys` are the tables by the names of their keys."""

    tables: Mapping[str, Sequence[str]]
    indexes: Mapping[str, tuple[str, str]]
    keys: Mapping[str, str]


@cache
def schema() -> Schema:
    """What the migrations come to. They only add: see sql/postgres/migrations/README.md."""
    tables: dict[str, list[str]] = {}
    indexes: dict[str, tuple[str, str]] = {}
    keys: dict[str, str] = {}
    for _, script in load_migrations("postgres"):
        plain = re.sub(r"--[^\n]*", "", script)
        for statement in map(str.strip, plain.split(";")):
            if found := _TABLE.match(statement):
                table, columns = found.groups()
                tables[table] = [statement]
                if "PRIMARY KEY" in columns:
                    keys[f"{table}_pkey"] = table
                for several, one in _UNIQUE.findall(columns):
                    named = several.split(", ") if several else [one]
                    keys["_".join([table, *named, "key"])] = table
            elif found := _INDEX.match(statement):
                indexes[found[1]] = (found[2], statement)
            elif (found := _ABOUT.match(statement)) and found[1] in tables:
                tables[found[1]].append(statement)
    return Schema(tables, indexes, keys)


@dataclass(frozen=True, slots=True)
class Missing:
    """What is missing, by name; of `indexes` those that can be built at once are `small`, and those
    that are there, but half built, `broken`: somebody may be building one."""

    tables: Sequence[str] = ()
    keys: Sequence[str] = ()
    indexes: Sequence[str] = ()
    small: Sequence[str] = ()
    broken: Sequence[str] = ()

    def __bool__(self) -> bool:
        return bool(self.tables or self.keys or self.indexes)


class SchemaWatch:
    """Looks at a database's schema."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database
        self._missing = Missing()
        self._hindrance = ""

    @property
    def refusal(self) -> str | None:
        """Why nothing should be stored here, and what mends it; None: nothing is in the way."""
        gone = [
            *(f"table {name}" for name in self._missing.tables),
            *(f"key {name}" for name in self._missing.keys),
        ]
        if not gone:
            return None
        return (
            f"The database has lost the {', the '.join(gone)}: restore it from a backup, or let "
            "`inkpush migrate --missing` make it anew, without what it held."
        )

    @property
    def standing(self) -> Standing | None:
        """What works without, only slower; None: all is there."""
        if not self._missing.indexes:
            return None
        names = ", ".join(self._missing.indexes)
        hint = "`inkpush migrate --missing` builds it; writes to its table wait meanwhile"
        why = f" ({self._hindrance})" if self._hindrance else ""
        if broken := ", ".join(self._missing.broken):
            why += f"; half built, by somebody who is at it or has failed: {broken}"
        return Standing("failing", f"the database has lost the index {names}{why}", hint)

    async def run(self, *, every_s: float) -> None:
        """Look, and mend what can be mended, until cancelled."""
        while True:
            with contextlib.suppress(StoreUnavailable):  # the probe of the store tells
                await self.look()
            await asyncio.sleep(every_s)

    async def look(self) -> None:
        """Look, and mend what can be mended."""
        missing = await self._database.read(_missing)
        self._hindrance = ""
        fleeting = [name for name in missing.tables if name in _FLEETING]
        if fleeting or missing.small:
            try:
                await self.make(fleeting, missing.small)
            except StoreUnavailable as error:
                # where others have a table locked, the next look tries again
                locked = is_lock_timeout(error)
                self._hindrance = await who_locks(self._database) if locked else str(error)
            missing = await self._database.read(_missing)
        self._missing = missing

    async def make_missing(self) -> list[str]:
        """Make all that is missing, tables without what they held; returns the names."""
        missing = await self._database.read(_missing)
        keys = {schema().keys[name] for name in missing.keys} - set(missing.tables)
        if keys:
            raise StoreUnavailable(
                f"The keys of {', '.join(sorted(keys))} are gone, and cannot be made by a command: "
                'see deploy/docs/operations.md, "PostgreSQL is not what it was".'
            )
        names = [*missing.tables, *missing.indexes]
        # an index of a table that is made comes with it
        await self.make(missing.tables, missing.indexes)
        return names

    async def make(self, tables: Sequence[str], indexes: Sequence[str]) -> None:
        """Make these tables, with their indexes, and these indexes, as far as they are missing."""
        whole = schema()

        async def work(session: Session) -> None:
            for ours, current in await session.rows("schema_elsewhere"):
                raise StoreUnavailable(
                    f"The database's tables are in the schema {ours}, and new ones would come to "
                    f"{current or 'none'}: set search_path to {ours}."
                )
            # of replicas that find it at once, the others find it made
            await session.rows("schema_lock", _LOCK)
            await session.statement(LOCK_WAIT)
            missing = await _missing(session)
            for table in missing.tables:
                if table in tables:
                    for statement in whole.tables[table]:
                        await session.statement(statement)
            for name, (table, statement) in whole.indexes.items():
                if table in tables and table in missing.tables:
                    await session.statement(statement)
                elif name in indexes and name in missing.indexes:
                    if name in missing.broken:
                        await session.statement(f"DROP INDEX {name}")
                    await session.statement(statement)

        await self._database.write(work, pace=PATIENT)
        await self._database.renew()


async def _missing(session: Session) -> Missing:
    whole = schema()
    found = await session.rows("schema_relations")
    there = {row["name"]: row["bytes"] for row in found if row["is_valid"]}
    half = {row["name"] for row in found if not row["is_valid"]}
    indexes = [
        name for name, (table, _) in whole.indexes.items() if name not in there and table in there
    ]
    return Missing(
        tables=[name for name in whole.tables if name not in there],
        keys=[name for name, table in whole.keys.items() if name not in there and table in there],
        indexes=indexes,
        small=[
            name
            for name in indexes
            if name not in half and there[whole.indexes[name][0]] <= _SMALL_BYTES
        ],
        broken=[name for name in indexes if name in half],
    )
