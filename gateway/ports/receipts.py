"""What phones told of pushes: rows of their own, which live as long as their delivery."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

from gateway.core import seen
from gateway.core.model import Record
from gateway.core.receipts import Measure, Told

Refusal = Literal["", "gone", "not_measured"]


class Kept(NamedTuple):
    """What became of a receipt. `refusal` "" means that it is kept; `gone`: its delivery is not, or
    speaks of nobody any more; `not_measured`: its person did not let it be kept. `is_new`: nothing
    was known of its kind before."""

    refusal: Refusal
    is_new: bool = False
    app: str = ""
    platform: str = ""


class Receipts(Protocol):
    """Receipts whose words hold. They may come in any order, and more than once."""

    async def keep(self, told: Sequence[Told], *, rule: Measure) -> list[Kept]:
        """Keep them in one transaction; one answer for each.

        A receipt speaks of its delivery's user, whoever has the device now. Of each kind the
        earliest time stays.
        """

    async def of(self, deliveries: Sequence[Record]) -> seen.Told:
        """All that is kept of these deliveries, and the devices that could have told it."""
