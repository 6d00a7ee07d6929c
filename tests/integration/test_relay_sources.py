"""Sources, from the webhook to the phone: staging has its own address, ids and limits, and reaches
no production phone on any way: at once, at a retry, by a dead letter, a replay, another replica.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import aiohttp
import nats
import pytest

from config.settings import Settings
from gateway.app import replaying
from gateway.app.settings import load
from gateway.app.storage import open_store
from gateway.core.pace import Pace
from gateway.core.sources import NO_APP, NO_TESTER
from gateway.events import SourceKnown, SourceUnknown
from providers.sandbox import Answer
from providers.sandbox.describe import config_toml
from tests.integration.test_relay_on_nats import on_nats
from tests.kit.audience import Phone, notification
from tests.kit.build import ALICE
from tests.kit.gateway import SECRET, eventually
from tests.kit.nats_cluster import running_cluster
from tests.kit.planting import change, literal
from tests.kit.postgres import databases
from tests.kit.relay_rig import DAY_S, RelayRig, Running
from tests.kit.sender import event, signed
from tests.kit.stores import Handle

STAGING = "whsec_" + base64.b64encode(b"the signing secret of staging").decode()
MARY = Phone("fcm", 1, 1)
TESTER = Phone("fcm", 2, 2)
ONLY_TESTER = {"only_users": ["own-2"]}
QUICK = Pace(unknown_s=0.3)
SECRETS = {"learnink": SECRET, "staging": STAGING}
OLD = datetime(2025, 11, 6, 9, 58, 58, tzinfo=UTC)


Site = tuple[RelayRig, dict[str, Any]]
"""Where a gateway runs, and what its settings say of the queue."""


@pytest.fixture(params=["sqlite", "postgres", "jetstream"])
async def site(request: pytest.FixtureRequest, rig: RelayRig) -> AsyncIterator[Site]:
    if request.param == "sqlite":
        yield rig, {}
        return
    async with databases().using(rig.folder) as url:
        rig.store_url = url
        yield rig, {"queue": on_nats()} if request.param == "jetstream" else {}


def handle_of(running: Running) -> Handle:
    return Handle(running.stores.store, running.stores.queue)


def settings(rig: RelayRig, *sources: dict[str, Any], **overrides: Any) -> Settings:
    """The rig's settings with these sources, and with a second app, "staging"."""
    rig.settings(**overrides)
    file = rig.folder / "inkpush.toml"
    second = config_toml(rig.sandbox, rig.sandbox.credentials, id="staging", apns=None)
    named = [{"id": "staging", "secrets": [STAGING]} | one for one in sources]
    tables = ["[[sources]]\n" + _lines(one) for one in named]
    file.write_text("\n".join([file.read_text(), *tables, second]))
    return load(file, {})


def _lines(values: dict[str, Any]) -> str:
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())


async def post(
    running: Running,
    message_id: str,
    body: bytes,
    *,
    to: str = "staging",
    secret: str | None = None,
) -> tuple[int, dict[str, Any]]:
    """Post a webhook to a source, signed with its secret or another."""
    url = f"http://127.0.0.1:{running.gateway.public_port}/webhooks/{to}"
    headers = signed(message_id, body, secret or SECRETS[to])
    async with aiohttp.ClientSession() as http, http.post(url, data=body, headers=headers) as got:
        return got.status, await got.json(content_type=None)


async def get(running: Running, path: str) -> tuple[int, dict[str, Any]]:
    url = f"http://127.0.0.1:{running.gateway.ops_port}{path}"
    async with aiohttp.ClientSession() as http, http.get(url) as got:
        return got.status, await got.json()


def to(*phones: Phone) -> bytes:
    return event([notification(phone.owner) for phone in phones])


async def reasons(running: Running, event_id: str) -> list[tuple[int, str, str]]:
    """How each delivery of an event ended: its index, state and reason."""
    return [(row.index, row.state.value, row.reason) for row in await running.rows(event_id)]


