"""The verdicts of `gateway.core.why`: each a code, one sentence, and what to do next.

Pure. Owns how times are told. Sentences name ids and times, and never a title, a text, an address
or a phone number.
"""

from __future__ import annotations

from typing import NamedTuple

from gateway.core.fanout import CONTRADICTION, GONE, TOO_OLD
from gateway.core.instants import to_iso
from gateway.core.model import MAYBE_TAKEN, Record
from gateway.core.sources import NO_APP, NO_TESTER
from gateway.core.states import DeliveryState

GATEWAY = "inkpush"

CODES = (
    "opened",
    "shown",
    "arrived",
    "taken",
    "denied",
    "silent",
    "phone_gone",
    "held",
    "failing",
    "paused",
    "quiet",
    "retrying",
    "waiting",
    "no_relay",
    "unknown_source",
    "queue",
    "no_device",
    "registered_later",
    "ids_contradict",
    "moved",
    "erased",
    "source_limits",
    "expired",
    "refused",
    "dead",
    "pruned",
    "overtaken",
    "superseded",
    "cancelled",
    "held_out",
    "rejected",
    "not_understood",
    "ended",
    "unknown_person",
    "nothing_came",
    "not_looked_through",
)
"""Every verdict, for programs."""

NEWER = "newer one sent"
"""The reason of a push that gave way to a newer one for the same place or person."""
SUPERSEDED = "superseded by "
"""How the reason begins of a reminder whose event came about meanwhile."""
ERASED = "erased"

WAIT = "Wait: it is sent when its turn comes."
LOOK_THERE = (
    "Ask the person to look at the phone's settings for this app: they may hide or silence it."
)
_IS_IT_ON = (
    "Ask whether the phone is on and online, and what its settings say of this app: they may hide "
    "or silence it."
)
OPEN_APP = "Ask the person to open the app: it registers at every launch."


class Verdict(NamedTuple):
    """A code, a sentence, and what to do next, "" where nothing is."""

    code: str
    sentence: str
    do: str = ""


def moment(at: float | str) -> str:
    """A time as people read it; of those who may know the day alone, the day."""
    text = at if isinstance(at, str) else to_iso(at)
    return f"{text[:_DAY]} {text[_DAY + 1 : _SECOND]} UTC" if len(text) > _DAY else text


def when(at: float | str) -> str:
    """The same in a sentence."""
    text = moment(at)
    return f"at {text}" if len(text) > _DAY else f"on {text}"


_DAY, _SECOND = len("2027-01-15"), len("2027-01-15T08:00:00")


def age(seconds: float) -> str:
    """A length of time in its largest unit."""
    for size, unit in ((86_400.0, "day"), (3_600.0, "hour"), (60.0, "minute")):
        if seconds >= size:
            count = round(seconds / size)
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return "less than a minute"


def within(told: str) -> str:
    """What a word means, behind it and within a sentence; names keep their capitals."""
    told = told.rstrip(".")
    is_name = told[1:2].isupper()
    return f": {told if is_name else told[:1].lower() + told[1:]}" if told else ""


# --- verdicts -------------------------------------------------------------------------------------


def opened(at: str, where: str) -> Verdict:
    """The person opened it."""
    return Verdict("opened", f"They got it and opened it{where}, {when(at)}.")


def shown(at: str, where: str, *, can_open: bool) -> Verdict:
    """It was shown. `can_open`: the phone would tell that it was opened."""
    rest = (
        "the phone has not said that they opened it"
        if can_open
        else "whether they opened it cannot be known"
    )
    return Verdict("shown", f"It was shown{where}, {when(at)}; {rest}.")


def arrived(at: str, where: str, *, can_show: bool) -> Verdict:
    """It arrived. `can_show`: the phone would tell that it showed it."""
    rest = (
        "the phone has not said that it showed it"
        if can_show
        else "whether it was shown cannot be known"
    )
    return Verdict("arrived", f"It arrived{where}, {when(at)}; {rest}.", LOOK_THERE)


def taken_only(company: str, at: float, could_tell: str) -> Verdict:
    """No more than that is known. `could_tell` is the first thing that the phone would tell, and
    did not: that it `arrived`, was `shown`, or `opened`; "": it tells nothing."""
    if could_tell == "arrived":
        rest = "but the phone has not said that it arrived: it may be off or offline"
        return Verdict("taken", f"{company} took it {when(at)}, {rest}.", _IS_IT_ON)
    rest = {
        "shown": "the phone has not said that it showed it: it may be off, offline or silenced",
        "opened": "they have not opened it as far as is known, and whether the phone showed it "
        "cannot be known",
    }.get(could_tell, "whether the phone showed it cannot be known, for its app does not tell")
    return Verdict("taken", f"{company} took it {when(at)}; {rest}.", _IS_IT_ON)


