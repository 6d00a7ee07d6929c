"""The links of the chain of `gateway.core.why`, as sentences. Pure; as `why_words`."""

from __future__ import annotations

from gateway.core.model import MAYBE_TAKEN, Record
from gateway.core.sources import LEARNINK
from gateway.core.why_words import gone_wrong, when, within

QUEUED = "It was put in the queue."
BEING_QUEUED = "It is being handed to the queue."


def sender(source: str) -> str:
    """Who sent an event."""
    return {LEARNINK: "LearnInk", "api": "the backend", "cli": "a person"}.get(source, source)


def stored(status: str, misread: str) -> str:
    """What was made durable."""
    if misread:
        return f"It was stored, and not understood: {misread}."
    if status == "ignored":
        return "It was stored; it is no push."
    return "It was stored safely, and its sender was told so."


def rejected(reason: str) -> str:
    """An item that was turned away."""
    return f"The notification itself was turned away: {reason}."


def more_failures(count: int) -> str:
    """Attempts that are no links."""
    return f"{count} earlier attempt{'s' if count > 1 else ''} failed as well."


_VERDICTS = {
    "token_gone": "{who} says that the phone's address is dead",
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
    is_named = record.vendor_id not in ("", MAYBE_TAKEN)
    named = f" under the id {record.vendor_id}" if is_named else ""
    more = f" at attempt {record.attempts}" if record.attempts > 1 else ""
    return f"Taken by {company}{more}{named}."


def waits_since(record: Record) -> str:
    """A delivery that waits."""
    if record.next_at is None:
        return "It waits for its turn."
    return f"It waits; the next try is due {when(record.next_at)}."


def ended(record: Record, company: str, told: str) -> str:
    """A delivery that ended without its vendor's yes."""
    return gone_wrong(record, company, told).sentence


def _with_meaning(said: str, word: str, told: str) -> str:
    named = f" ({word})" if word else ""
    return f"{said}{named}{within(told)}."
