"""Builders of the gateway's nouns: what a test does not care about has a plain default."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.core.audit import Actor
from gateway.core.model import Chunk, ChunkItem, Item, Remainder, Target
from providers.contract import Address, Environment, Platform

NOW = 1_800_000_000.0
"""2027-01-15T08:00:00Z, in epoch seconds."""
ALICE = Actor("alice@desk", "cli", reason="ticket 4711")
"""Who acts on the command line."""


def item(
    index: int = 0,
    *,
    title: str = "Hi Mary!",
    body: str = "Don't forget to complete your training today",
    path: str | None = "/learning",
    user_id: str | None = "mary",
    custom_id: str | None = None,
) -> Item:
    """One notification."""
    return Item(index, title, body, path, user_id, custom_id)


def target(
    device_id: int = 1,
    *,
    provider: str = "fcm",
    environment: Environment = Environment.PRODUCTION,
    user_id: str | None = "mary",
    seen_at: float = NOW - 1000.0,
) -> Target:
    """An active device."""
    platform = Platform.ANDROID if provider == "fcm" else Platform.IOS
    address = Address(f"address-{device_id}", platform=platform, environment=environment)
    return Target(device_id, "agent", provider, address, user_id, None, seen_at)


def chunk(
    items: Sequence[Item | tuple[Item, Sequence[Remainder]]] | None = None,
    *,
    event_id: str = "msg_1",
    deadline: float = NOW + 86_400.0,
) -> Chunk:
    """A chunk of fresh items, and of (item, remainders) that come back."""
    entries = [
        ChunkItem(entry) if isinstance(entry, Item) else ChunkItem(entry[0], tuple(entry[1]))
        for entry in ([item()] if items is None else items)
    ]
    return Chunk(event_id, 0, NOW, deadline, tuple(entries), due_at=NOW)
