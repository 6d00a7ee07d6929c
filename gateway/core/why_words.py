"""The sentences of `gateway.core.why`: verdicts, links, what stands in the way, what to do.

Pure. Owns every word that support reads there. They name ids and times, and never a title, a text,
an address or a phone number. A verdict is one sentence.
"""

from __future__ import annotations

from typing import NamedTuple

from gateway.core.fanout import CONTRADICTION, GONE, TOO_OLD
from gateway.core.instants import to_iso
from gateway.core.model import Record
from gateway.core.sources import LEARNINK, NO_APP, NO_TESTER
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
QUEUED = "It was queued with its event, in the same step."
BEING_QUEUED = "It is being handed to the queue."
_LOOK_ELSEWHERE = "Ask the person to look at the phone's own settings for this app."
OPEN_APP = "Ask the person to open the app: it registers at every launch."


class Verdict(NamedTuple):
    """A code, a sentence, and what to do next, "" where nothing is."""

    code: str
    sentence: str
    do: str = ""


def age(seconds: float) -> str:
    """A length of time in its largest unit."""
    for size, unit in ((86_400.0, "day"), (3_600.0, "hour"), (60.0, "minute")):
        if seconds >= size:
            count = round(seconds / size)
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return "less than a minute"


def sender(source: str) -> str:
    """Who sent an event."""
    return {LEARNINK: "LearnInk", "api": "the backend", "cli": "a person"}.get(source, source)


# --- links ----------------------------------------------------------------------------------------


def stored(status: str, misread: str) -> str:
    """What was made durable."""
    if misread:
        return f"It was stored, and not understood: {misread}."
    if status == "ignored":
        return "It was stored; it is no push."
    return "It was made durable before its sender was answered."


def rejected(reason: str) -> str:
    """An item that was turned away."""
    return f"The notification itself was turned away: {reason}."


def more_failures(count: int) -> str:
    """Attempts that are no links."""
    return f"{count} earlier attempt{'s' if count > 1 else ''} failed as well."


_VERDICTS = {
    "token_gone": "{who} says that the address is dead",
    "throttled": "{who} asked to wait",
    "unavailable": "{who} could not take it",
    "refused": "{who} refused it",
    "misconfigured": "{who} rejects the configuration",
}


def attempt(company: str, verdict: str, word: str, told: str) -> str:
    """An attempt that failed: the vendor's word, and what it means."""
    said = _VERDICTS.get(verdict, "{who} did not take it").format(who=company)
    return _with_meaning(said, word, told)


def taken(company: str, record: Record) -> str:
    """The vendor took it."""
    named = f" under the id {record.vendor_id}" if record.vendor_id else ""
    more = f" at attempt {record.attempts}" if record.attempts > 1 else ""
    return f"Taken by {company}{more}{named}."


def waits_since(record: Record) -> str:
    """A delivery that waits."""
    if record.next_at is None:
        return "It waits for its turn."
    return f"It waits; the next try is due at {to_iso(record.next_at)}."


def ended(record: Record, company: str, told: str) -> str:
    """A delivery that ended without its vendor's yes."""
    return gone_wrong(record, company, told).sentence


def _with_meaning(said: str, word: str, told: str) -> str:
    named = f" ({word})" if word else ""
    return f"{said}{named}: {told}" if told else f"{said}{named}."


# --- verdicts -------------------------------------------------------------------------------------


def opened(at: object, where: str) -> Verdict:
    """The person opened it."""
    return Verdict("opened", f"They got it and opened it{where}, at {at}.")


def shown(at: object, where: str, *, is_known: bool) -> Verdict:
    """It was shown."""
    rest = "they have not opened it" if is_known else "whether they opened it cannot be known"
    return Verdict("shown", f"The phone showed it{where}, at {at}; {rest}.")


def arrived(at: object, where: str, *, is_known: bool) -> Verdict:
    """It arrived."""
    rest = "it was not shown" if is_known else "whether it was shown cannot be known"
    return Verdict("arrived", f"It arrived{where}, at {at}; {rest}.", _LOOK_ELSEWHERE)


def taken_only(company: str, at: str, *, can_tell: bool) -> Verdict:
    """No more than that is known."""
    if can_tell:
        rest = "the phone, which can tell, has not said that it arrived: it may be off or offline"
        return Verdict("taken", f"{company} took it at {at}, and {rest}.", _LOOK_ELSEWHERE)
    rest = "whether the phone showed it cannot be known, for the app does not tell"
    return Verdict("taken", f"{company} took it at {at}; {rest}.", _LOOK_ELSEWHERE)


def phone_gone(company: str, at: str) -> Verdict:
    """Its device is the person's no more."""
    rest = "the phone has logged out, gone, or changed hands since"
    return Verdict("phone_gone", f"{company} took it at {at}; {rest}.", OPEN_APP)


def denied(company: str, at: str, where: str) -> Verdict:
    """Notifications are switched off."""
    rest = f"but notifications are switched off for this app{where}, so that nothing is shown"
    return Verdict("denied", f"{company} took it at {at}, {rest}.")


def died_since(company: str, at: str, state: str, reason: str) -> Verdict:
    """The phone went out of service after it."""
    named = f" ({reason})" if reason else ""
    return Verdict(
        "phone_gone",
        f"{company} took it at {at}, and the phone has been {state} since{named}.",
        OPEN_APP,
    )


def silent(company: str, at: str, seen_at: float) -> Verdict:
    """The phone was not seen for long."""
    rest = f"nothing was heard of the phone since {to_iso(seen_at)}" if seen_at else _NEVER
    return Verdict("silent", f"{company} took it at {at}, but {rest}.", OPEN_APP)