# --- the front door ----------------------------------------------------------------------------


async def test_whoever_holds_one_secret_cannot_swallow_the_others_batch(rig: RelayRig) -> None:
    async with rig.gateway(settings(rig, {})) as running:
        await running.register(MARY)
        body = to(MARY)
        # a secret is good at its own address alone
        assert (await post(running, "x", body, to="learnink", secret=STAGING))[0] == 401
        assert (await post(running, "x", body, to="staging", secret=SECRET))[0] == 401
        assert (await post(running, "x", body, to="nobody", secret=SECRET))[0] == 404
        assert (await post(running, "x", body, to="api", secret=SECRET))[0] == 404

        # the same id at two sources is two events, and repeats count within one
        ids = {}
        for source in ("staging", "learnink"):
            status, answer = await post(running, "x", body, to=source)
            assert (status, answer["status"]) == (200, "accepted")
            ids[source] = answer["event_id"]
            repeated = (await post(running, "x", body, to=source))[1]
            assert (repeated["status"], repeated["event_id"]) == ("duplicate", ids[source])
        assert ids == {"staging": "staging:x", "learnink": "x"}

        # nobody can write another's id, nor one of their own in two ways
        hostile = ("staging:x", "staging%3Ax", "staging%253Ax", "staging%25%3Ax")
        for source, message_id in [(source, one) for source in SECRETS for one in hostile]:
            _, answer = await post(running, message_id, body, to=source)
            assert answer["status"] == "accepted"
            assert answer["event_id"].count(":") == (source == "staging")
            ids[f"{source} {message_id}"] = answer["event_id"]
        assert len(set(ids.values())) == len(ids)
        for name, event_id in ids.items():
            summary = await running.stores.journal.event(event_id)
            assert summary is not None
            assert summary.event.source == name.partition(" ")[0]
            await running.settled(event_id)
    assert len(rig.shown_by(MARY)) == len(ids)


async def test_a_reload_brings_a_source_and_takes_it_away(rig: RelayRig) -> None:
    async with rig.gateway(settings(rig)) as running:
        await running.register(MARY, TESTER)
        assert (await post(running, "m", to(MARY)))[0] == 404
        await running.reload(settings(rig, ONLY_TESTER))
        counted = 'inkpush_webhook_events_total{result="%s",source="staging"} %s'
        assert counted % ("accepted", "0.0") in running.gateway.metrics.render()[0].decode()
        assert (await post(running, "m", to(MARY, TESTER)))[0] == 200
        assert await running.settled("staging:m") == {"delivered": 1, "no_device": 1}
        another = "whsec_" + base64.b64encode(b"another secret of staging...").decode()
        await running.reload(settings(rig, {"secrets": [another]}))
        assert (await post(running, "n", to(MARY)))[0] == 401
        assert (await post(running, "n", to(MARY), secret=another))[0] == 200
        assert await running.settled("staging:n") == {"delivered": 1}
        await running.reload(settings(rig))
        assert (await post(running, "o", to(MARY), secret=another))[0] == 404
        text = running.gateway.metrics.render()[0].decode()
        for result, count in (("accepted", "2.0"), ("unauthorized", "1.0")):
            assert counted % (result, count) in text
    assert len(rig.sent_to(MARY)) == 1


# --- what a source may reach -------------------------------------------------------------------


async def register_in(running: Running, app: str, *phones: Phone) -> None:
    registrations = [replace(phone.registration(), app=app) for phone in phones]
    await running.stores.registry.register_many(registrations, now=running.clock())


