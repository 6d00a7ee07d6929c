"""Drawing what tier B adds to a plan: its sizes, and what goes wrong on connections.

Owns the mixture of a native history. It has fewer faults of the store and of people than a scripted
one, and no wrong clock: those are tier A's matter.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

from tests.simulation.plan import Act, Sizes

WIRE_FAULTS = {
    "reset": 0.2,
    "swallow": 0.15,
    "stall": 0.2,
    "door": 0.2,
    "go_away": 0.25,
    "limit": 0.2,
    "narrow": 0.15,
    "withhold": 0.1,
    "refuse_streams": 0.1,
    "reset_streams": 0.1,
    "tokens": 0.12,
    "crowd": 0.05,
    "encore": 0.12,
    "asleep": 0.04,
    "moved": 0.06,
}
NATIVE_FAULTS = {
    "kill": 0.15,
    "kill_at_step": 0.12,
    "crash_loop": 0.02,
    "stop": 0.15,
    "drain": 0.12,
    "reload": 0.15,
    "store": 0.1,
    "noise": 0.6,
    "mood": 0.3,
    "culprit": 0.08,
    "uninstall": 0.25,
    "again": 0.15,
    "rotate": 0.08,
    "move": 0.04,
    "log_out": 0.05,
    "erase": 0.03,
    "poison": 0.01,
    "late": 0.05,
    "phones_off": 0.1,
} | WIRE_FAULTS
"""The share of the native histories in which each fault is switched on."""

_CODES = (2, 3, 8, 11, 13)
"""INTERNAL_ERROR, FLOW_CONTROL_ERROR, CANCEL, ENHANCE_YOUR_CALM, HTTP_1_1_REQUIRED. The sandbox
resets with REFUSED_STREAM by itself."""


def native_sizes(lots: Random, sizes: Sizes, on: set[str]) -> Sizes:
    """The sizes of a native history, made of those of a scripted one."""
    # only long texts come to the end of a connection's window
    text_bytes = 3_600 if "withhold" in on else lots.choice((0, 0, 400, 2_500))
    # a narrow way takes long for long texts, in good health too
    narrowest = 600 if text_bytes < 1_000 else 65_536
    drawn = replace(
        sizes,
        relays=lots.choice((1, 1, 1, 1, 1, 2)),
        vendor_s=(0.005, lots.choice((0.05, 0.2, 0.4))),
        timeout_s=lots.choice((2.0, 3.0, 8.0)),
        burst=lots.choice((2, 8, 128)),
        connections=lots.choice((1, 2, 4)),
        streams=lots.choice((2, 8, 1000)),
        socket_bytes=lots.choice((narrowest, 4_096, 65_536)),
        faults_end_s=lots.choice((8.0, 12.0, 20.0)),
        # pushes that hang outlast a short drain
        drain_s=1.0 if "drain" in on else sizes.drain_s,
        text_bytes=text_bytes,
    )
    return _crowded(drawn) if "crowd" in on else drawn


def _crowded(sizes: Sizes) -> Sizes:
    """Sizes with which one batch fills the windows of a connection, both ways."""
    return replace(
        sizes,
        chunk_items=20,
        claim_chunks=8,
        backlog=128,
        rate_per_s=0.0,
        timeout_s=8.0,
        burst=128,
        connections=1,
        streams=1000,
        socket_bytes=65_536,
        text_bytes=3_600,
        receive_window=65_535,
        answer_bytes=8_000,
    )


def wire_faults(lots: Random, sizes: Sizes, fault: str) -> list[Act]:
    """One fault of connections, one to three times; or batches that are in need of them."""
    if fault in ("crowd", "encore", "asleep"):
        return _batches(lots, sizes, fault)
    if fault == "moved":
        return _moved(lots, sizes)
    acts = []
    place = lots.choice(("production", "production", "sandbox", "fcm", "fcm"))
    for _ in range(lots.randint(1, 3)):
        seconds = lots.choice((0.5, 2.0, 6.0, 15.0))
        nth = lots.choice((0, 0, 1, 2))
        direction = lots.choice(("out", "in", "both"))
        args: dict[str, Any] = {"place": place, "nth": nth}
        match fault:
            case "reset":
                pass
            case "swallow":
                args |= {"direction": direction, "for_good": lots.random() < 0.3}
            case "stall":
                args |= {"direction": direction, "seconds": seconds}
            case "door":
                del args["nth"]
                args |= {"how": lots.choice(("refuses", "silent", "slow")), "seconds": seconds}
            case "go_away":
                args["seconds"] = lots.choice((None, 0.01, 1.0))
            case "limit":
                args["streams"] = lots.choice((0, 0, 1, 3))
                args["seconds"] = lots.choice((seconds, seconds, None))
                args["new"] = lots.random() < 0.3
            case "narrow":
                args |= {"window": lots.choice((0, 100, 400)), "seconds": seconds}
            case "withhold":
                args["seconds"] = lots.choice((seconds, None))
            case "refuse_streams":
                args["seconds"] = seconds
            case "reset_streams":
                del args["nth"]
                args |= {"code": lots.choice(_CODES), "share": lots.choice((0.1, 0.5))}
                args["seconds"] = seconds
            case "tokens":
                args = {"how": lots.choice(("away", "ill", "refuses", "silent", "well"))}
                args |= {"seconds": seconds, "expire": lots.random() < 0.7}
            case _:
                raise AssertionError(fault)
        at = 1.0 + lots.random() * (0.9 * sizes.faults_end_s - 1.0)
        acts.append(Act(round(at, 4), fault, args))
    return acts


def _moved(lots: Random, sizes: Sizes) -> list[Act]:
    """All phones change hands while pushes for their former users wait for a connection."""
    at = round(2.0 + lots.random() * (0.6 * sizes.faults_end_s - 2.0), 4)
    users = list(range(sizes.users))
    acts = []
    for place in ("production", "sandbox", "fcm"):
        acts.append(Act(at, "door", {"place": place, "how": "slow", "seconds": 6.0}))
        acts += [Act(at, "reset", {"place": place, "nth": nth}) for nth in range(sizes.connections)]
    acts.append(Act(round(at + 0.1, 4), "batch", {"event": "moved", "users": users}))
    for phone in range(2 * sizes.users):
        user = (phone + 1) % sizes.users
        acts.append(Act(round(at + 0.5, 4), "register", {"phone": phone, "user": user}))
    return acts


def _batches(lots: Random, sizes: Sizes, fault: str) -> list[Act]:
    """Many at once; or some long after the faults, when connections are quiet or have died in their
    sleep."""

    def batch(event: str, count: int, **when: float) -> Act:
        users = [lots.randrange(sizes.users) for _ in range(count)]
        return Act(2.0, "batch", {"event": event, "users": users, **when})

    if fault == "crowd":
        return [batch("crowd", 40), batch("crowd_after", 40, after_s=lots.choice((18.0, 45.0)))]
    if fault == "asleep":
        at = round(sizes.faults_end_s - 0.01, 4)
        lost = {"place": "fcm", "direction": lots.choice(("in", "both")), "for_good": True}
        dead = [Act(at, "swallow", lost | {"nth": nth}) for nth in range(sizes.connections)]
        return [*dead, batch("morning", 12, after_s=270.0)]
    waits = lots.choice(((18.0, 45.0), (45.0, 75.0)))
    return [batch(f"encore_{wait:.0f}", 12, after_s=wait) for wait in waits]
