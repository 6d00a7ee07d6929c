"""The registry on SQLite: who has which device, and who may take it.

Owns the promise that an installation has one user, an address has one installation, and that both
change hands in one transaction; by which rules is `gateway.store.ownership`'s.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from typing import Any

from gateway.core.model import Device, Item, Registration, Target, UserRef
from gateway.core.states import DeviceState
from gateway.ports import Registered
from gateway.store.ownership import check_owner, device_of, over_the_cap, take_over, to_forget
from gateway.store.sqlite import erased, lookup
from gateway.store.sqlite.database import SqliteDatabase
from providers.contract import Environment

_PAGE = 500
_PURGE_BATCH = 1_000
Row = dict[str, Any]


class SqliteRegistry:
    """The port `gateway.ports.Registry`. A user keeps at most `max_per_user` devices."""

    def __init__(self, database: SqliteDatabase, *, max_per_user: int) -> None:
        self._database = database
        self._max_per_user = max_per_user

    async def register(
        self, registration: Registration, *, proven: UserRef | None, now: float
    ) -> Registered:
        return await self._database.write(
            lambda connection: self._register(connection, registration, proven, now)
        )

    async def register_many(
        self, registrations: Sequence[Registration], *, now: float
    ) -> tuple[int, int]:
        def work(connection: sqlite3.Connection) -> tuple[int, int]:
            done = [self._register(connection, one, None, now) for one in registrations]
            new = sum(one.created for one in done)
            return new, len(done) - new

        return await self._database.write(work)

    async def forget(
        self, installation_id: str, *, proven: UserRef | None, app: str | None = None
    ) -> Sequence[int]:
        def work(connection: sqlite3.Connection) -> Sequence[int]:
            rows = self._rows(
                connection, "devices_of_installation", {"installation_id": installation_id}
            )
            mine = to_forget(rows, proven=proven, app=app)
            self._delete(connection, mine)
            return mine

        return await self._database.write(work)

    async def devices_of(self, user: UserRef) -> list[Device]:
        rows = await self._database.read(
            lambda connection: self._rows(
                connection,
                "devices_of_user",
                {"user_id": user.user_id, "custom_id": user.custom_id},
            )
        )
        return [device_of(row) for row in rows]

    async def installations(self, installation_id: str) -> list[Device]:
        rows = await self._database.read(
            lambda connection: self._rows(
                connection, "devices_of_installation", {"installation_id": installation_id}
            )
        )
        return [device_of(row) for row in rows]

    async def erase(self, user: UserRef, *, now: float) -> Sequence[int]:
        if user == UserRef():
            return []
        return await self._database.write(
            partial(erased.ask, sql=self._database.sql, user=user, now=now)
        )

    async def targets(self, items: Sequence[Item]) -> list[list[Target]]:
        return await lookup.targets(self._database, items)

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
        self, *, app: str | None = None, state: DeviceState | None = None
    ) -> AsyncIterator[list[Device]]:
        after = 0
        while True:
            parameters = {"after": after, "app": app, "state": state, "limit": _PAGE}
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

    async def purge(self, *, pruned_before: float) -> int:
        """In small transactions, so that the relay's own writes get their turn in between."""
        page = {"before": pruned_before, "limit": _PURGE_BATCH}
        purged = 0
        while count := await self._database.write(
            lambda connection: (
                connection.execute(self._database.sql["devices_purge"], page).rowcount
            )
        ):
            purged += count
        return purged

    # --- in the database's threads ------------------------------------------------------------

    def _rows(
        self, connection: sqlite3.Connection, query: str, parameters: Mapping[str, Any]
    ) -> list[Row]:
        cursor = connection.execute(self._database.sql[query], parameters)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, values, strict=True)) for values in cursor.fetchall()]

    def _row(
        self, connection: sqlite3.Connection, query: str, parameters: Mapping[str, Any]
    ) -> Row | None:
        rows = self._rows(connection, query, parameters)
        return rows[0] if rows else None

    def _register(
        self,
        connection: sqlite3.Connection,
        asked: Registration,
        proven: UserRef | None,
        now: float,
    ) -> Registered:
        known = self._row(
            connection,
            "device_by_installation",
            {"installation_id": asked.installation_id, "app": asked.app},
        )
        check_owner(known, asked, proven)
        erased_at = erased.erased_at(connection, self._database.sql, asked.user_id, asked.custom_id)
        holders = self._holders(connection, asked)
        todo = take_over(known, holders, asked, now=now, erased_at=erased_at)
        if known is not None and todo.unchanged:
            return Registered(created=False, device=device_of(known))
        self._delete(connection, todo.drop)
        query = "device_insert" if todo.keep is None else "device_update"
        saved = self._row(connection, query, {**todo.values, "id": todo.keep})
        assert saved is not None
        evicted = self._evict(connection, saved)
        return Registered(known is None, device_of(saved), (*todo.changed, *evicted))

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

    def _evict(self, connection: sqlite3.Connection, saved: Row) -> Sequence[int]:
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

    def _delete(self, connection: sqlite3.Connection, ids: Sequence[int]) -> None:
        for one in ids:
            connection.execute(self._database.sql["device_delete"], {"id": one})