def phone_gone(company: str, at: float, *, has_phones: bool) -> Verdict:
    """Its device is the person's no more."""
    rest = "the phone has logged out, was removed, or changed hands since"
    do = OPEN_APP if has_phones else ""
    return Verdict("phone_gone", f"{company} took it {when(at)}; {rest}.", do)


def denied(company: str, at: float, where: str) -> Verdict:
    """Notifications are switched off."""
    rest = f"but notifications are switched off for this app{where}, so that nothing is shown"
    return Verdict("denied", f"{company} took it {when(at)}, {rest}.")


def died_since(company: str, at: float, state: str, reason: str) -> Verdict:
    """The phone went out of service after it."""
    named = out_of_service(state, reason)
    rest = f"and the phone has gone out of service since ({named})"
    return Verdict("phone_gone", f"{company} took it {when(at)}, {rest}.", OPEN_APP)


def out_of_service(state: str, reason: str) -> str:
    """The state of a phone that gets nothing, and why."""
    return f"{state}: {reason}" if reason else state


def silent(company: str, at: float, seen_at: float) -> Verdict:
    """The phone was not seen for long."""
    rest = f"nothing was heard of the phone since {moment(seen_at)}" if seen_at else _NEVER
    return Verdict("silent", f"{company} took it {when(at)}, but {rest}.", OPEN_APP)


_NEVER = "nothing was ever heard of the app on the phone"


def not_fanned_out(waited: float, stops: dict[str, str]) -> Verdict:
    """Its turn has not come."""
    since = f"It came in {age(waited)} ago"
    if "no_relay" in stops:
        return Verdict("no_relay", f"{since} and waits in the queue, for no relay is running.")
    return Verdict("queue", f"{since} and waits in the queue for its turn.")


def stopped(state: str, told: str) -> Verdict:
    """It waits for a part of a lane."""
    return Verdict(state, f"It has not been sent yet: {told[:1].lower()}{told[1:]}")


NO_RELAY = Verdict("no_relay", "It has not been sent yet, for no relay is running.")


def waiting(record: Record, last: str) -> Verdict:
    """It waits for its next try, or for its turn."""
    due = "" if record.next_at is None else f", due {when(record.next_at)}"
    if last:
        tries = f"{record.attempts} attempts" if record.attempts > 1 else "an attempt"
        sentence = f"After {tries} it waits for the next one{due}; the last time, {last}"
        return Verdict("retrying", sentence, WAIT)
    why = f" ({record.reason})" if record.reason else ""
    return Verdict("waiting", f"It waits for its turn{due}{why}.", WAIT)


def no_device(
    record: Record, came: float | None, erased_at: float | None, *, has_phones: bool = False
) -> Verdict:
    """It reached nobody. `came`: when a phone registered after it; `has_phones`: there are some
    that are out of service."""
    at, reason = when(record.at), record.reason
    if is_contradiction(record):
        return Verdict(
            "ids_contradict",
            "One of its ids is the phone's and the other is not, so it was sent to nobody (ids "
            f"contradict), {at}.",
        )
    if reason == GONE:
        return Verdict(
            "moved",
            "The phone logged out, went out of service, or moved to another user before it was "
            f"sent, {at}.",
            OPEN_APP if has_phones else "",
        )
    if reason == ERASED:
        then = at if erased_at is None else when(erased_at)
        return Verdict("erased", f"The person was erased {then}, before it was sent.")
    if reason in _LIMITS:
        return Verdict(
            "source_limits",
            f"{_LIMITS[reason]}, so it was sent to nobody, {at}.",
            "Look at only_users and apps of the source in the configuration.",
        )
    why = f" ({reason})" if reason else ""
    if came is not None:
        return Verdict(
            "registered_later",
            f"No phone was registered when its turn came, {at}{why}; one registered "
            f"{when(came)}, too late for it.",
            "Send it again, if it still matters.",
        )
    what = "in service" if has_phones else "registered"
    return Verdict("no_device", f"No phone was {what} when its turn came, {at}{why}.")


_LIMITS = {
    NO_TESTER: "Its source may reach test users alone, and this person is none of them",
    NO_APP: "Its source may not reach the app that this person has",
}


def is_contradiction(record: Record) -> bool:
    """Whether it reached nobody for its ids."""
    return record.state is DeliveryState.NO_DEVICE and record.reason.startswith(CONTRADICTION)


