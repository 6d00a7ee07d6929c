"""The machine's own clocks, which a gateway uses unless it is given others."""

from __future__ import annotations

import time
from typing import cast

from gateway.core.clocks import Clocks, MonotonicClock, WallClock

SYSTEM = Clocks(cast(WallClock, time.time), cast(MonotonicClock, time.monotonic))
