"""Why did Mary not get it? From all that is known of one notification to a chain, and one sentence.

Pure. Owns the order of the links, which of a person's phones speaks for the verdict, and what
stands in the way of the next push. The sentences are `why_words`'. What is not known is None, and
the chain says so; nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.core import why_hints as hints
from gateway.core import why_links as sentences
from gateway.core import why_words as words
from gateway.core.attempts import Attempt, Failures
from gateway.core.instants import to_iso
from gateway.core.model import Record
from gateway.core.seen import UNKNOWN
from gateway.core.states import DeliveryState, DeviceState

SHOWN_ATTEMPTS = 5
"""How many of the last failed attempts are links of the chain."""
SILENT_RELAY_S = 60.0
"""After so long without a word of any relay, none runs: they report every few seconds."""


class Phone(NamedTuple):
    """A device as far as it matters here. `part` is the part of a lane that it is sent by. `stale`:
    it was not seen for so long that it is left out while its user has a fresher one; None: nobody
    knows."""

    device_id: int
    installation_id: str
    app: str
    provider: str
    part: str
    state: DeviceState
    state_reason: str
    registered_at: float
    last_seen_at: float
    notifications: str | None = None
    stale: bool | None = None

    def is_fresher(self, other: Phone) -> bool:
        """Whether the other one is left out for this one, if it is stale."""
        return (
            self.app == other.app
            and self.state is DeviceState.ACTIVE
            and self.last_seen_at > other.last_seen_at
            and self.notifications != "denied"
        )


class Seen(NamedTuple):
    """What a phone told of a push: each a time (or a day, for those who may know no more), None for
    "it can tell, and did not", or "unknown"."""

    received_at: str | None = UNKNOWN
    displayed_at: str | None = UNKNOWN
    opened_at: str | None = UNKNOWN


class Outcome(NamedTuple):
    """How a notification stands for one phone; of device 0 where it reached none."""

    record: Record
    failures: Failures = Failures()
    seen: Seen = Seen()


@dataclass(frozen=True, slots=True)
class Notification:
    """The notification that is asked about. Without outcomes it was not fanned out yet, or never
    could be: `rejected` says why its item was turned away, `misread` that its event was not
    understood. `status` is the event's."""

    event_id: str
    index: int | None
    source: str
    received_at: float
    occurred_at: float | None = None
    status: str = "accepted"
    outcomes: tuple[Outcome, ...] = ()
    rejected: str = ""
    misread: str = ""


class Part(NamedTuple):
    """A part of a lane that does not simply work. `state` is one of `held`, `failing`, `paused`,
    `quiet`."""

    name: str
    state: str
    reason: str = ""
    hint: str = ""
    since: float | None = None
    until: float | None = None


class Waits(NamedTuple):
    """How much waits that could not be looked through in time; None where nobody can say."""

    notifications: int | None
    events: int | None
    since: float | None


@dataclass(frozen=True, slots=True)
class Known:
    """All that is known. `parts` are those of the person's phones. `company` names a vendor,
    `explain` says what a vendor's word means, "" where nobody knows. `relay_at` is when a relay
    last reported, None if none ever did. `waits`: what could not be looked through; None: all was.
    `erased_at` is when somebody with this id was erased. `knows_source`: the configuration has the
    notification's source; what comes from another waits."""

    now: float
    phones: Sequence[Phone] = ()
    notification: Notification | None = None
    parts: Sequence[Part] = ()
    company: Callable[[str], str] = str
    explain: Callable[[str, str], str] = field(default=lambda _vendor, _word: "")
    relay_at: float | None = None
    waits: Waits | None = None
    erased_at: float | None = None
    knows_source: bool = True


class Link(NamedTuple):
    """A link of the chain: what happened, when, and by whose word. `at` is a time, or a day."""

    link: str
    at: str | None
    source: str
    text: str
    installation_id: str | None = None


class Hindrance(NamedTuple):
    """What stands in the way of a push now, and what to do about it."""

    what: str
    text: str
    do: str
    since: float | None = None
    until: float | None = None
    installation_id: str | None = None


class Why(NamedTuple):
    """The answer: `code` is the verdict for programs, one of `why_words.CODES`."""

    code: str
    verdict: str
    chain: tuple[Link, ...]
    in_the_way: tuple[Hindrance, ...]
    next: tuple[str, ...]


def why(known: Known) -> Why:
    """Answer."""
    in_the_way = tuple(_in_the_way(known))
    code, verdict, do = _verdict(known, in_the_way)
    steps = dict.fromkeys(one for one in (do, *(each.do for each in in_the_way)) if one)
    return Why(code, verdict, tuple(_chain(known)), in_the_way, tuple(steps))


# --- the chain ------------------------------------------------------------------------------------


