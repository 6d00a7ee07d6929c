"""Hearing from apps between registrations, on PostgreSQL.

Owns the mark of it in the registry, in the transaction of whoever was told: receipts.
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway.store.postgres.database import Session


async def seen(session: Session, heard: Mapping[int, float]) -> None:
    """Note when something came from the apps of these devices, by the gateway's time; to the hour.
    A device that is gone is left out."""
    await session.run("devices_heard", list(heard), list(heard.values()))
