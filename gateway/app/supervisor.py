"""The supervisor's socket: systemd hears when this process is ready, reads its settings anew, ends,
and that it moves.

Owns the protocol, sd_notify(3): datagrams of `NAME=value` lines to the unix socket that
NOTIFY_SOCKET names, in the file system or (with `@`) abstract. Where nobody asks, nothing is said;
a supervisor that does not listen is no fault of ours.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Mapping


class Supervisor:
    """Whoever started this process, as far as it wants to be told. `watchdog_s`: it ends a process
    of which it has not heard for so long; 0: it does not."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._stops = False
        self.watchdog_s = _watchdog_s(environment) if address else 0.0

    def ready(self) -> None:
        """Say that it works, at first or after `reloading`."""
        if not self._stops:
            self._say("READY=1")

    def reloading(self) -> None:
        """Say that settings are read anew; `ready` says that it is over."""
        self._say("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Say that it ends; there is no way back."""
        self._stops = True
        self._say("STOPPING=1")

    def moves(self) -> None:
        self._say("WATCHDOG=1")

    def _say(self, *lines: str) -> None:
        if not self._address:
            return
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as by,
        ):
            by.setblocking(False)
            by.sendto("\n".join(lines).encode(), self._address)


def _watchdog_s(environment: Mapping[str, str]) -> float:
    """What systemd asks of this process, and of no child of it."""
    usec, pid = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    if not usec.isdecimal() or (pid and pid != str(os.getpid())):
        return 0.0
    return int(usec) / 1e6
