"""Which address gets which answers, in which order.

Owns the queues of scripted answers. Refuses to know vendors and connections.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence

from providers.sandbox.answers import Answer

_HEX = re.compile(r"[0-9a-fA-F]+\Z")


def address_key(address: str) -> str:
    """The name an address is scripted and recorded under: APNs tokens are hex in any case."""
    return address.lower() if _HEX.match(address) else address


class Scripts:
    """Answers per address; an address without a script gets the default answer."""

    def __init__(self) -> None:
        self._queues: dict[str, deque[Answer]] = {}
        self._repeating: set[str] = set()
        self._dead: dict[str, Answer] = {}

    def write(self, address: str, answers: Sequence[Answer], *, repeat_last: bool) -> None:
        """Replace the script of an address; no answers: it has none any more."""
        key = address_key(address)
        self._repeating.discard(key)
        if not answers:
            self._queues.pop(key, None)
            return
        self._queues[key] = deque(answers)
        if repeat_last:
            self._repeating.add(key)

    def next(self, key: str, default: Answer) -> Answer:
        """Take the next answer for this address (as `address_key` names it).

        A script that is used up leaves OK behind, not `default`: it was written to the end.
        """
        queue = self._queues.get(key)
        if queue is None:
            return self._dead.get(key, default)
        if not queue:
            return _OK
        if len(queue) == 1 and key in self._repeating:
            return queue[0]
        return queue.popleft()

    def peek(self, key: str, default: Answer) -> Answer:
        """The answer that `next` would take, left where it is."""
        queue = self._queues.get(key)
        if queue is None:
            return self._dead.get(key, default)
        return queue[0] if queue else _OK

    def bury(self, key: str, answer: Answer) -> None:
        """From now on this is the answer for an address without a script, for good."""
        self._dead[key] = answer

    def is_dead(self, key: str) -> bool:
        """Whether the address was buried."""
        return key in self._dead

    def clear(self) -> None:
        """Forget every script; the dead stay dead."""
        self._queues.clear()
        self._repeating.clear()


_OK = Answer.ok()
