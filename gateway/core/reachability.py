"""Whether a part of a lane reaches its vendor. Pure; times are monotonic seconds.

A part *fails* when nothing it sends comes to an answer of the vendor's for a while, or when the
vendor answers nothing but that it cannot serve. A single push that is lost proves nothing, and
neither does silence while nothing was tried.
"""

from __future__ import annotations

from dataclasses import dataclass

TRIES = 2
"""So many tries without an answer are needed, where no single one lasted all that time."""
FORGOTTEN_S = 60.0
"""A try without an answer speaks against the vendor for so long, if no other follows."""


@dataclass(slots=True)
class Reachability:
    """What is known of one part's way to its vendor.

    `silent_s` is how long nothing may get an answer before the part fails, `broken_s` how long the
    vendor may answer nothing but 5xx. `reason` is what the last failure told; it stays until the
    vendor answers.
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
        """Whether the vendor answers, and nothing but that it cannot serve."""
        return self._broken_since is not None

    def trying(self, now: float) -> None:
        """Something is sent, or would be if the transport took it."""
        if self._hanging_since is None:
            self._hanging_since = now
            if now - self._tried_at > FORGOTTEN_S:
                self._silent_since, self._tries = None, 0
        if self._silent_since is None:
            self._silent_since = now

    def unanswered(self, now: float, reason: str) -> None:
        """A try came to nothing: the vendor said nothing to it."""
        self.trying(now)
        self._tries += 1
        self._tried_at = now
        self.reason = reason

    def broken(self, now: float, reason: str, *, waiting: bool) -> None:
        """The vendor answered, and only that it cannot serve."""
        self._heard(now, waiting=waiting)
        if self._broken_since is None:
            self._broken_since, self._broken_answers = now, 0
        self._broken_answers += 1
        self._broken_at = now
        self.reason = reason

    def answered(self, now: float, *, waiting: bool) -> bool:
        """The vendor looked at a push and said something of it. True: it failed until now.

        `waiting`: other pushes still are without an answer; their time begins anew.
        """
        self._heard(now, waiting=waiting)
        self._broken_since = None
        return self._works()

    def connected(self) -> bool:
        """A connection and a credential were had, and nothing waits for an answer. True: it failed
        until now."""
        self._silent_since = self._hanging_since = self._broken_since = None
        self._tries = 0
        return self._works()

    def look(self, now: float, *, hanging: bool) -> bool:
        """See whether it begins to fail now. `hanging`: something is on its way, or waits for a
        transport that takes nothing."""
        if not hanging:
            self._hanging_since = None
        if self.failing:
            return False
        self.failing = self._is_broken_for_long(now) or self._is_silent_for_long(now)
        return self.failing

    def fail_too(self) -> None:
        """What another part is stopped by stops this one as well."""
        self.failing = True

    # --- inside -------------------------------------------------------------------------------

    def _is_silent_for_long(self, now: float) -> bool:
        if self._silent_since is None or now - self._silent_since < self.silent_s:
            return False
        hanging = self._hanging_since
        if hanging is not None and now - hanging >= self.silent_s:
            return True
        # the one that is on its way has had no answer either
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
