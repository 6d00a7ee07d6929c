"""Whether a part of a lane may send: open, or held and probing; and what it takes to hold it.

A vendor that rejects a push because of the configuration *accuses* the part. One accusation proves
little: the key may work for other phones, or a proxy may have answered. So a part is held only when
it had no success within a minute, or none among its last twenty answers. If the vendor accuses one
target only, a second, different target must be accused as well. Until then only the accused
delivery waits.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

About = Literal["part", "target"]
"""What an accusation is about: everything that the part sends, or one target."""

TRUSTED_S = 60.0
"""How long one success speaks for a part."""
ANSWERS = 20
"""This many answers without a success outweigh an earlier success."""
LONGEST_WAIT_S = 600.0
_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Accused:
    """What follows from an accusation. `held`: the part is held now; `first`: it was not before.
    The delivery waits `wait_s` seconds; 0: for as long as the part is held."""

    held: bool
    first: bool
    wait_s: float


@dataclass(slots=True)
class Breaker:
    """Holds a part that is misconfigured, and lets one push through from time to time.

    `probe_s` is the wait before the first probe; it doubles up to ten minutes. Times are monotonic.
    """

    probe_s: float = 60.0
    held: bool = False
    _probe_at: float = 0.0
    _wait: float = 0.0
    _probing: bool = False
    _taken_at: float = float("-inf")
    _since_taken: int = 0
    #: how often each target was accused in a row, the latest last
    _accused: OrderedDict[int, int] = field(default_factory=OrderedDict)

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

    @property
    def targets(self) -> Mapping[int, int]:
        """The accused targets, and how often each was accused in a row, the latest last;
        read-only."""
        return self._accused

    @property
    def accused(self) -> bool:
        """Whether any target is accused."""
        return bool(self._accused)

    def accuse(self, target: int, now: float, *, about: About, others_in_flight: bool) -> Accused:
        """The vendor rejected the configuration, on a push to `target`.

        While other pushes are in flight the part is not held: their answers come soon, and one
        success among them clears it.
        """
        self._since_taken += 1
        times = self._accused.pop(target, 0) + 1
        self._accused[target] = times
        if len(self._accused) > _REMEMBERED:
            self._accused.popitem(last=False)
        if self.held:
            if self._probing:
                self._hold(now, min(self._wait * 2.0, LONGEST_WAIT_S))
            return Accused(held=True, first=False, wait_s=0.0)
        if self._is_proven(now, about=about, others_in_flight=others_in_flight):
            self._hold(now, self.probe_s)
            return Accused(held=True, first=True, wait_s=0.0)
        wait_s = min(self.probe_s * 2.0 ** min(times - 1, 16), LONGEST_WAIT_S)
        return Accused(held=False, first=False, wait_s=wait_s)

    def took(self, now: float) -> bool:
        """The vendor took a push. True if that ends a hold; any push does."""
        self._taken_at, self._since_taken = now, 0
        return self._open()

    def cleared(self, target: int) -> None:
        """The vendor took a push to this target, or gave it any other verdict."""
        self._accused.pop(target, None)

    def answered(self) -> bool:
        """The vendor looked at a push and did not reject the configuration. True: that ends a hold.

        Only a probe's answer ends a hold: other pushes may have left before the hold began.
        """
        self._since_taken += 1
        return self._probing and self._open()

    def unclear(self, now: float) -> None:
        """The probe's answer was inconclusive; probe again later."""
        if self._probing:
            self._probing = False
            self._probe_at = now + self._wait

    def unused(self) -> None:
        """Nothing was sent as the probe: it may be any time."""
        self._probing = False

    def reset(self) -> None:
        """Open the part and forget its accusations: there is another key, or a person resumed
        it."""
        self.held, self._probing, self._wait = False, False, 0.0
        self._taken_at, self._since_taken = float("-inf"), 0
        self._accused.clear()

    # --- inside -------------------------------------------------------------------------------

    def _is_proven(self, now: float, *, about: About, others_in_flight: bool) -> bool:
        if about == "target" and len(self._accused) < 2:
            return False
        if self._since_taken >= ANSWERS:
            return True
        return now - self._taken_at > TRUSTED_S and not others_in_flight

    def _hold(self, now: float, wait: float) -> None:
        self.held, self._probing = True, False
        self._wait, self._probe_at = wait, now + wait

    def _open(self) -> bool:
        was_held, self.held = self.held, False
        self._probing, self._wait = False, 0.0
        return was_held
