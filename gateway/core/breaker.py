"""Whether a lane may send: open, held, or probing with a single push."""

from __future__ import annotations

from dataclasses import dataclass

_LONGEST_WAIT_S = 600.0


@dataclass(slots=True)
class Breaker:
    """Holds a lane that is misconfigured and lets one push through from time to time.

    `probe_s` is the wait before the first probe; it doubles up to ten minutes.
    """

    probe_s: float = 60.0
    held: bool = False
    _probe_at: float = 0.0
    _wait: float = 0.0
    _probing: bool = False

    def may_send(self, now: float) -> bool:
        """Whether at least one push may go now."""
        return not self.held or (not self._probing and now >= self._probe_at)

    def allowance(self, wanted: int, now: float) -> int:
        """How many pushes may go now; while held, one at each probe time."""
        if not self.held:
            return wanted
        if wanted <= 0 or not self.may_send(now):
            return 0
        self._probing = True
        return 1

    def hold(self, now: float) -> bool:
        """The vendor says the lane is misconfigured. True when it was open or probing until now."""
        if self.held and not self._probing:
            return False
        self._wait = min(self._wait * 2.0, _LONGEST_WAIT_S) if self.held else self.probe_s
        self.held, self._probing = True, False
        self._probe_at = now + self._wait
        return True

    def answered(self) -> bool:
        """The vendor gave any other answer. True when that ends the hold."""
        ended = self.held and self._probing
        if ended:
            self.reset()
        return ended

    def unclear(self, now: float) -> None:
        """The probe had no answer that tells; probe again later."""
        if self._probing:
            self._probing = False
            self._probe_at = now + self._wait

    def probe_now(self) -> None:
        """Something was mended, perhaps: the next push may try, once a probe in flight is back."""
        self._probe_at = float("-inf")

    def reset(self) -> None:
        """Open the lane."""
        self.held, self._probing, self._wait = False, False, 0.0
