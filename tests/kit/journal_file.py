"""The journal as a file, read while nobody has it open: what a killed process left behind."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path


def delivery_states(database: Path, event_id: str) -> dict[tuple[int, int], str]:
    """The journaled state of an event's deliveries, by (index, device id).

    Read from a copy: opening the file itself would recover it, which is for the gateway to do.
    """
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy.db"
        for suffix in ("", "-wal"):
            source = database.with_name(database.name + suffix)
            if source.exists():
                shutil.copyfile(source, copy.with_name(copy.name + suffix))
        with closing(sqlite3.connect(copy)) as connection:
            rows = connection.execute(
                "SELECT item_index, device_id, state FROM deliveries WHERE event_id = ?",
                (event_id,),
            ).fetchall()
    return {(index, device_id): state for index, device_id, state in rows}
