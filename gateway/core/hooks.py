"""Hooks: which events go out to a customer's own systems, and what they say. Pure.

Owns the types of events, who wants which, how an event is written, and when a hook that fails is
tried again. An event says ids, times and states, and never a title, a text, a path or an address.
Finding and keeping rows is the store's matter, posting them `providers.hook`'s.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import orjson

from gateway.core.erased import NOBODY, words_of
from gateway.core.hashes import Keyed
from gateway.core.instants import to_iso
from gateway.core.model import Record, UserRef, named
from gateway.core.sources import source_of
from gateway.core.states import DeliveryState

SETTLED = "delivery.settled"
NO_DEVICE = "delivery.no_device"
PRUNED = "device.pruned"
SILENT = "device.silent"
RECEIPT = "receipt."
LEARNT = "learnink."
SEALED = "learning.sealed"
ERASED = "user.erased"
"""Goes to every hook that was ever told of the person, whatever it asks for."""
TEST = "hook.test"

TYPES = (
    SETTLED,
    NO_DEVICE,
    PRUNED,
    SILENT,
    *(RECEIPT + kind for kind in ("received", "displayed", "opened", "dismissed")),
    SEALED,
)
"""What may be asked for by name; beside them stand the types of LearnInk's own events."""

FIRST_WAIT_S, MOST_WAIT_S = 2.0, 300.0
FAILING = 3
"""Failures in a row after which a hook is called failing: a restart takes no longer than two."""

_NONE = "-"


@dataclass(frozen=True, slots=True)
class Hook:
    """What is asked for: the types, with or without a trailing `*`. `identify`: people by their own
    ids, else by keyed hashes. `bodies`: what LearnInk's events say goes along."""

    id: str
    events: tuple[str, ...]
    identify: bool = False
    bodies: bool = False
    batch: int = 100
    max_waiting: int = 100_000
    max_age_s: float = 259_200.0

    def wants(self, kind: str) -> bool:
        """Whether events of this type go to it."""
        return any(
            kind.startswith(one[:-1]) if one.endswith("*") else kind == one for one in self.events
        )


class Happened(NamedTuple):
    """Something that hooks may want. `key` names it, beside its type: the same happening has the
    same id at every repeat. `facts` are what it says, in the order in which it says them;
    `installation_id` is a phone's, and stands for a person as well. `known_at` is when the gateway
    came to know of it; None: at once."""

    type: str
    at: float
    key: tuple[object, ...]
    user_id: str | None
    custom_id: str | None
    facts: Mapping[str, Any]
    installation_id: str | None = None
    body: bytes = b""
    known_at: float | None = None

    @property
    def id(self) -> str:
        """The id of the event, a UUID."""
        return named("\0".join(map(str, (self.type, *self.key))))


class Group(NamedTuple):
    """Events for one hook, written together: a line each in `lines` and in `people`. `at` is when
    the first of them came to be known. `must`: they may get neither too old nor too many."""

    hook: str
    at: float
    size: int
    lines: bytes
    people: str
    must: bool = False


