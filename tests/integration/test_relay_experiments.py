"""Experiments, through the gateway: who is held back, for how long, and what goes out then."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from config.settings import Settings
from gateway.app import experiment_acts
from gateway.app.experimenting import LEFT_THE_FILE, OVER
from gateway.app.settings import load
from gateway.app.submitting import submit_item
from gateway.core.audit import Actor
from gateway.core.drawn import Kept, Stage, Tally
from gateway.core.experiments import Experiment
from gateway.core.lots import is_held
from gateway.core.model import UserRef
from gateway.errors import ConfigurationError
from gateway.events import ExperimentEnded
from gateway.ops.experiments import exempt_user
from tests.integration.test_relay_on_nats import on_nats
from tests.integration.test_relay_suppress import RULE, arrived, completes
from tests.kit.audience import Phone, androids, notification
from tests.kit.gateway import eventually
from tests.kit.relay_rig import DAY_S, RelayRig, Running

KEY = b"k" * 32
BY = Actor("test", "cli")
TABLE: dict[str, Any] = {
    "id": "spring",
    "approved_by": "Dr. A. Wanjiku",
    "purpose": "whether reminders are worth sending",
    "paths": ["/learning*"],
    "completed": ["user.course.completed"],
    "holdout": 0.2,
    "dry_run_days": 0,
    "window_h": 24,
}
PHONES = androids(range(1, 41))


def lot(phones: Sequence[Phone] = PHONES) -> tuple[list[Phone], list[Phone]]:
    """Whom the lot lets be reminded, and whom it holds."""
    spring = Experiment("spring", 0.2, ("learnink",), ("/learning*",))
    held = [phone for phone in phones if is_held(spring, f"ink-{phone.owner}", KEY)]
    return [phone for phone in phones if phone not in held], held


REMINDED, HELD = lot()
OWNER = HELD[0].owner


def settings(
    rig: RelayRig, *, ends_in_s: float = 30 * DAY_S, suppress: bool = False, **more: Any
) -> Settings:
    """With the experiment; None leaves a key out."""
    table = TABLE | {"ends": day(rig.clock() + ends_in_s)}
    table |= {name: more.pop(name) for name in list(more) if name in {*TABLE, "make_up", "person"}}
    rig.settings(**{"privacy": {"measure": "opt_out"}} | more)
    file = rig.folder / "inkpush.toml"
    tables = [("experiments", table), *([("suppress", RULE)] if suppress else [])]
    text = file.read_text()
    for name, keys in tables:
        lines = [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
        text = "\n".join([text, f"[[{name}]]", *lines, ""])
    file.write_text(text)
    return load(file, {})


def day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).date().isoformat()


async def start(running: Running, made: Settings) -> Kept:
    """What `inkpush experiments start` does; the relay knows of it at once."""
    begun = await experiment_acts.start(
        running.stores, made, "spring", actor=BY, secret=lambda _size: KEY
    )
    assert running.gateway.relay is not None
    await running.gateway.relay.experimenter.look()
    return begun.kept


@asynccontextmanager
async def begun(rig: RelayRig, made: Settings) -> AsyncIterator[Running]:
    """A gateway with all phones, whose experiment has begun."""
    async with rig.gateway(made) as running:
        await running.register(*PHONES)
        await start(running, made)
        yield running


async def look(running: Running) -> None:
    """What a relay does each second."""
    assert running.gateway.relay is not None
    await running.gateway.relay.experimenter.look()


async def tally(running: Running) -> Tally:
    return await running.stores.store.experiments.tally("spring")


async def made_up(running: Running, event_id: str, index: int = 0) -> dict[str, int]:
    return await running.settled(f"{event_id}:{index}:m1")


async def test_the_lot_holds_some_back_and_the_newest_goes_out_when_their_window_is_over(
    rig: RelayRig,
) -> None:
    made = settings(rig)
    async with begun(rig, made) as running:
        await running.queue_for("msg_1", PHONES)
        many = {"delivered": len(REMINDED), "held_out": len(HELD)}
        assert await running.settled("msg_1") == many
        assert [rig.sent_to(phone) for phone in HELD] == [[] for _ in HELD]
        (row,) = [row for row in await running.rows("msg_1") if row.user_id == f"ink-{OWNER}"]
        assert (row.device_id, row.reason.split(" until ")[0]) == (
            0,
            "held back by experiment spring",
        )
        rig.clock.ahead_s += 0.5 * DAY_S
        await running.queue("msg_2", [notification(OWNER, "newer")])
        assert await running.settled("msg_2") == {"held_out": 1}
        await look(running)
        assert arrived(rig) == len(REMINDED)
        rig.clock.ahead_s += 0.51 * DAY_S
        await running.queue("msg_3", [notification(OWNER, "later")])
        assert await running.settled("msg_3") == {"delivered": 1}
        await look(running)
        assert await made_up(running, "msg_2") == {"delivered": 1}
        assert len(rig.sent_to(HELD[0])) == 2
        for place, phone in enumerate(PHONES):
            if phone in HELD[1:]:
                assert await made_up(running, "msg_1", place) == {"delivered": 1}
        assert arrived(rig) == len(PHONES) + 1
        assert await running.stores.journal.event(f"msg_1:{PHONES.index(HELD[0])}:m1") is None
        assert await tally(running) == Tally(len(REMINDED), len(HELD), {}, 0, 0)


async def test_all_else_reaches_them(rig: RelayRig) -> None:
    made = settings(rig)
    others: list[dict[str, Any]] = [
        notification(OWNER) | {"path": None},
        notification(OWNER) | {"path": "/news"},
        notification(OWNER) | {"user_id": None},
    ]
    async with begun(rig, made) as running:
        await running.queue("msg_1", [notification(OWNER)])
        assert await running.settled("msg_1") == {"held_out": 1}
        await running.queue("msg_2", others)
        assert await running.settled("msg_2") == {"delivered": 3}
        assert (await tally(running)).also_got == 1


async def test_what_comes_by_the_api_is_never_held(rig: RelayRig) -> None:
    made = settings(rig)
    async with rig.gateway(made) as running:
        await running.register(Phone("apns", OWNER, OWNER))
        await start(running, made)
        content = {"title": "Hi", "body": "Now", "path": "/learning"}
    # the command opens the database itself
    sent = await submit_item(made, content, user=f"ink-{OWNER}", by=None, dry_run=False, actor=BY)
    assert sent.event_id.startswith("cli:")
    async with rig.gateway(made) as running:
        assert await running.settled(sent.event_id) == {"delivered": 1}


async def test_in_the_dry_run_nobody_is_held_and_it_is_noted_whom_the_lot_would_hold(
    rig: RelayRig,
) -> None:
    made = settings(rig, dry_run_days=7)
    async with rig.gateway(made) as running:
        await running.register(*PHONES)
        assert (await start(running, made)).stage is Stage.DRY
        await running.queue_for("msg_1", PHONES)
        assert await running.settled("msg_1") == {"delivered": len(PHONES)}
        await eventually(
            "noted", lambda: rig.sql("SELECT count(*) FROM experiment_members") != [(0,)]
        )
        assert await tally(running) == Tally(len(REMINDED), len(HELD))
        with pytest.raises(experiment_acts.NotNow, match="the dry run of spring goes on until"):
            await start(running, made)
        rig.clock.ahead_s += 7 * DAY_S
        assert (await start(running, made)).stage is Stage.RUNNING
        assert await tally(running) == Tally()
        await running.queue_for("msg_2", PHONES)
        many = {"delivered": len(REMINDED), "held_out": len(HELD)}
        assert await running.settled("msg_2") == many


async def test_who_is_exempt_gets_what_is_held_at_once_and_is_not_held_again(
    rig: RelayRig,
) -> None:
    made = settings(rig)
    async with begun(rig, made) as running:
        await running.queue("msg_1", [notification(OWNER)])
        assert await running.settled("msg_1") == {"held_out": 1}
        stores, now = running.stores, running.clock()
        await exempt_user(
            stores.store, stores.secret, f"own-{OWNER}", None, is_exempt=True, at=now, actor=BY
        )
        await look(running)
        assert await made_up(running, "msg_1") == {"delivered": 1}
        await running.queue("msg_2", [notification(OWNER)])
        assert await running.settled("msg_2") == {"delivered": 1}
        assert await tally(running) == Tally(0, 1)


@pytest.mark.parametrize("how", ["command", "file"])
async def test_an_end_lets_everybody_go(rig: RelayRig, how: str) -> None:
    made = settings(rig)
    async with begun(rig, made) as running:
        await running.queue_for("msg_1", PHONES)
        assert (await running.settled("msg_1"))["held_out"] == len(HELD)
        if how == "command":
            await experiment_acts.stop(running.stores, "spring", actor=BY)
        else:
            await running.reload(rig.settings(privacy={"measure": "opt_out"}))
        await look(running)
        await look(running)
        await eventually("all went out", lambda: arrived(rig) == len(PHONES))
        (kept,) = await running.stores.store.experiments.all()
        assert (kept.stage, kept.key) == (Stage.ENDED, b"")
        ended = [ExperimentEnded("spring", LEFT_THE_FILE)] if how == "file" else []
        assert running.told(ExperimentEnded) == ended
        await running.queue("msg_2", [notification(OWNER)])
        assert await running.settled("msg_2") == {"delivered": 1}


async def test_it_ends_by_itself_a_window_after_the_last_may_enter(rig: RelayRig) -> None:
    made = settings(rig, ends_in_s=2 * DAY_S)
    async with begun(rig, made) as running:
        rig.clock.ahead_s += 2.1 * DAY_S
        await running.queue_for("msg_1", PHONES)
        assert await running.settled("msg_1") == {"delivered": len(PHONES)}
        assert await tally(running) == Tally()
        await look(running)
        assert running.told(ExperimentEnded) == []
        rig.clock.ahead_s += DAY_S
        await look(running)
        assert running.told(ExperimentEnded) == [ExperimentEnded("spring", OVER)]


async def test_what_was_done_meanwhile_is_not_made_up_for(rig: RelayRig) -> None:
    made = settings(rig, suppress=True)
    async with begun(rig, made) as running:
        await running.queue("msg_1", [notification(OWNER)])
        assert await running.settled("msg_1") == {"held_out": 1}
        assert await completes(running, OWNER) == 200
        rig.clock.ahead_s += 1.1 * DAY_S
        await look(running)
        assert await made_up(running, "msg_1") == {"cancelled": 1}
        assert arrived(rig) == 0


async def test_nothing_is_made_up_for_where_that_is_not_wanted(rig: RelayRig) -> None:
    made = settings(rig, make_up=False)
    async with begun(rig, made) as running:
        await running.queue("msg_1", [notification(OWNER)])
        assert await running.settled("msg_1") == {"held_out": 1}
        assert (await tally(running)).waiting == 0


async def test_a_changed_file_is_refused(rig: RelayRig) -> None:
    made = settings(rig)
    async with rig.gateway(made) as running:
        await start(running, made)
        with pytest.raises(ConfigurationError, match=r"experiments\[0\].holdout: is another"):
            await running.reload(settings(rig, holdout=0.1))
        await running.reload(settings(rig, ends_in_s=3 * DAY_S))
    with pytest.raises(ConfigurationError, match="end it"):
        async with rig.gateway(settings(rig, window_h=48)):
            pass


async def test_who_may_not_enter_is_left_out_and_reminded(rig: RelayRig) -> None:
    made = settings(rig, privacy={"measure": "opt_in"})
    async with rig.gateway(made) as running:
        await running.register(*HELD[:2])
        await start(running, made)
        await running.queue("msg_1", [notification(one.owner) for one in HELD[:3]])
        assert await running.settled("msg_1") == {"delivered": 2, "no_device": 1}
        assert await tally(running) == Tally(left_out={"no_device": 1, "not_measured": 2})


async def test_it_is_as_before_after_a_restart(rig: RelayRig) -> None:
    made = settings(rig)
    async with begun(rig, made) as running:
        await running.queue("msg_1", [notification(OWNER)])
        assert await running.settled("msg_1") == {"held_out": 1}
    async with rig.gateway(made) as running:
        await running.queue("msg_2", [notification(OWNER), notification(HELD[1].owner)])
        assert await running.settled("msg_2") == {"held_out": 2}
        rig.clock.ahead_s += 1.1 * DAY_S
        await look(running)
        assert await made_up(running, "msg_2") == {"delivered": 1}


async def test_an_erase_in_mid_window_leaves_nothing_to_send(rig: RelayRig) -> None:
    made = settings(rig)
    async with begun(rig, made) as running:
        await running.queue("msg_1", [notification(OWNER)])
        assert await running.settled("msg_1") == {"held_out": 1}
        await running.stores.registry.erase(
            UserRef(f"ink-{OWNER}", f"own-{OWNER}"), now=running.clock()
        )
        assert rig.sql("SELECT count(*) FROM experiment_held") == [(0,)]
        rig.clock.ahead_s += 1.1 * DAY_S
        await look(running)
        assert await running.stores.journal.event("msg_1:0:m1") is None


@pytest.mark.parametrize("broker", [False, True])
async def test_two_replicas_draw_the_same_lot(shared_rig: RelayRig, broker: bool) -> None:
    more: dict[str, Any] = {"queue": on_nats()} if broker else {}
    made = settings(shared_rig, **more)
    async with shared_rig.gateway(made) as one, shared_rig.gateway(made) as other:
        await one.register(*PHONES)
        await start(one, made)
        await look(other)
        for turn in range(6):
            who = one if turn % 2 else other
            await who.queue_for(f"msg_{turn}", PHONES)
        many = {"delivered": len(REMINDED), "held_out": len(HELD)}
        for turn in range(6):
            assert await one.settled(f"msg_{turn}") == many
        assert await tally(one) == Tally(len(REMINDED), len(HELD), {}, 0, len(HELD))
        shared_rig.clock.ahead_s += 1.1 * DAY_S
        await look(one)
        await look(other)
        before = 6 * len(REMINDED)
        await eventually("made up", lambda: arrived(shared_rig) == before + len(HELD))
        assert (await tally(other)).waiting == 0
