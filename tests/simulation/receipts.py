"""What phones tell of their pushes: late, twice, after a change of user; and what must come of it.

Owns which person lets receipts be kept, the telling, and what must hold at the end: what was taken
is kept, once, and nothing is kept that nobody told, of anybody who said no, or of the erased.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gateway.core.receipts import Key, ReceiptWords
from tests.kit.stores import fresh_secret

if TYPE_CHECKING:
    from tests.simulation.handsets import Sent
    from tests.simulation.people import Callers
    from tests.simulation.world import World

_LATEST_S = 12.0
"""How long a phone keeps what it has to tell, at most."""
_TWICE = 0.3
"""The share of the receipts that are told again."""
_TAPPED = 0.5
"""The share of the pushes that are opened."""
_DAY_S = 86_400.0


def measure_of(user: int) -> str:
    """What a person's apps say of receipts: the same on every phone, all the time."""
    return "denied" if user % 3 == 2 else "granted"


@dataclass(slots=True)
class Telling:
    """Receipts of one delivery and kind. `answers` are those of the gateway."""

    key: Key
    kind: str
    answers: list[Any] = field(default_factory=list)

    @property
    def was_taken(self) -> bool:
        return any(answer["accepted"] for answer in self.answers)

    @property
    def refusals(self) -> set[str]:
        return {one["reason"] for answer in self.answers for one in answer["ignored"]}


class Tellers:
    """All phones, as far as they tell. `is_over`: nobody tells anything any more."""

    def __init__(self, world: World, callers: Callers) -> None:
        self._world = world
        self._callers = callers
        self._words = ReceiptWords(fresh_secret())
        self._told: dict[tuple[str, int, int, str], Telling] = {}
        self.is_over = False

    def of(self, number: int, sent: Sent, *, reached_app: bool, is_shown: bool) -> None:
        """A push came to a phone."""
        if self.is_over or not sent.receipt:
            return
        chance = self._world.chance
        if reached_app:
            self._begin(number, sent, "received")
        if is_shown and chance.share("tap", number, sent.delivery_id) < _TAPPED:
            self._begin(number, sent, "opened")

    def settled(self) -> None:
        """The end: see the module."""
        connection = self._world.disk.connection
        kept = {
            tuple(row)
            for row in connection.execute(
                "SELECT event_id, item_index, device_id, kind FROM receipts"
            )
        }
        events = {row[0] for row in connection.execute("SELECT event_id FROM events")}
        for row in kept:
            if row not in self._told:
                self._broken(f"{row} is kept, and nobody told it")
        for row, told in self._told.items():
            user = self._user_of(told.key)
            is_erased = user in self._world.truth.erased or user in self._world.truth.erasing
            if row in kept:
                self._world.trace.count("a receipt was kept")
                if measure_of(user) == "denied":
                    self._broken(f"{row} is kept of somebody who said no")
                if self._was_erased(user, told.key.event_id):
                    self._broken(f"{row} is kept of somebody who was erased")
            elif told.was_taken and not is_erased and told.key.event_id in events:
                self._broken(f"{row} was taken, and is gone")
            if "not_proven" in told.refusals or "invalid" in told.refusals:
                self._broken(f"{row} was not believed")
            if "not_measured" in told.refusals and measure_of(user) == "granted":
                self._broken(f"{row} was not kept, though its person said yes")

    # --- inside ---------------------------------------------------------------------------------

    def _begin(self, number: int, sent: Sent, kind: str) -> None:
        key = self._words.read(sent.event_id, sent.receipt)
        if key is None:
            self._broken(f"a push of {sent.event_id} carries a word that does not hold")
            return
        telling = self._told.setdefault((*key[:3], kind), Telling(key, kind))
        # the process that sent the push may die; the phone goes on
        self._world.in_world(self._start, number, sent, telling)

    def _start(self, number: int, sent: Sent, telling: Telling) -> None:
        self._world.spawn(self._tell(number, sent, telling))

    async def _tell(self, number: int, sent: Sent, telling: Telling) -> None:
        world, kind = self._world, telling.kind
        off = _DAY_S if world.chance.share("clock of a phone", number) < 0.5 else 0.0
        at = world.truth.wall(world.truth.now) + off
        again = world.chance.share("twice", sent.delivery_id, kind) < _TWICE
        for turn in range(2 if again else 1):
            await asyncio.sleep(
                _LATEST_S * world.chance.share("late", sent.delivery_id, kind, turn)
            )
            receipt = {"event_id": sent.event_id, "receipt": sent.receipt, "kind": kind, "at": at}
            sent_at = world.truth.wall(world.truth.now) + off
            body = json.dumps({"sent_at": sent_at, "receipts": [receipt]}).encode()
            heard: list[Any] = []

            def post(doors: Any, body: bytes = body, heard: list[Any] = heard) -> Any:
                return doors.post_receipts(body, heard)

            await self._callers.until(post, (202,))
            # an answer that nobody waited for is one as well
            telling.answers += heard
            world.trace.add(f"phone {number}", "told", kind, sent.delivery_id)

    def _user_of(self, key: Key) -> int:
        return self._world.truth.batches[key.event_id].users[key.index]

    def _was_erased(self, user: int, event_id: str) -> bool:
        """Whether what was accepted before an erase of them is concerned."""
        asked_at, _ = self._world.truth.erased.get(user, (None, None))
        accepted_at = self._world.truth.batches[event_id].accepted_at
        return asked_at is not None and accepted_at is not None and accepted_at <= asked_at

    def _broken(self, text: str) -> None:
        self._world.findings.broken("receipts", text)
