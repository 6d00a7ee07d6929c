"""Whether a part of a lane reaches its vendor. Pure; times are monotonic seconds.

A part *fails* when the vendor answers none of its pushes for a while, or answers all of them with
an error of its own (5xx). One lost push proves nothing, nor does silence while nothing was tried.
"""

from __future__ import annotations

from dataclasses import dataclass

TRIES = 2
"""Tries without an answer that are needed, unless a single one hangs for all of the time."""
FORGOTTEN_S = 60.0
"""Seconds for which a try without an answer counts, if no other follows."""


@dataclass(slots=True)
class Reachability:
    """Whether one part reaches its vendor.

    The part fails after `silent_s` without any answer, or after `broken_s` with no answers but 5xx.
    `reason` is the last failure's; it stays until the vendor answers.
    """

    silent_s: float
    broken_s: float
    failing: bool = False
    reason: str = ""
    _silent_since: float | None = None
    _hanging_since: float | None = None
    _tries: int = 0
    _tried_at: float = float("-inf")
    _broken_since: float | None = None
    _broken_answers: int = 0
    _broken_at: float = 0.0

    @property
    def is_broken(self) -> bool:
        """Whether all of the vendor's answers say that it cannot serve."""
        return self._broken_since is not None

    def trying(self, now: float) -> None:
        """A push is sent, or would be if the transport took it."""
        if self._hanging_since is None:
            self._hanging_since = now
            if now - self._tried_at > FORGOTTEN_S:
                self._silent_since, self._tries = None, 0
        if self._silent_since is None:
            self._silent_since = now

    def unanswered(self, now: float, reason: str) -> None:
        """A try ended without an answer of the vendor."""
        self.trying(now)
        self._tries += 1
        self._tried_at = now
        self.reason = reason

    def broken(self, now: float, reason: str, *, waiting: bool) -> None:
        """The vendor answered that it cannot serve."""
        self._heard(now, waiting=waiting)
        if self._broken_since is None:
            self._broken_since, self._broken_answers = now, 0
        self._broken_answers += 1
        self._broken_at = now
        self.reason = reason

    def answered(self, now: float, *, waiting: bool) -> bool:
        """The vendor looked at a push and answered. True: the part failed until now.

        `waiting`: other pushes still have no answer; their time begins anew.
        """
        self._heard(now, waiting=waiting)
        self._broken_since = None
        return self._works()

    def connected(self) -> bool:
        """There is a connection and a credential, and nothing waits for an answer. True: the part
        failed until now."""
        self._silent_since = self._hanging_since = self._broken_since = None
        self._tries = 0
        return self._works()

    def look(self, now: float, *, hanging: bool) -> bool:
        """Check whether it begins to fail now. `hanging`: a push is in flight, or waits for a
        transport that takes nothing."""
        if not hanging:
            self._hanging_since = None
        if self.failing:
            return False
        self.failing = self._is_broken_for_long(now) or self._is_silent_for_long(now)
        return self.failing

    def fail_too(self) -> None:
        """The trouble of another part stops this one as well."""
        self.failing = True

    # --- inside -------------------------------------------------------------------------------

    def _is_silent_for_long(self, now: float) -> bool:
        if self._silent_since is None or now - self._silent_since < self.silent_s:
            return False
        hanging = self._hanging_since
        if hanging is not None and now - hanging >= self.silent_s:
            return True
        # the push in flight has no answer either
        return self._tries + (hanging is not None) >= TRIES

    def _is_broken_for_long(self, now: float) -> bool:
        return (
            self._broken_since is not None
            and self._broken_answers >= TRIES
            and now - self._broken_since >= self.broken_s > now - self._broken_at
        )

    def _heard(self, now: float, *, waiting: bool) -> None:
        self._silent_since = self._hanging_since = now if waiting else None
        self._tries = 0

    def _works(self) -> bool:
        was_failing, self.failing = self.failing, False
        self.reason = ""
        return was_failing
