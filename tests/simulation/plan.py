"""The plan of a history: its sizes and its list of acts, all that a seed comes to.

Owns the form, and how a plan is written to a file and read from one. Two runs of one plan are the
same history, to the letter. A found fault is kept as a plan and not as a seed: what a seed comes to
changes with the next line of `drawing`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

Tier = Literal["scripted", "native"]
"""What carries the pushes: a scripted transport, or the real ones over pipes to real servers."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large everything is, and how long it takes. Seconds, unless a name says otherwise."""

    # the gateway's own settings and pace
    relays: int = 1
    chunk_items: int = 4
    claim_chunks: int = 4
    fan_outs: int = 2
    backlog: int = 32
    burst: int = 8
    flush_s: float = 0.02
    flush_rows: int = 64
    slow_s: float = 0.25
    idle_s: float = 0.5
    beat_s: float = 3.0
    follow_s: float = 2.0
    watch_s: float = 2.0
    silent_s: float = 15.0
    lease_s: float = 20.0
    max_age_s: float = 300.0
    max_attempts: int = 3
    probe_s: float = 5.0
    brake_share: float = 0.2
    brake_min_devices: int = 3
    brake_window_s: float = 60.0
    rate_per_s: float = 0.0
    ramp_s: float = 0.0
    drain_s: float = 5.0
    collapse: str = "delivery"
    """Which older pushes those of the app replace."""
    purge_s: float = 3600.0
    timeout_s: float = 5.0
    """The transport's own limit of time for a push."""
    # the world
    users: int = 5
    most_devices: int = 20
    """How many devices a user may have."""
    asks_receipts: bool = False
    """Whether phones are asked what becomes of their pushes."""
    text_bytes: int = 0
    """How much longer than short the texts of notifications are."""
    disk_s: tuple[float, float] = (0.0005, 0.008)
    vendor_s: tuple[float, float] = (0.01, 0.4)
    network_s: tuple[float, float] = (0.001, 0.05)
    # tier B alone
    connections: int = 4
    """How many connections a transport may have to one place."""
    streams: int = 1000
    """Streams that a vendor allows on a connection."""
    socket_bytes: int = 65_536
    """Bytes that may be on their way in one direction of a connection."""
    receive_window: int = 16 * 1024 * 1024
    """Bytes that a vendor lets a client have under way on a connection."""
    answer_bytes: int = 0
    """How much longer than short the vendors' answers are."""
    faults_end_s: float = 25.0
    """When the last fault is over. Then the vendors take everything that is not dead."""


class Act(NamedTuple):
    """Something that somebody does at a time: `do` is a method of `acts.Acts`."""

    at: float
    do: str
    args: Mapping[str, Any] = {}

    def __str__(self) -> str:
        given = " ".join(f"{name}={value}" for name, value in self.args.items())
        return f"{self.at:7.2f} {self.do} {given}".rstrip()


@dataclass(frozen=True, slots=True)
class Plan:
    """See the module. `noise` is the share of pushes that get a verdict of this kind by chance."""

    seed: int
    tier: Tier = "scripted"
    sizes: Sizes = Sizes()
    noise: Mapping[str, float] = field(default_factory=dict)
    acts: tuple[Act, ...] = ()

    def without(self, acts: tuple[Act, ...]) -> Plan:
        """The same with other acts."""
        return replace(self, acts=acts)

    def written(self) -> str:
        """The plan as JSON, an act a line; of the sizes only what is not the default."""
        usual = asdict(Sizes())
        sizes = {name: size for name, size in asdict(self.sizes).items() if size != usual[name]}
        head = {"seed": self.seed, "tier": self.tier, "sizes": sizes, "noise": dict(self.noise)}
        lines = [json.dumps([round(act.at, 6), act.do, dict(act.args)]) for act in self.acts]
        acts = ",\n  ".join(lines)
        return json.dumps(head)[:-1] + f', "acts": [\n  {acts}\n]}}\n'


def read_plan(path: Path) -> Plan:
    """Read a kept plan."""
    document = json.loads(path.read_text())
    known = {one.name for one in fields(Sizes)}
    sizes: dict[str, Any] = {
        name: tuple(size) if isinstance(size, list) else size
        for name, size in document["sizes"].items()
        if name in known
    }
    return Plan(
        seed=document["seed"],
        tier=document["tier"],
        sizes=Sizes(**sizes),
        noise=document["noise"],
        acts=tuple(Act(at, do, args) for at, do, args in document["acts"]),
    )
