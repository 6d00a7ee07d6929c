"""What arrived at the sandbox, what the phones show, and the figures of it.

Owns the memory of the sandbox. Refuses to know wires and vendors' words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from providers.sandbox.settings import Settings

ProviderName = Literal["fcm", "apns"]


@dataclass(slots=True)
class Draft:
    """What is known of a push while its request is being judged."""

    provider: ProviderName
    environment: str = "production"
    address: str = field(default="", repr=False)
    id: str = ""
    collapse_id: str = ""
    delivery_id: str = ""
    title: str = field(default="", repr=False)
    body: str = field(default="", repr=False)
    data: Mapping[str, Any] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReceivedPush:
    """A push that was answered, or deliberately was not (`status` 0, `reason` says how).

    `id` is the apns-id or FCM's message name. `collapse_id` is what replaces a notification on
    the phone: apns-collapse-id or the Android tag. `headers` is the part that steers delivery:
    topic, push_type, priority, expiration (APNs); priority, ttl, collapse_key, channel (FCM).
    `accepted`: it reached the phone. `at` is in epoch seconds.
    """

    seq: int
    provider: ProviderName
    environment: str
    address: str = field(repr=False)
    id: str
    collapse_id: str
    status: int
    reason: str
    title: str = field(repr=False)
    body: str = field(repr=False)
    data: Mapping[str, Any] = field(repr=False)
    headers: Mapping[str, str]
    at: float
    accepted: bool

    def to_json(self) -> dict[str, Any]:
        """All fields, for the control API."""
        return asdict(self)


class Record:
    """The pushes, oldest first; `push_cap` says how many of the newest are kept.

    Figures and phones always cover everything since the last `clear`.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.pushes: list[ReceivedPush] = []
        #: the words of whoever is logged in, by phone; one that is not here shows all
        self._words: dict[str, frozenset[str]] = {}
        self._seq = 0
        self._reset_figures()

    def _reset_figures(self) -> None:
        self._phones: dict[str, dict[str, ReceivedPush]] = {}
        self._outcomes: Counter[tuple[str, int, str]] = Counter()
        self._deliveries: dict[str, int] = {}
        self._accepted = 0
        self._dropped = 0
        self._repeated = 0
        self._largest_repeat = 0

    def add(self, draft: Draft, *, status: int, reason: str, accepted: bool, at: float) -> None:
        """Remember a push and what became of it."""
        self._seq += 1
        push = ReceivedPush(
            self._seq,
            draft.provider,
            draft.environment,
            draft.address,
            draft.id,
            draft.collapse_id,
            status,
            reason,
            draft.title,
            draft.body,
            draft.data,
            draft.headers,
            at,
            accepted,
        )
        self.pushes.append(push)
        self._outcomes[draft.provider, status, reason] += 1
        if accepted:
            self._deliver(push, draft.delivery_id)
        cap = self._settings.push_cap
        if cap and len(self.pushes) >= 2 * cap:
            del self.pushes[:-cap]

    def _deliver(self, push: ReceivedPush, delivery_id: str) -> None:
        self._accepted += 1
        shown = self._phones.setdefault(push.address, {})
        words = self._words.get(push.address)
        if words is not None and push.data.get("for") not in words:
            self._dropped += 1
            return
        # A push without a collapse id stands beside the others, even if it is a repeat.
        key = push.collapse_id or f"#{push.seq}"
        shown.pop(key, None)
        shown[key] = push
        if delivery_id:
            times = self._deliveries.get(delivery_id, 0) + 1
            self._deliveries[delivery_id] = times
            self._repeated += times == 2
            self._largest_repeat = max(self._largest_repeat, times)

    def log_in(self, key: str, words: Collection[str]) -> None:
        """From now on the phone with this address drops what is for nobody of these words."""
        self._words[key] = frozenset(words)

    def phone(self, key: str) -> list[ReceivedPush]:
        """What the phone with this address shows, in the order of arrival."""
        return list(self._phones.get(key, {}).values())

    def since(self, seq: int, limit: int) -> list[ReceivedPush]:
        """Pushes after `seq`, oldest first, at most `limit`."""
        if not self.pushes:
            return []
        start = max(0, seq + 1 - self.pushes[0].seq)
        return self.pushes[start : start + limit]

    def figures(self) -> dict[str, Any]:
        """Counts: all values are plain JSON."""
        by_status: dict[str, Counter[str]] = {"fcm": Counter(), "apns": Counter()}
        by_reason: dict[str, Counter[str]] = {"fcm": Counter(), "apns": Counter()}
        for (provider, status, reason), count in self._outcomes.items():
            by_status[provider][str(status)] += count
            if reason:
                by_reason[provider][reason] += count
        return {
            "requests": self._outcomes.total(),
            "accepted": self._accepted,
            "dropped": self._dropped,
            "by_status": {name: dict(counts) for name, counts in by_status.items()},
            "by_reason": {name: dict(counts) for name, counts in by_reason.items()},
            "phones": len(self._phones),
            "repeated": self._repeated,
            "largest_repeat": self._largest_repeat,
        }

    def clear(self) -> None:
        """Forget the pushes, the phones and the figures; `seq` goes on counting."""
        self.pushes.clear()
        self._reset_figures()
