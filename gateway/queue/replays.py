"""From dead letters to the chunks that replay them. Pure; for every queue."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from gateway.core.model import CHUNK_SIZE, Chunk, ChunkItem, Item, Remainder
from gateway.core.stored import Unreadable
from gateway.errors import NotReplayable
from gateway.ports import DeadLetter, Held

_taken_at = attrgetter("taken_at")
NOTHING_HELD: Held = frozenset()


class Letter(NamedTuple):
    """A dead letter as a replay needs it. Device 0: its item was never fanned out."""

    event_id: str
    day: int
    item: Item
    device_id: int


class Replay(NamedTuple):
    """The content of a replay: the deliveries, by event and index, and their letters' ids."""

    letters: list[Letter]
    ids: list[int]


def events_of(dead: Iterable[DeadLetter]) -> list[str]:
    """The events of letters, each once."""
    return list(dict.fromkeys(one.event_id for one in dead))


IN_WORK = (
    "its chunk is still being worked on, and would send it as well; try again in a minute, or once "
    "its lane goes on"
)


def in_work(letter: DeadLetter, held: Held) -> bool:
    """Whether a chunk that is still queued holds a delivery of a letter: whoever works on it next
    would find the delivery open again, and send it beside the replay."""
    try:
        deliveries = letter.deliveries()
    except Unreadable:
        return False
    return any((item.index, None) in held or (item.index, to) in held for item, to in deliveries)


def free(dead: Iterable[DeadLetter], held: Mapping[str, Held], *, named: bool) -> list[DeadLetter]:
    """The letters that are not in work; for one that is, NotReplayable is raised if `named`."""
    letters = []
    for one in dead:
        if not in_work(one, held.get(one.event_id, NOTHING_HELD)):
            letters.append(one)
        elif named:
            raise NotReplayable(one.id, IN_WORK)
    return letters


def replay_of(dead: Sequence[DeadLetter], *, named: bool) -> Replay:
    """Read dead letters for a replay. `named`: a person named each of them.

    A letter that this version cannot read raises NotReplayable if `named`; else it is left as it
    is.
    """
    unique: dict[tuple[str, int, int], Letter] = {}
    ids = []
    for one in dead:
        try:
            deliveries = one.deliveries()
        except Unreadable as error:
            if named:
                raise NotReplayable(one.id, str(error)) from None
            continue
        ids.append(one.id)
        for item, device_id in deliveries:
            # one entry per delivery: a letter and a chunk may hold the same one
            letter = Letter(one.event_id, one.day, item, device_id)
            unique[one.event_id, item.index, device_id] = letter
    return Replay([unique[key] for key in sorted(unique)], ids)


class Renewal(NamedTuple):
    """When a new life begins, how long it is, and how many items a chunk has at most."""

    born_at: float
    max_age_s: float
    chunk_items: int


def revived_chunks(
    letters: Iterable[Letter],
    *,
    now: float,
    max_age_s: float,
    born_at: float | None = None,
    chunk_items: int = CHUNK_SIZE,
) -> list[Chunk]:
    """Cut dead letters, sorted by event and index, into chunks of their events, due `now`. Their
    new life begins then, or when they were `born_at`; it is as long as their source has it, else
    `max_age_s`."""
    begins = now if born_at is None else born_at
    chunks = []
    for event_id, of_event in groupby(letters, key=lambda letter: letter.event_id):
        entries = []
        day, own_s = 0, None
        for _, of_item in groupby(of_event, key=lambda letter: letter.item.index):
            same = list(of_item)
            day, limits = same[0].day, same[0].item.limits
            own_s = own_s if limits is None else limits.max_age_s
            entries.append(ChunkItem(same[0].item, _remainders(same)))
        for start in range(0, len(entries), chunk_items):
            items = tuple(entries[start : start + chunk_items])
            deadline = begins + (own_s or max_age_s)
            chunks.append(Chunk(event_id, -1, now, deadline, items, due_at=now, day=day))
    return chunks


def retaken_chunks(
    dead: Iterable[DeadLetter], new: Renewal, *, named: bool
) -> Iterator[tuple[list[Chunk], list[int]]]:
    """The chunks of letters that may have been taken before, with the letters' ids. A chunk's name
    has the time of the first taking, so a repeated replay adds nothing."""
    for taken_at, several in groupby(sorted(dead, key=_taken_at), key=_taken_at):
        taken = replay_of(list(several), named=named)
        yield revived_chunks(taken.letters, now=taken_at, **new._asdict()), taken.ids


def _remainders(letters: list[Letter]) -> tuple[Remainder, ...] | None:
    """The devices left; None if the item was never fanned out (device 0): look it up again."""
    if any(letter.device_id == 0 for letter in letters):
        return None
    return tuple(Remainder(letter.device_id) for letter in letters)
