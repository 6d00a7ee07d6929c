"""What becomes of a receipt, by what the database says of its delivery. Pure.

Owns of whom a receipt speaks, and whether that person lets it be kept; finding and writing rows is
each engine's matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from gateway.core import seen
from gateway.core.erased import Erased
from gateway.core.model import Record
from gateway.core.receipts import Measure, Row, Told, earliest, is_measured, kept_time
from gateway.core.states import DeliveryState
from gateway.ports.receipts import Kept
from gateway.store.erasing import names_of
from gateway.store.forgetting import Mark, Name, Number, refusals

GONE = Kept("gone")
NOBODY = (None, None)
_NOT_MEASURED = Kept("not_measured")


class Facts(NamedTuple):
    """What is known of a receipt's delivery: when its event came in (None: it is not kept any
    more); the journal's row, without a state while it is on its way there; and the device's row,
    without an app where it is gone. `known_at`: the time that is kept of the receipt's kind.
    `has_moved`: the device has been somebody else's since the event came, or is gone, and the
    journal does not say yet whose the push was. The event's item says it: `item_user`."""

    received_at: float | None
    state: str | None
    at: float | None
    user_id: str | None
    custom_id: str | None
    app: str | None
    device_app: str | None
    device_user_id: str | None
    device_custom_id: str | None
    measure: str | None
    platform: str | None
    known_at: float | None
    has_moved: bool
    item_user: tuple[str | None, str | None] = NOBODY

    @property
    def taken(self) -> float:
        """When the vendor had the push, as far as is known: not before this."""
        is_told = self.state == DeliveryState.DELIVERED.value and self.at is not None
        return (self.at if is_told else self.received_at) or 0.0

    @property
    def user(self) -> tuple[str | None, str | None]:
        """Whose delivery it is. What is not journaled yet went to who has had the device since its
        event came."""
        if self.has_moved:
            return self.item_user
        if self.state is None:
            return self.device_user_id, self.device_custom_id
        return self.user_id, self.custom_id

    @property
    def is_theirs(self) -> bool:
        """Whether the device is still that person's."""
        user_id, custom_id = self.user
        return (user_id is not None and user_id == self.device_user_id) or (
            custom_id is not None and custom_id == self.device_custom_id
        )


class Decided(NamedTuple):
    """An answer for each receipt, the rows to write, and when something was heard from devices that
    are still their person's."""

    kept: Sequence[Kept]
    rows: Sequence[Row]
    heard: Mapping[int, float]


def moved_meanwhile(found: Iterable[tuple[Told, Facts]]) -> set[str]:
    """The events whose bodies say whose the push was: for `with_users`."""
    return {one.key.event_id for one, facts in found if facts.has_moved}


def with_users(
    found: Iterable[tuple[Told, Facts]], bodies: Iterable[tuple[str, bytes | None]]
) -> list[tuple[Told, Facts]]:
    """The same, with the users that the bodies of those events name."""
    named = {event_id: names_of(body) for event_id, body in bodies if body is not None}
    return [
        (one, facts._replace(item_user=named.get(one.key.event_id, {}).get(one.key.index, NOBODY)))
        if facts.has_moved
        else (one, facts)
        for one, facts in found
    ]


def asked_before(told: Iterable[tuple[Told, Facts]]) -> list[Name]:
    """What to look for in the table `forgotten`: what former users of devices said when they were
    asked whether they let receipts be kept."""
    names: list[Name] = []
    for one, facts in told:
        if facts.received_at is not None and not facts.is_theirs:
            names += refusals(one.key.device_id, *facts.user)
    return names


def decide(
    told: Sequence[tuple[Told, Facts]],
    *,
    rule: Measure,
    erased: Erased | None,
    number: Number,
    marks: Mapping[int, Mark],
) -> Decided:
    """What becomes of each receipt. `marks` are those rows of `forgotten` that `asked_before` asks
    for, by number."""
    kept: list[Kept] = []
    rows: list[Row] = []
    heard: dict[int, float] = {}
    known: set[tuple[str, int, int, str]] = set()
    for one, facts in told:
        key = one.key
        user = facts.user
        if facts.received_at is None or user == NOBODY:
            kept.append(GONE)
            continue
        if erased is not None and erased.has(key.event_id, key.index, *user):
            kept.append(GONE)
            continue
        said = facts.measure if facts.is_theirs else _said(one, facts, number, marks)
        if not is_measured(said, rule):
            kept.append(_NOT_MEASURED)
            continue
        at, clock = kept_time(one, taken=facts.taken)
        this = (*key[:3], one.kind.value)
        is_new = facts.known_at is None and this not in known
        known.add(this)
        app, platform = facts.app or facts.device_app or "", facts.platform or ""
        kept.append(Kept("", is_new, app, platform))
        if facts.is_theirs:
            heard[key.device_id] = max(one.received, heard.get(key.device_id, 0.0))
        if facts.known_at is None or at < facts.known_at:
            rows.append(Row(*this, at, clock.value, key.day))
    return Decided(kept, earliest(rows), heard)


def _said(one: Told, facts: Facts, number: Number, marks: Mapping[int, Mark]) -> str | None:
    """What a former user of a device said last: no since the push, or what its word says."""
    for name in refusals(one.key.device_id, *facts.user):
        mark = marks.get(number(name))
        if mark is not None and mark.at >= facts.taken:
            return "denied"
    return one.key.measure


def keys_of(deliveries: Iterable[Record]) -> list[tuple[str, int, int]]:
    """The deliveries that may have receipts: event, item and device."""
    return [one[:3] for one in deliveries if one.device_id]


def told_of(rows: Iterable[Sequence[Any]], tellers: Iterable[Sequence[Any]]) -> seen.Told:
    """What was found of some deliveries."""
    return seen.Told([Row(*row) for row in rows], {row[0]: seen.Teller(*row) for row in tellers})