class Plan:
    """The hooks of a configuration, and what has to be looked at for them.

    `deliveries`, `pruned` and `receipts` are asked on the way of pushes, so each is one boolean.
    """

    def __init__(self, hooks: Sequence[Hook] = ()) -> None:
        self.hooks = {hook.id: hook for hook in hooks}
        self.settled = self._wanted(SETTLED)
        self.no_device = self._wanted(NO_DEVICE)
        self.deliveries = self.settled or self.no_device
        self.pruned = self._wanted(PRUNED)
        self.silent = self._wanted(SILENT)
        self.receipts = any(map(self._wanted, (one for one in TYPES if one.startswith(RECEIPT))))

    def groups(
        self, happened: Sequence[Happened], secret: bytes, *, only: str | None = None
    ) -> list[Group]:
        """What is written for these happenings: for each hook, or `only` that one, what it wants,
        in portions of its batches' size."""
        found: list[Group] = []
        kinds = dict.fromkeys(one.type for one in happened)
        words: dict[tuple[str | None, str | None], str] = {}
        users, customs = Keyed(secret, "erased user_id"), Keyed(secret, "erased custom_id")
        for one in happened:
            user_id, custom_id = who = (one.user_id, one.custom_id)
            if who not in words:
                user = _NONE if user_id is None else users.of(user_id)
                words[who] = f"{user} {_NONE if custom_id is None else customs.of(custom_id)}"
        for hook in self.hooks.values():
            if only is not None and hook.id != only:
                continue
            wanted = {kind for kind in kinds if hook.wants(kind)}
            theirs = [one for one in happened if one.type in wanted] if wanted else []
            found += [
                _group(hook, theirs[start : start + hook.batch], secret, words)
                for start in range(0, len(theirs), hook.batch)
            ]
        return found

    def erased(
        self, told: Iterable[tuple[str, str, bool]], user: UserRef, *, now: float, secret: bytes
    ) -> list[Group]:
        """What goes to each hook that was told of a person who is erased. `told` are (hook, word,
        whether by their own ids)."""
        ids = dict(zip(words_of(user.user_id, user.custom_id, secret), _KINDS, strict=True))
        ids.pop(NOBODY, None)
        by_hook: dict[str, dict[str, str]] = {}
        for hook, word, as_they_are in told:
            if hook in self.hooks and (kind := ids.get(word)) is not None:
                value = getattr(user, kind)
                shown = value if as_they_are else _hash(secret, hook, kind, value)
                by_hook.setdefault(hook, {})[kind] = shown
        groups = []
        for hook, shown in by_hook.items():
            about = {kind: shown.get(kind) for kind in _KINDS}
            key = named("\0".join(("user.erased", hook, str(now), *shown.values())))
            line = _dumped({"id": key, "type": ERASED, "at": to_iso(now), **about})
            groups.append(Group(hook, now, 1, line, _person(now, NOBODY, NOBODY), must=True))
        return groups

    def _wanted(self, kind: str) -> bool:
        return any(hook.wants(kind) for hook in self.hooks.values())


NO_HOOKS = Plan()
_KINDS = ("user_id", "custom_id")
_PHONE = "installation"
_PERSON = "hook person"


# --- what happened --------------------------------------------------------------------------------


def of_delivery(record: Record, installation_id: str | None, plan: Plan) -> list[Happened]:
    """What hooks may want of a delivery that has ended."""
    state = record.state.value
    facts = {
        "source": source_of(record.event_id),
        "event_id": record.event_id,
        "item": record.index,
        "app": record.app or None,
        "provider": record.provider or None,
        "state": state,
        "reason": record.reason or None,
        "attempts": record.attempts,
    }
    key = (record.event_id, record.index, record.device_id, state)
    make = partial(
        Happened,
        at=record.at,
        key=key,
        user_id=record.user_id,
        custom_id=record.custom_id,
        facts=facts,
        installation_id=installation_id,
    )
    found = [make(SETTLED)] if plan.settled else []
    if plan.no_device and record.state is DeliveryState.NO_DEVICE:
        found.append(make(NO_DEVICE))
    return found


class Phone(NamedTuple):
    """A device, and when its app was last seen."""

    installation_id: str
    user_id: str | None
    custom_id: str | None
    app: str
    provider: str
    seen_at: float


def of_device(kind: str, phone: Phone, *, state: str, reason: str, at: float) -> Happened:
    """A device was pruned, or has been silent."""
    facts = {
        "app": phone.app,
        "provider": phone.provider,
        "state": state,
        "reason": reason or None,
        "last_seen_at": to_iso(phone.seen_at) if phone.seen_at > 0 else None,
    }
    key = (phone.app, phone.installation_id, int(phone.seen_at))
    return Happened(kind, at, key, phone.user_id, phone.custom_id, facts, phone.installation_id)


# --- what waits -----------------------------------------------------------------------------------


def whole(hook: str, lines: bytes) -> bytes:
    """The body of a batch."""
    return b'{"hook":%b,"events":[%b]}' % (_dumped(hook), lines.replace(b"\n", b","))


