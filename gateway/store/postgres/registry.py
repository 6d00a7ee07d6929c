"""The registry on PostgreSQL: who has which device, and who may take it.

Owns the promise that an installation has one user, an address has one installation, and that both
change hands in one transaction, whichever replicas are asked at once; by which rules is
`gateway.store.ownership`'s. Registrations that share an installation, an address or a user follow
each other; rows are locked in the order of their ids.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal

from gateway.core.audit import Act
from gateway.core.hashes import Fresh
from gateway.core.model import Device, Found, Item, Registration, UserRef
from gateway.core.staleness import seen_since
from gateway.core.states import DeviceState
from gateway.core.words import Words
from gateway.ports import Audience, Imported, Registered
from gateway.store.forgetting import Memory, Row, gone_by_erase, gone_with, purged
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
from gateway.store.postgres import audit, erased, lookup, memory
from gateway.store.postgres.database import SLOW, PostgresDatabase, Session, buckets
from gateway.store.postgres.importing import part
from gateway.store.postgres.tapping import Taps
from gateway.store.postgres.texts import findable
from providers.contract import Environment

_PAGE = 500
_PURGE_BATCH = 1_000
#: what `device_insert` and `device_update` are given, in their order
_INSERTED = (
    "app", "provider", "installation_id", "user_id", "custom_id", "address", "address_kind",
    "platform", "environment", "now", "registered_at", "seen_at", "locale", "timezone",
    "app_version", "os_version", "device_model", "notifications", "measure", "can",
    "user_changed_at", "stated", "user_word", "custom_word", "erased_at", "heard_at",
)  # fmt: skip


class PostgresRegistry:
    """The port `gateway.ports.Registry`. A user keeps at most `max_per_user` devices. `fresh` makes
    the secret of what is remembered; `words` tells what makes the words of ids, where there is a
    secret."""

    def __init__(
        self,
        database: PostgresDatabase,
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
            lambda session: self._register(session, registration, proven, now, words, act),
            locks=_locks([registration]),
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
            lambda session: self._import(session, asked, now, words, force=force, act=act),
            locks=_locks(asked),
            pace=SLOW,
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
        async def work(session: Session) -> Sequence[int]:
            rows = await session.rows("devices_of_installation_locked", installation_id)
            mine = to_forget(rows, proven=proven, app=app)
            gone = [one for row in mine for one in gone_with(row, now)]
            await memory.remember(session, self._fresh, gone)
            for row in mine:
                await audit.note(session, act, user=owner_of(row))
            return await _delete(session, mine)

        return await self._database.write(work)

    async def devices_of(self, user: UserRef) -> list[Device]:
        rows = await self._database.rows(
            "devices_of_user", findable(user.user_id), findable(user.custom_id)
        )
        return [device_of(row) for row in by_last_seen(rows)]

    async def installations(self, installation_id: str) -> list[Device]:
        rows = await self._database.rows("devices_of_installation", findable(installation_id))
        return [device_of(row) for row in rows]

    async def erase(self, user: UserRef, *, now: float, act: Act | None = None) -> Sequence[int]:
        return await self._database.write(
            lambda session: self._erase(session, user, now, act),
            # before or after what registers the user, and never beside it
            locks=buckets([user.user_id, user.custom_id]),
        )

    async def targets(self, items: Sequence[Item]) -> Found:
        return await lookup.targets(self._database, items, await self._words())

    async def remember_environment(
        self, device_id: int, address: str, environment: Environment
    ) -> None:
        await self._database.rows(
            "device_remember_environment", device_id, address, environment.value
        )

    async def export(
        self,
        *,
        app: str | None = None,
        state: DeviceState | None = None,
        silent_since: float | None = None,
        denied: bool = False,
    ) -> AsyncIterator[list[Device]]:
        after, wanted = 0, (app, state, _PAGE, silent_since, denied)
        # a page of few among many is the end of a long search
        while rows := await self._database.read(
            lambda session, after=after: session.rows("devices_page", after, *wanted),  # type: ignore[misc]
            pace=SLOW,
        ):
            after = rows[-1]["id"]
            yield [device_of(row) for row in rows]

    async def count(self) -> dict[tuple[str, str, str], int]:
        rows = await self._database.read(lambda session: session.rows("devices_count"), pace=SLOW)
        return {(provider, app, state): count for provider, app, state, count in rows}

    async def audience(self, *, now: float) -> Audience:
        since = list(seen_since(now).values())
        return audience_of(
            await self._database.read(
                lambda session: session.rows("devices_audience", *since), pace=SLOW
            )
        )

    async def purge(self, *, pruned_before: float) -> int:
        """In small transactions, so that the relays' own writes get their turn in between."""

        async def work(session: Session) -> int:
            rows = await session.rows("devices_purge", pruned_before, _PURGE_BATCH)
            gone = [one for row in rows for one in purged(row)]
            await memory.remember(session, self._fresh, gone)
            return len(rows)

        return await self._all_of(work)

    async def purge_forgotten(self, *, before: float) -> int:
        return await self._all_of(
            lambda session: session.run("forgotten_purge", before, _PURGE_BATCH)
        )

    async def _erase(
        self, session: Session, user: UserRef, now: float, act: Act | None
    ) -> Sequence[int]:
        """Remove the user's devices, so that no import brings them back; returns which went."""
        gone = await session.rows("erase_devices", *erased.ids_of(user))
        await memory.remember(session, self._fresh, gone_by_erase(gone, user, now))
        await erased.ask(session, user, now=now)
        await self._taps.erased(session, user, now)
        await audit.note(session, act, count=len(gone), user=user)
        # they may have been registered under the other id only, before that was known with this one
        await audit.unlink(session, map(owner_of, gone))
        await audit.forget(session, user)
        return [row["id"] for row in gone]

    async def _all_of(self, work: Callable[[Session], Awaitable[int]]) -> int:
        """Do it until it finds nothing more to do; returns how much it was."""
        done = 0
        while count := await self._database.write(work):
            done += count
        return done

    async def _register(
        self,
        session: Session,
        asked: Registration,
        proven: UserRef | None,
        now: float,
        words: Words | None,
        act: Act | None,
    ) -> Registered:
        known, holders = await _met(session, asked)
        check_owner(known, asked, proven)
        times = await erased.erased_at(session, [_ids(asked)])
        erased_at = times.get(_ids(asked), 0.0)
        todo = take_over(known, holders, asked, now=now, words=words, erased_at=erased_at)
        if todo.came:
            past = await memory.of_names(session, todo.came)
            note_last_change(todo, past, asked, now)
        saved, evicted = await self._carry_out(session, todo)
        await memory.remember(session, self._fresh, all_gone(todo, evicted, now))
        changed = (*todo.changed, *(row["id"] for row in evicted))
        if says_something_new(known, saved, changed):
            await audit.note(session, act, user=owner_of(saved))
        return Registered(known is None, device_of(saved), changed)

    async def _import(
        self,
        session: Session,
        registrations: Sequence[Registration],
        now: float,
        words: Words | None,
        *,
        force: bool,
        act: Act | None,
    ) -> Imported:
        batch = await part(
            session,
            registrations,
            max_per_user=self._max_per_user,
            fresh=self._fresh,
            force=force,
        )
        past = batch.past
        times = await erased.erased_at(session, map(_ids, registrations))
        rows = []
        for one in batch.fresh:
            at = times.get(_ids(one), 0.0)
            todo = take_over(None, (), one, now=now, words=words, erased_at=at)
            note_last_change(todo, past, one, now)
            past.add(todo.gone)
            rows.append(_inserted(todo.values))
        if rows:
            await session.run("devices_insert", *zip(*rows, strict=True))
        new, changed, newer = len(rows), len(rows), batch.newer
        for place, one in batch.others:
            done = await self._import_one(
                session, one, past, now, words, times.get(_ids(one), 0.0), force=force
            )
            if done == "newer":
                newer.append(place)
            new += done == "new"
            changed += done in ("new", "changed")
        await memory.keep(session, past.added)
        taken = len(registrations) - len(newer)
        await audit.note(session, act if changed else None, count=changed)
        return Imported(new, taken - new, tuple(sorted(newer)))

    async def _import_one(
        self,
        session: Session,
        asked: Registration,
        past: Memory,
        now: float,
        words: Words | None,
        erased_at: float,
        *,
        force: bool,
    ) -> Literal["new", "changed", "same", "newer"]:
        """What became of the installation; `newer`: what is known of it is, and stays."""
        known, holders = await _met(session, asked)
        if asked.seen_at is not None:
            if says_nothing_new(known, asked):
                return "same"
            if past.forbids(asked, known, holders, force=force):
                return "newer"
        todo = take_over(known, holders, asked, now=now, words=words, erased_at=erased_at)
        note_last_change(todo, past, asked, now)
        _, evicted = await self._carry_out(session, todo)
        past.add(all_gone(todo, evicted, now))
        return "new" if known is None else "changed"

    async def _carry_out(self, session: Session, todo: Takeover) -> tuple[Row, Sequence[Row]]:
        """Returns the device's row, and those that went for it over the cap."""
        if todo.drop:
            await session.run("devices_delete", sorted(todo.drop))
        values = _inserted(todo.values)
        if todo.keep is None:
            saved = await session.row("device_insert", *values)
        else:
            saved = await session.row("device_update", *values, todo.keep)
        if todo.takes_back:
            whose = (saved["id"], saved["user_id"], saved["custom_id"])
            await session.run("receipts_take_back", *whose)
        owned = await session.rows("devices_of_user", saved["user_id"], saved["custom_id"])
        too_many = over_the_cap(owned, saved["id"], most=self._max_per_user)
        await _delete(session, too_many)
        return saved, too_many


async def _met(session: Session, asked: Registration) -> tuple[Row | None, list[Row]]:
    """The installation's row, and those that hold the address or the one it replaces; locked."""
    addresses = [one for one in (asked.address, asked.old_address) if one is not None]
    touched = await session.rows(
        "devices_touched", asked.installation_id, asked.app, asked.provider, addresses
    )
    by_address = {row["address"]: row for row in touched if row["provider"] == asked.provider}
    known = next((row for row in touched if row["installation_id"] == asked.installation_id), None)
    holders = [by_address[one] for one in dict.fromkeys(addresses) if one in by_address]
    return known, holders


async def _delete(session: Session, rows: Sequence[Row]) -> list[int]:
    ids = sorted(row["id"] for row in rows)
    if ids:
        await session.run("devices_delete", ids)
    return ids


def _inserted(values: Mapping[str, Any]) -> list[Any]:
    return [values[name] for name in _INSERTED]


def _ids(asked: Registration) -> tuple[str | None, str | None]:
    return asked.user_id, asked.custom_id


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
