"""Reloading while pushes are on their way: new keys, limits and apps, and what the old ones still
say."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import Any

import pytest

from config.settings import Settings
from gateway.app.vendors import VENDORS
from gateway.core.states import DeliveryState
from gateway.errors import ConfigurationError
from gateway.events import LaneHeld, LaneResumed
from providers.apns.credentials import PERIOD_S
from tests.kit.audience import APP, Phone, androids, iphones
from tests.kit.gateway import eventually
from tests.kit.relay_rig import RelayRig, Running, both

FCM, APNS = "fcm", "apns"
OTHER = "another-app"
LATENCY_S = 0.5
"""What a vendor's answer takes, so that a reload finds pushes in flight."""


def with_other_app(settings: Settings) -> Settings:
    """The same with one more app, which has the same vendors."""
    (app,) = settings.apps
    return settings.model_copy(update={"apps": (app, app.model_copy(update={"id": OTHER}))})


async def register_other(running: Running, phones: list[Phone]) -> None:
    """Register phones with the other app."""
    registrations = [replace(phone.registration(), app=OTHER) for phone in phones]
    await running.stores.registry.register_many(registrations, now=running.clock())


async def test_an_answer_to_the_old_key_does_not_pause_a_lane_that_has_a_new_one(
    rig: RelayRig,
) -> None:
    files = rig.sandbox.credentials
    key_file = rig.folder / "AuthKey.p8"
    shutil.copyfile(files.wrong_apns_key_file, key_file)
    phones = iphones(range(20))
    rig.sandbox.latency_s = LATENCY_S
    changes = {"apns": {"key_file": str(key_file)}, "relay": {"probe_s": 3600}}
    async with rig.running(**changes) as running:
        await running.register(*phones)
        await running.queue_for("msg_1", phones)
        lane = running.lane_in_memory("apns")
        await eventually("in flight", lambda: len(rig.sandbox.pushes) > 0)
        shutil.copyfile(files.apns_key_file, key_file)
        await running.reload(rig.settings(**changes))
        assert await running.settled("msg_1") == {"delivered": len(phones)}
        assert running.told(LaneHeld) == []
        assert not lane.parts["production"].stopped
    assert {push.status for push in rig.sandbox.pushes} == {403, 200}


async def test_an_end_soon_after_a_reload_waits_for_what_the_old_transports_sent(
    rig: RelayRig,
) -> None:
    phones = both(range(20))
    rig.sandbox.latency_s = 4.0
    async with rig.running() as running:
        await running.register(*phones)
        await running.queue_for("msg_1", phones)
        # APNs lets a new connection send one until it knows the sender.
        await eventually("in flight", lambda: len(rig.sandbox.pushes) > 20)
        await running.reload(rig.settings())
    sent = len(rig.sandbox.pushes)
    assert rig.sql("SELECT count(*) FROM deliveries WHERE state = 'delivered'") == [(sent,)]


async def test_a_lane_that_is_gone_from_the_settings_ends_and_one_that_comes_begins(
    rig: RelayRig,
) -> None:
    phones = both(range(5))
    async with rig.running(fcm=None) as running:
        await running.register(*phones)
        await running.queue_for("msg_1", phones)
        assert await running.settled("msg_1") == {"delivered": 5, "refused": 5}
        await running.reload(rig.settings(apns=None))
        await running.queue_for("msg_2", phones)
        assert await running.settled("msg_2") == {"delivered": 5, "refused": 5}
        assert running.gateway.relay is not None
        assert list(running.gateway.relay.lanes) == ["demo/fcm"]
    assert [len(rig.shown_by(phone)) for phone in phones] == [1] * 10


@pytest.mark.parametrize("provider", VENDORS)
async def test_a_trust_anchor_that_cannot_be_read_is_refused_and_nothing_changes(
    rig: RelayRig, provider: str
) -> None:
    wrong = rig.folder / "wrong.pem"
    wrong.write_text("no certificate")
    phones = androids([1]) + iphones([2])
    async with rig.running() as running:
        await running.register(*phones)
        transports = [running.lane_in_memory(each).transport for each in VENDORS]
        with pytest.raises(ConfigurationError) as refused:
            await running.reload(rig.settings(**{provider: {"ca_file": str(wrong)}}))
        (problem,) = refused.value.problems
        assert problem.startswith(f"apps[0].{provider}.ca_file {wrong}: ")
        assert [running.lane_in_memory(each).transport for each in VENDORS] == transports
        await running.queue_for("msg_1", phones)
        assert await running.settled("msg_1") == {"delivered": 2}


async def test_reloads_in_the_middle_of_a_batch_lose_and_repeat_nothing(rig: RelayRig) -> None:
    phones = both(range(200))
    rig.sandbox.latency_s = 0.05
    async with rig.running() as running:
        await running.register(*phones)
        await running.queue_for("msg_1", phones)
        for wanted in (50, 150, 250):
            await eventually("on", lambda most=wanted: len(rig.sandbox.pushes) >= most)
            await running.reload(rig.settings())
        assert await running.settled("msg_1") == {"delivered": len(phones)}
    assert rig.times_delivered() == {1: len(phones)}


