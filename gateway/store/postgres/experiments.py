"""Experiments on PostgreSQL: which were begun, who is in them, and what is held back.

Owns the rows that the lot adds in the journal's transaction, too. Whoever adds some holds a share
of the experiment's row until they are committed: an end, or that somebody is exempt, comes before
all of them or after.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from gateway.core.audit import Act
from gateway.core.drawn import Drawn, HeldBack, Kept, Met, Stage, Tally
from gateway.core.erased import Erased
from gateway.store.experiments import (
    BEFORE_ALL,
    Standing,
    after,
    experiment_row,
    held_of,
    kept_of,
    member_of,
    named,
    rows_of,
    tally_of,
    words_held,
)
from gateway.store.postgres import audit
from gateway.store.postgres.database import SLOW, PostgresDatabase, Session
from gateway.store.postgres.erased import secret_of

#: an experiment's rows of people
_PEOPLE = (
    "experiment_members_delete",
    "experiment_left_out_delete",
    "experiment_also_delete",
    "experiment_held_delete",
)


class PostgresExperiments:
    """The port `gateway.ports.Experiments`."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database

    async def all(self) -> Sequence[Kept]:
        return [kept_of(row) for row in await self._database.rows("experiments_all")]

    async def begin(self, kept: Kept, *, act: Act | None = None) -> bool:
        async def work(session: Session) -> bool:
            if await session.run("experiment_begin", *experiment_row(kept)) == 0:
                return False
            await _forget(session, kept.id)
            await audit.note(session, act)
            return True

        return await self._database.write(work, pace=SLOW)

    async def end(self, name: str, *, at: float, reason: str, act: Act | None = None) -> bool:
        async def work(session: Session) -> bool:
            stage = await _stage(session, name)
            if stage in (None, Stage.ENDED.value):
                return False
            await session.run("experiment_end", name, at, reason)
            if stage == Stage.DRY.value:
                await _forget(session, name)
            await session.run("experiment_let_go", name, at)
            await audit.note(session, act)
            return True

        return await self._database.write(work, pace=SLOW)

    async def met(self, words: Collection[str], device_ids: Collection[int]) -> Met:
        said, ids = sorted(words), sorted(device_ids)

        async def work(session: Session) -> Met:
            members = await session.rows("experiment_members_of", said)
            exempt = await session.rows("experiment_exempt_of", said)
            devices = await session.rows("experiment_devices", ids)
            return Met(
                [member_of(row) for row in members],
                frozenset(row[0] for row in exempt),
                {row[0]: row[1] for row in devices},
                {row[0]: row[2] for row in devices},
            )

        return await self._database.read(work)

    async def exempt(
        self, words: Sequence[str], *, is_exempt: bool, at: float, act: Act | None = None
    ) -> None:
        said = sorted({word for word in words if word})

        async def work(session: Session) -> None:
            if is_exempt:
                await session.rows("experiments_alone")
                changed = await session.run("experiment_exempt_put", said, at)
                await session.run("experiment_let_people_go", said, at)
            else:
                changed = await session.run("experiment_exempt_delete", said)
            await audit.note(session, act if changed else None)

        await self._database.write(work)

    async def due(self, *, now: float, limit: int) -> Sequence[HeldBack]:
        found: list[HeldBack] = []
        place = BEFORE_ALL
        while wanted := max(0, limit - len(found)):
            rows = await self._database.rows("experiment_due", now, *place, wanted)
            found += [one for row in rows if (one := held_of(row)) is not None]
            if len(rows) < wanted:
                break
            place = after(rows[-1])
        return found

    async def sent(self, held: HeldBack) -> None:
        key = (held.experiment, held.person, held.event_id, held.item.index)
        await self._database.rows("experiment_sent", *key)

    async def tally(self, name: str) -> Tally:
        async def work(session: Session) -> Tally:
            counts = await session.row("experiment_counts", name)
            return tally_of(counts, await session.rows("experiment_left_out_counts", name))

        return await self._database.read(work, pace=SLOW)

    async def forget(self, name: str) -> None:
        async def work(session: Session) -> None:
            if await _stage(session, name) == Stage.ENDED.value:
                await _forget(session, name)

        await self._database.write(work, pace=SLOW, repeatable=True)


async def standings(session: Session, drawn: Sequence[Drawn]) -> dict[str, Standing]:
    """How the experiments stand of which rows were drawn, until this transaction has ended."""
    ids = sorted({one.experiment for one in drawn})
    rows = await session.rows("experiment_standings", ids)
    return {row[0]: Standing(row[1], row[2]) for row in rows}


async def keep_drawn(
    session: Session,
    drawn: Sequence[Drawn],
    stands: dict[str, Standing],
    erased: Erased | None,
) -> None:
    """Write what the lot made of reminders, in the transaction of their deliveries and after them:
    an erase takes letters first, then these."""
    drawn = named(drawn, erased)
    secret = await secret_of(session)
    words = words_held(drawn, secret)
    found = await session.rows("experiment_exempt_of", words) if words else ()
    rows = rows_of(drawn, stands, dict(map(tuple, found)), secret)
    for query, told in (
        ("drawn_members", rows.members),
        ("drawn_held", rows.held),
        ("drawn_left_out", rows.left_out),
        ("drawn_also", rows.also),
        ("experiment_members_let_go", rows.let_go),
    ):
        if told:
            await session.run(query, *zip(*told, strict=True))


async def _stage(session: Session, name: str) -> str | None:
    row = await session.row("experiment_stage", name)
    return None if row is None else str(row[0])


async def _forget(session: Session, name: str) -> None:
    for query in _PEOPLE:
        await session.run(query, name)
