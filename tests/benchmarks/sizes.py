"""How much each benchmark does: in full, and quickly."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sizes:
    """Counts are of pushes, notifications or devices; times in seconds.

    The `sdk` ones are for transports and clients that need a hundred times longer for each.
    """

    rounds: int
    runs: int
    native: int
    aioapns: int
    aiohttp: int
    firebase: int
    sdk: int
    notifications: int
    sdk_notifications: int
    devices: int
    few_devices: int
    many_devices: int
    ack_backlog: int
    ack_posts: int
    acks_per_s: float
    queued: int
    watch_s: float


FULL = Sizes(
    rounds=3,
    runs=2,
    native=200_000,
    aioapns=20_000,
    aiohttp=30_000,
    firebase=3_000,
    sdk=5_000,
    notifications=100_000,
    sdk_notifications=5_000,
    devices=100_000,
    few_devices=10_000,
    many_devices=1_000_000,
    ack_backlog=300_000,
    ack_posts=120,
    acks_per_s=4.0,
    queued=1_000_000,
    watch_s=60.0,
)
QUICK = Sizes(
    rounds=2,
    runs=1,
    native=40_000,
    aioapns=4_000,
    aiohttp=5_000,
    firebase=500,
    sdk=500,
    notifications=20_000,
    sdk_notifications=500,
    devices=10_000,
    few_devices=10_000,
    many_devices=100_000,
    ack_backlog=60_000,
    ack_posts=20,
    acks_per_s=4.0,
    queued=50_000,
    watch_s=5.0,
)