async def test_the_right_key_lets_a_paused_lane_go_at_once(rig: RelayRig) -> None:
    phones = both(range(100))
    no_probes = {"relay": {"probe_s": 3600}}
    wrong_key = {"key_file": str(rig.sandbox.credentials.wrong_apns_key_file)}
    async with rig.running(apns=wrong_key, **no_probes) as running:
        await running.register(*phones)
        await running.queue_for("msg_1", phones)

        async def is_paused() -> bool:
            states = await running.states("msg_1")
            held = await running.held(APNS) == "misconfigured"
            return held and states == {"delivered": 100, "pending": 100}

        await eventually("APNs is paused, FCM done", is_paused)
        await running.reload(rig.settings(**no_probes))
        assert await running.settled("msg_1") == {"delivered": 200}
        assert await running.held(APNS) == ""
        assert len(running.told(LaneResumed)) == 1
        assert {row.attempts for row in await running.rows("msg_1")} == {1}
        assert (await running.stores.registry.count()) == {
            ("fcm", APP, "active"): 100,
            ("apns", APP, "active"): 100,
        }
    assert rig.times_delivered() == {1: 200}


async def test_a_reload_takes_over_limits(rig: RelayRig) -> None:
    async with rig.running() as running:
        lane = running.lane_in_memory(FCM)
        assert lane.rate == 0
        await running.reload(rig.settings(fcm={"rate_per_s": 50, "ramp_s": 0}))
        assert lane.rate == 50


async def test_a_reload_adds_an_app(rig: RelayRig) -> None:
    phones = both(range(10))
    settings = rig.settings()
    async with rig.gateway(settings) as running:
        await register_other(running, phones)
        await running.queue_for("msg_1", phones)
        assert await running.settled("msg_1") == {"refused": 20}
        await running.reload(with_other_app(settings))
        await running.queue_for("msg_2", phones)
        assert await running.settled("msg_2") == {"delivered": 20}
        assert running.lane_in_memory(APNS, OTHER).name == f"{OTHER}/apns"


async def test_an_app_that_comes_back_is_still_held(rig: RelayRig) -> None:
    """A person held a lane; taking the app out and in again is no reason to send."""
    settings = with_other_app(rig.settings())
    (phone,) = iphones([1])
    async with rig.gateway(settings) as running:
        await register_other(running, [phone])
        await running.stores.lanes.hold(OTHER, APNS, "", by="operator", reason="", now=rig.clock())
        await running.reload(rig.settings())
        await running.reload(settings)
        assert running.is_paused(APNS, OTHER)
        await running.queue_for("msg_1", [phone])
        assert await running.stores.lanes.resume(
            OTHER, APNS, "", by="operator", now=running.clock()
        )
        assert await running.settled("msg_1") == {"delivered": 1}


async def test_a_reload_removes_an_app_and_lets_its_pushes_in_flight_end(rig: RelayRig) -> None:
    phones = iphones(range(60))
    settings = with_other_app(rig.settings(apns={"max_connections": 1}))
    rig.sandbox.settings.stream_limit = 20
    rig.sandbox.latency_s = 4.0  # in which the reload is done
    async with rig.gateway(settings) as running:
        await register_other(running, phones)
        await running.queue_for("msg_1", phones)
        # the first alone, and twenty more as soon as APNs knows its sender
        await eventually("some are in flight", lambda: len(rig.sandbox.pushes) == 21)
        await running.reload(rig.settings())
        states = await running.settled("msg_1")
        assert states == {"delivered": 21, "refused": 39}
        refused = [row for row in await running.rows("msg_1") if row.state == DeliveryState.REFUSED]
        assert {row.reason for row in refused} == {"the configuration has no such app or provider"}
        assert f"{OTHER}/apns" not in running.gateway.probes()
        # the app that stays is not touched
        await running.register(*androids([1000]))
        await running.queue_for("msg_2", androids([1000]))
        assert await running.settled("msg_2") == {"delivered": 1}
    assert len(rig.sandbox.pushes) == 22


@pytest.mark.parametrize(("section", "key"), [("apns", "key_file"), ("fcm", "credentials_file")])
async def test_a_credential_that_cannot_be_read_is_refused_and_nothing_changes(
    rig: RelayRig, section: str, key: str
) -> None:
    broken = rig.folder / "broken"
    broken.write_text("neither key nor account")
    async with rig.running() as running:
        lanes = [running.lane_in_memory(each) for each in VENDORS]
        transports = [lane.transport for lane in lanes]
        changes: dict[str, Any] = {
            "fcm": {"rate_per_s": 7},
            "apns": {"rate_per_s": 7},
            "id": "renamed",
        }
        changes[section] = {key: str(broken)}
        with pytest.raises(ConfigurationError, match=section):
            await running.reload(rig.settings(**changes))
        assert [running.lane_in_memory(each) for each in VENDORS] == lanes
        assert [lane.transport for lane in lanes] == transports
        assert [lane.rate for lane in lanes] == [0, 0]
        await running.register(*both([1]))
        await running.queue_for("msg_1", both([1]))
        assert await running.settled("msg_1") == {"delivered": 2}


