"""The registry on SQLite: who has which device, and who may take it.

Owns the promise that an installation has one user, an address has one installation, and that both
change hands in one transaction; by which rules is `gateway.store.ownership`'s.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any

from gateway.core.audit import Act
from gateway.core.hashes import Fresh
from gateway.core.model import Device, Found, Item, Registration, UserRef
from gateway.core.staleness import seen_since
from gateway.core.states import DeviceState
from gateway.core.words import Words
from gateway.ports import Audience, Imported, Registered
from gateway.store.forgetting import Gone, Row, gone_by_erase, gone_with, purged
from gateway.store.ownership import (
    Takeover,
    all_gone,
    audience_of,
    by_last_seen,
    check_owner,
    device_of,
    note_last_change,
    over_the_cap,
    owner_of,
    possible,
    says_nothing_new,
    says_something_new,
    take_over,
    to_forget,
)
from gateway.store.sqlite import audit, erased, lookup, memory, receipts
from gateway.store.sqlite.bulk import rows_of
from gateway.store.sqlite.database import SqliteDatabase
from gateway.store.sqlite.tapping import Taps
from providers.contract import Environment

_PAGE = 500
_PURGE_BATCH = 1_000


class SqliteRegistry:
    """The port `gateway.ports.Registry`. A user keeps at most `max_per_user` devices. `fresh` makes
    the secret of what is remembered; `words` tells what makes the words of ids, where there is a
    secret."""

    def __init__(
        self,
        database: SqliteDatabase,
        *,
        max_per_user: int,
        fresh: Fresh | None,
        words: Callable[[], Awaitable[Words | None]],
        taps: Taps,
    ) -> None:
        self._database = database
        self._taps = taps
        self._max_per_user = max_per_user
        self._fresh = fresh
        self._words = words

    async def register(
        self,
        registration: Registration,
        *,
        proven: UserRef | None,
        now: float,
        act: Act | None = None,
    ) -> Registered:
        words = await self._words()
        return await self._database.write(
            lambda connection: self._register(connection, registration, proven, now, words, act)
        )

    async def register_many(
        self,
        registrations: Sequence[Registration],
        *,
        now: float,
        force: bool = False,
        act: Act | None = None,
    ) -> Imported:
        words = await self._words()
        asked = possible(registrations, now)
        return await self._database.write(
            lambda connection: self._import(connection, asked, now, words, force=force, act=act)
        )

    async def forget(
        self,
        installation_id: str,
        *,
        proven: UserRef | None,
        app: str | None = None,
        now: float,
        act: Act | None = None,
    ) -> Sequence[int]:
        def work(connection: sqlite3.Connection) -> Sequence[int]:
            rows = self._rows(
                connection, "devices_of_installation", {"installation_id": installation_id}
            )
            mine = to_forget(rows, proven=proven, app=app)
            self._remember(connection, [one for row in mine for one in gone_with(row, now)])
            for row in mine:
                audit.note(connection, self._database.sql, act, user=owner_of(row))
            return self._delete(connection, mine)

        return await self._database.write(work)

    async def devices_of(self, user: UserRef) -> list[Device]:
        rows = await self._database.read(
            lambda connection: self._rows(
                connection,
                "devices_of_user",
                {"user_id": user.user_id, "custom_id": user.custom_id},
            )
        )
        return [device_of(row) for row in by_last_seen(rows)]

    async def installations(self, installation_id: str) -> list[Device]:
        rows = await self._database.read(
            lambda connection: self._rows(
                connection, "devices_of_installation", {"installation_id": installation_id}
            )
        )
        return [device_of(row) for row in rows]

    async def erase(self, user: UserRef, *, now: float, act: Act | None = None) -> Sequence[int]:
        if user == UserRef():
            return []
        return await self._database.write(
            lambda connection: self._erase(connection, user, now, act)
        )

    async def targets(self, items: Sequence[Item]) -> Found:
        return await lookup.targets(self._database, items, await self._words())

    async def remember_environment(
        self, device_id: int, address: str, environment: Environment
    ) -> None:
        await self._database.write(
            lambda connection: (
                connection.execute(
                    self._database.sql["device_remember_environment"],
                    {"id": device_id, "address": address, "environment": environment.value},
                ).rowcount
            )
        )

    async def export(
        self,
        *,
        app: str | None = None,
        state: DeviceState | None = None,
        silent_since: float | None = None,
        denied: bool = False,
    ) -> AsyncIterator[list[Device]]:
        after = 0
        while True:
            parameters = {
                "after": after,
                "app": app,
                "state": state,
                "silent_since": silent_since,
                "denied": denied,
                "limit": _PAGE,
            }
            rows = await self._database.read(
                lambda connection, given=parameters: self._rows(  # type: ignore[misc]
                    connection, "devices_page", given
                )
            )
            if not rows:
                return
            after = rows[-1]["id"]
            yield [device_of(row) for row in rows]

    async def count(self) -> dict[tuple[str, str, str], int]:
        rows = await self._database.read(
            lambda connection: connection.execute(self._database.sql["devices_count"]).fetchall()
        )
        return {(provider, app, state): count for provider, app, state, count in rows}

    async def audience(self, *, now: float) -> Audience:
        since = {f"since_{n}": at for n, at in enumerate(seen_since(now).values(), start=1)}
        sql = self._database.sql["devices_audience"]
        rows = await self._database.search(
            lambda connection: connection.execute(sql, since).fetchall(), alone=True
        )
        return audience_of(rows)

    async def purge(self, *, pruned_before: float) -> int:
        """In small transactions, so that the relay's own writes get their turn in between."""
        page = {"before": pruned_before, "limit": _PURGE_BATCH}

        def work(connection: sqlite3.Connection) -> int:
            rows = self._rows(connection, "devices_purge", page)
            self._remember(connection, [one for row in rows for one in purged(row)])
            return len(rows)

        return await self._all_of(work)

    async def purge_forgotten(self, *, before: float) -> int:
        page = {"before": before, "limit": _PURGE_BATCH}
        return await self._all_of(
            lambda connection: (
                connection.execute(self._database.sql["forgotten_purge"], page).rowcount
            )
        )

    async def _all_of(self, work: Callable[[sqlite3.Connection], int]) -> int:
        """Do it until it finds nothing more to do; returns how much it was."""
        done = 0
        while count := await self._database.write(work):
            done += count
        return done

    # --- in the database's threads ------------------------------------------------------------

    def _rows(
        self, connection: sqlite3.Connection, query: str, parameters: Mapping[str, Any]
    ) -> Sequence[Row]:
        return rows_of(connection.execute(self._database.sql[query], parameters))

    def _row(
        self, connection: sqlite3.Connection, query: str, parameters: Mapping[str, Any]
    ) -> Row | None:
        rows = self._rows(connection, query, parameters)
        return rows[0] if rows else None

    def _erase(
        self, connection: sqlite3.Connection, user: UserRef, now: float, act: Act | None
    ) -> Sequence[int]:
        """Remove the user's devices, so that no import brings them back; returns which went."""
        sql = self._database.sql
        # What is here came before, whatever clock it was dated by.
        (newest,) = connection.execute(sql["erase_newest"]).fetchone()
        now = max(now, newest or 0.0)
        gone = rows_of(connection.execute(sql["erase_devices"], erased.ids_of(user)))
        memory.remember(connection, sql, self._fresh, gone_by_erase(gone, user, now))
        erased.ask(connection, sql, user, now=now)
        self._taps.erased(connection, sql, user, now)
        audit.note(connection, sql, act, count=len(gone), user=user)
        # they may have been registered under the other id only, before that was known with this one
        audit.unlink(connection, sql, map(owner_of, gone))
        audit.forget(connection, sql, user)
        return [row["id"] for row in gone]

    def _register(
        self,
        connection: sqlite3.Connection,
        asked: Registration,
        proven: UserRef | None,
        now: float,
        words: Words | None,
        act: Act | None,
    ) -> Registered:
        known, holders = self._met(connection, asked)
        check_owner(known, asked, proven)
        at = erased.erased_at(connection, self._database.sql, asked.user_id, asked.custom_id)
        todo = take_over(known, holders, asked, now=now, words=words, erased_at=at)
        if todo.came:
            past = memory.of_names(connection, self._database.sql, todo.came)
            note_last_change(todo, past, asked, now)
        saved, evicted = self._carry_out(connection, todo)
        self._remember(connection, all_gone(todo, evicted, now))
        changed = (*todo.changed, *(row["id"] for row in evicted))
        if says_something_new(known, saved, changed):
            audit.note(connection, self._database.sql, act, user=owner_of(saved))
        return Registered(known is None, device_of(saved), changed)

    def _import(
        self,
        connection: sqlite3.Connection,
        registrations: Sequence[Registration],
        now: float,
        words: Words | None,
        *,
        force: bool,
        act: Act | None,
    ) -> Imported:
        sql = self._database.sql
        past = memory.of_registrations(connection, sql, self._fresh, registrations)
        new, same, newer = 0, 0, []
        for place, asked in enumerate(registrations):
            known, holders = self._met(connection, asked)
            if asked.seen_at is not None:
                if says_nothing_new(known, asked):
                    same += 1
                    continue
                if past.forbids(asked, known, holders, force=force):
                    newer.append(place)
                    continue
            at = erased.erased_at(connection, sql, asked.user_id, asked.custom_id)
            todo = take_over(known, holders, asked, now=now, words=words, erased_at=at)
            note_last_change(todo, past, asked, now)
            _, evicted = self._carry_out(connection, todo)
            past.add(all_gone(todo, evicted, now))
            new += known is None
        memory.keep(connection, sql, past.added)
        taken = len(registrations) - len(newer)
        changed = taken - same
        audit.note(connection, sql, act if changed else None, count=changed)
        return Imported(new, taken - new, tuple(newer))

    def _met(
        self, connection: sqlite3.Connection, asked: Registration
    ) -> tuple[Row | None, list[Row]]:
        """The installation's row, and those that hold its addresses."""
        known = self._row(
            connection,
            "device_by_installation",
            {"installation_id": asked.installation_id, "app": asked.app},
        )
        return known, self._holders(connection, asked)

    def _carry_out(
        self, connection: sqlite3.Connection, todo: Takeover
    ) -> tuple[Row, Sequence[Row]]:
        """Returns the device's row, and those that went for it over the cap."""
        for one in todo.drop:
            connection.execute(self._database.sql["device_delete"], {"id": one})
        query = "device_insert" if todo.keep is None else "device_update"
        saved = self._row(connection, query, {**todo.values, "id": todo.keep})
        assert saved is not None
        if todo.takes_back:
            receipts.take_back(connection, self._database.sql, saved)
        return saved, self._evict(connection, saved)

    def _holders(self, connection: sqlite3.Connection, asked: Registration) -> list[Row]:
        """Rows that hold the address or the one it replaces."""
        holders = []
        for address in dict.fromkeys((asked.address, asked.old_address)):
            if address is None:
                continue
            row = self._row(
                connection,
                "device_by_address",
                {"address": address, "provider": asked.provider, "app": asked.app},
            )
            if row is not None:
                holders.append(row)
        return holders

    def _evict(self, connection: sqlite3.Connection, saved: Row) -> Sequence[Row]:
        """Keep the most recently seen devices of the user; the one just saved stays. Returns those
        that went."""
        owned = self._rows(
            connection,
            "devices_of_user",
            {"user_id": saved["user_id"], "custom_id": saved["custom_id"]},
        )
        too_many = over_the_cap(owned, saved["id"], most=self._max_per_user)
        self._delete(connection, too_many)
        return too_many

    def _delete(self, connection: sqlite3.Connection, rows: Sequence[Row]) -> list[int]:
        for row in rows:
            connection.execute(self._database.sql["device_delete"], {"id": row["id"]})
        return [row["id"] for row in rows]

    def _remember(self, connection: sqlite3.Connection, gone: Sequence[Gone]) -> None:
        memory.remember(connection, self._database.sql, self._fresh, gone)
