"""What waits for hooks, and how each stands, on SQLite."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from gateway.core.audit import Act
from gateway.core.hooks import FAILING, Happened, Phone, Plan, emptied, erasures
from gateway.ports import (
    Again,
    HookBatch,
    HookCount,
    HookFailure,
    HookHolder,
    HookLetter,
    HookPage,
    HookRow,
)
from gateway.store.hooks import (
    FIRST,
    PAGE,
    Row,
    counts_of,
    fixed,
    len_of,
    letter_of,
    page_of,
    phones,
    too_many,
)
from gateway.store.sqlite import audit
from gateway.store.sqlite.database import SqliteDatabase
from gateway.store.sqlite.tapping import Taps


class SqliteHooks:
    """The port `gateway.ports.Hooks`. The `taps` of the same store write what happens."""

    def __init__(self, database: SqliteDatabase, taps: Taps) -> None:
        self._database = database
        self._sql = database.sql
        self._taps = taps

    @property
    def plan(self) -> Plan:
        return self._taps.plan

    def learn(self, plan: Plan) -> None:
        self._taps.plan = plan

    async def write(self, happened: Sequence[Happened]) -> int:
        return await self._database.write(
            lambda connection: self._taps.write(connection, self._sql, happened)
        )

    async def due(self, hook: str, *, now: float) -> bool:
        ((due,),) = await self._database.rows("hook_due", {"hook": hook, "now": now})
        return bool(due)

    async def take(
        self, hook: str, holder: str, *, now: float, until: float, name: str, busy: Collection[int]
    ) -> HookBatch | None:
        known = self.plan.hooks.get(hook)
        if known is None:
            return None
        lease = {"hook": hook, "holder": holder, "now": now, "until": until}
        asked = {"hook": hook, "now": now, "busy": json.dumps(sorted(busy)), "limit": known.batch}

        def work(connection: sqlite3.Connection) -> HookBatch | None:
            sql = self._sql
            if not connection.execute(sql["hook_lease"], lease).rowcount:
                return None
            row = HookRow(*connection.execute(sql["hook_get"], {"hook": hook}).fetchone())
            if row.held or row.quiet_until > now:
                return None
            found = [Row(one[0], *one[1:]) for one in connection.execute(sql["hook_next"], asked)]
            if not found:
                return None
            since = {"since": min(one.at for one in found)}
            erased = erasures(connection.execute(sql["erasures_since"], since))
            batch, values, merged, told = fixed(found, hook, name, known.batch, erased)
            if values is not None:
                columns = ("id", "name", "at", "since", "size", "lines", "people")
                connection.execute(sql["hook_fix"], dict(zip(columns, values, strict=True)))
            if merged:
                ids = {"ids": json.dumps(list(merged))}
                connection.execute(sql["hook_batches_delete"], ids)
            rows = [(word, hook, int(known.identify)) for word in told]
            self._database.write_rows(connection, "hook_tell", rows)
            return batch

        return await self._database.write(work)

    async def lease(self, hook: str, holder: str, *, now: float, until: float) -> bool:
        lease = {"hook": hook, "holder": holder, "now": now, "until": until}
        return await self._database.write(
            lambda connection: connection.execute(self._sql["hook_lease"], lease).rowcount > 0
        )

    async def let_go(self, hook: str, holder: str) -> None:
        await self._run("hook_let_go", {"hook": hook, "holder": holder})

    async def taken(self, batch: HookBatch) -> None:
        def work(connection: sqlite3.Connection) -> None:
            ids = {"ids": json.dumps([batch.id])}
            connection.execute(self._sql["hook_batches_delete"], ids)
            connection.execute(self._sql["hook_works"], {"hook": batch.hook})

        await self._database.write(work)

    async def failed(self, batch: HookBatch, failure: HookFailure) -> int:
        told = {"reason": failure.reason, "now": failure.at, "due_at": failure.due_at}
        values = {**told, "id": batch.id, "hook": batch.hook, "quiet_until": failure.due_at}
        values |= {"failing": FAILING, "by": "gone"}

        def work(connection: sqlite3.Connection) -> int:
            connection.execute(self._sql["hook_batch_failed"], values)
            row = connection.execute(self._sql["hook_failed"], values).fetchone()
            if failure.is_gone:
                connection.execute(self._sql["hook_hold"], values)
            return 0 if row is None else int(row[0])

        return await self._database.write(work)

    async def rows(self) -> list[HookRow]:
        return [HookRow(*row) for row in await self._database.rows("hooks_all", {})]

    async def counts(self) -> dict[str, HookCount]:
        def work(connection: sqlite3.Connection) -> dict[str, HookCount]:
            waiting = connection.execute(self._sql["hook_counts"]).fetchall()
            return counts_of(waiting, connection.execute(self._sql["hook_dead_counts"]))

        return await self._database.read(work)

    async def trim(self, hook: str, *, now: float) -> int:
        known = self.plan.hooks.get(hook)
        if known is None:
            return 0
        values = {"hook": hook, "now": now, "before": now - known.max_age_s}

        def work(connection: sqlite3.Connection) -> int:
            old = connection.execute(self._sql["hook_old"], values).fetchall()
            sizes = dict(connection.execute(self._sql["hook_sizes"], values).fetchall())
            over = too_many(sizes.items(), known.max_waiting)
            ids = {"ids": json.dumps(over), "now": now}
            connection.execute(self._sql["hook_bury"], ids)
            return len_of(old) + sum(int(sizes[one]) for one in over)

        return await self._database.write(work)

    async def hold(
        self, hook: str, *, by: HookHolder, reason: str, now: float, act: Act | None = None
    ) -> None:
        values = {"hook": hook, "by": by, "reason": reason, "now": now}

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(self._sql["hook_hold"], values)
            audit.note(connection, self._sql, act)

        await self._database.write(work)

    async def resume(self, hook: str, *, act: Act | None = None) -> bool:
        def work(connection: sqlite3.Connection) -> bool:
            lifted = connection.execute(self._sql["hook_resume"], {"hook": hook}).rowcount > 0
            if lifted:
                connection.execute(self._sql["hook_hurry"], {"hook": hook})
            audit.note(connection, self._sql, act if lifted else None)
            return lifted

        return await self._database.write(work)

    async def mark(
        self,
        hook: str,
        *,
        silent_at: float | None = None,
        learnt: str | None = None,
        sealed: str | None = None,
        happened: Sequence[Happened] = (),
    ) -> None:
        values = {"hook": hook, "silent_at": silent_at, "learnt": learnt, "sealed": sealed}

        def work(connection: sqlite3.Connection) -> None:
            self._taps.write(connection, self._sql, happened, only=hook)
            connection.execute(self._sql["hook_mark"], values)

        await self._database.write(work)

    async def silent(
        self, *, after: int, since: float, until: float, limit: int
    ) -> list[tuple[int, Phone]]:
        page = {"after": after, "since": since, "until": until, "limit": limit}
        rows = await self._database.search(
            lambda connection: connection.execute(self._sql["hook_silent"], page).fetchall(),
            alone=True,
        )
        return phones(rows)

    async def again(
        self, what: Again, hook: str, *, since: float, after: Any, now: float
    ) -> HookPage | None:
        key = FIRST[what] if after is None else after
        page = {f"key{place}": value for place, value in enumerate(key)}
        asked = {**page, "since": since, "limit": PAGE}
        rows = await self._database.search(
            lambda connection: connection.execute(
                self._sql[f"hook_again_{what}"], asked
            ).fetchall(),
            alone=True,
        )
        known = self.plan.hooks.get(hook)
        return None if known is None else page_of(what, rows, Plan([known]), now)

    async def dead(self, hook: str, *, limit: int) -> list[HookLetter]:
        rows = await self._database.rows("hook_dead", {"hook": hook, "limit": limit})
        return [letter_of(row) for row in rows]

    async def replay_dead(
        self,
        hook: str,
        ids: Sequence[int] | None,
        *,
        now: float,
        since: float = 0.0,
        act: Act | None = None,
    ) -> int:
        values = {"hook": hook, "ids": _chosen(ids), "now": now, "since": since}
        return await self._counted("hook_revive", values, act)

    async def drop_dead(
        self, hook: str, ids: Sequence[int] | None, *, act: Act | None = None
    ) -> int:
        return await self._counted("hook_drop", {"hook": hook, "ids": _chosen(ids)}, act)

    async def purge(self, *, before: float) -> int:
        known = {"before": before, "known": json.dumps(sorted(self.plan.hooks))}
        purged: int = await self._database.write(
            lambda connection: connection.execute(self._sql["hook_purge"], known).rowcount
        )
        return purged

    async def empty(self, words: Sequence[tuple[str, str, float]]) -> None:
        """In small transactions; nobody else writes meanwhile."""
        erased = erasures(words)
        after: int | None = 0
        while erased and after is not None:
            page = {"after": after, "words": json.dumps(sorted(erased)), "limit": PAGE}

            def work(connection: sqlite3.Connection, page: Mapping[str, Any] = page) -> int | None:
                last = None
                for row in connection.execute(self._sql["hook_naming"], page).fetchall():
                    last = row[0]
                    if (without := emptied(row[2], row[3], erased)) is not None:
                        values = dict(zip(("lines", "people"), without, strict=True))
                        connection.execute(self._sql["hook_empty"], {**values, "id": last})
                return last

            after = await self._database.write(work)

    # --- inside -------------------------------------------------------------------------------

    async def _run(self, query: str, values: Mapping[str, Any]) -> None:
        await self._database.write(
            lambda connection: connection.execute(self._sql[query], values).rowcount
        )

    async def _counted(self, query: str, values: Mapping[str, Any], act: Act | None) -> int:
        """Run what returns sizes; how many events they are."""

        def work(connection: sqlite3.Connection) -> int:
            rows = connection.execute(self._sql[query], values).fetchall()
            count = len_of(rows)
            audit.note(connection, self._sql, act if rows else None, count=count)
            return count

        return await self._database.write(work)


def _chosen(ids: Sequence[int] | None) -> str | None:
    return None if ids is None else json.dumps(list(ids))
