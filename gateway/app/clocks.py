"""The machine's own clocks, which a gateway uses unless it is given others."""

from __future__ import annotations

import time
from functools import partial
from typing import cast

from gateway.core.clocks import Clocks, MonotonicClock, WallClock

#: It goes on while the machine sleeps, as leases and look-ups grow old meanwhile; not every system
#: has it.
_ON_AND_ON = partial(time.clock_gettime, getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))

SYSTEM = Clocks(cast(WallClock, time.time), cast(MonotonicClock, _ON_AND_ON))
