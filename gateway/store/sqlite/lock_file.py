"""The lock file beside a database: `NAME.relay.lock`.

Owns its lock, and the line in it: who works on the database, and how far the database had come.
That line outlives the database, so it tells when an older copy was put in its place.
"""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.store.sqlite.holding import Holder

_MOST_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Reached:
    """How far a database has come. `store` stands for the database, and the numbers are the
    largest ids it ever gave: they never fall."""

    store: str
    ids: dict[str, int]


class LockFile:
    """The lock file of a database. It is never deleted: that would make two of it."""

    def __init__(self, database: Path) -> None:
        self.path = database.with_name(database.name + ".relay.lock")
        self._descriptor: int | None = None

    def take(self) -> bool:
        """Lock it until `close`. False: somebody else has it. Raises OSError."""
        while True:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                os.close(descriptor)
                if isinstance(error, BlockingIOError):
                    return False
                raise
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), self.path.stat()):
                    self._descriptor = descriptor
                    return True
            # it was deleted, or made anew, before the lock was there
            os.close(descriptor)

    def holder(self) -> Holder | None:
        """Who wrote it last; None where that cannot be read."""
        told = self._read()
        try:
            return Holder(str(told["pid"]), str(told["host"]), "", float(told["since"]))
        except (KeyError, TypeError, ValueError):
            return None

    def reached(self) -> Reached | None:
        """How far the database had come; None where that cannot be read."""
        told = self._read()
        try:
            ids = {str(name): int(largest) for name, largest in told["ids"].items()}
            return Reached(str(told["store"]), ids)
        except (KeyError, TypeError, ValueError, AttributeError):
            return None

    def write(self, holder: Holder, reached: Reached | None) -> None:
        """Replace the line. Only while it is taken. Raises OSError."""
        if self._descriptor is None:
            return
        told: dict[str, Any] = {"pid": holder.pid, "host": holder.host, "since": holder.since}
        if reached is not None:
            told |= {"store": reached.store, "ids": reached.ids}
        line = json.dumps(told).encode() + b"\n"
        os.pwrite(self._descriptor, line, 0)
        os.ftruncate(self._descriptor, len(line))

    def close(self) -> None:
        """Let go of the lock."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _read(self) -> dict[str, Any]:
        try:
            with self.path.open("rb") as file:
                told = json.loads(file.read(_MOST_BYTES))
        except (OSError, ValueError):
            return {}
        return told if isinstance(told, dict) else {}
