"""What waits for hooks, and how each stands, on PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection, Sequence
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
from gateway.store.postgres import audit
from gateway.store.postgres.database import SLOW, PostgresDatabase, Session
from gateway.store.postgres.tapping import TELLING, Taps


class PostgresHooks:
    """The port `gateway.ports.Hooks`. The `taps` of the same store write what happens."""

    def __init__(self, database: PostgresDatabase, taps: Taps) -> None:
        self._database = database
        self._taps = taps

    @property
    def plan(self) -> Plan:
        return self._taps.plan

    def learn(self, plan: Plan) -> None:
        self._taps.plan = plan

    async def write(self, happened: Sequence[Happened]) -> int:
        return await self._database.write(lambda session: self._taps.write(session, happened))

    async def due(self, hook: str, *, now: float) -> bool:
        ((due,),) = await self._database.rows("hook_due", hook, now)
        return bool(due)

    async def take(
        self, hook: str, holder: str, *, now: float, until: float, name: str, busy: Collection[int]
    ) -> HookBatch | None:
        known = self.plan.hooks.get(hook)
        if known is None:
            return None

        async def work(session: Session) -> HookBatch | None:
            if not await session.run("hook_lease", hook, holder, now, until):
                return None
            row = HookRow(*await session.row("hook_get", hook))
            if row.held or row.quiet_until > now:
                return None
            await session.rows("hook_telling", TELLING)
            rows = await session.rows("hook_next", hook, now, sorted(busy), known.batch)
            if not rows:
                return None
            found = [Row(*one) for one in rows]
            since = min(one.at for one in found)
            erased = erasures(map(tuple, await session.rows("erasures_since", since)))
            batch, values, merged, told = fixed(found, hook, name, known.batch, erased)
            if values is not None:
                await session.run("hook_fix", *values)
            if merged:
                await session.run("hook_batches_delete", list(merged))
            if told:
                await session.run("hook_tell", list(told), hook, int(known.identify))
            return batch

        return await self._database.write(work)

    async def lease(self, hook: str, holder: str, *, now: float, until: float) -> bool:
        taken = await self._database.write(
            lambda session: session.run("hook_lease", hook, holder, now, until), repeatable=True
        )
        return taken > 0

    async def let_go(self, hook: str, holder: str) -> None:
        await self._database.rows("hook_let_go", hook, holder)

    async def taken(self, batch: HookBatch) -> None:
        async def work(session: Session) -> None:
            await session.run("hook_works", batch.hook)
            await session.run("hook_batches_delete", [batch.id])

        await self._database.write(work, repeatable=True)

    async def failed(self, batch: HookBatch, failure: HookFailure) -> int:
        hook, reason, due_at = batch.hook, failure.reason, failure.due_at

        async def work(session: Session) -> int:
            row = await session.row("hook_failed", hook, due_at, FAILING, reason, failure.at)
            if failure.is_gone:
                await session.run("hook_hold", hook, "gone", reason, failure.at)
            await session.run("hook_batch_failed", batch.id, due_at, reason)
            return 0 if row is None else int(row[0])

        return await self._database.write(work)

    async def rows(self) -> list[HookRow]:
        return [HookRow(*row) for row in await self._database.rows("hooks_all")]

    async def counts(self) -> dict[str, HookCount]:
        async def work(session: Session) -> dict[str, HookCount]:
            waiting = await session.rows("hook_counts")
            return counts_of(waiting, await session.rows("hook_dead_counts"))

        return await self._database.read(work)

    async def trim(self, hook: str, *, now: float) -> int:
        known = self.plan.hooks.get(hook)
        if known is None:
            return 0
        before = now - known.max_age_s

        async def work(session: Session) -> int:
            old = await session.rows("hook_old", hook, now, before)
            sizes = {row[0]: row[1] for row in await session.rows("hook_sizes", hook)}
            over = too_many(sizes.items(), known.max_waiting)
            if over:
                await session.run("hook_bury", over, now)
            return len_of(old) + sum(int(sizes[one]) for one in over)

        return await self._database.write(work, pace=SLOW)

    async def hold(
        self, hook: str, *, by: HookHolder, reason: str, now: float, act: Act | None = None
    ) -> None:
        async def work(session: Session) -> None:
            await session.run("hook_hold", hook, by, reason, now)
            await audit.note(session, act)

        await self._database.write(work)

    async def resume(self, hook: str, *, act: Act | None = None) -> bool:
        async def work(session: Session) -> bool:
            lifted = await session.run("hook_resume", hook) > 0
            if lifted:
                await session.run("hook_hurry", hook)
            await audit.note(session, act if lifted else None)
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
        async def work(session: Session) -> None:
            await session.run("hook_mark", hook, silent_at, learnt, sealed)
            await self._taps.write(session, happened, only=hook)

        await self._database.write(work)

    async def silent(
        self, *, after: int, since: float, until: float, limit: int
    ) -> list[tuple[int, Phone]]:
        rows = await self._database.read(
            lambda session: session.rows("hook_silent", after, since, until, limit), pace=SLOW
        )
        return phones(rows)

    async def again(
        self, what: Again, hook: str, *, since: float, after: Any, now: float
    ) -> HookPage | None:
        key = FIRST[what] if after is None else after
        rows = await self._database.read(
            lambda session: session.rows(f"hook_again_{what}", since, PAGE, *key), pace=SLOW
        )
        known = self.plan.hooks.get(hook)
        found = [tuple(row) for row in rows]
        return None if known is None else page_of(what, found, Plan([known]), now)

    async def dead(self, hook: str, *, limit: int) -> list[HookLetter]:
        rows = await self._database.rows("hook_dead", hook, limit)
        return [letter_of(tuple(row)) for row in rows]

    async def replay_dead(
        self,
        hook: str,
        ids: Sequence[int] | None,
        *,
        now: float,
        since: float = 0.0,
        act: Act | None = None,
    ) -> int:
        return await self._counted("hook_revive", hook, now, since, _chosen(ids), act=act)

    async def drop_dead(
        self, hook: str, ids: Sequence[int] | None, *, act: Act | None = None
    ) -> int:
        return await self._counted("hook_drop", hook, _chosen(ids), act=act)

    async def purge(self, *, before: float) -> int:
        known = sorted(self.plan.hooks)
        return await self._database.write(
            lambda session: session.run("hook_purge", before, known), pace=SLOW
        )

    async def empty(self, words: Sequence[tuple[str, str, float]]) -> None:
        """In small transactions. Those rows are locked that are looked at: what became another
        batch meanwhile was looked at when it was made."""
        erased = erasures(words)
        after: int | None = 0
        while erased and after is not None:

            async def work(session: Session, after: int = after) -> int | None:
                last = None
                for row in await session.rows("hook_naming", after, sorted(erased), PAGE):
                    last = row[0]
                    if (without := emptied(row[2], row[3], erased)) is not None:
                        await session.run("hook_empty", last, *without)
                return last

            after = await self._database.write(work, pace=SLOW)

    # --- inside -------------------------------------------------------------------------------

    async def _counted(self, query: str, *values: object, act: Act | None) -> int:
        """Run what returns sizes; how many events they are."""

        async def work(session: Session) -> int:
            rows = await session.rows(query, *values)
            count = len_of(rows)
            await audit.note(session, act if rows else None, count=count)
            return count

        return await self._database.write(work, pace=SLOW)


def _chosen(ids: Sequence[int] | None) -> list[int] | None:
    return None if ids is None else list(ids)
