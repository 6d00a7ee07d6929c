"""Hearing from apps between registrations, on SQLite.

Owns the mark of it in the registry, in the transaction of whoever was told: receipts.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping


def seen(
    connection: sqlite3.Connection, sql: Mapping[str, str], heard: Mapping[int, float]
) -> None:
    """Note when something came from the apps of these devices, by the gateway's time; to the hour.
    A device that is gone is left out."""
    connection.executemany(
        sql["device_heard"], [{"id": device_id, "at": at} for device_id, at in heard.items()]
    )
