"""Databases as a killed process leaves them: what came last is in the log beside the file."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_ACCEPTS = """
import asyncio, os, sys
from pathlib import Path
from gateway.core.chunks import cut
from gateway.core.model import Event
from gateway.store.sqlite import open_sqlite
from gateway.store.sqlite.holding import Holder
from tests.kit.build import NOW, item
from tests.kit.stores import sqlite_queue

async def main(path, secret, relay):
    holder = Holder("1", "host", "boot", NOW, "relay") if relay else None
    store = await open_sqlite(Path(path), holder=holder)
    await store.secret(secret.encode() * 32)
    queue = sqlite_queue(store, clock=lambda: NOW)
    for number in range(20):
        name, items = f"msg_{number}", [item(index, body="do it " * 40) for index in range(100)]
        event = Event(name, "notifications.sent", "accepted", NOW, notifications=100)
        assert await queue.accept(event, cut(name, items, received_at=NOW, deadline=NOW + 9e9))
    os._exit(9)

asyncio.run(main(*sys.argv[1:]))
"""
EVENTS = 20


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """A database with a log in which 20 events of 100 notifications are."""

    path: Path

    @property
    def log(self) -> Path:
        return self.path.with_name(self.path.name + "-wal")

    def copy_to(self, folder: Path) -> LeftBehind:
        """The same in another folder; `-shm` is made anew, as after a crash of the machine."""
        folder.mkdir(parents=True, exist_ok=True)
        copy = LeftBehind(folder / self.path.name)
        copy.path.write_bytes(self.path.read_bytes())
        copy.log.write_bytes(self.log.read_bytes())
        return copy


def left_behind(folder: Path, *, secret: str = "s", relay: bool = False) -> LeftBehind:
    """Let a process accept, and die. `secret` is one character that tells stores apart; a `relay`
    is alone on the file."""
    path = folder / "inkpush.db"
    done = subprocess.run(  # our own interpreter
        [sys.executable, "-c", _ACCEPTS, str(path), secret, "yes" if relay else ""],
        check=False,
        capture_output=True,
    )
    assert done.returncode == 9, done.stderr.decode()
    return LeftBehind(path)
