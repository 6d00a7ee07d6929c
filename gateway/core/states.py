"""The states of a delivery and of a device, and which may follow which.

Rules of this file: (1) every state and every allowed step is in these tables and nowhere else;
(2) a terminal delivery never moves again, but for `dead`, which a person may replay.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypeVar

Word = TypeVar("Word", bound=StrEnum)


def as_it_is(kind: type[Word], word: str) -> Word:
    """A stored word as a member of its set; a later version's word as a member outside every list.

    Such a member equals no known one, and keeps its own spelling for people.
    """
    for one in kind:
        if one == word:
            return one
    member = str.__new__(kind, word)
    member._name_ = member._value_ = word
    return member


class DeliveryState(StrEnum):
    """How a delivery (event, item, device) stands."""

    #: not settled: queued, in flight, or waiting for its next try
    PENDING = "pending"
    #: the vendor took it
    DELIVERED = "delivered"
    #: the vendor proved the address dead, and the device was pruned
    PRUNED = "pruned"
    #: the user had no active device when the notification's turn came
    NO_DEVICE = "no_device"
    #: its freshness deadline passed before a vendor took it
    EXPIRED = "expired"
    #: the vendor will never take it
    REFUSED = "refused"
    #: given up after the last attempt: a dead letter that can be replayed
    DEAD = "dead"
    #: taken back, or overtaken by a newer one, before a vendor took it
    CANCELLED = "cancelled"
    #: held back by an experiment, and sent later if nothing newer of the same person is
    HELD_OUT = "held_out"

    @property
    def is_terminal(self) -> bool:
        """Whether it has ended. A later version's state counts as ended: it is left alone."""
        return not DELIVERY_STEPS.get(self) or self is DeliveryState.DEAD


DELIVERY_STEPS: dict[DeliveryState, frozenset[DeliveryState]] = {
    DeliveryState.PENDING: frozenset(DeliveryState),
    DeliveryState.DELIVERED: frozenset(),
    DeliveryState.PRUNED: frozenset(),
    DeliveryState.NO_DEVICE: frozenset(),
    DeliveryState.EXPIRED: frozenset(),
    DeliveryState.REFUSED: frozenset(),
    DeliveryState.DEAD: frozenset({DeliveryState.PENDING}),
    DeliveryState.CANCELLED: frozenset(),
    DeliveryState.HELD_OUT: frozenset(),
}


class DeviceState(StrEnum):
    """Whether a device is sent to."""

    #: it gets pushes
    ACTIVE = "active"
    #: suspect, not proven dead: it gets none until the app registers again
    QUARANTINED = "quarantined"
    #: proven dead: it gets none, and the row goes after 30 days unless the app registers again
    PRUNED = "pruned"


DEVICE_STEPS: dict[DeviceState, frozenset[DeviceState]] = {
    DeviceState.ACTIVE: frozenset({DeviceState.QUARANTINED, DeviceState.PRUNED}),
    DeviceState.QUARANTINED: frozenset({DeviceState.ACTIVE}),
    DeviceState.PRUNED: frozenset({DeviceState.ACTIVE}),
}
