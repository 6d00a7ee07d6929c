"""The soak: many pushes through connections that break, to vendors that are wrong 3 % of the time.

40 000 pushes by default; SOAK_PUSHES says how many, and `make soak` makes it a million. The vendors
are `tests.kit.quick_vendor`, a process of its own that counts what it took, and how often.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from providers.sandbox.credentials import server_file
from tests.kit.audience import androids, iphones, notifications_to
from tests.kit.figures import Figures
from tests.kit.gateway import Installation, Process, eventually
from tests.kit.quick_vendor import DEAD, OK, PASSING, UNKNOWN, Orders, command, fate
from tests.kit.sender import event

ROOT = Path(__file__).parents[2]
DEVICES = 20_000
EVENTS = max(2, int(os.environ.get("SOAK_PUSHES", "40000")) // DEVICES)
PUSHES = EVENTS * DEVICES
MOST_QUEUED = 3 * DEVICES
TIMEOUT_S = 5
CONNECTIONS = {"fcm": 6, "apns": 4}
LONGEST_S = 120 + PUSHES / 1000
"""A thousand a second, and the rounds of retries: slower than any machine."""
MOST_GROWTH_KB = 64 * 1024


async def test_a_soak_settles_each_push_once_and_leaves_nothing_behind(
    installation: Installation, vendor_keys: Path, figures: Figures
) -> None:
    report = installation.folder / "taken"
    orders = Orders(
        certificate=str(server_file(vendor_keys)),
        devices=DEVICES,
        events=EVENTS,
        report=str(report),
        cut_every_s=0.25 if PUSHES < 100_000 else 2.0,
        cut_until=int(0.95 * PUSHES),
        longest_s=LONGEST_S + 60,
    )
    key = await installation.key()
    async with vendor(orders) as (endpoint, counted):
        configure(installation, endpoint)
        audience = androids(range(DEVICES // 2)) + iphones(range(DEVICES // 2, DEVICES))
        await installation.register(audience)
        async with installation.serving() as gateway:
            watch = Watch(gateway)
            await watch.post_all(event(notifications_to(audience)))
            await watch.until_settled()
            for number in range(EVENTS):
                assert (await gateway.event(f"soak-{number}", key))["settled"]
            for provider, most in CONNECTIONS.items():
                assert await gateway.metric("inkpush_connections", provider=provider) <= most
            assert await gateway.metric("inkpush_inflight") == 0
            assert await gateway.metric("inkpush_prune_brake_active") == 0
            assert await gateway.terminate() == 0

    says = counted[0]
    states = check_journal(installation.folder / "inkpush.db", report.read_bytes())
    cuts = {name[5:]: count for name, count in says.items() if name.startswith("cut: ")}
    errors = {name: says.get(name, 0) for name in (DEAD, UNKNOWN, *PASSING)}
    figures(
        f"{PUSHES} pushes, 90 % settled after {watch.reached(0.9):.1f} s "
        f"({0.9 * PUSHES / watch.reached(0.9):.0f}/s), all after {watch.reached(1.0):.1f} s; "
        f"{states}; vendors said {errors} and cut connections: {cuts}; {says['requests']} "
        f"requests, {says.get('taken again', 0)} taken again, after an open outcome and under the "
        f"same id; RSS {watch.rss_at(0.25, 0.5, 0.75, 1.0)} MiB at 25/50/75/100 %; threads "
        f"{watch.samples[-1].threads}, descriptors {watch.samples[-1].descriptors}, connections "
        f"at most {says['most connections']}"
    )
    wrong = ("taken again although it was answered", "under another id", "not understood")
    assert {name: says.get(name, 0) for name in wrong} == dict.fromkeys(wrong, 0)
    assert sum(cuts.values()) >= 2
    assert all(errors.values())
    assert watch.growth_kb <= MOST_GROWTH_KB
    assert watch.samples[-1].threads <= watch.most_threads(until=0.5)
    assert watch.samples[-1].descriptors <= watch.samples[0].descriptors + sum(CONNECTIONS.values())


def configure(installation: Installation, endpoint: str) -> None:
    """Both vendors are at this place; one environment of APNs, and no brake."""
    common = {"endpoint": endpoint, "rate_per_s": 0, "timeout_s": TIMEOUT_S}
    installation.configure(
        relay={"brake_share": 1.0},
        fcm=common | {"max_connections": CONNECTIONS["fcm"]},
        apns=common | {"max_connections": CONNECTIONS["apns"], "sandbox_endpoint": None},
    )


@asynccontextmanager
async def vendor(orders: Orders) -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
    """The vendors' process: where it is, and at the end what it counted."""
    process = await asyncio.create_subprocess_exec(
        *command(orders), cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdin is not None
    counted: list[dict[str, Any]] = []
    try:
        port = json.loads(await process.stdout.readline())["port"]
        yield f"https://127.0.0.1:{port}", counted
        process.stdin.close()
        async with asyncio.timeout(60):
            counted.append(json.loads(await process.stdout.readline()))
            assert await process.wait() == 0
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@dataclass(frozen=True, slots=True)
class Sample:
    """The gateway's process at one moment; `done` is the share of deliveries that are settled."""

    after_s: float
    done: float
    rss_kb: int
    threads: int
    descriptors: int


@dataclass
class Watch:
    """Looks at the gateway all the time, from outside."""

    gateway: Process
    samples: list[Sample] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    async def post_all(self, body: bytes) -> None:
        """Post one event after the other, and never more than the queue should hold."""
        for number in range(EVENTS):
            await self.until_queued(MOST_QUEUED)
            reply = await self.gateway.post(f"soak-{number}", body)
            assert reply.json["status"] == "accepted"

    async def until_settled(self) -> None:
        """Wait until nothing is queued or under way."""
        await self.until_queued(0)
        self.look(1.0)

    async def until_queued(self, most: int) -> None:
        """Wait until so few notifications are queued or under way."""

        async def few() -> bool:
            assert not self.gateway.ended, self.gateway.lines[-5:]
            settled = await self.gateway.metric("inkpush_deliveries_total")
            self.look(min(0.999, settled / PUSHES))
            return await self.gateway.metric("inkpush_queue_depth") <= most

        await eventually(f"{most} in the queue", few, every_s=0.25, within_s=LONGEST_S)

    def look(self, done: float) -> None:
        """Take a sample."""
        proc = Path(f"/proc/{self.gateway.pid}")
        lines = (proc / "status").read_text().splitlines()
        status = dict(line.split(":", 1) for line in lines if ":" in line)
        rss_kb, threads = int(status["VmRSS"].split()[0]), int(status["Threads"])
        descriptors = sum(1 for _ in (proc / "fd").iterdir())
        after_s = time.monotonic() - self.began
        self.samples.append(Sample(after_s, done, rss_kb, threads, descriptors))

    def first(self, share: float) -> Sample:
        return next(sample for sample in self.samples if sample.done >= share)

    def reached(self, share: float) -> float:
        """After how many seconds that share was settled."""
        return self.first(share).after_s

    def rss_at(self, *shares: float) -> str:
        return "/".join(f"{self.first(share).rss_kb / 1024:.0f}" for share in shares)

    @property
    def growth_kb(self) -> int:
        """How much larger it ever was than at a quarter of the way."""
        warm = self.first(0.25)
        return max(s.rss_kb for s in self.samples if s.done >= 0.25) - warm.rss_kb

    def most_threads(self, *, until: float) -> int:
        return max(sample.threads for sample in self.samples if sample.done <= until)


def check_journal(database: Path, taken: bytes) -> dict[str, int]:
    """Hold the journal against how often the vendors took each; the deliveries by state."""
    seen = bytearray(PUSHES)
    states: Counter[str] = Counter()
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute("SELECT event_id, item_index, state FROM deliveries")
        for event_id, index, state in rows:
            number = int(event_id.removeprefix("soak-"))
            slot = number * DEVICES + index
            assert not seen[slot], "settled twice"
            seen[slot] = 1
            states[state] += 1
            if fate(number, index) in (OK, *PASSING):
                assert state == "delivered", (event_id, index, state)
                assert taken[slot] >= 1, "delivered, and the vendor never took it"
            else:
                assert state in ("pruned", "refused", "no_device"), (event_id, index, state)
                assert taken[slot] == 0
    assert all(seen), "not settled"
    return dict(states)