async def test_staging_reaches_its_app_and_its_test_users(rig: RelayRig) -> None:
    both_apps = Phone("fcm", 3, 2)
    only = {"apps": ["staging"], "only_users": ["ink-2", "own-3"]}
    async with rig.gateway(settings(rig, only)) as running:
        await running.register(MARY, TESTER, Phone("fcm", 4, 3))
        await register_in(running, "staging", both_apps, Phone("fcm", 5, 1))
        await post(running, "m", to(MARY, TESTER, Phone("fcm", 4, 3), Phone("fcm", 9, 9)))
        assert await running.settled("staging:m") == {"delivered": 1, "no_device": 3}
        assert await reasons(running, "staging:m") == [
            (0, "no_device", NO_TESTER),
            (1, "delivered", ""),
            (2, "no_device", NO_APP),
            (3, "no_device", NO_TESTER),
        ]
        # of the webhook itself nothing is asked
        await post(running, "m", to(MARY, TESTER), to="learnink")
        assert await running.settled("m") == {"delivered": 4}
    assert [len(rig.sent_to(one)) for one in (both_apps, TESTER, MARY)] == [2, 1, 1]


async def test_the_stored_limits_hold_when_the_configured_ones_are_wider(rig: RelayRig) -> None:
    rig.sandbox.script(TESTER.address, Answer.unavailable(), Answer.ok())
    async with rig.gateway(settings(rig, ONLY_TESTER)) as running:
        await running.register(TESTER)
        await post(running, "m", to(MARY, TESTER))
        await rig.arrived(TESTER)
        await running.register(MARY)
        await running.reload(settings(rig, {}))
        rig.clock.ahead_s += 60
        assert await running.settled("staging:m") == {"delivered": 1, "no_device": 1}
    assert rig.sent_to(MARY) == []


NARROWED: list[tuple[dict[str, Any], str]] = [
    (ONLY_TESTER, NO_TESTER),
    ({"apps": ["staging"]}, NO_APP),
]


@pytest.mark.parametrize(("narrow", "why"), NARROWED)
async def test_what_waits_for_its_retry_obeys_a_narrower_configuration(
    rig: RelayRig, narrow: dict[str, Any], why: str
) -> None:
    rig.sandbox.script(MARY.address, Answer.unavailable(), Answer.ok())
    async with rig.gateway(settings(rig, {})) as running:
        await running.register(MARY)
        await post(running, "m", to(MARY))
        await running.row("staging:m", "pending")
        await running.reload(settings(rig, narrow))
        rig.clock.ahead_s += 60
        assert await running.settled("staging:m") == {"no_device": 1}
        assert await reasons(running, "staging:m") == [(0, "no_device", why)]
    assert len(rig.sent_to(MARY)) == 1


@pytest.mark.parametrize(("narrow", "why"), NARROWED)
async def test_what_waits_in_a_lane_obeys_a_narrower_configuration(
    rig: RelayRig, narrow: dict[str, Any], why: str
) -> None:
    slow = {"fcm": {"rate_per_s": 8.0, "ramp_s": 0}}
    async with rig.gateway(settings(rig, {}, **slow)) as running:
        await running.register(MARY)
        await post(running, "m", event([notification(1) for _ in range(60)]))
        await rig.arrived(MARY, 2)
        await running.reload(settings(rig, narrow, **slow))
        before = len(rig.sent_to(MARY))
        states = await running.settled("staging:m")
        assert len(rig.sent_to(MARY)) <= before + 10  # a second's worth, and what was on its way
        assert states.keys() == {"delivered", "no_device"}
        assert states["delivered"] == len(rig.sent_to(MARY))
        ended = await reasons(running, "staging:m")
        assert {reason for _, state, reason in ended if state == "no_device"} == {why}


