"""What is said to be done already, as the relay asks for it: nothing that is superfluous starts.

Owns whether anything is asked at all (`is_on`), and what came of it by notification. What makes a
reminder superfluous is `core.suppressing`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from gateway.core.model import CHUNK_SIZE, Item
from gateway.core.suppressing import Done, Words, is_reminder, no_words, reason_of
from gateway.ports import Suppressions

#: events of a second for which the queue is looked through
_MOST_HASTENED = 100
_NONE: Mapping[int, str] = {}


class Superseding:
    """Asks `done`; without it nothing is ever superfluous. `words` are for the ids of people.
    `woken` is told that something in the queue is due, whose chunks have `chunk_items` at most."""

    def __init__(
        self,
        done: Suppressions | None = None,
        words: Words = no_words,
        chunk_items: int = CHUNK_SIZE,
        *,
        woken: Callable[[], None] = lambda: None,
    ) -> None:
        self._done = done
        self._words = words
        self._chunk_items = chunk_items
        self._woken = woken
        self.is_on = False

    def learn(self, is_on: bool) -> None:
        """Whether anything is configured now."""
        self.is_on = is_on

    async def among(self, asked: Iterable[tuple[Item, float]]) -> Mapping[int, str]:
        """Which of these notifications are not needed any more, by `id`, and why. Each comes with
        when its event was first seen."""
        if not self.is_on or self._done is None:
            return _NONE
        reminders = [(item, seen) for item, seen in asked if is_reminder(item)]
        if not reminders:
            return _NONE
        who = {id(item): self._words(item.user_id, item.custom_id) for item, _ in reminders}
        words = {word for pair in who.values() for word in pair if word}
        done = await self._done.of(words, {item.path for item, _ in reminders if item.path})
        if not done:
            return _NONE
        found = {}
        for item, seen in reminders:
            if (why := reason_of(item, who[id(item)], seen, done)) is not None:
                found[id(item)] = why
        return found

    async def recent(self, *, since: float) -> Sequence[Done]:
        """What came since then."""
        return await self._done.recent(since=since) if self.is_on and self._done else ()

    async def hasten(self, event_ids: Iterable[str], *, now: float) -> None:
        """See that what waits in the queue for the people of these events is looked at soon. Of
        many at once, the rest is looked at when it is due."""
        if self._done is None:
            return
        found = False
        for event_id in list(dict.fromkeys(event_ids))[:_MOST_HASTENED]:
            found |= await self._done.hasten(event_id, now=now, chunk_items=self._chunk_items)
        if found:
            self._woken()

    def judge(
        self, item: Item, first_seen: float, done: Mapping[str, Collection[Done]]
    ) -> str | None:
        """Why a notification is not needed any more, by what was done at each place; None: it is,
        as far as that goes."""
        if item.path is None or not (there := done.get(item.path)) or not is_reminder(item):
            return None
        return reason_of(item, self._words(item.user_id, item.custom_id), first_seen, there)