def _chain(known: Known) -> list[Link]:
    about = known.notification
    if about is None:
        return []
    sender = sentences.sender(about.source)
    links = []
    if about.occurred_at is not None:
        text = f"That is the time {sender} gives."
        links.append(Link("occurred", to_iso(about.occurred_at), sender, text))
    received, ours = to_iso(about.received_at), words.GATEWAY
    links.append(Link("received", received, ours, f"Its event came in: {about.event_id}."))
    links.append(Link("stored", received, ours, sentences.stored(about.status, about.misread)))
    if about.rejected:
        links.append(Link("rejected", received, ours, sentences.rejected(about.rejected)))
    elif not about.misread:
        accepting = about.status == "accepting"
        text = sentences.BEING_QUEUED if accepting else sentences.QUEUED
        links.append(Link("queued", None if accepting else received, ours, text))
    names = {phone.device_id: phone.installation_id for phone in known.phones}
    for outcome in about.outcomes:
        links += _of_phone(known, outcome, names.get(outcome.record.device_id))
    return links


def _of_phone(known: Known, outcome: Outcome, phone: str | None) -> list[Link]:
    record, failures, seen = outcome
    company = known.company(record.provider) if record.provider else words.GATEWAY
    links = [
        Link("tried", to_iso(one.at), company, _attempt(known, record, one, company), phone)
        for one in reversed(failures.last[:SHOWN_ATTEMPTS])
    ]
    if failures.count > len(links) > 0:
        more = sentences.more_failures(failures.count - len(links))
        links[0] = links[0]._replace(text=f"{more} {links[0].text}")
    at = to_iso(record.at)
    if record.state is DeliveryState.DELIVERED:
        links.append(Link("taken", at, company, sentences.taken(company, record), phone))
        links += [
            Link(name, value, "the phone", text, phone)
            for name, value, text in (
                ("arrived", seen.received_at, "It arrived on the phone."),
                ("shown", seen.displayed_at, "The phone showed it."),
                ("opened", seen.opened_at, "The person opened it."),
            )
            if value not in (None, UNKNOWN)
        ]
    elif record.state is DeliveryState.PENDING:
        links.append(Link("waiting", at, words.GATEWAY, sentences.waits_since(record), phone))
    else:
        text = sentences.ended(record, company, _meaning(known, record))
        links.append(Link("ended", at, words.GATEWAY, text, phone))
    return links


def _attempt(known: Known, record: Record, attempt: Attempt, company: str) -> str:
    told = known.explain(record.provider, attempt.word)
    return sentences.attempt(company, attempt.verdict, attempt.word, told)


def _meaning(known: Known, record: Record) -> str:
    return known.explain(record.provider, record.reason) if record.provider else ""


# --- the verdict ----------------------------------------------------------------------------------

#: which phone speaks for all: the one on which the push got furthest
_RANK = {
    DeliveryState.DELIVERED: 0,
    DeliveryState.PENDING: 10,
    DeliveryState.DEAD: 20,
    DeliveryState.REFUSED: 21,
    DeliveryState.PRUNED: 22,
    DeliveryState.EXPIRED: 23,
}
_ELSE = 24
_UNSEEN = 3


def _rank(outcome: Outcome) -> tuple[int, int, float]:
    seen = (outcome.seen.opened_at, outcome.seen.displayed_at, outcome.seen.received_at)
    told = next((n for n, one in enumerate(seen) if one not in (None, UNKNOWN)), _UNSEEN)
    return _RANK.get(outcome.record.state, _ELSE), told, -outcome.record.at


def _verdict(known: Known, in_the_way: Sequence[Hindrance]) -> words.Verdict:
    about = known.notification
    if about is None:
        return _nothing(known)
    if about.misread:
        return words.misread(about.event_id, about.misread)
    if about.rejected:
        return words.turned_away(about.event_id, about.rejected)
    stops = {one.what: one.text for one in in_the_way}
    best = min(about.outcomes, key=_rank, default=None)
    is_waiting = best is None or best.record.state is DeliveryState.PENDING
    if is_waiting and "unknown_source" in stops:
        return words.stopped("unknown_source", stops["unknown_source"])
    if best is None:
        return words.not_fanned_out(known.now - about.received_at, stops)
    record = best.record
    company = known.company(record.provider) if record.provider else words.GATEWAY
    phone = next((one for one in known.phones if one.device_id == record.device_id), None)
    match record.state:
        case DeliveryState.DELIVERED:
            return _taken(known, best, company, phone)
        case DeliveryState.PENDING:
            name = "" if phone is None else f"{phone.app}/{phone.provider}/{phone.part}"
            stopped = next((one for one in known.parts if one.name == name), None)
            if stopped is not None:
                told = hints.part(*stopped[:3], stopped.until)
                return words.stopped(stopped.state, told)
            if "no_relay" in stops:
                return words.NO_RELAY
            last = best.failures.last[0] if best.failures.last else None
            told = "" if last is None else _attempt(known, record, last, company)
            return words.waiting(record, told)
        case DeliveryState.NO_DEVICE:
            since = [one.registered_at for one in known.phones if one.state is DeviceState.ACTIVE]
            came = min((at for at in since if at > record.at), default=None)
            has_phones = bool(known.phones)
            verdict = words.no_device(record, came, known.erased_at, has_phones=has_phones)
            return words.or_was_it(record, company, verdict)
        case _:
            return words.gone_wrong(record, company, _meaning(known, record))


