"""What arrived at the sandbox, what the phones show, and the figures of it.

Owns the memory of the sandbox. Refuses to know wires and vendors' words.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from providers.sandbox.handset import Fate
from providers.sandbox.phonebook import BadPhone, Phone, Phonebook, PhoneChange
from providers.sandbox.received import Draft, ReceivedPush
from providers.sandbox.settings import Settings


class Record:
    """The pushes, oldest first; `push_cap` says how many of the newest are kept.

    Figures and phones always cover everything since the last `clear`.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.pushes: list[ReceivedPush] = []
        #: phones that somebody spoke of; all others are on and show everything
        self._book = Phonebook()
        self._seq = 0
        self._reset_figures()

    def _reset_figures(self) -> None:
        self._shown: dict[str, dict[str, ReceivedPush]] = {}
        self._outcomes: Counter[tuple[str, int, str]] = Counter()
        self._deliveries: dict[str, int] = {}
        self._accepted = 0
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
            self._deliver(push, draft)
        cap = self._settings.push_cap
        if cap and len(self.pushes) >= 2 * cap:
            del self.pushes[:-cap]

    def _deliver(self, push: ReceivedPush, draft: Draft) -> None:
        self._accepted += 1
        if delivery_id := draft.delivery_id:
            times = self._deliveries.get(delivery_id, 0) + 1
            self._deliveries[delivery_id] = times
            self._repeated += times == 2
            self._largest_repeat = max(self._largest_repeat, times)
        phone = self._book.phones.get(push.address)
        if phone is not None:
            self._book.deliver(phone, push, draft)
            return
        shown = self._shown.setdefault(push.address, {})
        # A push without a collapse id stands beside the others, even if it is a repeat.
        key = push.collapse_id or f"#{push.seq}"
        shown.pop(key, None)
        shown[key] = push

    # --- phones -------------------------------------------------------------------------------

    def change_phone(self, key: str, change: PhoneChange, at: float) -> None:
        """Tell the phone with this address something. BadPhone: it cannot be so."""
        self._book.change(self._meet(key), change, at)

    def reinstall(self, key: str, new: str, at: float) -> None:
        """The app of a phone has a new address from now on. BadPhone: it cannot be so."""
        if new in self._shown:
            raise BadPhone("the new address is another phone's")
        self._meet(key)
        self._book.reinstall(key, new, at)

    def phone(self, key: str) -> list[ReceivedPush]:
        """What the phone with this address shows, in the order in which it came there."""
        phone = self._book.phones.get(key)
        return list(self._shown.get(key, {}).values()) if phone is None else phone.shown()

    def phone_json(self, key: str, now: float) -> dict[str, Any]:
        """All there is to see of a phone."""
        phone = self._book.phones.get(key)
        if phone is None:
            phone = Phonebook().meet(key, self.phone(key))
        return phone.to_json(key, now)

    def phones_spoken_of(self) -> list[str]:
        """The addresses of the phones that were told anything."""
        return list(self._book.phones)

    def _meet(self, key: str) -> Phone:
        return self._book.meet(key, self._shown.pop(key, {}).values())

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
            "dropped": self._book.fates[Fate.DROPPED],
            "fates": {fate.value: count for fate, count in self._book.fates.items()},
            "by_status": {name: dict(counts) for name, counts in by_status.items()},
            "by_reason": {name: dict(counts) for name, counts in by_reason.items()},
            "phones": len(self._shown) + len(self._book.phones),
            "repeated": self._repeated,
            "largest_repeat": self._largest_repeat,
        }

    def clear(self) -> None:
        """Forget the pushes, the phones and the figures; `seq` goes on counting."""
        self.pushes.clear()
        self._book.clear()
        self._reset_figures()