def or_was_it(record: Record, company: str, verdict: Verdict) -> Verdict:
    """A verdict that it did not get through, where an answer of the vendor was lost."""
    if record.vendor_id != MAYBE_TAKEN:
        return verdict
    sentence = verdict.sentence.removesuffix(".")
    rest = f"but {company} may have taken it, for an answer was lost"
    return verdict._replace(sentence=f"{sentence}; {rest}.")


def gone_wrong(record: Record, company: str, told: str) -> Verdict:
    """A delivery that ended so, on a phone or before one."""
    return or_was_it(record, company, _gone_wrong(record, company, told))


def _gone_wrong(record: Record, company: str, told: str) -> Verdict:
    at, reason = when(record.at), record.reason
    meaning = within(told)
    named = f" ({reason})" if reason else ""
    state: str = str(record.state)
    match state:
        case "pruned":
            return Verdict(
                "pruned",
                f"{company} said {at} that it no longer finds the app on the phone{named}"
                f"{meaning}.",
                OPEN_APP,
            )
        case "expired":
            if reason.startswith(TOO_OLD) or not reason:
                dated = reason.removeprefix(TOO_OLD).removeprefix(": ")
                why = f": {dated}" if dated else ""
            else:
                why = f"; before that, {company} had said {reason}{meaning}"
            return Verdict(
                "expired",
                f"When it could have been sent, {at}, it was too old{why}.",
                "Send it again, if it still matters.",
            )
        case "refused":
            return Verdict(
                "refused",
                f"{company} refused it for good, {at}{named}{meaning}.",
                "Do not send it again as it is, for that brings the same answer; tell whoever runs "
                "the gateway.",
            )
        case "dead":
            tries = f"{record.attempts} attempt{'s' if record.attempts != 1 else ''}"
            return Verdict(
                "dead",
                f"It was given up {at}, after {tries}{named}{meaning}.",
                f"It can be sent again: inkpush dead list --event {record.event_id} tells its "
                "number for inkpush dead replay.",
            )
        case "cancelled" if reason == NEWER:
            return Verdict(
                "overtaken",
                f"A newer push took its place before it was sent, {at}.",
            )
        case "cancelled" if reason.startswith(SUPERSEDED):
            return Verdict(
                "superseded",
                "What it reminds of was done before it was sent "
                f"({reason.removeprefix(SUPERSEDED)}), {at}.",
            )
        case "cancelled":
            return Verdict(
                "cancelled",
                f"It was cancelled before it was sent, {at}{named}.",
                f"See who cancelled it: inkpush audit --what {record.event_id}",
            )
        case "held_out":
            return Verdict("held_out", f"It is held back for an experiment{named}, {at}.")
        case "no_device":
            return no_device(record, None, None)
        case other:
            return Verdict("ended", f"It has ended as {other}, {at}{named}{meaning}.")


def turned_away(event_id: str, reason: str) -> Verdict:
    """Its item was rejected at the door."""
    return Verdict(
        "rejected",
        f"It came in with {event_id} and was turned away at the door: {reason}.",
        "Its sender has to mend that; nothing of it can be sent.",
    )


def misread(event_id: str, reason: str) -> Verdict:
    """Its event was quarantined."""
    return Verdict(
        "not_understood",
        f"Its event {event_id} was stored and not understood, so nothing of it was sent: {reason}.",
        f"After an upgrade that reads it: inkpush events replay {event_id}.",
    )


def erased(at: float) -> Verdict:
    """Nothing is known any more."""
    return Verdict("erased", f"This person was erased {when(at)}; nothing of before is known.")


def not_looked_through(
    notifications: int | None, events: int | None, since: float | None
) -> Verdict:
    """One for this person may be among what waits."""
    so_long = "" if since is None else f" since {moment(since)}"
    of = "" if events is None else f" of {events} events"
    waits = f"{notifications} notifications{of} wait{so_long} and could not all be looked through"
    if notifications is None:
        waits = "the queue could not be asked"
    return Verdict(
        "not_looked_through",
        f"Nothing for this person is on record, but {waits}: one may wait for them.",
        "Ask again later, when less waits.",
    )


UNKNOWN_PERSON = Verdict(
    "unknown_person",
    "Nothing is known under this id: neither a phone nor a notification.",
    "Check the spelling, and which id the app registers: user_id or custom_id (--by).",
)
NOTHING_CAME = Verdict(
    "nothing_came",
    "No notification for this person has come in, as far back as they are kept.",
    "Look in LearnInk whether one was sent, and to which id.",
)
