"""The registry on PostgreSQL: who has which device, and who may take it.

Owns the promise that an installation has one user, an address has one installation, and that both
change hands in one transaction, whichever replicas are asked at once; by which rules is
`gateway.store.ownership`'s. Registrations that share an installation, an address or a user follow
each other; rows are locked in the order of their ids.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from typing import Any

from gateway.core.model import Device, Item, Registration, Target, UserRef
from gateway.core.states import DeviceState
from gateway.ports import Erased, Registered
from gateway.store.ownership import check_owner, device_of, over_the_cap, take_over, to_forget
from gateway.store.postgres import erasure, lookup
from gateway.store.postgres.database import SLOW, PostgresDatabase, Session, buckets
from gateway.store.postgres.importing import part_new
from gateway.store.postgres.texts import findable
from providers.contract import Environment

_PAGE = 500
_PURGE_BATCH = 1_000
_ERASE_ROUNDS = 3
#: what `device_insert` and `device_update` are given, in their order
_INSERTED = (
    "app", "provider", "installation_id", "user_id", "custom_id", "address", "address_kind",
    "platform", "environment", "now", "registered_at", "seen_at", "locale", "timezone",
    "app_version", "os_version", "device_model", "notifications", "measure", "can",
)  # fmt: skip


class PostgresRegistry:
    """The port `gateway.ports.Registry`. A user keeps at most `max_per_user` devices."""

    def __init__(self, database: PostgresDatabase, *, max_per_user: int) -> None:
        self._database = database
        self._max_per_user = max_per_user

    async def register(
        self, registration: Registration, *, proven: UserRef | None, now: float
    ) -> Registered:
        return await self._database.write(
            lambda session: self._register(session, registration, proven, now),
            locks=_locks([registration]),
        )

    async def register_many(
        self, registrations: Sequence[Registration], *, now: float
    ) -> tuple[int, int]:
        async def work(session: Session) -> tuple[int, int]:
            fresh, others = await part_new(session, registrations, max_per_user=self._max_per_user)
            if fresh:
                rows = [_inserted(take_over(None, (), one, now=now).values) for one in fresh]
                await session.run("devices_insert", *zip(*rows, strict=True))
            new = len(fresh)
            for one in others:
                new += (await self._register(session, one, None, now)).created
            return new, len(registrations) - new

        return await self._database.write(work, locks=_locks(registrations), pace=SLOW)

    async def forget(
        self, installation_id: str, *, proven: UserRef | None, app: str | None = None
    ) -> Sequence[int]:
        async def work(session: Session) -> Sequence[int]:
            rows = await session.rows("devices_of_installation_locked", installation_id)
            mine = to_forget(rows, proven=proven, app=app)
            if mine:
                await session.run("devices_delete", mine)
            return mine

        return await self._database.write(work)

    async def devices_of(self, user: UserRef) -> list[Device]:
        rows = await self._database.rows(
            "devices_of_user", findable(user.user_id), findable(user.custom_id)
        )
        return [device_of(row) for row in rows]

    async def installations(self, installation_id: str) -> list[Device]:
        rows = await self._database.rows("devices_of_installation", findable(installation_id))
        return [device_of(row) for row in rows]

    async def erase(self, user: UserRef, *, now: float) -> Erased:
        devices = await self._database.write(partial(erasure.erase_devices, user=user))
        # More than once, for the relays go on writing down what was in flight.
        unread: dict[str, int] = {}
        for _ in range(_ERASE_ROUNDS):
            found = await self._database.read(partial(erasure.find_events, user=user), pace=SLOW)
            for event_id in found:
                unread[event_id] = await self._database.write(
                    partial(erasure.erase_event, event_id=event_id, user=user, now=now), pace=SLOW
                )
            if not found:
                break
        return Erased(devices, sum(unread.values()))

    async def targets(self, items: Sequence[Item]) -> list[list[Target]]:
        return await lookup.targets(self._database, items)

    async def remember_environment(
        self, device_id: int, address: str, environment: Environment
    ) -> None:
        await self._database.rows(
            "device_remember_environment", device_id, address, environment.value
        )

    async def export(
        self, *, app: str | None = None, state: DeviceState | None = None
    ) -> AsyncIterator[list[Device]]:
        after = 0
        while rows := await self._database.rows("devices_page", after, app, state, _PAGE):
            after = rows[-1]["id"]
            yield [device_of(row) for row in rows]

    async def count(self) -> dict[tuple[str, str, str], int]:
        rows = await self._database.read(lambda session: session.rows("devices_count"), pace=SLOW)
        return {(provider, app, state): count for provider, app, state, count in rows}

    async def purge(self, *, pruned_before: float) -> int:
        """In small transactions, so that the relays' own writes get their turn in between."""
        purged = 0
        while count := await self._database.write(
            lambda session: session.run("devices_purge", pruned_before, _PURGE_BATCH)
        ):
            purged += count
        return purged

    async def _register(
        self, session: Session, asked: Registration, proven: UserRef | None, now: float
    ) -> Registered:
        addresses = [one for one in (asked.address, asked.old_address) if one is not None]
        touched = await session.rows(
            "devices_touched", asked.installation_id, asked.app, asked.provider, addresses
        )
        by_address = {row["address"]: row for row in touched if row["provider"] == asked.provider}
        known = next(
            (row for row in touched if row["installation_id"] == asked.installation_id), None
        )
        holders = [by_address[one] for one in dict.fromkeys(addresses) if one in by_address]
        check_owner(known, asked, proven)
        todo = take_over(known, holders, asked, now=now)
        if known is not None and todo.unchanged:
            return Registered(created=False, device=device_of(known))
        if todo.drop:
            await session.run("devices_delete", sorted(todo.drop))
        values = _inserted(todo.values)
        if todo.keep is None:
            saved = await session.row("device_insert", *values)
        else:
            saved = await session.row("device_update", *values, todo.keep)
        owned = await session.rows("devices_of_user", saved["user_id"], saved["custom_id"])
        if excess := over_the_cap(owned, saved["id"], most=self._max_per_user):
            await session.run("devices_delete", sorted(excess))
        return Registered(known is None, device_of(saved), (*todo.changed, *excess))


def _inserted(values: Mapping[str, Any]) -> list[Any]:
    return [values[name] for name in _INSERTED]


def _locks(registrations: Sequence[Registration]) -> list[int]:
    return buckets(
        [
            name
            for one in registrations
            for name in (
                one.installation_id,
                one.address,
                one.old_address,
                one.user_id,
                one.custom_id,
            )
        ]
    )
