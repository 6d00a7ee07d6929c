"""What hooks want to know, written in the transactions of others: journal, registry, receipts.

Owns the rows that come so. Where nobody wants it, each is one look at a boolean.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.core.hooks import NO_HOOKS, PRUNED, Group, Happened, of_device
from gateway.core.model import Record, UserRef
from gateway.core.receipts import Told
from gateway.core.states import DeviceState
from gateway.ports.receipts import Kept
from gateway.store.hooks import ended, happened_to, phones, told_by, values_of
from gateway.store.postgres.database import Session
from gateway.store.postgres.erased import secret_of, words
from gateway.store.receipts import Facts
from gateway.store.removing import Order

TELLING = 0x1A50
"""The advisory lock of who is told of whom."""


class Taps:
    """What hooks want, by `plan`, which a reload replaces."""

    def __init__(self) -> None:
        self.plan = NO_HOOKS

    async def deliveries(self, session: Session, records: Sequence[Record]) -> None:
        """These lines were journaled in this transaction."""
        found = ended(records, self.plan) if self.plan.deliveries else []
        if found:
            asked = zip(*((*one[:3], one.day) for one in found), strict=True)
            rows = await session.rows("hook_deliveries", *asked)
            await self.write(session, happened_to(found, rows, self.plan))

    async def removals(self, session: Session, leaving: Sequence[Order]) -> None:
        """These devices were taken out of service in this transaction."""
        if not self.plan.pruned:
            return
        gone = {one.device_id: (one, at) for one, at in leaving if one.to is DeviceState.PRUNED}
        happened = []
        for device_id, phone in phones(await session.rows("hook_devices", sorted(gone))):
            removal, at = gone[device_id]
            told = of_device(PRUNED, phone, state="pruned", reason=removal.reason, at=at)
            happened.append(told)
        await self.write(session, happened)

    async def receipts(
        self, session: Session, found: Sequence[tuple[Told, Facts]], kept: Sequence[Kept]
    ) -> None:
        """These receipts were kept in this transaction, or not."""
        ids = sorted({one.key.device_id for one, _ in found})
        rows = await session.rows("hook_devices", ids)
        names = {number: phone.installation_id for number, phone in phones(rows)}
        await self.write(session, told_by(found, kept, names))

    async def erased(self, session: Session, user: UserRef, now: float) -> None:
        """A person is erased in this transaction: who was told of them is told so."""
        who = [word for word in await words(session, user) if word]
        if not self.plan.hooks:
            await session.run("hook_forget", who)
            return
        # what is fixed beside this has told of them, or waits and sees the erase
        await session.rows("hook_forgetting", TELLING)
        told = [(row[0], row[1], bool(row[2])) for row in await session.rows("hook_told_of", who)]
        if not told:
            return
        await session.run("hook_forget", who)
        secret = await secret_of(session)
        await self._insert(session, self.plan.erased(told, user, now=now, secret=secret))

    async def write(
        self, session: Session, happened: Sequence[Happened], *, only: str | None = None
    ) -> int:
        """Write what happened for those hooks that want it, or `only` for this one; returns in how
        many portions."""
        if not happened:
            return 0
        groups = self.plan.groups(happened, await secret_of(session), only=only)
        await self._insert(session, groups)
        return len(groups)

    @staticmethod
    async def _insert(session: Session, groups: Sequence[Group]) -> None:
        if groups:
            columns = zip(*map(values_of, groups), strict=True)
            await session.run("hook_insert", *map(list, columns))
