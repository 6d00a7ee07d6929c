"""Which push of a device and key was started last: where a newer one takes the place of older ones.

Owns the question and its answers; who asks is the relay's matter, and only for apps whose pushes
replace each other by path or by person.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol


class Start(NamedTuple):
    """A push that is about to start. `key` is of `gateway.core.newer`. Its event counts by when it
    was received, or was first seen where the store knows no such event. `holder` names this
    delivery in this process."""

    device_id: int
    key: str
    event_id: str
    first_seen: float
    holder: str


Answer = Literal["may", "waits", "overtaken"]
"""`waits`: another one of the key may be starting just now. `overtaken`: one of a later-received
event has started, or may be starting."""


class Starts(Protocol):
    """Keeps, by device and key, the latest event of which a push may have started."""

    async def ask(
        self, asked: Sequence[Start], *, now: float, latest: float, for_s: float
    ) -> list[Answer]:
        """Ask for pushes, at most one for each device and key, in one go; the answers are in order.
        What was received later than `latest` was dated by a wrong clock, and overtakes nothing.

        One that may start has `for_s` seconds for it, from when it was asked; until then, or until
        it is released, no other one of its device and key may. It may ask again, and has as long
        again, if no newer one has started. Safe to repeat.
        """

    async def release(self, ended: Sequence[Start]) -> None:
        """These start no more before they ask again."""