def begin_a_period(rig: RelayRig) -> None:
    """Move the clock on to where a provider token is new."""
    rig.clock.ahead_s += PERIOD_S - rig.clock() % PERIOD_S


async def wait_for_all(running: Running, event_id: str, count: int) -> None:
    await running.queue_for(event_id, both(range(count)))
    assert await running.settled(event_id) == {"delivered": 2 * count}


async def test_reloads_that_change_nothing_keep_connections_and_tokens(rig: RelayRig) -> None:
    phones = both(range(20))
    begin_a_period(rig)
    async with rig.running() as running:
        await running.register(*phones)
        await wait_for_all(running, "msg_0", 20)
        before = rig.sandbox.stats()
        for number in range(5):
            await running.reload(rig.settings())
            await wait_for_all(running, f"msg_{1 + number}", 20)
        after = rig.sandbox.stats()
    for what in ("connections_opened", "oauth_calls"):
        assert after[what] == before[what]
    assert after["distinct_jwts_per_connection"] == 1


@pytest.mark.parametrize("provider", VENDORS)
@pytest.mark.parametrize(
    ("changes", "is_new"),
    [
        ({"rate_per_s": 5_000, "ramp_s": 0}, False),
        ({"timeout_s": 14}, True),
        ({"max_connections": 3}, True),
        ({"proxy": "http://127.0.0.1:9"}, True),
    ],
)
async def test_a_transport_is_made_anew_only_for_what_it_is_made_of(
    rig: RelayRig, provider: str, changes: dict[str, Any], *, is_new: bool
) -> None:
    (other,) = set(VENDORS) - {provider}
    async with rig.running() as running:
        transports = {name: running.lane_in_memory(name).transport for name in VENDORS}

        await running.reload(rig.settings(**{provider: changes}))

        assert (running.lane_in_memory(provider).transport is not transports[provider]) == is_new
        assert running.lane_in_memory(other).transport is transports[other]
        # what was applied is what the next reload is held against
        transports = {name: running.lane_in_memory(name).transport for name in VENDORS}
        await running.reload(rig.settings(**{provider: changes}))
        assert {n: running.lane_in_memory(n).transport for n in VENDORS} == transports


@pytest.mark.parametrize(("provider", "key"), [("apns", "key_file"), ("fcm", "credentials_file")])
async def test_another_key_in_the_same_file_is_taken(
    rig: RelayRig, provider: str, key: str
) -> None:
    files = rig.sandbox.credentials
    first = {"apns": files.wrong_apns_key_file, "fcm": files.fcm_file}[provider]
    file = rig.folder / "key"
    shutil.copyfile(first, file)
    changes: dict[str, Any] = {provider: {key: str(file)}}
    async with rig.running(**changes) as running:
        transport = running.lane_in_memory(provider).transport
        await running.reload(rig.settings(**changes))
        assert running.lane_in_memory(provider).transport is transport

        file.write_bytes(
            (files.apns_key_file if provider == "apns" else first).read_bytes() + b"\n"
        )
        await running.reload(rig.settings(**changes))

        assert running.lane_in_memory(provider).transport is not transport


async def test_a_key_that_two_apps_share_has_one_token(rig: RelayRig) -> None:
    phones = iphones(range(10))
    begin_a_period(rig)
    async with rig.gateway(with_other_app(rig.settings())) as running:
        await running.register(*phones)
        await register_other(running, iphones(range(10, 20)))
        await running.queue_for("msg_1", iphones(range(20)))
        await running.settled("msg_1")
    assert len(rig.sandbox.pushes) == 20
    assert rig.sandbox.stats()["distinct_jwts"] == 1


async def test_a_reload_without_changes_lets_a_held_lane_try_again(rig: RelayRig) -> None:
    """What was wrong may have been mended at the vendor."""
    phones = iphones(range(20))
    rig.sandbox.settings.trust_apns_key = False
    no_probes = {"relay": {"probe_s": 3600}}
    async with rig.running(**no_probes) as running:
        await running.register(*phones)
        await running.queue_for("msg_1", phones)

        async def is_held() -> bool:
            return await running.held(APNS) == "misconfigured"

        await eventually("APNs is held", is_held)
        transport = running.lane_in_memory(APNS).transport
        rig.sandbox.settings.trust_apns_key = True
        await running.reload(rig.settings(**no_probes))
        assert await running.settled("msg_1") == {"delivered": 20}
        assert running.lane_in_memory(APNS).transport is transport
