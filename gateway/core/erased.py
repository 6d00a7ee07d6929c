"""Who was erased and when, as a store remembers it: by keyed words, which name nobody. Pure.

Owns whether what is written now still names somebody who was erased after its event came in, and
what is left of it then. Finding the rows is each engine's matter.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from operator import attrgetter

from gateway.core.attempts import Failed
from gateway.core.hashes import keyed
from gateway.core.model import Chunk, Item, Record, Target

NOBODY = ""
"""The word for an id that an erase did not name."""

_erased_at = attrgetter("erased_at")


def words_of(user_id: str | None, custom_id: str | None, secret: bytes) -> tuple[str, str]:
    """The words for a user's two ids. The same id as the other kind has another word."""
    return (
        NOBODY if user_id is None else keyed(secret, "erased user_id", user_id).hex(),
        NOBODY if custom_id is None else keyed(secret, "erased custom_id", custom_id).hex(),
    )


class Erased:
    """The erasures that matter for some events, and which of their items are known as erased.

    `received` is when each event came in; other events are newer than every erase. `rows` are
    (word of the user id, word of the custom id, when it was asked).
    """

    def __init__(
        self,
        secret: bytes,
        rows: Iterable[tuple[str, str, float]],
        received: Mapping[str, float],
        items: Collection[tuple[str, int]],
    ) -> None:
        self._secret = secret
        self._received = received
        self._items = items
        self._asked: dict[str, float] = {}
        for who_user, who_custom, asked_at in rows:
            for word in (who_user, who_custom):
                self._asked[word] = max(asked_at, self._asked.get(word, asked_at))
        self._asked.pop(NOBODY, None)

    def has(self, event_id: str, index: int, user_id: str | None, custom_id: str | None) -> bool:
        """Whether an item was for somebody who was erased since its event came in."""
        received_at = self._received.get(event_id)
        if received_at is None:
            return False
        if (event_id, index) in self._items:
            return True
        asked = map(self._asked.get, words_of(user_id, custom_id, self._secret))
        return any(at is not None and received_at <= at for at in asked)

    def hides(self, record: Record | Failed) -> bool:
        """Whether a line of the journal may name nobody, and a failed attempt is not kept."""
        return self.has(record.event_id, record.index, record.user_id, record.custom_id)

    def told(self, records: Iterable[Record]) -> list[Record]:
        """All of them, and those that may name nobody without names."""
        return [_nameless(one) if self.hides(one) else one for one in records]

    def without_names(self, chunk: Chunk) -> Chunk:
        """The chunk with the items of the erased emptied: they find no device, and so they end."""
        if chunk.event_id not in self._received:
            return chunk
        items = tuple(
            one._replace(item=_emptied(one.item))
            if self.has(chunk.event_id, one.item.index, one.item.user_id, one.item.custom_id)
            else one
            for one in chunk.items
        )
        return replace(chunk, items=items)


def _emptied(item: Item) -> Item:
    """An item for nobody, in the place of one whose user was erased."""
    return item._replace(
        title="", body="", path=None, user_id=None, custom_id=None, collapse_id=None
    )


def _nameless(record: Record) -> Record:
    """A line of the journal that says what happened, and to nobody."""
    return record._replace(user_id=None, custom_id=None, address_hash="")


def for_their_time(
    targets: Sequence[Sequence[Target]], received_at: float
) -> Sequence[Sequence[Target]]:
    """The devices that may get what was received then: one that registered again after its user
    was erased gets nothing of before."""
    if not any(map(_erased_at, chain.from_iterable(targets))):
        return targets
    return [[one for one in devices if is_in_time(one, received_at)] for devices in targets]


def is_in_time(target: Target, received_at: float) -> bool:
    """Whether a device may get what was received then."""
    return target.erased_at < received_at or not target.erased_at
