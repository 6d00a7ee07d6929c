"""Sources: who sends events, how their ids are kept apart, and what each source's pushes may reach.

Pure. Owns the names of the sources that are always there and the rule that makes an event's id of
what the sender calls it. Where the limits of a source come from is the composition root's matter.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

LEARNINK = "learnink"
"""The source that `[webhook]` describes; its events keep the sender's ids."""
API = "api"
"""Own notifications: `POST /v1/notifications`."""
CLI = "cli"
"""`inkpush send`."""
BUILT_IN = frozenset({LEARNINK, API, CLI})
"""Sources that every process knows; they have no limits."""

NO_TESTER = "not a test user of this source"
NO_APP = "its source may not reach the app of the user's devices"

Word = Callable[[str], str]
"""Makes the word that stands for a user's id in limits: a keyed hash."""

CORRECTION = "r1"
"""What stands behind the last colon of a correction's id."""
_BEHIND = f":{CORRECTION}"
MAKE_UP = "m1"
"""What stands behind the last colon of a make-up's id, behind the number of the item."""
_MADE_UP = re.compile(rf"(.+):(\d{{1,9}}):{MAKE_UP}", re.DOTALL)

_KEPT_OTHERWISE = {":": "%3A", "%": "%25"}
_TO_KEEP_OTHERWISE = re.compile(r":|%(?=3A|25|72)")


class Limits(NamedTuple):
    """What the pushes of a source may reach, and for how long; None: nothing of its own.

    `users` has words that stand for ids, of either kind, so that no stored limit names a person. An
    empty set is a limit, too: nothing may be reached. `max_age_s` 0: the age counts from receipt,
    and the gateway's own limit holds.
    """

    apps: frozenset[str] | None = None
    users: frozenset[str] | None = None
    max_age_s: float | None = None

    @property
    def is_bound(self) -> bool:
        """Whether there is anything that its pushes may not reach."""
        return self.apps is not None or self.users is not None


UNLIMITED = Limits()
NOTHING = Limits(frozenset(), frozenset())
"""The limits where nobody can read which they are."""


class Terms(NamedTuple):
    """What an event brings along from its source, and keeps whatever becomes of it."""

    source: str = LEARNINK
    limits: Limits = UNLIMITED


LEARNINKS = Terms()


def event_id_of(source: str, message_id: str) -> str:
    """Name an event, so that no sender can write another source's id, or a correction's.

    A colon stands behind a source's name, before the marks of corrections and make-ups, and nowhere
    else. Those of the sender are kept as `%3A`. A source's own id that is the mark of a correction
    is kept as `%721`. A percent sign that could be read as part of such a mark is kept as `%25`, so
    that two ids never become one.
    """
    own = _TO_KEEP_OTHERWISE.sub(lambda found: _KEPT_OTHERWISE[found[0]], message_id)
    if source == LEARNINK:
        return own
    return f"{source}:%721" if own == CORRECTION else f"{source}:{own}"


def correction_of(event_id: str) -> str:
    """Name the event that corrects this one."""
    return f"{event_id}{_BEHIND}"


def corrected_by(event_id: str) -> str | None:
    """The event that this one corrects; None: it is no correction."""
    return event_id.removesuffix(_BEHIND) if event_id.endswith(_BEHIND) else None


def make_up_of(event_id: str, index: int) -> str:
    """Name the event by which a notification goes out that an experiment held back."""
    return f"{event_id}:{index}:{MAKE_UP}"


def made_up_by(event_id: str) -> tuple[str, int] | None:
    """The event and the item that this one makes up for; None: it is no make-up. No sender can
    write such an id: it has a colon more."""
    found = _MADE_UP.fullmatch(event_id)
    return None if found is None else (found[1], int(found[2]))


def source_of(event_id: str) -> str:
    """The source that an event's id names."""
    while True:
        corrected, made_up = corrected_by(event_id), made_up_by(event_id)
        if corrected is not None:
            event_id = corrected
        elif made_up is not None:
            event_id = made_up[0]
        else:
            break
    source, colon, _ = event_id.partition(":")
    return source if colon else LEARNINK


def stricter(one: Limits, other: Limits) -> Limits:
    """What both limits allow; the age is the first's."""
    return Limits(_both(one.apps, other.apps), _both(one.users, other.users), one.max_age_s)


def _both(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    if one is None or other is None:
        return other if one is None else one
    return one & other
