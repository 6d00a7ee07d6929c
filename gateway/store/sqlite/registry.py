"""The registry on SQLite: who has which device, and who may take it.

Owns the rules of ownership: an installation has one user, an address has one installation, and
both change hands in one transaction. Knows nothing of HTTP or tokens.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from typing import Any

from gateway.core.model import Device, Item, Profile, Registration, Target, UserRef
from gateway.core.states import DeviceState
from gateway.errors import InstallationOwned
from gateway.ports import Registered
from gateway.store.sqlite import erasure, lookup
from gateway.store.sqlite.database import SqliteDatabase
from providers.contract import AddressKind, Environment, Platform, Provider

_PAGE = 500
_PURGE_BATCH = 1_000
_ERASE_ROUNDS = 3
_PROFILE = ("locale", "timezone", "app_version", "os_version", "device_model")
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
    ) -> int:
        def work(connection: sqlite3.Connection) -> int:
            rows = self._rows(
                connection, "devices_of_installation", {"installation_id": installation_id}
            )
            mine = [
                row
                for row in rows
                if (app is None or row["app"] == app)
                and (proven is None or _same_user(row, proven.user_id, proven.custom_id))
            ]
            for row in mine:
                connection.execute(self._database.sql["device_delete"], {"id": row["id"]})
            return len(mine)

        return await self._database.write(work)

    async def devices_of(self, user: UserRef) -> list[Device]:
        rows = await self._database.read(
            lambda connection: self._rows(
                connection,
                "devices_of_user",
                {"user_id": user.user_id, "custom_id": user.custom_id},
            )
        )
        return [_device(row) for row in rows]

    async def installations(self, installation_id: str) -> list[Device]:
        rows = await self._database.read(
            lambda connection: self._rows(
                connection, "devices_of_installation", {"installation_id": installation_id}
            )
        )
        return [_device(row) for row in rows]

    async def erase(self, user: UserRef) -> None:
        sql = self._database.sql
        await self._database.write(partial(erasure.erase_devices, sql=sql, user=user))
        # More than once, for the relay goes on writing down what was in flight.
        for _ in range(_ERASE_ROUNDS):
            found = await self._database.read(partial(erasure.find_events, sql=sql, user=user))
            for event_id in found:
                await self._database.write(
                    partial(erasure.erase_event, sql=sql, event_id=event_id, user=user)
                )
            if not found:
                return

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
            yield [_device(row) for row in rows]

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
        if known is not None and proven is not None:
            _check_owner(known, asked, proven)
        if known is not None and asked.seen_at is not None and _says_nothing_new(known, asked):
            return Registered(created=False, device=_device(known))
        holders = self._holders(connection, asked)
        environment = _environment(holders, asked)
        row = known
        for other in holders:
            if known is not None and other["id"] == known["id"]:
                continue
            if row is None and _same_user(other, asked.user_id, asked.custom_id):
                # The same user under a new installation id keeps the row, and with it what waits.
                row = other
            else:
                connection.execute(self._database.sql["device_delete"], {"id": other["id"]})
        saved = self._save(connection, row, asked, environment, now)
        self._evict(connection, saved)
        return Registered(known is None, _device(saved))

    def _holders(self, connection: sqlite3.Connection, asked: Registration) -> list[Row]:
        """Rows that hold the address or the one it replaces."""
        holders = []
        for address in dict.fromkeys((asked.address, asked.old_address)):
            if address is None:
                continue
            row = self._row(
                connection,
                "device_by_address",
                {"address": address, "provider": asked.provider.value, "app": asked.app},
            )
            if row is not None:
                holders.append(row)
        return holders

    def _save(
        self,
        connection: sqlite3.Connection,
        row: Row | None,
        asked: Registration,
        environment: Environment,
        now: float,
    ) -> Row:
        values: Row = {
            "app": asked.app,
            "provider": asked.provider.value,
            "installation_id": asked.installation_id,
            "user_id": asked.user_id,
            "custom_id": asked.custom_id,
            "address": asked.address,
            "address_kind": asked.address_kind.value,
            "platform": asked.platform.value,
            "environment": environment.value,
            "now": now,
            "seen_at": now if asked.seen_at is None else asked.seen_at,
        }
        profile = {name: getattr(asked.profile, name) for name in _PROFILE}
        if row is None:
            saved = self._row(connection, "device_insert", values | profile)
        else:
            same_user = _same_user(row, asked.user_id, asked.custom_id)
            if same_user:
                for name in ("user_id", "custom_id"):
                    values[name] = values[name] or row[name]
                profile = {name: profile[name] or row[name] for name in _PROFILE}
            same = same_user and row["address"] == asked.address and row["state"] == "active"
            values["registered_at"] = row["registered_at"] if same else now
            if asked.seen_at is None:
                # Proof of death is held against this time, so every registration moves it.
                values["seen_at"] = max(now, row["last_seen_at"] + 0.001)
            values["id"] = row["id"]
            saved = self._row(connection, "device_update", values | profile)
        assert saved is not None
        return saved

    def _evict(self, connection: sqlite3.Connection, saved: Row) -> None:
        """Keep the most recently seen devices of the user; the one just saved stays."""
        owned = self._rows(
            connection,
            "devices_of_user",
            {"user_id": saved["user_id"], "custom_id": saved["custom_id"]},
        )
        others = [row for row in owned if row["id"] != saved["id"]]
        for row in others[self._max_per_user - 1 :]:
            connection.execute(self._database.sql["device_delete"], {"id": row["id"]})


def _check_owner(known: Row, asked: Registration, proven: UserRef) -> None:
    if _same_user(known, proven.user_id, proven.custom_id):
        return
    if known["address"] not in (asked.address, asked.old_address):
        raise InstallationOwned


def _same_user(row: Row, user_id: str | None, custom_id: str | None) -> bool:
    return (user_id is not None and row["user_id"] == user_id) or (
        custom_id is not None and row["custom_id"] == custom_id
    )


def _says_nothing_new(known: Row, asked: Registration) -> bool:
    """Whether an import names a device as it is: it is no word from the app itself."""
    return (
        known["address"] == asked.address
        and known["provider"] == asked.provider
        and _same_user(known, asked.user_id, asked.custom_id)
    )


def _environment(holders: Sequence[Row], asked: Registration) -> Environment:
    """A token belongs to one APNs environment: what was learned of it outlives a silent app, and
    goes along when the token moves to another user."""
    if asked.environment is not None:
        return asked.environment
    for row in holders:
        if row["address"] == asked.address:
            return Environment(row["environment"])
    return Environment.PRODUCTION


def _device(row: Row) -> Device:
    return Device(
        id=row["id"],
        installation_id=row["installation_id"],
        app=row["app"],
        platform=Platform(row["platform"]),
        provider=Provider(row["provider"]),
        address=row["address"],
        address_kind=AddressKind(row["address_kind"]),
        environment=Environment(row["environment"]),
        user_id=row["user_id"],
        custom_id=row["custom_id"],
        state=DeviceState(row["state"]),
        state_reason=row["state_reason"],
        registered_at=row["registered_at"],
        last_seen_at=row["last_seen_at"],
        profile=Profile(**{name: row[name] for name in _PROFILE}),
    )
