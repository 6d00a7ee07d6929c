"""The lanes' state that outlives a process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from gateway.core.model import Removal


@dataclass(frozen=True, slots=True)
class LaneRow:
    """A lane as the store knows it: what a person or the relay decided about it.

    `held` is "" (open), "operator", or "misconfigured"; `brake_at` is set while the prune brake
    is on. `rate` is the limit in force for all relays together (pushes per second, 0 none),
    `errors` the share of failed attempts lately, `waiting` what is queued for the lane, or in
    memory. Relays write them for people to read; of several, each over the others' words, so
    errors and memory are those of the one that told last, at `seen_at`: metrics tell all.
    """

    app: str
    provider: str
    held: Literal["", "operator", "misconfigured"] = ""
    reason: str = ""
    hint: str = ""
    held_at: float | None = None
    brake_at: float | None = None
    held_back: int = 0
    rate: float = 0.0
    errors: float = 0.0
    waiting: int = 0
    seen_at: float | None = None


class Lanes(Protocol):
    """The lanes' state that outlives a process and can be changed from any of them."""

    async def all(self) -> list[LaneRow]:
        """Every lane that was ever seen."""

    async def hold(
        self,
        app: str,
        provider: str,
        *,
        by: Literal["operator", "misconfigured"],
        reason: str,
        hint: str = "",
        now: float,
    ) -> None:
        """Stop a lane. An operator's hold is not overwritten by the relay's own."""

    async def resume(self, app: str, provider: str, *, by: Literal["operator", "relay"]) -> bool:
        """Let a lane go. The relay cannot lift an operator's hold. False: nothing to lift."""

    async def trip_brake(self, app: str, provider: str, *, now: float) -> None:
        """Stop pruning for this lane until a person releases it."""

    async def hold_back(self, removals: Sequence[Removal]) -> None:
        """Keep removals that the brake stopped, to be carried out by the same proof later."""

    async def release(self, app: str, provider: str, *, now: float, discard: bool = False) -> int:
        """Release the brake and carry out what it held back, by the same proof; or `discard` it,
        for the proof came of a fault. Returns how many devices went."""

    async def report(self, rows: Sequence[LaneRow]) -> None:
        """Write `rate`, `errors`, `waiting` and `seen_at` of the lanes of this process."""
