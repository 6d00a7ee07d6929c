"""Sifting: which notifications of a chunk do not go out, although they could.

Owns the two reasons for that, what was done already and what an experiment holds back, and how such
items end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from gateway.core.fanout import Known, Plan, expire, hold, supersede
from gateway.core.model import Chunk, Item, Record, Target
from gateway.relay.drawing import NONE, Lots
from gateway.relay.ports import RelayPorts

Theirs = Iterable[tuple[Item, Sequence[Target]]]
"""Items with their devices."""


class Sifted(NamedTuple):
    """Which items are not needed any more, by index, and why; and what the lot made of others."""

    superseded: Mapping[int, str] = {}
    lots: Lots = NONE

    def take_out_of(
        self, todo: Plan, chunk: Chunk, known: Known, theirs: Theirs, *, now: float
    ) -> None:
        """End these items instead of what was planned for them."""
        if self.superseded:
            devices = {item.index: targets for item, targets in theirs}
            ended = supersede(chunk, known, self.superseded, now=now, devices=devices)
            todo.without(self.superseded, ended)
        if self.lots.reasons:
            todo.without(self.lots.reasons, hold(chunk, self.lots.reasons, now=now))

    def expired(self, chunk: Chunk, known: Known, theirs: Theirs, *, now: float) -> list[Record]:
        """How a chunk ends that comes too late."""
        devices = {item.index: targets for item, targets in theirs}
        ended = expire(chunk, known, now=now, devices=devices)
        if self.superseded:
            ended = [one for one in ended if one.index not in self.superseded]
            ended += supersede(chunk, known, self.superseded, now=now, devices=devices)
        return ended


ALL_GO = Sifted()


async def sift(
    ports: RelayPorts,
    chunk: Chunk,
    targets: Sequence[Sequence[Target]],
    known: Known,
    *,
    now: float,
    draws: bool,
) -> Sifted:
    """Ask about the items of a chunk. Unless it `draws`, no lot is drawn; if it does, `targets` are
    the devices of all its items."""
    superseded: dict[int, str] = {}
    if ports.superseding.is_on:
        why = await ports.superseding.among((item, chunk.first_seen) for item, _ in chunk.items)
        superseded = {item.index: why[id(item)] for item, _ in chunk.items if id(item) in why}
    lots = NONE
    if draws and ports.drawing.is_on:
        lots = await ports.drawing.among(chunk, targets, known, done=superseded, now=now)
    return Sifted(superseded, lots)
