"""The sentences of `gateway.core.why` about what stands in the way of the next push, and what to do
about it. Pure; as `why_words`."""

from __future__ import annotations

from gateway.core import why_words as words
from gateway.core.why_words import OPEN_APP, age, moment

NO_PHONE = (
    "No phone is registered under this id.",
    "Ask the person to log in and open the app; check which id it registers.",
)
NO_ACTIVE_PHONE = ("No phone of this person is in service.", OPEN_APP)
CONTRADICTION_TEXT = (
    "The notification's user_id or custom_id is another than the phone registered last.",
    "Compare the ids that LearnInk sends with those that the app registers.",
)


def part(name: str, state: str, reason: str, until: float | None = None) -> str:
    """A part of a lane that stops, `until` a time if that is known."""
    said = {
        "held": "is held, for the push service rejects the configuration",
        "failing": "is failing: nothing reaches the push service",
        "paused": "is paused by a person",
        "quiet": "keeps quiet" + (" for a while" if until is None else f" until {moment(until)}"),
    }.get(state, f"is {state}")
    return f"The lane {name} {said}{f' ({reason})' if reason else ''}."


def hint(name: str, state: str, hint: str) -> str:
    """What to do about it."""
    if hint:
        return hint
    if state == "paused":
        return f"Let it go on: inkpush lanes resume {name}"
    return "See what is wrong with it: inkpush lanes list"


def no_relay(relay_at: float | None) -> tuple[str, str]:
    """Nobody sends."""
    seen = "has ever reported" if relay_at is None else f"has reported since {moment(relay_at)}"
    return f"No relay {seen}, so nothing is sent.", "Start one: inkpush serve (role all or relay)."


def unknown_source(source: str) -> tuple[str, str]:
    """Nobody may say whom it may reach."""
    text = f"What comes from the source {source} waits, for the configuration has no such source."
    return text, "Add it to [[sources]] again, or cancel the event."


def in_queue(waited: float) -> str:
    """It waits its turn."""
    return f"It has waited in the queue for {age(waited)}."


def out_of_service(name: str, state: str, reason: str) -> tuple[str, str]:
    """A phone that gets nothing."""
    named = words.out_of_service(state, reason)
    return f"{name} is out of service ({named}) and gets nothing.", OPEN_APP


def denies(name: str) -> tuple[str, str]:
    """Its person shows nothing."""
    text = f"Notifications are switched off for this app on {name}."
    return text, "Ask the person to switch them on in the phone's settings, then to open the app."


def stale(name: str, seen_at: float) -> tuple[str, str]:
    """Left out for a fresher one."""
    return f"{name} is left out: {_last_heard(seen_at)}, and they have a fresher phone.", OPEN_APP


def silent_since(name: str, seen_at: float) -> tuple[str, str]:
    """Not seen for long."""
    return f"{name} is silent: {_last_heard(seen_at)}.", OPEN_APP


def _last_heard(seen_at: float) -> str:
    if seen_at:
        return f"nothing was heard of it since {moment(seen_at)}"
    return "nothing was ever heard of it"
