"""Drawing a plan from a seed: who does what when, and what goes wrong.

Owns the mixture. A history switches most faults off and draws its sizes, for a uniform mixture
hides what only one fault in peace brings out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

from tests.simulation.plan import Act, Plan, Sizes, Tier
from tests.simulation.scenes import SCENES, rejected_share, scene, scene_sizes
from tests.simulation.truth import EPOCH
from tests.simulation.wire_drawing import (
    NATIVE_FAULTS,
    WIRE_FAULTS,
    native_sizes,
    wire_faults,
)

_START_S = 1.0
_FAULTS = {
    "kill": 0.3,
    "kill_at_step": 0.25,
    "crash_loop": 0.05,
    "stop": 0.2,
    "drain": 0.12,
    "reload": 0.12,
    "store": 0.25,
    "slow": 0.12,
    "noise": 0.6,
    "mood": 0.35,
    "culprit": 0.15,
    "uninstall": 0.35,
    "again": 0.3,
    "rotate": 0.15,
    "move": 0.06,
    "log_out": 0.12,
    "erase": 0.08,
    "poison": 0.02,
    "clock": 0.04,
    "late": 0.15,
    "several": 0.33,
    "repeat": 0.2,
    "stranger": 0.08,
    "standstill": 0.08,
    "people": 0.12,
    "foreign": 0.05,
    "kill_at_write": 0.05,
    "foreign_event": 0.03,
    "foreign_state": 0.03,
    "hesitant": 0.05,
    "caught": 0.03,
    "bad_item": 0.03,
    "many_devices": 0.04,
    "purge": 0.04,
    "trickle": 0.04,
    "busy": 0.04,
    "die_out": 0.03,
    "drain_at_claim": 0.03,
    "broken_commits": 0.04,
    "half_writes": 0.04,
    "kill_at_verdict": 0.05,
    "stop_at_renewal": 0.03,
    "reinstall": 0.05,
    "restore": 0.06,
    "receipts": 0.15,
    "cancel": 0.1,
    "by_person": 0.1,
    "by_path": 0.1,
    "phones_off": 0.15,
    "deny": 0.05,
} | SCENES
"""The share of the histories in which each fault is switched on."""

_NOISE = (
    "throttled_device",
    "throttled_lane",
    "unavailable",
    "shutdown",
    "unknown",
    "silence",
    "not_looked_at",
    "refused_message",
    "refused_address",
)


def draw(seed: int, focus: frozenset[str] = frozenset(), *, tier: Tier = "scripted") -> Plan:
    """The plan of a seed; the faults in `focus` are always on.

    Each fault has lots of its own: a new one leaves the histories without it as they were.
    """
    native = tier == "native"
    faults = NATIVE_FAULTS if native else _FAULTS
    lots_of = {fault: Random(f"{tier} {seed} {fault}") for fault in faults}  # not a secret
    on = {
        fault
        for fault, share in faults.items()
        if lots_of[fault].random() < share or fault in focus
    }
    lots = Random(f"{tier} {seed}")  # not a secret
    sizes = _sizes(lots, several="several" in on)
    if native:
        sizes = native_sizes(lots, sizes, on)
    if on & {"standstill", "caught"}:
        sizes = _slow_vendors(sizes)
    sizes = _unusual(scene_sizes(sizes, on), on)
    acts = [*_phones(lots, sizes), *_batches(lots, sizes, on)]
    noise = {}
    if "noise" in on:
        for kind in lots.sample(_NOISE, lots.randint(1, 3)):
            noise[kind] = lots.choice((0.03, 0.1, 0.3))
    if "rejections" in on:
        noise |= rejected_share(lots_of["rejections"])
    if "busy" in on:
        noise |= {"unavailable": 0.15, "throttled_device": 0.1, "throttled_lane": 0.05}
    for fault in sorted(on):
        acts += _drawer_of(fault)(lots_of[fault], sizes, fault)
    return Plan(seed, tier, sizes, noise, tuple(sorted(acts, key=lambda act: act.at)))


def _drawer_of(fault: str) -> Callable[[Random, Sizes, str], list[Act]]:
    if fault in WIRE_FAULTS:
        return wire_faults
    return scene if fault in SCENES else _faults


def _sizes(lots: Random, *, several: bool) -> Sizes:
    return Sizes(
        relays=lots.choice((2, 2, 3)) if several else 1,
        chunk_items=lots.choice((2, 3, 4, 6)),
        claim_chunks=lots.choice((1, 2, 8)),
        fan_outs=lots.choice((1, 2)),
        backlog=lots.choice((4, 8, 32)),
        burst=lots.choice((1, 3, 8)),
        flush_s=lots.choice((0.02, 0.02, 0.2)),
        flush_rows=lots.choice((2, 8, 64)),
        idle_s=lots.choice((1.0, 2.0, 4.0)),
        follow_s=lots.choice((2.0, 4.0)),
        beat_s=lots.choice((3.0, 5.0)),
        lease_s=lots.choice((6.0, 10.0, 20.0)),
        max_age_s=lots.choice((60.0, 120.0, 300.0)),
        max_attempts=lots.choice((2, 3, 4)),
        probe_s=lots.choice((3.0, 6.0)),
        brake_min_devices=lots.choice((1, 2, 50)),
        rate_per_s=lots.choice((0.0, 0.0, 0.0, 8.0, 25.0)),
        timeout_s=lots.choice((1.0, 3.0, 8.0)),
        users=lots.choice((2, 4, 6)),
        vendor_s=(0.005, lots.choice((0.05, 0.4, 2.0))),
        faults_end_s=lots.choice((12.0, 20.0, 30.0)),
    )


def _slow_vendors(sizes: Sizes) -> Sizes:
    """Answers that come after a lease has run out: what a process knows of a chunk that it lost."""
    return replace(sizes, lease_s=6.0, vendor_s=(0.5, 6.0), timeout_s=8.0)


def _unusual(sizes: Sizes, on: set[str]) -> Sizes:
    """Sizes that a fault needs."""
    if "receipts" in on:
        sizes = replace(sizes, asks_receipts=True)
    if "many_devices" in on:
        sizes = replace(sizes, most_devices=2)
    if "caught" in on:
        sizes = replace(sizes, idle_s=1.0, faults_end_s=20.0)
    if "die_out" in on:
        sizes = replace(sizes, brake_min_devices=1)
    if "by_person" in on:
        sizes = replace(sizes, collapse="user")
    elif "by_path" in on:
        sizes = replace(sizes, collapse="path")
    if "purge" in on:
        sizes = replace(sizes, purge_s=4.0)
    if "trickle" in on:
        # Much waits in memory for long.
        sizes = replace(sizes, rate_per_s=2.0, backlog=32)
    if "hesitant" in on:
        # Answers take most of the time that a push has: much is on its way at any moment.
        slow_s = (0.7 * sizes.timeout_s, 0.9 * sizes.timeout_s)
        sizes = replace(sizes, burst=8, vendor_s=slow_s)
    return sizes


def _phones(lots: Random, sizes: Sizes) -> list[Act]:
    acts = []
    for phone in range(lots.randint(sizes.users, 2 * sizes.users)):
        args: dict[str, Any] = {"phone": phone, "user": phone % sizes.users}
        if lots.random() < 0.3:
            args["environment"] = lots.choice(("production", "sandbox"))
        acts.append(Act(round(lots.random() * 0.5, 4), "register", args))
    return acts


def _batches(lots: Random, sizes: Sizes, on: set[str]) -> list[Act]:
    acts = []
    for number in range(lots.randint(1, 6)):
        users = [lots.randrange(sizes.users) for _ in range(lots.choice((1, 3, 6, 12)))]
        args: dict[str, Any] = {"event": f"msg_{number}", "users": users}
        if "poison" in on and number == 0:
            args["poison"] = lots.randrange(len(users))
        if "late" in on and lots.random() < 0.5:
            args["late_s"] = round(lots.random() * sizes.max_age_s, 1)
        if "bad_item" in on:
            args["has_bad_item"] = True
        acts.append(Act(_time(lots, sizes, 0.7), "batch", args))
        if "repeat" in on:
            again = {"event": args["event"], "late_s": args.get("late_s", 0.0)}
            soon = acts[-1].at + lots.choice((0.0, 0.02, 1.0, 5.0))
            acts.append(Act(round(soon, 4), "repeat", again))
    return acts


def _time(lots: Random, sizes: Sizes, share: float = 0.9) -> float:
    """Some time before the faults end."""
    return round(_START_S + lots.random() * (sizes.faults_end_s * share - _START_S), 4)


def _faults(lots: Random, sizes: Sizes, fault: str) -> list[Act]:
    acts: list[Act] = []

    def add(do: str, at: float | None = None, **args: Any) -> None:
        acts.append(Act(_time(lots, sizes) if at is None else at, do, args))

    for draw_some in (_of_processes, _of_phones, _of_handsets, _of_others):
        draw_some(lots, sizes, fault, add)
    return acts


def _of_processes(lots: Random, sizes: Sizes, fault: str, add: Any) -> None:
    def relay() -> int:
        return lots.randrange(sizes.relays)

    match fault:
        case "kill" | "kill_at_step":
            for _ in range(lots.randint(1, 3)):
                args: dict[str, Any] = {}
                if fault == "kill_at_step":
                    args = {"steps": lots.randint(0, 400)}
                add(fault, relay=relay(), **args)
        case "kill_at_write":
            for _ in range(lots.randint(1, 4)):
                add(fault, writes=lots.randint(0, 12), relay=relay())
        case "crash_loop":
            add("kill_often", every_s=0.9, times=lots.randint(5, 25), relay=relay())
        case "stop":
            for _ in range(lots.randint(1, 2)):
                add("stop", seconds=sizes.lease_s * lots.choice((0.3, 1.5)), relay=relay())
        case "standstill":
            for _ in range(3):
                seconds = sizes.lease_s + lots.choice((-0.1, 0.1, 1.0, 3.0))
                add("stop", seconds=seconds, relay=relay())
        case "kill_at_verdict":
            for _ in range(3):
                after = round(lots.random() * (sizes.flush_s + 0.05), 4)
                add("kill_at", moment="verdict", after=after, relay=relay())
        case "stop_at_renewal":
            for _ in range(3):
                seconds = sizes.lease_s + sizes.idle_s + lots.random()
                after = round(lots.random() * 0.02, 4)
                add("stop_at", moment="renewal", after=after, seconds=seconds, relay=relay())
        case "drain_at_claim":
            for number in range(3):
                at, users = _time(lots, sizes, 0.8), [lots.randrange(sizes.users) for _ in range(6)]
                add("batch", at, event=f"drained_{number}", users=users)
                # before the claim is answered, or with its pushes on their way
                after = round(lots.random() * lots.choice((0.02, 0.2)), 4)
                add("drain_at", at, moment="claim", after=after, relay=relay())
        case "caught":
            _catch(lots, sizes, add)
        case "drain" | "reload":
            add(fault, relay=relay())
        case "clock":
            _put_wrong(lots, sizes, add)
        case _:
            pass


def _put_wrong(lots: Random, sizes: Sizes, add: Any) -> None:
    """A wall clock is wrong for a while or until the faults end; some processes start with it."""
    by_s = lots.choice((-3600.0, 180.0, 3600.0, 172_800.0, -EPOCH))
    at, relay = _time(lots, sizes, 0.8), lots.randrange(sizes.relays)
    add("clock", at, by_s=by_s, seconds=lots.choice((4.0, None)), relay=relay)
    if lots.random() < 0.5:
        add("kill", round(at + 0.01, 4), relay=relay)


def _catch(lots: Random, sizes: Sizes, add: Any) -> None:
    """A process stands still with pushes on their way. Who takes its chunks gives them back, and it
    goes on when they are due again."""
    caught, at = lots.randrange(sizes.relays), round(_START_S + 2.0 * lots.random(), 4)
    add("batch", at, event="caught", users=[lots.randrange(sizes.users) for _ in range(6)])
    taken_s = sizes.lease_s + sizes.idle_s + 0.5
    seconds = taken_s + sizes.drain_s + 1.5 + lots.random()
    add("stop", round(at + 0.1 + 0.4 * lots.random(), 4), seconds=seconds, relay=caught)
    for other in range(sizes.relays):
        if other != caught:
            add("drain", round(at + taken_s + 0.5 * lots.random(), 4), relay=other)


def _of_phones(lots: Random, sizes: Sizes, fault: str, add: Any) -> None:
    phone = lots.randrange(2 * sizes.users)
    match fault:
        case "uninstall":
            for _ in range(lots.randint(1, sizes.users)):
                gone = lots.randrange(2 * sizes.users)
                at = _time(lots, sizes, 0.6)
                add("uninstall", at, phone=gone)
                if lots.random() < 0.4:
                    back = at + lots.random() * 4
                    add("register", round(back, 4), phone=gone, user=gone % sizes.users)
        case "again":
            for _ in range(lots.randint(1, 6)):
                one = lots.randrange(2 * sizes.users)
                add("register", phone=one, user=one % sizes.users)
        case "rotate":
            new = lots.choice(("token", "app"))
            add("register", phone=phone, user=phone % sizes.users, new=new)
        case "die_out":
            began = _time(lots, sizes, 0.5)
            for one in range(2 * sizes.users):
                add("uninstall", round(began + 2.0 * lots.random(), 4), phone=one)
        case "many_devices":
            user = lots.randrange(sizes.users)
            for one in range(2 * sizes.users):
                add("register", phone=one, user=user)
        case "reinstall":
            for _ in range(lots.randint(1, 3)):
                one = lots.randrange(2 * sizes.users)
                new = lots.choice(("installation", "both"))
                add("register", phone=one, user=lots.randrange(sizes.users), new=new)
        case "restore":
            _restore(lots, sizes, add)
        case "move":
            add("register", phone=phone, user=lots.randrange(sizes.users))
        case "stranger":
            add("forge", user=lots.randrange(sizes.users))
            add("steal", phone=phone, thief=lots.randrange(sizes.users))
        case "log_out":
            add("log_out", phone=phone)
        case "erase":
            add("erase", user=lots.randrange(sizes.users))
        case _:
            pass


def _of_handsets(lots: Random, sizes: Sizes, fault: str, add: Any) -> None:
    match fault:
        case "phones_off":
            # some until all is settled, some twice
            for _ in range(lots.randint(1, 2 * sizes.users)):
                seconds = lots.choice((1.0, 5.0, 20.0, None))
                add("switch_off", phone=lots.randrange(2 * sizes.users), seconds=seconds)
        case "deny":
            add("deny", phone=lots.randrange(2 * sizes.users))
        case _:
            pass


def _restore(lots: Random, sizes: Sizes, add: Any) -> None:
    """Phones change hands between an export and the import of that file; their former users are
    sent to afterwards."""
    at, seconds = _time(lots, sizes, 0.4), lots.choice((2.0, 5.0))
    add("restore", at, seconds=seconds)
    for number in range(3):
        phone = lots.randrange(2 * sizes.users)
        then = round(at + 0.3 + lots.random() * (seconds - 0.3), 4)
        match lots.choice(("move", "move", "log_out", "token", "installation", "erase")):
            case "move":
                add("register", then, phone=phone, user=lots.randrange(sizes.users))
            case "log_out":
                add("log_out", then, phone=phone)
            case "erase":
                add("erase", then, user=phone % sizes.users)
            case new:
                add("register", then, phone=phone, user=phone % sizes.users, new=new)
        add(
            "batch",
            round(at + seconds + 1.0, 4),
            event=f"restored_{number}",
            users=[phone % sizes.users],
        )


def _of_others(lots: Random, sizes: Sizes, fault: str, add: Any) -> None:
    some_s = lots.choice((0.3, 1.0, 3.0, 8.0))
    match fault:
        case "store":
            trouble = lots.choice(("away", "away", "writes", "reads", "some"))
            add("store", trouble=trouble, seconds=some_s)
        case "broken_commits" | "half_writes":
            trouble = "commits" if fault == "broken_commits" else "halves"
            for _ in range(3):
                add("store", trouble=trouble, seconds=some_s)
        case "slow":
            add("store", trouble="slow", seconds=some_s, slower=lots.choice((20.0, 200.0)))
        case "mood" | "culprit":
            _add_mood(lots, sizes, add, for_good=fault == "culprit")
        case "busy":
            add("mood", verdict="unavailable", seconds=3.0, retry_after=3600.0)
        case "people":
            add("hold", provider=lots.choice(("fcm", "apns")), seconds=some_s)
            add("replay")
            add("release", provider=lots.choice(("fcm", "apns")))
        case "cancel":
            for _ in range(lots.randint(1, 3)):
                told = lots.choice((None, lots.randrange(sizes.relays)))
                event, corrected = f"msg_{lots.randrange(3)}", lots.random() < 0.5
                add("cancel", event=event, told=told, corrected=corrected)
        case "foreign_event":
            add("foreign_row", table="events", turn=lots.randrange(1000))
        case "foreign_state":
            for _ in range(3):
                add("foreign_row", table="deliveries", turn=lots.randrange(1000))
        case "foreign":
            add("foreign_row", table=lots.choice(("queue", "devices")), turn=lots.randrange(1000))
        case _:
            pass


def _add_mood(lots: Random, sizes: Sizes, add: Any, *, for_good: bool) -> None:
    provider, part = lots.choice(
        (
            ("fcm", "android"),
            ("fcm", "ios"),
            ("fcm", "web"),
            ("apns", "production"),
            ("apns", "sandbox"),
        )
    )
    args: dict[str, Any] = {"provider": provider, "seconds": lots.choice((1.0, 5.0, 20.0))}
    if for_good:
        args["seconds"] = None
        args["verdict"] = lots.choice(
            ("misconfigured_target", "misconfigured_part", "throttled_device")
        )
        if args["verdict"] == "misconfigured_part":
            args["part"] = part
        else:
            args["phone"] = lots.randrange(2 * sizes.users)
            del args["provider"]
    else:
        args["verdict"] = lots.choice((*_NOISE, "misconfigured_part", "misconfigured_target"))
        if lots.random() < 0.7:
            args["part"] = part
        if args["verdict"].startswith("throttled") and lots.random() < 0.3:
            args["retry_after"] = lots.choice((30.0, 3600.0))
    add("mood", **args)
