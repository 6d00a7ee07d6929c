"""Who did what, in the words of the audit table. Pure.

Owns which acts there are, how a row is written, and what is left of one that is about a person who
was erased. Whoever carries an act out states it (`Actor.does`); the store adds how much it was and
whom it was about, and writes the row in the transaction that does it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, get_args

from gateway.core.erased import NOBODY, words_of
from gateway.core.hashes import keyed
from gateway.core.model import Item, UserRef

Origin = Literal["cli", "api", "console"]
"""From where somebody acted."""

What = Literal[
    "clock.accept",
    "dead.drop",
    "dead.replay",
    "devices.export",
    "devices.forget",
    "devices.import",
    "devices.register",
    "events.cancel",
    "events.correct",
    "events.export",
    "events.read",
    "events.replay",
    "events.requeue",
    "experiments.end",
    "experiments.exempt",
    "experiments.start",
    "hooks.drop",
    "hooks.pause",
    "hooks.replay",
    "hooks.resume",
    "hooks.test",
    "keys.create",
    "keys.revoke",
    "lanes.discard",
    "lanes.pause",
    "lanes.release",
    "lanes.resume",
    "notifications.send",
    "store.copy",
    "users.erase",
    "users.export",
    "users.read",
]
"""What was done: the thing, and what was done to it."""
ACTS: tuple[What, ...] = get_args(What)

USER = "the user"
"""Who acted with a user token: about whom the row is says which user."""
ABOUT_DEVICES: tuple[What, ...] = ("devices.forget", "devices.register")
"""Acts whose object is an installation id, which goes when its user is erased."""

_CONTROLS = re.compile("[\0-\x1f\x7f-\x9f\ud800-\udfff]")
_MOST = {"who": 200, "object": 600, "reason": 1_000}
_ERASED = "(erased)"


@dataclass(frozen=True, slots=True)
class Act:
    """Something that somebody does at this time, as the row will say it. `routine`: a backend does
    it all day, so its row lives as long as the journal's. `about`: whom it is about, where whoever
    acts knows that and the store would not."""

    at: float
    who: str
    what: What
    object: str
    origin: Origin
    remote: str = ""
    reason: str = field(default="", repr=False)
    routine: bool = False
    about: UserRef | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, from where, and why."""

    who: str
    origin: Origin
    remote: str = ""
    reason: str = field(default="", repr=False)

    def does(
        self,
        what: What,
        thing: str = "",
        *,
        at: float,
        routine: bool = False,
        about: UserRef | None = None,
    ) -> Act:
        """State an act on a thing: a lane's name, or the id of a key, an event, an installation."""
        return Act(at, self.who, what, thing, self.origin, self.remote, self.reason, routine, about)


class Row(NamedTuple):
    """A row of the audit table, in the order of its columns; the first six are its key. `affected`
    is how many devices, letters, notifications it was. The words stand for the ids of the person
    whom the act was about."""

    at: float
    who: str
    what: str
    object: str
    user_word: str
    custom_word: str
    affected: int
    origin: str
    remote: str
    reason: str
    routine: int


def cursor(before: float | None, after: Row | None) -> tuple[float, str, str, str, str, str]:
    """The key below which a page begins, newest first: that of the last row that was seen, else a
    time, else none."""
    if after is not None:
        return after[:6]
    return (math.inf if before is None else before, "", "", "", "", "")


def row_of(act: Act, *, count: int, words: tuple[str, str] = (NOBODY, NOBODY)) -> Row:
    """An act as a row."""
    return Row(
        act.at,
        _plain("who", act.who),
        act.what,
        _plain("object", act.object),
        *words,
        count,
        act.origin,
        act.remote,
        _plain("reason", act.reason),
        int(act.routine),
    )


def key_holder(key_id: str, name: str) -> str:
    """Who acts with an API key."""
    return f"{name} (key {key_id})" if name else f"key {key_id}"


def names_of(things: Iterable[object] | None) -> str:
    """Several things as the object of one act; None: all there are."""
    return "all" if things is None else " ".join(map(str, things))


def addressee(items: Iterable[Item]) -> UserRef | None:
    """Whom these notifications are about; None if they are to several people."""
    people = [*dict.fromkeys(UserRef(item.user_id, item.custom_id) for item in items)]
    return people[0] if len(people) == 1 else None


def reading(
    actor: Actor, event_id: str, people: Sequence[UserRef], *, at: float, routine: bool = False
) -> Act:
    """Somebody reads when these people saw an event's pushes. The row is about a person if it is
    one; of several the event says who they are, and the count how many."""
    about = people[0] if len(people) == 1 else None
    return actor.does("users.read", event_id, at=at, routine=routine, about=about)


def words_for(user: UserRef | None, secret: bytes) -> tuple[str, str]:
    """The words for a person's ids: those that an erase leaves behind as well."""
    return (NOBODY, NOBODY) if user is None else words_of(user.user_id, user.custom_id, secret)


def unlinked(row: Row, secret: bytes) -> Row | None:
    """A row without the installation id of a person who was erased: a keyed hash stands for it.
    None: it holds no such id."""
    if row.what not in ABOUT_DEVICES or row.object.startswith("#"):
        return None
    return row._replace(object="#" + keyed(secret, "audit object", row.object).hex()[:16])


def without_ids(reason: str, user: UserRef) -> str:
    """A reason that does not name the person, if it does so by an id."""
    for one in (user.user_id, user.custom_id):
        if one:
            reason = re.sub(rf"(?<!\w){re.escape(one)}(?!\w)", _ERASED, reason)
    return reason


def _plain(what: str, text: str) -> str:
    """Text that every store holds and a terminal can show, of a length that a table can show."""
    plain, most = _CONTROLS.sub(" ", text).strip(), _MOST[what]
    return plain if len(plain) <= most else plain[: most - 1] + "…"
