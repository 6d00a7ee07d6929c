"""The distributed form, while its parts are killed in full flow: nothing lost, and little repeated.

50 000 notifications; KILL_PUSHES says another number.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from tests.kit.audience import notifications_to
from tests.kit.deployment import (
    IN_DOUBT_S,
    STREAM,
    Deployment,
    all_of,
    deployment,
    longest_gap,
    repeats_of,
)
from tests.kit.figures import Figures
from tests.kit.gateway import Installation, eventually
from tests.kit.push_log import LoggedPush, most_within
from tests.kit.retrying import RetryingSender
from tests.kit.sender import event

DEVICES = 500
EVENTS = max(10, int(os.environ.get("KILL_PUSHES", "50000")) // DEVICES)
PUSHES = DEVICES * EVENTS
RATE = 700
"""Pushes a second to each of the two vendors, from all relays together."""
LEASE_S = 6.0
MOST_QUEUED = 2_000
"""So few that the sender has events left when the last thing breaks."""
LONGEST_S = 120 + PUSHES / 200


@dataclass
class Fault:
    """Something that was broken, when, and how long after it the sender's next event was taken."""

    what: str
    at: float
    taken_after_s: float = 0.0


async def test_a_killed_relay_a_killed_stream_leader_and_a_database_that_goes_away_lose_nothing(
    installation: Installation, vendor_keys: Path, figures: Figures
) -> None:
    async with deployment(
        installation,
        vendor_keys,
        devices=DEVICES,
        events=EVENTS,
        relays=3,
        rate_per_s=RATE,
        lease_s=LEASE_S,
    ) as site:
        relays = [await site.relay(place) for place in range(2)]
        ingests = [await site.ingest(), await site.ingest()]
        sender = RetryingSender(ingests, lambda: event(notifications_to(site.audience)))
        began = time.monotonic()
        sending = asyncio.create_task(
            sender.send_all(
                range(EVENTS), ready=lambda n: n * DEVICES - len(site.log) < MOST_QUEUED
            )
        )

        await site.arrived(PUSHES * 3 // 20)
        await relays[0].kill()
        killed = Fault("kill -9 of a relay", time.monotonic())
        in_doubt = await site.not_journaled(0, killed.at)
        before = set(sender.taken)
        relays[0] = await site.relay(2)
        await taken_again(sender, killed)
        await site.arrived(PUSHES * 6 // 20)
        led = await kill_the_leader(site, sender)
        await site.arrived(PUSHES * 10 // 20)
        restarted = await restart_postgres(site, sender, "restart", signal.SIGINT)
        await site.arrived(PUSHES * 14 // 20)
        crashed = await restart_postgres(site, sender, "crash", signal.SIGQUIT)
        faults = [killed, led, restarted, crashed]
        async with asyncio.timeout(LONGEST_S):
            await sending
        sent_at = time.monotonic()
        await site.until_delivered(PUSHES, within_s=LONGEST_S)
        ended = time.monotonic()
        assert await site.delivered() == all_of(EVENTS, DEVICES)
        await nothing_is_left(site)
        for process in (*relays, *ingests):
            assert await process.terminate() == 0

    pushes = site.log.read()
    repeats = repeats_of(pushes)
    first_place = [push for push in pushes if push.place == 0]
    most = most_within(IN_DOUBT_S, first_place)
    doubts = {push.key for push in in_doubt}
    others = {key: each for key, each in repeats.items() if key not in doubts}
    by_fault = by_time(others, faults)
    by_fault[killed.what] += len(repeats) - len(others)
    taken_over = max(push.at for push in pushes if push.event in before) - killed.at
    marks = [began, *(fault.at for fault in faults), sent_at, ended]
    figures(
        f"{PUSHES} notifications in {ended - began:.1f} s ({PUSHES / (ended - began):.0f}/s), "
        f"0 lost, {len(repeats)} repeated under the same id; phases "
        + "/".join(f"{b - a:.1f}" for a, b in pairwise(marks))
        + f" s; at the kill {len(in_doubt)} were not journaled (at most {most}); what waited "
        f"then was out {taken_over:.1f} s after it (lease {LEASE_S:g} s)"
    )
    for fault, end in zip(faults, [*(fault.at for fault in faults[1:]), ended], strict=True):
        figures(
            f"{fault.what}: {sender.refusals(fault.at, end)} 503s, the next event taken after "
            f"{fault.taken_after_s:.1f} s, longest time without a push "
            f"{longest_gap(pushes, fault.at, end):.1f} s, {by_fault[fault.what]} repeats"
        )
    assert {push.key for push in pushes} == all_of(EVENTS, DEVICES)
    assert site.says.get("under another id", 0) == 0
    assert site.says.get("not understood", 0) == 0
    assert len(in_doubt) <= most
    for fault in faults:
        assert by_fault[fault.what] <= most_within(IN_DOUBT_S, pushes), fault.what
    assert by_fault[killed.what] <= len(in_doubt)
    assert sender.taken == set(range(EVENTS))


async def kill_the_leader(site: Deployment, sender: RetryingSender) -> Fault:
    """Kill the stream's leader, which comes back when the two others have got over it."""
    leader = await site.nats.leader_of(STREAM)
    leader.kill()
    fault = Fault("kill -9 of the stream's leader", time.monotonic())
    await taken_again(sender, fault)
    leader.start()
    return fault


async def restart_postgres(
    site: Deployment, sender: RetryingSender, what: str, how: signal.Signals
) -> Fault:
    """Stop PostgreSQL, and start it when a sender has noticed."""
    fault = Fault(f"{what} of PostgreSQL", time.monotonic())
    await asyncio.to_thread(site.databases.cluster.stop, how)
    await eventually("a 503", lambda: sender.refusals(fault.at, time.monotonic()) > 0)
    await asyncio.to_thread(site.databases.cluster.start)
    await taken_again(sender, fault)
    return fault


async def taken_again(sender: RetryingSender, fault: Fault) -> None:
    """Wait until an event was taken after a fault."""
    await eventually("an event is taken", lambda: sender.first_taken(fault.at) is not None)
    taken_at = sender.first_taken(fault.at)
    assert taken_at is not None
    fault.taken_after_s = taken_at - fault.at


async def nothing_is_left(site: Deployment) -> None:
    """Wait until no chunk waits and no event is half accepted."""

    async def empty() -> bool:
        rows = await site.rows("SELECT count(*) FROM events WHERE status <> 'accepted'")
        return bool(rows[0][0] == 0)

    await eventually("all events are accepted", empty)


def by_time(
    repeats: dict[tuple[int, int], list[LoggedPush]], faults: list[Fault]
) -> dict[str, int]:
    """Pushes of what had come before, by the last fault before them."""
    counts = {fault.what: 0 for fault in faults}
    for each in repeats.values():
        for again in each[1:]:
            cause = [fault for fault in faults if fault.at <= again.at]
            assert cause, "a repeat before anything broke"
            counts[cause[-1].what] += 1
    return counts
