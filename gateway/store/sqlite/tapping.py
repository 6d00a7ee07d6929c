"""What hooks want to know, written in the transactions of others: journal, registry, receipts.

Owns the rows that come so. Where nobody wants it, each is one look at a boolean.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence

import orjson

from gateway.core.hooks import NO_HOOKS, PRUNED, Group, Happened, of_device
from gateway.core.model import Record, UserRef
from gateway.core.receipts import Told
from gateway.core.states import DeviceState
from gateway.ports.receipts import Kept
from gateway.store.hooks import ended, happened_to, phones, told_by, values_of
from gateway.store.receipts import Facts
from gateway.store.removing import Order
from gateway.store.sqlite.bulk import write_rows
from gateway.store.sqlite.erased import secret_of, words

Sql = Mapping[str, str]


class Taps:
    """What hooks want, by `plan`, which a reload replaces."""

    def __init__(self) -> None:
        self.plan = NO_HOOKS

    def deliveries(
        self, connection: sqlite3.Connection, sql: Sql, records: Sequence[Record]
    ) -> None:
        """These lines were journaled in this transaction."""
        found = ended(records, self.plan) if self.plan.deliveries else []
        if found:
            asked = {"asked": orjson.dumps([one[:3] for one in found]).decode()}
            rows = connection.execute(sql["hook_deliveries"], asked).fetchall()
            self.write(connection, sql, happened_to(found, rows, self.plan))

    def removals(self, connection: sqlite3.Connection, sql: Sql, leaving: Sequence[Order]) -> None:
        """These devices were taken out of service in this transaction."""
        if not self.plan.pruned:
            return
        gone = {one.device_id: (one, at) for one, at in leaving if one.to is DeviceState.PRUNED}
        ids = {"ids": json.dumps(sorted(gone))}
        happened = []
        for device_id, phone in phones(connection.execute(sql["hook_devices"], ids)):
            removal, at = gone[device_id]
            told = of_device(PRUNED, phone, state="pruned", reason=removal.reason, at=at)
            happened.append(told)
        self.write(connection, sql, happened)

    def receipts(
        self,
        connection: sqlite3.Connection,
        sql: Sql,
        found: Sequence[tuple[Told, Facts]],
        kept: Sequence[Kept],
    ) -> None:
        """These receipts were kept in this transaction, or not."""
        ids = {"ids": json.dumps(sorted({one.key.device_id for one, _ in found}))}
        rows = connection.execute(sql["hook_devices"], ids)
        names = {number: phone.installation_id for number, phone in phones(rows)}
        self.write(connection, sql, told_by(found, kept, names))

    def erased(self, connection: sqlite3.Connection, sql: Sql, user: UserRef, now: float) -> None:
        """A person is erased in this transaction: who was told of them is told so."""
        who = words(connection, sql, user)
        told = connection.execute(sql["hook_told_of"], who).fetchall()
        if not told:
            return
        connection.execute(sql["hook_forget"], who)
        secret = secret_of(connection, sql)
        known = [(hook, word, bool(named)) for hook, word, named in told]
        self._insert(connection, sql, self.plan.erased(known, user, now=now, secret=secret))

    def write(
        self,
        connection: sqlite3.Connection,
        sql: Sql,
        happened: Sequence[Happened],
        *,
        only: str | None = None,
    ) -> int:
        """Write what happened for those hooks that want it, or `only` for this one; returns in how
        many portions."""
        if not happened:
            return 0
        groups = self.plan.groups(happened, secret_of(connection, sql), only=only)
        self._insert(connection, sql, groups)
        return len(groups)

    @staticmethod
    def _insert(connection: sqlite3.Connection, sql: Sql, groups: Sequence[Group]) -> None:
        write_rows(connection, sql["hook_insert"], [values_of(one) for one in groups])