def _taken(known: Known, best: Outcome, company: str, phone: Phone | None) -> words.Verdict:
    record, _, seen = best
    where = "" if phone is None else f" on {phone.installation_id}"
    at = record.at
    if seen.opened_at not in (None, UNKNOWN):
        return words.opened(seen.opened_at, where)
    if seen.displayed_at not in (None, UNKNOWN):
        return words.shown(seen.displayed_at, where, can_open=seen.opened_at is None)
    if seen.received_at not in (None, UNKNOWN):
        return words.arrived(seen.received_at, where, can_show=seen.displayed_at is None)
    if phone is None:
        return words.phone_gone(company, at, has_phones=bool(known.phones))
    if phone.notifications == "denied":
        return words.denied(company, at, where)
    if phone.state is not DeviceState.ACTIVE:
        return words.died_since(company, at, phone.state.value, phone.state_reason)
    if phone.stale:
        return words.silent(company, at, phone.last_seen_at)
    silences = zip(("arrived", "shown", "opened"), seen, strict=True)
    return words.taken_only(company, at, next((what for what, at in silences if at is None), ""))


def _nothing(known: Known) -> words.Verdict:
    if known.waits is not None:
        waits = known.waits
        return words.not_looked_through(waits.notifications, waits.events, waits.since)
    if known.erased_at is not None:
        return words.erased(known.erased_at)
    if not known.phones:
        return words.UNKNOWN_PERSON
    return words.NOTHING_CAME


# --- what stands in the way -----------------------------------------------------------------------


def _in_the_way(known: Known) -> list[Hindrance]:
    phones = known.phones
    active = [one for one in phones if one.state is DeviceState.ACTIVE]
    found: list[Hindrance] = []
    if not phones:
        found.append(Hindrance("no_device", *hints.NO_PHONE))
    for phone in phones:
        found += _of_one(phone, any(one.is_fresher(phone) for one in phones))
    if phones and not active:
        found.append(Hindrance("no_active_device", *hints.NO_ACTIVE_PHONE))
    found += [
        Hindrance(
            part.state,
            hints.part(part.name, part.state, part.reason, part.until),
            hints.hint(part.name, part.state, part.hint),
            part.since,
            part.until,
        )
        for part in known.parts
    ]
    about = known.notification
    waits = about is not None and _waits(about)
    if about is not None and any(words.is_contradiction(one.record) for one in about.outcomes):
        found.append(Hindrance("ids_contradict", *hints.CONTRADICTION_TEXT))
    is_silent = known.relay_at is None or known.now - known.relay_at > SILENT_RELAY_S
    if (waits or known.waits is not None) and is_silent:
        found.append(Hindrance("no_relay", *hints.no_relay(known.relay_at)))
    elif about is not None and waits and not known.knows_source:
        found.append(Hindrance("unknown_source", *hints.unknown_source(about.source)))
    elif about is not None and waits and not about.outcomes:
        since = about.received_at
        found.append(Hindrance("queue", hints.in_queue(known.now - since), words.WAIT, since))
    return found


def _of_one(phone: Phone, is_left_out: bool) -> list[Hindrance]:
    name = phone.installation_id
    found: list[Hindrance] = []
    if phone.state is not DeviceState.ACTIVE:
        told = hints.out_of_service(name, phone.state.value, phone.state_reason)
        return [Hindrance(phone.state.value, *told, installation_id=name)]
    if phone.notifications == "denied":
        found.append(Hindrance("denied", *hints.denies(name), installation_id=name))
    if phone.stale:
        seen_at = phone.last_seen_at
        say = hints.stale if is_left_out else hints.silent_since
        what = "stale" if is_left_out else "silent"
        found.append(Hindrance(what, *say(name, seen_at), seen_at or None, None, name))
    return found


def _waits(about: Notification) -> bool:
    if about.misread or about.rejected:
        return False
    states = [one.record.state for one in about.outcomes]
    return not states or DeliveryState.PENDING in states
