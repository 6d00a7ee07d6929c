"""The rate limit of one lane, as arithmetic: a token bucket, a ramp from idle, and AIMD.

The bucket holds a tenth of a second of tokens, so a limit of 9 000/s allows bursts of 900 at most.
From idle the rate ramps up to the full one over `ramp_s`, because FCM asks senders to ramp over at
least 60 s; it never starts under 100/s, so that a small batch is not held back. A lane-wide 429
halves the rate. It recovers by a twentieth of the full rate per second of use, and not during a
pause that the vendor asked for. A throttled lane without a limit gets half of the rate at which it
sent. That rate then counts as its full rate until the lane has recovered to three times as much.

Replicas divide a limit evenly, without talking to each other: each takes its part of rate and ramp.
"""

from __future__ import annotations

from dataclasses import dataclass

FLOOR_PER_S = 100.0
_BURST_S = 0.1
_IDLE_S = 60.0
_RECOVERY = 0.05
_HALVE_EVERY_S = 1.0
_LONGEST_STEP_S = 1.0
_FREE_AGAIN = 3.0
_UNLIMITED = float("inf")


@dataclass(slots=True)
class Limiter:
    """How many pushes a lane may start. `rate` per second, 0 for no limit; `ramp_s` seconds.

    `replicas` is how many processes share the rate, this one included; it may be set at any time.
    `now` is a monotonic time in seconds. If it goes back all the same, the lane does not stall and
    sends no more than a bucket at once.
    """

    rate: float
    ramp_s: float = 60.0
    replicas: int = 1
    _tokens: float = 0.0
    _at: float = float("-inf")
    _active_since: float = float("-inf")
    _allowed: float = _UNLIMITED
    _halved_at: float = float("-inf")
    _estimate: float = FLOOR_PER_S
    _sent: float = 0.0
    _sent_since: float = float("-inf")

    def limit(self, now: float) -> float:
        """The rate in force, in pushes per second; infinity when there is none."""
        full = self._share or _UNLIMITED
        if full != _UNLIMITED and self.ramp_s > 0:
            active = 0.0 if now - self._at >= _IDLE_S else now - self._active_since
            ramped = full * max(0.0, active) / self.ramp_s
            full = min(full, max(FLOOR_PER_S / self.replicas, ramped))
        return min(full, self._allowed)

    def take(self, wanted: int, now: float) -> int:
        """Take up to `wanted` tokens; returns how many may go now."""
        if wanted <= 0:
            return 0
        self._advance(now)
        if self.limit(now) == _UNLIMITED:
            granted = wanted
        else:
            granted = min(wanted, int(self._tokens))
            self._tokens -= granted
        self._sent += granted
        return granted

    def give_back(self, unused: int) -> None:
        """Return tokens that were taken for pushes that did not go."""
        self._tokens += unused
        self._sent -= unused

    def wait(self, now: float) -> float:
        """Seconds until a token is available; 0 when one is."""
        limit = self.limit(now)
        if limit == _UNLIMITED:
            return 0.0
        tokens = self._tokens + limit * max(0.0, now - self._at)
        return max(0.0, 1.0 - tokens) / limit

    def throttled(self, now: float) -> None:
        """The vendor said 429 to the whole lane: halve the rate, at most once a second."""
        if now - self._halved_at < _HALVE_EVERY_S:
            return
        in_force = self.limit(now)
        # Tokens up to now were earned at the old rate, and are forfeit.
        self._advance(now)
        self._halved_at = now
        current = self.limit(now)
        if current == _UNLIMITED:
            elapsed = max(now - self._sent_since, _HALVE_EVERY_S)
            self._estimate = current = max(self._sent / elapsed, 2 * FLOOR_PER_S)
        self._allowed = max(min(current / 2.0, in_force), 1.0)
        self._tokens = min(self._tokens, 0.0)

    def _advance(self, now: float) -> None:
        """Let time pass: refill the bucket, recover from a halving, notice idleness."""
        elapsed = max(0.0, now - self._at)
        self._at = now
        if elapsed >= _IDLE_S:
            self._active_since = self._sent_since = now
            self._sent = 0.0
        if self._allowed != _UNLIMITED:
            self._recover(min(elapsed, _LONGEST_STEP_S))
        limit = self.limit(now)
        if limit != _UNLIMITED:
            self._tokens = min(self._bucket(limit), self._tokens + limit * elapsed)
        if now - self._sent_since > 10.0:
            self._sent, self._sent_since = self._sent / 2.0, now - 5.0

    @property
    def _share(self) -> float:
        """This process' part of the full rate; 0 when there is no limit."""
        return self.rate / self.replicas

    def _recover(self, seconds: float) -> None:
        self._allowed += (self._share or self._estimate) * _RECOVERY * seconds
        if self._allowed >= (self._share or self._estimate * _FREE_AGAIN):
            self._allowed = _UNLIMITED

    @staticmethod
    def _bucket(limit: float) -> float:
        return limit if limit == _UNLIMITED else max(1.0, limit * _BURST_S)
