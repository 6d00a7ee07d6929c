"""A relay whose way to NATS or PostgreSQL stays open and carries nothing, while another goes on."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Literal

import pytest

from tests.kit.audience import notifications_to
from tests.kit.deployment import (
    BUSY_S,
    IN_DOUBT_S,
    JOURNAL_INTERVAL_S,
    all_of,
    deployment,
    repeats_of,
)
from tests.kit.figures import Figures
from tests.kit.gateway import Installation, Process, eventually
from tests.kit.push_log import most_within
from tests.kit.retrying import RetryingSender
from tests.kit.sender import event

DEVICES = 500
EVENTS = 12
LATER = 30
"""Events at most that come when the line is back, until it sends again."""
RESUMED_S = 60.0
"""What was refused is tried again after 5 s at most; then there are others' chunks to read. The
rest is for a busy machine: the figures say how long it was."""
RATE = 500
LEASE_S = 6.0
MOST_QUEUED = 4_000
TOLD_S = 30.0
"""An answer is waited for at most 4 s, and parts are asked for 2 s; the rest is for a busy one."""


@pytest.mark.parametrize("to", ["NATS", "PostgreSQL"])
async def test_a_relay_that_is_cut_off_stops_and_another_takes_over_what_it_had(
    installation: Installation,
    vendor_keys: Path,
    figures: Figures,
    to: Literal["NATS", "PostgreSQL"],
) -> None:
    async with deployment(
        installation,
        vendor_keys,
        devices=DEVICES,
        events=EVENTS + LATER,
        relays=2,
        rate_per_s=RATE,
        lease_s=LEASE_S,
    ) as site:
        ways = await site.ways()
        lines = ways.nats if to == "NATS" else [ways.postgres]
        cut_off = await site.relay(0, ways)
        other = await site.relay(1)
        ingest = await site.ingest()
        sender = RetryingSender([ingest], lambda: event(notifications_to(site.audience)))
        sending = asyncio.create_task(
            sender.send_all(
                range(EVENTS), ready=lambda n: n * DEVICES - len(site.log) < MOST_QUEUED
            )
        )
        await site.arrived(EVENTS * DEVICES // 5)
        for line in lines:
            line.hold()
        cut_at = time.monotonic()
        said = await until_not_ready(cut_off)
        told_s = time.monotonic() - cut_at
        await sending
        await site.until_delivered(EVENTS * DEVICES, within_s=180)
        taken_over_s = time.monotonic() - cut_at
        pushes = site.log.read()

        resumed_at = time.monotonic()
        for line in lines:
            line.resume()
        await eventually("ready again", cut_off.is_ready, within_s=120)
        ready_s = time.monotonic() - resumed_at
        sent = EVENTS
        while not site.log.since(resumed_at, place=0):
            assert sent < EVENTS + LATER, "it does nothing since"
            await sender.send(sent)
            sent += 1
            await site.until_delivered(sent * DEVICES, within_s=180)
        for process in (cut_off, other, ingest):
            assert await process.terminate() == 0

    everything = site.log.read()
    repeats = repeats_of(everything)
    before = [push for push in pushes if push.place == 0 and push.at <= cut_at]
    after = [push for push in pushes if push.place == 0 and push.at > cut_at]
    resumed_s = site.log.since(resumed_at, place=0)[0].at - resumed_at
    in_the_air = most_within(IN_DOUBT_S, [*before, *after])
    silent_s = max((push.at for push in after), default=cut_at) - cut_at
    figures(
        f"cut off from {to} after {len(before)} pushes of its own: {len(after)} more, the last "
        f"{silent_s:.2f} s after; /readyz said so after {told_s:.1f} s ({said}); all of "
        f"{EVENTS * DEVICES} delivered after {taken_over_s:.1f} s (lease {LEASE_S:g} s), "
        f"{len(repeats)} repeated under the same id (at most {in_the_air}: in flight, and one "
        f"journal interval); ready {ready_s:.1f} s after the line was back, and sending again "
        f"after {resumed_s:.1f} s"
    )
    assert {push.key for push in everything} == all_of(sent, DEVICES)
    assert site.says.get("under another id", 0) == 0
    assert told_s <= TOLD_S
    if to == "NATS":
        # the lease was proven at most that long ago
        assert silent_s <= LEASE_S + BUSY_S
    else:
        assert silent_s <= JOURNAL_INTERVAL_S + BUSY_S
        assert len(after) <= in_the_air
    assert len(repeats) <= in_the_air
    # the one who was cut off sent them first, and the other did again
    assert {tuple(push.place for push in each) for each in repeats.values()} <= {(0, 1)}
    assert resumed_s <= RESUMED_S


async def until_not_ready(process: Process) -> str:
    """Wait until the process says that it is not ready, and why."""
    answers = []

    async def not_ready() -> bool:
        answers.append(await process.ops("/readyz"))
        return answers[-1].status == 503

    await eventually("it says that it is not ready", not_ready, within_s=120)
    parts: dict[str, str] = answers[-1].json["parts"]
    return "; ".join(f"{name}: {said}" for name, said in parts.items() if said != "ok")