def told_in(people: str) -> list[str]:
    """The words for those whom a batch names."""
    found = (word for line in people.split("\n") for word in line.split(" ")[1:])
    return sorted({word for word in found if word != _NONE})


Erasures = Mapping[str, float]
"""When each was erased last, by their words."""


def emptied(lines: bytes, people: str, erased: Erasures) -> tuple[bytes, str] | None:
    """A group without what it says of people who were erased since; None: it says nothing of
    them. An event keeps its id, type and time."""
    told, whose, changed = lines.split(b"\n"), people.split("\n"), False
    for place, line in enumerate(whose):
        at, *words = line.split(" ")
        if any(float(at) <= erased.get(word, -1.0) for word in words):
            event = json.loads(told[place])
            kept = {name: event[name] for name in ("id", "type", "at")}
            told[place] = _dumped({**kept, "erased": True})
            whose[place] = f"{at} {_NONE} {_NONE}"
            changed = True
    return (b"\n".join(told), "\n".join(whose)) if changed else None


def erasures(rows: Iterable[Sequence[Any]]) -> Erasures:
    """The rows of erases: (word of the user id, of the custom id, when it was asked)."""
    found: dict[str, float] = {}
    for *words, asked_at in rows:
        for word in words:
            if word:
                found[word] = max(asked_at, found.get(word, asked_at))
    return found


def wait_s(
    failures: int, retry_after: float | None, jitter: float, *, first_s: float = FIRST_WAIT_S
) -> float:
    """Seconds until a hook that failed so often in a row is tried again. `jitter` is in [0, 1)."""
    longest = min(first_s * 2.0 ** min(failures - 1, 16), MOST_WAIT_S)
    return max(retry_after or 0.0, longest * (0.5 + 0.5 * jitter))


# --- inside ---------------------------------------------------------------------------------------


def _group(
    hook: Hook,
    happened: Sequence[Happened],
    secret: bytes,
    words: Mapping[tuple[str | None, str | None], str],
) -> Group:
    user, custom, phone = (
        _as_it_is if hook.identify else Keyed(secret, _PERSON, hook.id, kind).of
        for kind in (*_KINDS, _PHONE)
    )
    seconds: dict[int, str] = {}
    lines, people, times = [], [], []
    for one in happened:
        user_id, custom_id = who = (one.user_id, one.custom_id)
        known_at = one.at if one.known_at is None else one.known_at
        people.append(f"{known_at:.3f} {words[who]}")
        times.append(known_at)
        told: dict[str, Any] = {"id": one.id, "type": one.type, "at": _iso(one.at, seconds)}
        told |= one.facts
        told["user_id"] = None if user_id is None else user(user_id)
        told["custom_id"] = None if custom_id is None else custom(custom_id)
        if one.installation_id is not None:
            told["installation_id"] = phone(one.installation_id)
        line = _dumped(told)
        if hook.bodies and one.body:
            line = b'%b,"body":%b}' % (line[:-1], one.body.replace(b"\n", b" "))
        lines.append(line)
    return Group(hook.id, min(times), len(lines), b"\n".join(lines), "\n".join(people))


def _person(at: float, *words: str) -> str:
    return f"{at:.3f} " + " ".join(word or _NONE for word in words)


def _iso(at: float, seconds: dict[int, str]) -> str:
    """A time as `to_iso` writes it: what happens together is of few seconds."""
    whole, thousandths = divmod(int(at * 1000), 1000)
    begin = seconds.get(whole)
    if begin is None:
        begin = seconds[whole] = to_iso(float(whole))[:-4]
    return f"{begin}{thousandths:03d}Z"


def _as_it_is(value: str) -> str:
    return value


def _hash(secret: bytes, hook: str, kind: str, value: str) -> str:
    """The word for a person at one hook: the same for ever there, and another one elsewhere."""
    return Keyed(secret, _PERSON, hook, kind).of(value)


def _dumped(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:  # half of a character, from a vendor's answer
        return json.dumps(value).encode()
