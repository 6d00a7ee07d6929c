"""Whether the chain of learning events is what it was: all that can be seen of it by itself, and by
heads that somebody else keeps. Pure.

Owns what is a fault, and its words. It says nothing of what never came in.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from gateway.core.learning import (
    START,
    Day,
    Entry,
    Head,
    Seal,
    digest_of,
    erase_digest,
    next_head,
)

_FAULTS = 100


class Fault(NamedTuple):
    """What is wrong, at which number of the chain."""

    number: int
    what: str


class Audit:
    """Takes all entries behind `begins_behind`, in their order, then says what is wrong.

    `end` is where the chain ended when the audit began. `against` are heads by number that were
    kept elsewhere.
    """

    def __init__(
        self,
        *,
        days: Sequence[Day],
        seals: Sequence[Seal],
        end: Head,
        against: Mapping[int, bytes],
    ) -> None:
        self.faults: list[Fault] = []
        self.events = self.erased = self.compared = 0
        self._end = end
        self._against = dict(against)
        self._emptied: dict[int, tuple[bytes, bytes]] = {}
        self._sealed_events = 0
        self.number, self._head, self.removed = 0, START, 0
        self._seals: dict[int, Seal] = {}
        self._pass_days(days)
        self._seals = {seal.last: seal for seal in seals if seal.last > self.number}

    @property
    def faulty(self) -> bool:
        return bool(self.faults)

    def skip(self, days: Sequence[Day]) -> None:
        """Days were removed while the audit ran: go on behind them."""
        if days and days[-1].last > self.number:
            self._pass_days([day for day in days if day.last > self.number])
            self._sealed_events = 0
            self._seals = {last: one for last, one in self._seals.items() if last > self.number}
            self._emptied = {n: one for n, one in self._emptied.items() if n > self.number}

    def take(self, entries: Iterable[Entry]) -> None:
        """The next entries."""
        for entry in entries:
            self._take(entry)

    def finish(self) -> None:
        """There are no more."""
        for number in self._emptied:
            self._fault(number, "it is emptied, and no entry of an erase says so")
        if self.number < self._end.number:
            what = f"the chain ends here, and its end was noted at {self._end.number}"
            self._fault(self.number, what)
        for last in self._seals:
            self._fault(last, "a seal is there of entries that are not")
        for number in self._against:
            if number > self.number:
                self._fault(
                    number, "a head that was kept elsewhere is of an entry that is not there"
                )

    # --- inside ---------------------------------------------------------------------------------

    def _take(self, entry: Entry) -> None:
        number = entry.number
        if number != self.number + 1:
            missing = f"{self.number + 1} to {number - 1}" if number > self.number else "in order"
            self._fault(number, f"entries are missing before it: {missing}")
        if entry.kind == "erase":
            self._take_erase(entry)
        else:
            self._take_event(entry)
        if entry.head != next_head(self._head, number, entry.kind, entry.digest):
            self._fault(number, "its head does not follow from the one before it")
        self.number, self._head = number, entry.head
        if number == self._end.number and entry.head != self._end.head:
            self._fault(number, "its head is not the one that was noted as the end")
        seal = self._seals.pop(number, None)
        if seal is not None:
            if seal.head != entry.head:
                self._fault(number, "its head is not the one that was sealed")
            if seal.events != self._sealed_events:
                said = f"{seal.events} events were sealed, {self._sealed_events} are there"
                self._fault(number, said)
            self._sealed_events = 0
        self._compare(number, entry.head)

    def _take_event(self, entry: Entry) -> None:
        self.events += 1
        self._sealed_events += 1
        if entry.salt is None:
            self.erased += 1
            self._emptied[entry.number] = entry.digest, entry.id_hash or b""
            if entry.body is not None or entry.event_id is not None:
                self._fault(entry.number, "it has no salt, and is not empty")
            return
        made = digest_of(
            entry.salt,
            entry.source,
            entry.event_id or "",
            entry.type,
            entry.occurred_at,
            entry.received_at,
            entry.body or b"",
        )
        if made != entry.digest:
            self._fault(entry.number, "its content is not what its digest was made of")

    def _take_erase(self, entry: Entry) -> None:
        found = self._emptied.pop(entry.erases or 0, None)
        if found is not None:
            made = erase_digest(entry.erases or 0, *found, entry.received_at)
            if made != entry.digest:
                what = f"this entry of an erase is not of what {entry.erases} is now"
                self._fault(entry.number, what)

    def _pass_days(self, days: Sequence[Day]) -> None:
        for day in days:
            if day.first != self.number + 1:
                self._fault(day.first, "a removed day does not follow the one before it")
            self.number, self._head = day.last, day.head
            self.removed += day.events
            self._compare(day.last, day.head)
        for number in [one for one in self._against if one <= self.number]:
            del self._against[number]

    def _compare(self, number: int, head: bytes) -> None:
        kept = self._against.pop(number, None)
        if kept is not None:
            self.compared += 1
            if kept != head:
                self._fault(number, "its head is not the one that was kept elsewhere")

    def _fault(self, number: int, what: str) -> None:
        if len(self.faults) < _FAULTS:
            self.faults.append(Fault(number, what))


def heads_in(text: str) -> dict[int, bytes]:
    """The heads in a file that somebody kept: lines of JSON with a `number` and a `head` in hex, at
    any depth; one document with several of them will do. Raises ValueError where there is none."""
    found: dict[int, bytes] = {}
    for document in _documents(text):
        waiting: list[Any] = [document]
        while waiting:
            one = waiting.pop()
            if isinstance(one, list):
                waiting += one
            elif isinstance(one, dict):
                waiting += one.values()
                number, head = one.get("number"), one.get("head")
                if type(number) is int and isinstance(head, str) and number > 0:
                    found[number] = bytes.fromhex(head)
    if not found:
        raise ValueError("it has no head: a `number`, and a `head` in hex")
    return found


def _documents(text: str) -> list[Any]:
    try:
        return [json.loads(text)]
    except ValueError:
        return [json.loads(line) for line in text.splitlines() if line.strip().startswith("{")]