_NEVER = "nothing was ever heard of the app on the phone"


def not_fanned_out(waited: float, stops: dict[str, str]) -> Verdict:
    """Its turn has not come."""
    since = f"It came in {age(waited)} ago"
    if "no_relay" in stops:
        return Verdict("no_relay", f"{since} and waits in the queue, and no relay is running.")
    return Verdict("queue", f"{since} and waits in the queue for its turn.")


def stopped(state: str, told: str) -> Verdict:
    """It waits for a part of a lane."""
    return Verdict(state, f"It has not been sent yet: {told[:1].lower()}{told[1:]}")


NO_RELAY = Verdict("no_relay", "It has not been sent yet, and no relay is running.")


def waiting(record: Record, last: str) -> Verdict:
    """It waits for its next try, or for its turn."""
    due = "" if record.next_at is None else f", which is due at {to_iso(record.next_at)}"
    if last:
        tries = f"{record.attempts} attempts" if record.attempts > 1 else "an attempt"
        sentence = f"It waits for its next try{due}, after {tries}; the last word was: {last}"
        return Verdict("retrying", sentence.rstrip(".") + ".", WAIT)
    why = f" ({record.reason})" if record.reason else ""
    return Verdict("waiting", f"It waits for its turn{due}{why}.", WAIT)


def no_device(
    record: Record, came: float | None, erased_at: float | None, *, has_phones: bool = False
) -> Verdict:
    """It reached nobody. `came`: when a phone registered after it; `has_phones`: there are some
    that are out of service."""
    at, reason = to_iso(record.at), record.reason
    if is_contradiction(record):
        return Verdict(
            "ids_contradict",
            "It names one id of the phone and another value of its other id, so it was sent to "
            f"nobody (ids contradict), at {at}.",
        )
    if reason == GONE:
        return Verdict(
            "moved",
            f"The phone logged out, went, or moved to another user before it was sent, at {at}.",
            OPEN_APP,
        )
    if reason == ERASED:
        when = at if erased_at is None else to_iso(erased_at)
        return Verdict("erased", f"The person was erased at {when}, before it was sent.")
    if reason in (NO_TESTER, NO_APP):
        return Verdict(
            "source_limits",
            f"Its source may not reach this person: {reason}.",
            "Look at only_users and apps of the source in the configuration.",
        )
    why = f" ({reason})" if reason else ""
    if came is not None:
        return Verdict(
            "registered_later",
            f"No phone was registered when its turn came, at {at}{why}; one registered at "
            f"{to_iso(came)}, too late for it.",
            "Send it again, if it still matters.",
        )
    what = "in service" if has_phones else "registered"
    return Verdict("no_device", f"No phone was {what} when its turn came, at {at}{why}.")


def is_contradiction(record: Record) -> bool:
    """Whether it reached nobody for its ids."""
    return record.state is DeliveryState.NO_DEVICE and record.reason.startswith(CONTRADICTION)


def gone_wrong(record: Record, company: str, told: str) -> Verdict:
    """A delivery that ended so, on a phone or before one."""
    at, reason = to_iso(record.at), record.reason
    meaning = f": {told.rstrip('.')}" if told else ""
    named = f" ({reason})" if reason else ""
    state: str = str(record.state)
    match state:
        case "pruned":
            return Verdict(
                "pruned",
                f"{company} said at {at} that the app is no longer on the phone{named}{meaning}.",
                OPEN_APP,
            )
        case "expired":
            late = reason.startswith(TOO_OLD)
            why = f" ({reason})" if late or not reason else f" after {company} had said {reason}"
            return Verdict(
                "expired",
                f"It was too old before it could be sent, at {at}{why if reason else ''}{meaning}.",
                "Send it again, if it still matters.",
            )
        case "refused":
            return Verdict("refused", f"{company} will not take it, at {at}{named}{meaning}.")
        case "dead":
            tries = f"{record.attempts} attempt{'s' if record.attempts != 1 else ''}"
            return Verdict(
                "dead",
                f"It was given up at {at}, after {tries}{named}{meaning}.",
                f"It can be sent again: inkpush dead list --event {record.event_id}, then replay.",
            )
        case "cancelled" if reason == NEWER:
            return Verdict(
                "overtaken",
                f"A newer push took its place before it was sent, at {at} ({reason}).",
            )
        case "cancelled" if reason.startswith(SUPERSEDED):
            return Verdict(
                "superseded",
                f"What it reminds of was done before it was sent: {reason}, at {at}.",
            )
        case "cancelled":
            return Verdict("cancelled", f"It was cancelled before it was sent, at {at}{named}.")
        case "held_out":
            return Verdict("held_out", f"It is held back for an experiment, since {at}{named}.")
        case "no_device":
            return no_device(record, None, None)
        case other:
            return Verdict("ended", f"It has ended as {other}, at {at}{named}{meaning}.")


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
    return Verdict("erased", f"This person was erased at {to_iso(at)}; nothing of before is known.")


def not_looked_through(
    notifications: int | None, events: int | None, since: float | None
) -> Verdict:
    """One for this person may be among what waits."""
    when = "" if since is None else f" since {to_iso(since)}"
    of = "" if events is None else f" of {events} events"
    waits = f"{notifications} notifications{of} wait{when} and could not all be looked through"
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
    "No notification for this person came in, as far as it is kept.",
    "Look whether LearnInk sent one, and to which id.",
)