@pytest.mark.parametrize(("narrow", "why"), NARROWED)
async def test_a_dead_letter_that_is_replayed_obeys_both_limits(
    site: Site, narrow: dict[str, Any], why: str
) -> None:
    rig, more = site
    given_up = {**more, "relay": {"max_attempts": 1}}
    for phone in (MARY, TESTER):
        rig.sandbox.script(phone.address, Answer.unavailable(), Answer.ok())
    async with rig.gateway(settings(rig, {"max_age_s": 600}, **given_up)) as running:
        await running.register(MARY, TESTER)
        await post(running, "m", to(MARY, TESTER))
        assert await running.settled("staging:m") == {"dead": 2}
        await running.reload(settings(rig, narrow, **given_up))
        letters = await running.stores.journal.dead(limit=9)
        assert {letter.item.source for letter in letters} == {"staging"}
        assert await running.stores.queue.replay_dead(None, now=rig.clock(), max_age_s=DAY_S) == 2
        running.gateway.wake()
        await running.settled("staging:m")
        assert (0, "no_device", why) in await reasons(running, "staging:m")
    assert len(rig.sent_to(MARY)) == 1


async def test_a_quarantined_event_is_replayed_for_its_source_as_it_was(site: Site) -> None:
    rig, more = site
    async with rig.gateway(settings(rig, ONLY_TESTER, **more)) as running:
        await running.register(MARY, TESTER)
        broken = json.dumps({"type": "notifications.sent", "data": {"notifications": {}}}).encode()
        assert (await post(running, "m", broken))[1]["status"] == "quarantined"
        # as if a later version understood it, under a wider configuration
        handle = handle_of(running)
        body = literal(handle, to(MARY, TESTER))
        await change(handle, f"UPDATE events SET body = {body} WHERE event_id = 'staging:m'")
        await running.reload(settings(rig, {}, **more))
        stores = running.stores
        replayed = await replaying.replay(
            stores.journal,
            stores.store.cancels,
            stores.queue,
            "staging:m",
            max_age_s=DAY_S,
            fresh=False,
            actor=ALICE,
        )
        assert replayed.result == "accepted"
        running.gateway.wake()
        assert await running.settled("staging:m") == {"delivered": 1, "no_device": 1}
    assert rig.sent_to(MARY) == []


async def test_what_a_lost_stream_held_comes_back_with_its_limits(shared_rig: RelayRig) -> None:
    queue = on_nats()
    ingest = {"host": "127.0.0.1", "port": 0, "role": "ingest"}
    first = settings(shared_rig, ONLY_TESTER, queue=queue, server=ingest)
    async with shared_rig.gateway(first) as running:
        await running.register(MARY, TESTER)
        await post(running, "m", to(MARY, TESTER))
        client = await nats.connect(running_cluster().servers)
        await client.jetstream().delete_stream(queue["stream"])
        await client.close()
    second = settings(shared_rig, {}, queue=queue)
    async with open_store(second) as command:
        found = await replaying.requeue(command.broker, since=0.0, progress=_quietly, actor=ALICE)
        assert found == 1
        (row,) = await command.audit.page(limit=10)
        assert (row.what, row.object, row.affected) == (
            "events.requeue",
            "since 1970-01-01T00:00:00.000Z",
            1,
        )
    async with shared_rig.gateway(second) as running:
        assert await running.settled("staging:m") == {"delivered": 1, "no_device": 1}
    assert shared_rig.sent_to(MARY) == []


@contextmanager
def _quietly(_what: str, _total: int | None) -> Iterator[Callable[[int], None]]:
    yield lambda _done: None


# --- sources that a relay does not know --------------------------------------------------------


