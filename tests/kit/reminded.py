"""People who are reminded, as they are: unequally eager, in clinics, with phones that are dead, by
a sender that stops once somebody has begun; and what comes of it, late, twice, or without a name.

What really is so is known: `Population.lift`. What a gateway would count is `by_day`, which is
written for the reader: the queries of the stores are held against `has_outcome`.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from gateway.core.effect import Group, Groups

DAY_S = 86_400
WINDOW_S = 7 * DAY_S
SETTLE_S = 3 * DAY_S
#: of events: lost for having no name; too late to be counted; told twice; within the window, of
#: something that the person had completed before
_UNNAMED, _TOO_LATE, _TWICE, _AGAIN = 0.02, 0.01, 0.1, 0.05
_DEAD = 0.06
_CLINICS = 40
_DAYS = 28
_SPAN_S = _DAYS * DAY_S


Member = tuple[int, bool, float]
"""A person of an experiment: who, whether the lot holds them, since when."""


class Event(NamedTuple):
    """Something completed; `person` is None where the event names nobody."""

    person: int | None
    object: str
    occurred_at: float
    received_at: float


class Population(NamedTuple):
    """`lift` is what reminders really do to the share that can be counted."""

    members: Sequence[Member]
    events: Sequence[Event]
    lift: float


def population(seed: int, *, size: int, holdout: float, helps: bool) -> Population:
    """People who enter within four weeks; where reminders help, then by about 5 in 100."""
    chance = random.Random(seed)
    draw = chance.random
    clinics = [0.16 * draw() - 0.08 for _ in range(_CLINICS)]
    # 1 to 12 reminders, two days apart: up to 4 of them in the window of the first one, and each
    # does its part for those who would not do it alone
    left = [0.9766 ** min(reminders, 4) if helps else 1.0 for reminders in range(1, 13)]
    members: list[Member] = []
    events: list[Event] = []
    lifts = 0.0
    for person in range(size):
        zeal = 0.5 if draw() < 0.3 else -0.2
        alone = 0.295 + clinics[int(draw() * _CLINICS)] + zeal * draw()
        reminded = alone
        # the first push finds a dead phone; the reminded lose it, the held keep it
        if helps and draw() >= _DEAD:
            gain = (1 - alone) * (1 - left[int(draw() * 12)])
            lifts += gain
            reminded += gain
        held = draw() < holdout
        since = draw() * _SPAN_S
        members.append((person, held, since))
        if draw() < (alone if held else reminded):
            # after it the sender stops: fewer reminders to those who did it
            _tell(events, draw, person, since + draw() * WINDOW_S)
        elif draw() < _AGAIN:
            events.append(Event(person, "old", since - DAY_S, since))
            events.append(Event(person, "old", since + DAY_S, since + DAY_S))
    counted = (1 - _UNNAMED) * (1 - _TOO_LATE)
    return Population(members, events, lifts / size * counted)


def _tell(events: list[Event], draw: Callable[[], float], person: int, at: float) -> None:
    """Somebody completed something: what comes of it."""
    fate = draw()
    if fate < _UNNAMED:
        events.append(Event(None, "course", at, at))
    elif fate < _UNNAMED + (1 - _UNNAMED) * _TOO_LATE:
        events.append(Event(person, "course", at, at + WINDOW_S + SETTLE_S))
    else:
        # some come late, and are counted
        event = Event(person, "course", at, at + (SETTLE_S * draw() if fate > 0.9 else 0))
        events.append(event)
        if fate < 0.03 + _TWICE:
            events.append(event._replace(occurred_at=at + 1))


def has_outcome(since: float, events: Sequence[Event], *, window_s: float = WINDOW_S) -> bool:
    """Whether one of a person's events counts: the first of its object, within the window."""
    if len(events) == 1:
        return since < events[0].occurred_at <= since + window_s
    first: dict[str, float] = {}
    for event in events:
        known = first.get(event.object)
        if known is None or event.occurred_at < known:
            first[event.object] = event.occurred_at
    return any(since < at <= since + window_s for at in first.values())


def by_day(people: Population) -> list[Groups]:
    """The groups of those who entered on each day, once it is settled."""
    theirs: Mapping[int, list[Event]] = defaultdict(list)
    for event in people.events:
        if event.person is not None:
            theirs[event.person].append(event)
    sizes = [[0, 0, 0, 0] for _ in range(_DAYS)]
    for person, held, since in people.members:
        day = sizes[int(since / DAY_S)]
        place = 2 if held else 0
        day[place] += 1
        if person in theirs:
            settled = since + WINDOW_S + SETTLE_S
            in_time = [event for event in theirs[person] if event.received_at <= settled]
            day[place + 1] += has_outcome(since, in_time)
    return [Groups(Group(n1, y1), Group(n0, y0)) for n1, y1, n0, y0 in sizes]
