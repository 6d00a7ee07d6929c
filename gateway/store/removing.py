"""Which removals are carried out: those whose rows are what was proven, as far as brakes let them.

Pure; the engines ask their rows and write what is decided. All of it is one transaction with the
journal's lines, so a brake counts what really went, once, whoever removes and whoever restarts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gateway.core.model import Record, Removal
from gateway.core.prune import Admission, Brake, Gone, LaneKey, admission
from gateway.core.states import DeliveryState, DeviceState
from gateway.errors import DevicesUncounted
from gateway.ports import Recorded
from gateway.store.rows import spared_record

Order = tuple[Removal, float]
"""A removal, and the time that its row shall have."""

Row = tuple[str, float, str]
"""A device's address, `last_seen_at` and state."""


class Removing:
    """The removals of one transaction. Two pushes to a dead address are two proofs of one death:
    the device goes once, and the second proof stands, too."""

    def __init__(self, orders: Sequence[Order], rows: Mapping[int, Row]) -> None:
        self._orders = orders
        self._proven = [
            rows.get(removal.device_id, ())[:2] == (removal.address, removal.seen_at)
            for removal, _ in orders
        ]
        self._held: dict[int, Removal] = {}
        self._leaving: dict[int, Order] = {}
        for order, proven in zip(orders, self._proven, strict=True):
            device_id = order[0].device_id
            if proven and rows[device_id][2] == "active":
                self._leaving.setdefault(device_id, order)
        self.tripped: dict[LaneKey, tuple[int, Admission]] = {}

    def ask(self, lane: LaneKey, brake: Brake, gone: Gone, *, on: bool) -> Admission:
        """Let a lane's brake decide. Raises DevicesUncounted; see `core.prune.admission`."""
        wanted = [one for one, _ in self._leaving.values() if (one.app, one.provider) == lane]
        found = admission(brake, len(wanted), gone, on=on)
        if found is None:
            raise DevicesUncounted
        for removal in wanted[found.count :]:
            del self._leaving[removal.device_id]
        # the last word about a device counts
        kept = {removal.device_id for removal in wanted[found.count :]}
        self._held |= {one.device_id: one for one, _ in self._orders if one.device_id in kept}
        if found.tripped:
            self.tripped[lane] = (len(wanted), found)
        return found

    @property
    def leaving(self) -> Sequence[Order]:
        """What goes."""
        return list(self._leaving.values())

    @property
    def held(self) -> Sequence[Removal]:
        """What the brakes hold back."""
        return list(self._held.values())

    def is_out(self, number: int) -> bool:
        """Whether the device of an order is out of service now, as it was proven."""
        return self._proven[number] and not self.is_held(number)

    def is_held(self, number: int) -> bool:
        """Whether the brake keeps the device of an order."""
        return self._orders[number][0].device_id in self._held


def removed(
    records: Sequence[Record], removals: Sequence[tuple[int, Removal]], removing: Removing
) -> tuple[Recorded, Sequence[Record]]:
    """What came of the removals, and the records as they are to be written."""
    gone, told = set(), list(records)
    for number, (index, removal) in enumerate(removals):
        if removing.is_out(number):
            gone.add(index)
        elif not removing.is_held(number):
            told[index] = spared_record(told[index])
        elif removal.to is DeviceState.PRUNED:
            told[index] = _kept(told[index])
    went = [removal for removal, _ in removing.leaving]
    return Recorded(gone, went, removing.tripped), told


def _kept(record: Record) -> Record:
    """The record of a delivery whose device would have been pruned, had the brake not been on."""
    reason = f"{record.reason}; the prune brake keeps the device"
    return record._replace(state=DeliveryState.REFUSED, reason=reason)