async def test_what_comes_from_an_unknown_source_waits_and_is_told_of_once(site: Site) -> None:
    rig, more = site
    ingest = {"host": "127.0.0.1", "port": 0, "role": "ingest"}
    async with rig.gateway(settings(rig, {}, server=ingest, **more)) as running:
        await running.register(MARY, TESTER)
        for number in range(3):
            await post(running, f"m{number}", to(TESTER))
    async with rig.gateway(settings(rig, **more), QUICK) as running:
        await eventually("it is told", lambda: bool(running.told(SourceUnknown)))
        await post(running, "x", to(MARY), to="learnink")
        assert await running.settled("x") == {"delivered": 1}
        for _ in range(3):
            await asyncio.sleep(QUICK.unknown_s)  # it comes by again
        assert [one.source for one in running.told(SourceUnknown)] == ["staging"]
        status, ready = await get(running, "/readyz")
        assert (status, ready["status"]) == (200, "degraded")
        assert ready["parts"]["source/staging"]["state"] == "held"
        assert await running.states("staging:m0") == {"pending": 1}
        assert rig.sent_to(TESTER) == []

        await running.reload(settings(rig, {}, **more))
        for number in range(3):
            assert await running.settled(f"staging:m{number}") == {"delivered": 1}
        assert [one.source for one in running.told(SourceKnown)] == ["staging"]
        assert "source/staging" not in (await get(running, "/readyz"))[1]["parts"]
        await running.empty()
    assert len(rig.sent_to(TESTER)) == 3


async def test_what_nobody_comes_to_know_expires_in_time(rig: RelayRig) -> None:
    ingest = {"host": "127.0.0.1", "port": 0, "role": "ingest"}
    async with rig.gateway(settings(rig, {"max_age_s": 600}, server=ingest)) as running:
        await running.register(TESTER)
        await post(running, "m", to(TESTER))
    async with rig.gateway(settings(rig), QUICK) as running:
        await eventually("it is told", lambda: bool(running.told(SourceUnknown)))
        rig.clock.ahead_s += 700
        assert await running.settled("staging:m") == {"expired": 1}
        await running.empty()


@pytest.mark.parametrize("queue", ["postgres", "jetstream"])
async def test_of_two_relays_the_one_that_knows_the_source_sends(
    shared_rig: RelayRig, queue: str
) -> None:
    more = {"queue": on_nats()} if queue == "jetstream" else {}
    async with (
        shared_rig.gateway(settings(shared_rig, **more), QUICK),
        shared_rig.gateway(settings(shared_rig, ONLY_TESTER, **more), QUICK) as knows,
    ):
        await knows.register(MARY, TESTER)
        for number in range(20):
            await post(knows, f"m{number}", to(MARY, TESTER))
        for number in range(20):
            states = await knows.settled(f"staging:m{number}")
            assert states == {"delivered": 1, "no_device": 1}
    assert shared_rig.sent_to(MARY) == []
    assert len(shared_rig.sent_to(TESTER)) == 20


async def test_a_stricter_replica_applies_its_own_limits_and_the_events(
    shared_rig: RelayRig,
) -> None:
    """The event came where all may be reached; only the replica that relays is narrow."""
    ingest = {"host": "127.0.0.1", "port": 0, "role": "ingest"}
    async with (
        shared_rig.gateway(settings(shared_rig, {}, server=ingest)) as wide,
        shared_rig.gateway(settings(shared_rig, ONLY_TESTER)) as narrow,
    ):
        await narrow.register(MARY, TESTER)
        await post(wide, "m", to(MARY, TESTER))
        assert await narrow.settled("staging:m") == {"delivered": 1, "no_device": 1}
    assert shared_rig.sent_to(MARY) == []


# --- age ---------------------------------------------------------------------------------------


async def test_an_example_of_last_year_says_so_and_with_age_0_it_arrives(rig: RelayRig) -> None:
    example = event([notification(1)], OLD)
    async with rig.gateway(settings(rig, {"max_age_s": 0})) as running:
        await running.register(MARY)
        for source in ("learnink", "staging"):
            assert (await post(running, "m", example, to=source))[0] == 200
        dated = "too old: the event is dated 2025-11-06"
        assert await running.settled("m") == {"expired": 1}
        assert await reasons(running, "m") == [(0, "expired", dated)]
        summary = await running.stores.journal.event("m")
        assert summary is not None
        assert summary.event.reason == dated
        assert await running.settled("staging:m") == {"delivered": 1}
    assert len(rig.sent_to(MARY)) == 1
