"""The back-off that vendors ask for, of a whole lane or of one device. Owns until when it lasts."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from gateway.core.clocks import Monotonic
from gateway.events import LaneThrottled, Observer

#: devices whose own throttling is remembered
_DEVICES = 100_000
_NEVER = Monotonic(float("-inf"))


class Silence:
    """The back-off of one lane, and of its devices: those in wall time, as in the queue."""

    def __init__(self, app: str, vendor: str, observer: Observer) -> None:
        self._app = app
        self._vendor = vendor
        self._observer = observer
        self._devices: OrderedDict[int, float] = OrderedDict()
        self._told_until = _NEVER
        self.until = _NEVER
        self.reason = ""

    def ask(self, now: Monotonic, until: Monotonic, reason: str) -> None:
        """The vendor throttled the lane, for this reason: send nothing until then."""
        if until > self.until:
            self.until, self.reason = until, reason
        self.tell(now, until, "vendor")

    def end(self) -> None:
        """End the lane's back-off: a person resumed it."""
        self.until = _NEVER

    def left(self, now: Monotonic) -> float:
        """Seconds until the lane may send; 0 when it may."""
        return max(0.0, self.until - now)

    def ask_device(self, device_id: int, until: float) -> None:
        """The vendor throttled one device. A shorter wait does not end a longer one."""
        self._devices[device_id] = max(until, self._devices.get(device_id, until))
        self._devices.move_to_end(device_id)
        if len(self._devices) > _DEVICES:
            self._devices.popitem(last=False)

    def moved(self, by: float) -> None:
        """The time in force was moved, and with it the ends of what devices wait for."""
        for device_id in self._devices:
            self._devices[device_id] += by

    @property
    def devices(self) -> Mapping[int, float]:
        """Until when devices get nothing (epoch seconds), by device id; nearly always empty."""
        return self._devices

    def tell(self, now: Monotonic, until: Monotonic, reason: str) -> None:
        """Report throttled time, each second of it once."""
        start = max(now, self._told_until)
        if until > start:
            self._told_until = until
            self._observer(LaneThrottled(self._app, self._vendor, until - start, reason))
