"""What is known of a push on its phone: when it came, was shown, was opened. Pure.

Owns what is a time, what is "did not", and what is "nobody can know": the three are never mixed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Literal, NamedTuple

from gateway.core.instants import to_iso
from gateway.core.model import Record, UserRef
from gateway.core.receipts import IMPLIED, Clock, Measure, Mode, Row, is_measured

UNKNOWN: Literal["unknown"] = "unknown"
"""The installation cannot tell, so that nothing follows from its silence."""

_CLOCKS = (Clock.OK, Clock.SHIFTED, Clock.BOUNDED)
_DAY = 10


class Teller(NamedTuple):
    """A device as far as it tells of pushes: whose it is now, and what its app said of itself. The
    fields are in the order of the query's columns."""

    device_id: int
    installation_id: str
    user_id: str | None
    custom_id: str | None
    measure: str | None
    can: str | None

    def had(self, record: Record) -> bool:
        """Whether a delivery's user has the device."""
        return (record.user_id is not None and record.user_id == self.user_id) or (
            record.custom_id is not None and record.custom_id == self.custom_id
        )


class Told(NamedTuple):
    """What is kept of some deliveries, and who could have told it."""

    rows: Collection[Row]
    tellers: Mapping[int, Teller]


NOTHING = Told((), {})


class Asking(NamedTuple):
    """What phones are asked as this process is configured: `modes` are those of the apps, `rule`
    says whose receipts are kept."""

    modes: Mapping[str, Mode]
    rule: Measure

    def sight(self, told: Told, *, exact: bool) -> Sight:
        """What says what is known of deliveries. `exact`: whoever looks may know a person's times,
        not only the days."""
        return Sight(told, self, exact=exact)


class Sight:
    """Says what is known of deliveries; made by `Asking`."""

    def __init__(self, told: Told, asking: Asking, *, exact: bool) -> None:
        self._tellers = told.tellers
        self._modes, self._rule = asking
        self._exact = exact
        self._rows: dict[tuple[str, int, int], list[Row]] = {}
        for row in told.rows:
            self._rows.setdefault(row[:3], []).append(row)

    def view(self, record: Record) -> dict[str, object]:
        """`received_at`, `displayed_at`, `opened_at`, each a time, None or "unknown"; how far they
        can be believed; and what was told."""
        rows = self._rows.get(record[:3], [])
        seen: dict[str, object] = {
            name: self._one(record, name, rows, [kind.value for kind in kinds])
            for name, kinds in IMPLIED.items()
        }
        clocks = {row.clock for row in rows}
        seen["clock"] = next((one.value for one in reversed(_CLOCKS) if one in clocks), None)
        seen["receipts"] = [
            {"kind": row.kind, "at": self._time(row.at), "clock": row.clock} for row in rows
        ]
        return seen

    def shown_of(self, records: Iterable[Record]) -> list[UserRef]:
        """The people of whose pushes, among these, a time is told; nobody's where days are."""
        told = [one for one in records if self._exact and one[:3] in self._rows]
        return list(dict.fromkeys(UserRef(one.user_id, one.custom_id) for one in told))

    def _one(
        self, record: Record, name: str, rows: Iterable[Row], kinds: Collection[str]
    ) -> str | None:
        times = [row.at for row in rows if row.kind in kinds]
        if times:
            return self._time(min(times))
        if not record.device_id or self._can_tell(record, name.removesuffix("_at")):
            return None
        return UNKNOWN

    def _can_tell(self, record: Record, kind: str) -> bool:
        """Whether silence says that it did not happen: its app tells, and that would be kept."""
        teller = self._tellers.get(record.device_id)
        return (
            teller is not None
            and teller.had(record)
            and kind in (teller.can or "").split()
            and self._modes.get(record.app, "off") != "off"
            and is_measured(teller.measure, self._rule)
        )

    def _time(self, at: float) -> str:
        text = to_iso(at)
        return text if self._exact else text[:_DAY]
