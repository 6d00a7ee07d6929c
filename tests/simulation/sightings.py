"""What vendors saw of each delivery and said of it, against what transports make of it.

Owns the invariants: what a transport calls not looked at was not, and what nobody looked at is
called so; what a vendor said is what is heard; and what arrives is what was sent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from providers.contract import Unavailable, Verdict
from tests.simulation.invariants.findings import Findings
from tests.simulation.invariants.pushes import MOVED_S

_UNSPOKEN = frozenset(
    {
        # the ends of a request without an answer
        "Closed",
        "ConnectionLost",
        "Full",
        "GoAway",
        "NotStarted",
        "ProtocolError",
        "StreamRefused",
        "StreamReset",
        "Timeout",
        "Unreachable",
        # the token endpoint's word, or the first look at who is asking
        "OAuthUnavailable",
        "OAuthUnreachable",
        "invalid_grant",
        "UNAUTHENTICATED",
    }
)
"""Reasons of verdicts that are no vendor's word about a push."""
_NOT_TOLD = frozenset({"ConnectionLost", "StreamRefused", "GoAway"})
"""Ends by which a client learns, on a way that loses nothing, whether it was looked at."""
_ON_ITS_WAY_S = 0.5
"""How long a push may take from its socket to its vendor, where nothing is in the way."""
_SAME = "scope", "fault", "about", "outcome_known", "looked_at"
_SAME_IF_SAID = "retry_after", "since_ms"


class Sightings:
    """How often a process sent a delivery so that a vendor may have looked at it, and how often one
    did. Two sends of one delivery look alike to a vendor, so they are counted and not matched.
    `is_prompt`: what a client writes arrives at once."""

    def __init__(self, findings: Findings, *, is_prompt: bool) -> None:
        self._findings = findings
        self._is_prompt = is_prompt
        self._sent: Counter[tuple[str, str]] = Counter()
        self._seen: Counter[tuple[str, str]] = Counter()
        self._said: dict[tuple[str, str], list[Verdict]] = {}

    def sent(self, who: str, delivery_id: str) -> None:
        """A process sends a delivery."""
        self._sent[who, delivery_id] += 1

    def said(self, who: str, delivery_id: str, verdict: Verdict) -> None:
        """A vendor answers a process about a delivery, having looked at it or not."""
        self._said.setdefault((who, delivery_id), []).append(verdict)
        if not isinstance(verdict, Unavailable) or verdict.looked_at:
            self._seen[who, delivery_id] += 1
            self._compare(who, delivery_id, "is looked at now")

    def heard(
        self, who: str, delivery_id: str, verdict: Verdict, *, is_sound: Callable[[], bool]
    ) -> None:
        """A transport tells what became of one send. `is_sound`: whether no connection that it
        may have gone by has lost anything."""
        spoken = getattr(verdict, "reason", "") not in _UNSPOKEN
        if spoken:
            said = self._said.get((who, delivery_id), [])
            if not any(_agree(one, verdict) for one in said):
                told = ", ".join(map(str, said)) or "nothing"
                self._broken("right_verdict", who, delivery_id, f"is {verdict}; was said: {told}")
        if not isinstance(verdict, Unavailable):
            return
        if not verdict.looked_at:
            self._sent[who, delivery_id] -= 1
            self._compare(who, delivery_id, verdict.reason)
        elif verdict.reason in _NOT_TOLD and not self._seen[who, delivery_id] and is_sound():
            text = f"may have been looked at ({verdict.reason}), and nobody did"
            self._broken("not_looked_at_is_told", who, delivery_id, text)

    def arrived(self, who: str, delivery_id: str, title: str, address: str) -> None:
        """A vendor reads a push of a process."""
        key = self._findings.key_of.get(delivery_id)
        if key is None:
            return
        story = self._findings.deliveries[key]
        now, phone = self._findings.truth.now, self._findings.truth.addresses[story.address]
        owners = phone.owners(now - MOVED_S - _ON_ITS_WAY_S, now)
        if self._is_prompt and story.user not in owners and not phone.is_disputed:
            text = f"of {key} reaches phone {phone.phone}, which left user {story.user}"
            self._broken("right_phone", who, delivery_id, text)
        if (title, address) != (f"{key[0]} {key[1]}", story.address):
            text = f"of {key} arrives as {title!r} at {address}"
            self._broken("as_sent", who, delivery_id, text)

    def _compare(self, who: str, delivery_id: str, text: str) -> None:
        seen, sent = self._seen[who, delivery_id], self._sent[who, delivery_id]
        if seen > sent:
            text = f"was sent {sent} times that count, and seen {seen}: {text}"
            self._broken("not_looked_at_is_true", who, delivery_id, text)

    def _broken(self, invariant: str, who: str, delivery_id: str, text: str) -> None:
        self._findings.broken(invariant, f"{who}: {delivery_id} {text}")


def _agree(said: Verdict, heard: Verdict) -> bool:
    """Whether both mean the same: by whose fault, for whom, until when."""

    def both(name: str) -> tuple[object, object]:
        return getattr(said, name, None), getattr(heard, name, None)

    return (
        type(said) is type(heard)
        and all(one == other for one, other in map(both, _SAME))
        and all(one in (None, other) for one, other in map(both, _SAME_IF_SAID))
    )
