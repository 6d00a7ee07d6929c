"""The command line on a store: devices, keys, events, dead letters, lanes, pushes."""

from __future__ import annotations

import csv
import json
import stat
from pathlib import Path
from typing import Any

import pytest

from gateway.app.settings import load
from gateway.app.storage import Stores, open_store
from gateway.core.model import (
    Chunk,
    ChunkItem,
    Event,
    Item,
    Record,
    Remainder,
    UserRef,
)
from gateway.core.states import DeliveryState
from gateway.devices.api_keys import key_digest
from gateway.ports import LaneRow, PartRow
from providers.contract import address_hash
from tests.kit.commands import Workplace
from tests.kit.stores import Handle, hold_back, removal

APNS_TOKEN = "ab" * 32
FCM_TOKEN = "fcm-token-of-mary"
MARY = {
    "installation_id": "phone-of-mary",
    "user_id": "mary",
    "platform": "android",
    "provider": "fcm",
    "address": FCM_TOKEN,
    "locale": "sw-KE",
}
JOHN = {
    "installation_id": "phone-of-john",
    "custom_id": "john",
    "platform": "ios",
    "provider": "apns",
    "address": APNS_TOKEN,
    "environment": "sandbox",
}
BATCH = {
    "type": "notifications.sent",
    "timestamp": "2025-11-06T09:58:58.233Z",
    "data": {"notifications": [{"title": "Hi", "body": "Mary", "user_id": "mary"}]},
}


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    return Workplace.make(tmp_path)


@pytest.fixture
def peopled(place: Workplace) -> Workplace:
    """A store that knows Mary and John."""
    lines = "\n".join(json.dumps(record) for record in (MARY, JOHN))
    assert place.run("devices", "import", "-", given=lines).status == 0
    return place


def opened(place: Workplace) -> Any:
    return open_store(load(place.folder / "inkpush.toml", {}))


async def dead_letter(stores: Stores, device_id: int) -> None:
    """Let a delivery of event msg_1 to a device end as a dead letter."""
    item = Item(0, "Hi", "Mary", None, "mary", None)
    chunk = Chunk("msg_1", 0, 1000.0, 2000.0, (ChunkItem(item, (Remainder(device_id),)),))
    event = Event("msg_1", "notifications.sent", "accepted", 1000.0, notifications=1, chunks=1)
    await stores.queue.accept(event, [chunk])
    (claim,) = await stores.queue.claim(limit=1, lease_s=60, now=1500.0)
    record = Record(
        "msg_1",
        0,
        device_id,
        DeliveryState.DEAD,
        12,
        1500.0,
        user_id="mary",
        app="agent",
        provider="fcm",
        reason="UNAVAILABLE",
    )
    await stores.journal.record([record], [], [(0, item)], [("msg_1", 0)])
    await stores.queue.settle(claim, [])


# --- devices -----------------------------------------------------------------------------------


def test_an_import_tells_each_bad_line_and_takes_the_good_ones(place: Workplace) -> None:
    lines = [
        json.dumps(MARY).encode(),
        b"not json",
        b"",
        b'["a list"]',
        b"\xff\xfe",
        json.dumps({**JOHN, "address": "short"}).encode(),
        json.dumps({**MARY, "user_id": None}).encode(),
        json.dumps(JOHN).encode(),
    ]
    assert place.run("migrate").status == 0
    done = place.run("devices", "import", "-", "--json", given=b"\n".join(lines))
    assert done.status == 1
    errors = done.json["errors"]
    counts = {"new": 2, "known": 0, "newer_here": 0, "bad": 5}
    assert done.json == counts | {"newer": [], "errors": errors}
    assert [error["line"] for error in errors] == [2, 4, 5, 6, 7]
    assert done.err.splitlines()[0] == "line 2: is not JSON"
    assert "address" in errors[3]["reason"]
    assert "user_id or custom_id is needed" in errors[4]["reason"]


def test_a_repeated_import_finds_the_same_devices(peopled: Workplace) -> None:
    again = peopled.run("devices", "import", "-", "--json", given=json.dumps(MARY))
    assert (again.status, again.json["new"], again.json["known"]) == (0, 0, 1)


@pytest.mark.parametrize("form", ["ndjson", "csv"])
def test_an_export_can_be_imported_elsewhere(
    peopled: Workplace, tmp_path_factory: pytest.TempPathFactory, form: str
) -> None:
    file = tmp_path_factory.mktemp("moving") / f"devices.{form}"
    assert peopled.run("devices", "export", str(file)).status == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    elsewhere = Workplace.make(tmp_path_factory.mktemp("elsewhere"))
    assert elsewhere.run("devices", "import", str(file), "--json").json["new"] == 2
    first, second = (
        place.run("devices", "export", "-", "--format", form) for place in (peopled, elsewhere)
    )
    assert FCM_TOKEN in first.out
    assert second.out == first.out


def test_a_csv_line_with_a_cell_too_many_is_told(peopled: Workplace) -> None:
    exported = peopled.run("devices", "export", "-", "--format", "csv").out
    rows = exported.splitlines()
    assert next(csv.reader(rows))[0] == "installation_id"
    broken = "\n".join([rows[0], rows[1] + ",x", rows[2]])
    done = peopled.run("devices", "import", "-", "--format", "csv", given=broken)
    assert done.status == 1
    columns = len(next(csv.reader(rows)))
    assert done.err == f"line 2: has {columns + 1} fields, the header {columns}\n"
    assert done.out == "0 new, 1 known, 0 newer here, 1 bad\n"


def test_a_csv_without_the_needed_columns_is_told_once(place: Workplace) -> None:
    assert place.run("migrate").status == 0
    done = place.run("devices", "import", "-", "--format", "csv", given="user,token\na,b\nc,d\n")
    assert done.status == 1
    assert done.err == "line 1: the header has no column installation_id and address\n"


def test_devices_are_listed_and_shown_without_their_addresses(peopled: Workplace) -> None:
    listed = peopled.run("devices", "list", "--json")
    names = {device["installation_id"] for device in listed.json["devices"]}
    assert names == {"phone-of-mary", "phone-of-john"}
    shown = peopled.run("devices", "show", "phone-of-john")
    assert address_hash(APNS_TOKEN) in shown.out
    assert "sandbox" in shown.out
    table = peopled.run("devices", "list", "--user", "mary")
    assert "phone-of-mary" in table.out
    assert "phone-of-john" not in table.out
    for done in (listed, shown, table):
        assert done.status == 0
        assert FCM_TOKEN not in done.out
        assert APNS_TOKEN not in done.out


def test_devices_are_listed_by_app_state_and_number(peopled: Workplace) -> None:
    def count(*options: str) -> int:
        return len(peopled.run("devices", "list", "--json", *options).json["devices"])

    assert count("--limit", "1") == 1
    assert count("--app", "agent", "--state", "active") == 2
    assert count("--state", "pruned") == 0
    assert count("--app", "other") == 0
    assert count("--user", "mary", "--state", "pruned") == 0


def test_an_unknown_installation_is_told(place: Workplace) -> None:
    assert place.run("devices", "show", "nobodys").status == 1
    assert place.run("devices", "forget", "nobodys").status == 1


def test_an_installation_is_forgotten(peopled: Workplace) -> None:
    assert peopled.run("devices", "forget", "phone-of-mary", "--json").json == {"forgotten": 1}
    left = peopled.run("devices", "list", "--json").json["devices"]
    assert [device["installation_id"] for device in left] == ["phone-of-john"]


def test_a_user_is_erased_only_when_it_is_meant(peopled: Workplace) -> None:
    asked = peopled.run("devices", "forget", "--user", "mary", given="n\n")
    assert asked.status == 1
    assert peopled.run("devices", "list", "--user", "mary", "--json").json["devices"]
    assert peopled.run("devices", "forget", "--user", "mary", "--yes").status == 0
    assert peopled.run("devices", "list", "--user", "mary", "--json").json["devices"] == []


async def test_users_erase_waits_until_nothing_names_the_user(peopled: Workplace) -> None:
    kept = Event("msg_1", "t", "ignored", 1.7e9, body=b'{"learner":"mary"}')
    async with opened(peopled) as stores:
        assert await stores.queue.accept(kept, [])
    assert peopled.run("users", "erase", "--user", "mary", given="n\n").status == 1
    asked = peopled.run("users", "erase", "--user", "mary", "--yes", "--json")
    assert asked.json == {"forgotten": 1, "state": "running"}
    async with opened(peopled) as stores:
        assert await stores.store.erasures.waiting()
    waited = peopled.run("users", "erase", "--user", "mary", "--yes", "--wait", "--json")
    assert waited.json == {"forgotten": 0, "state": "done"}
    async with opened(peopled) as stores:
        assert not await stores.store.erasures.waiting()
        summary = await stores.journal.event("msg_1")
    assert summary is not None
    assert summary.event.body == b""


# --- keys --------------------------------------------------------------------------------------


async def test_a_key_is_shown_once_and_kept_as_its_hash(place: Workplace) -> None:
    created = place.run(
        "keys", "create", "--scope", "devices:read", "--scope", "admin", "--name", "b", "--json"
    ).json
    async with opened(place) as stores:
        kept = await stores.keys.find(key_digest(created["key"]))
    assert kept is not None
    assert kept.id == created["id"]
    assert kept.scopes == {"devices:read", "admin"}
    listed = place.run("keys", "list")
    assert created["id"] in listed.out
    assert created["key"] not in listed.out


def test_a_key_for_people_stands_alone_on_standard_output(place: Workplace) -> None:
    done = place.run("keys", "create", "--scope", "admin")
    assert done.out.startswith("ik_")
    assert len(done.out.splitlines()) == 1


def test_a_revoked_key_is_listed_as_such_and_cannot_be_revoked_again(place: Workplace) -> None:
    key_id = place.run("keys", "create", "--scope", "admin", "--json").json["id"]
    assert place.run("keys", "revoke", key_id).status == 0
    assert place.run("keys", "list", "--json").json["keys"][0]["revoked_at"]
    assert place.run("keys", "revoke", key_id).status == 1


# --- pushes, events, deliveries ------------------------------------------------------------------


def test_a_dry_run_shows_who_would_get_it_and_sends_nothing(peopled: Workplace) -> None:
    done = peopled.run("send", "--user", "mary", "--title", "Hi", "--dry-run", "--json")
    assert done.status == 0
    assert done.json["destinations"] == [
        {
            "index": 0,
            "app": "agent",
            "provider": "fcm",
            "platform": "android",
            "address_hash": address_hash(FCM_TOKEN),
        }
    ]
    assert FCM_TOKEN not in done.out
    assert peopled.run("events", "list", "--json").json["events"] == []
    for_people = peopled.run("send", "--user", "mary", "--title", "Hi", "--dry-run")
    assert address_hash(FCM_TOKEN) in for_people.out
    assert "Nothing was sent." in for_people.err


TWO_PEOPLE = [
    MARY | {"installation_id": "bobs", "user_id": "bob", "address": "fcm-token-of-bob"},
    JOHN | {"installation_id": "eves", "user_id": "eve", "custom_id": "bob"},
]


@pytest.fixture
def ambiguous(place: Workplace) -> Workplace:
    """A store where bob is one person's user_id and another's custom_id."""
    lines = "\n".join(json.dumps(record) for record in TWO_PEOPLE)
    assert place.run("devices", "import", "-", given=lines).status == 0
    return place


@pytest.mark.parametrize(
    ("by", "provider"), [("user_id", "fcm"), ("custom_id", "apns")], ids=["user_id", "custom_id"]
)
def test_a_push_to_an_id_of_two_people_has_to_say_which(
    ambiguous: Workplace, by: str, provider: str
) -> None:
    call = ("send", "--user", "bob", "--title", "Hi", "--dry-run", "--json")
    done = ambiguous.run(*call)
    assert (done.status, done.out) == (1, "")
    assert "say which is meant" in done.err
    shown = ambiguous.run(*call, "--by", by).json["destinations"]
    assert [one["provider"] for one in shown] == [provider]


@pytest.mark.parametrize("id_of", ["user_id", "custom_id"])
def test_a_push_reaches_a_phone_by_one_id_whatever_the_other_is(
    place: Workplace, id_of: str
) -> None:
    """One id said as both kinds would contradict what the phone's app has stated."""
    ids = {"user_id": "le2bB6", "custom_id": "3c2143e4"}
    assert place.run("devices", "import", "-", given=json.dumps(MARY | ids)).status == 0
    call = ("send", "--user", ids[id_of], "--title", "Hi", "--json")
    assert len(place.run(*call, "--dry-run").json["destinations"]) == 1
    assert len(place.run(*call).json["destinations"]) == 1


async def test_a_push_waits_in_the_store_for_a_running_gateway(peopled: Workplace) -> None:
    sent = peopled.run("send", "--user", "john", "--title", "Hi", "--path", "/learning", "--json")
    assert sent.status == 0
    (event,) = peopled.run("events", "list", "--json").json["events"]
    assert event["event_id"] == sent.json["event_id"]
    async with opened(peopled) as stores:
        assert (await stores.queue.depth()).notifications == 1


def test_a_push_that_cannot_go_out_is_rejected_with_its_reason(peopled: Workplace) -> None:
    done = peopled.run("send", "--user", "mary", "--title", "Hi", "--path", "https://evil")
    assert done.status == 1
    assert "path does not start with one /" in done.err
    assert peopled.run("events", "list", "--json").json["events"] == []


def test_an_event_shows_its_items(peopled: Workplace) -> None:
    sent = peopled.run("send", "--user", "mary", "--title", "Hi", "--json").json["event_id"]
    shown = peopled.run("events", "show", sent, "--items", "--json").json
    assert (shown["notifications"], shown["settled"]) == (1, False)
    assert shown["rejections"] == []
    assert "notifications.sent" in peopled.run("events", "show", sent, "--items").out
    assert peopled.run("events", "show", "msg_unknown").status == 1


async def test_a_quarantined_event_is_read_again_and_sent(peopled: Workplace) -> None:
    async with opened(peopled) as stores:
        for event_id, body in (("msg_good", json.dumps(BATCH).encode()), ("msg_bad", b"{")):
            event = Event(event_id, "", "quarantined", 1000.0, reason="?", body=body)
            await stores.queue.accept(event, [])
    listed = peopled.run("events", "list", "--status", "quarantined", "--json").json["events"]
    assert {event["event_id"] for event in listed} == {"msg_good", "msg_bad"}
    done = peopled.run("events", "replay", "msg_good", "msg_bad", "msg_none", "--json", "--fresh")
    assert done.status == 1
    results = {event["event_id"]: event["result"] for event in done.json["events"]}
    assert results == {"msg_good": "accepted", "msg_bad": "quarantined", "msg_none": "unknown"}
    again = peopled.run("events", "replay", "msg_good", "--json")
    assert again.json["events"][0]["result"] == "not quarantined"
    async with opened(peopled) as stores:
        (claim,) = await stores.queue.claim(limit=9, lease_s=1, now=4e9)
    assert claim.chunk.items[0].item.title == "Hi"
    # the event is a year old: without --fresh its pushes would expire at once
    assert claim.chunk.deadline > 1.78e9


async def test_a_learning_event_that_is_read_again_is_kept_without_what_is_dropped(
    peopled: Workplace,
) -> None:
    said = {"type": "user.joined", "data": {"user_id": "mary", "phone_number": "+254700000001"}}
    async with opened(peopled) as stores:
        body = json.dumps(said).encode()
        event = Event("msg_1", "", "quarantined", 1000.0, reason="?", body=body)
        await stores.queue.accept(event, [])
    peopled.variables["INKPUSH_LEARNING__DROP"] = '["**.phone_number"]'
    peopled.variables["INKPUSH_RETENTION__LEARNING_DAYS"] = "14"
    done = peopled.run("events", "replay", "msg_1", "--json")
    assert [one["result"] for one in done.json["events"]] == ["ignored"]
    async with opened(peopled) as stores:
        summary = await stores.journal.event("msg_1")
    assert summary is not None
    assert json.loads(summary.event.body) == {"type": "user.joined", "data": {"user_id": "mary"}}


async def test_a_users_deliveries_tell_what_the_vendor_said(peopled: Workplace) -> None:
    async with opened(peopled) as stores:
        (device,) = await stores.registry.devices_of(UserRef(user_id="mary"))
        await dead_letter(stores, device.id)
    shown = peopled.run("deliveries", "show", "--user", "mary", "--json").json["deliveries"]
    assert [(one["state"], one["reason"], one["installation_id"]) for one in shown] == [
        ("dead", "UNAVAILABLE", "phone-of-mary")
    ]
    assert "UNAVAILABLE" in peopled.run("deliveries", "show", "--user", "mary").out
    recent = peopled.run("deliveries", "show", "--user", "mary", "--since", "2d", "--json")
    assert recent.json["deliveries"] == []


async def test_dead_letters_are_listed_replayed_and_dropped(peopled: Workplace) -> None:
    async with opened(peopled) as stores:
        (device,) = await stores.registry.devices_of(UserRef(user_id="mary"))
        await dead_letter(stores, device.id)
    (letter,) = peopled.run("dead", "list", "--json").json["dead"]
    assert (letter["event_id"], letter["attempts"]) == ("msg_1", 12)
    assert "UNAVAILABLE" in peopled.run("dead", "list").out
    assert peopled.run("dead", "replay", "999").status == 1
    assert peopled.run("dead", "replay", str(letter["id"]), "--json").json == {"replayed": 1}
    async with opened(peopled) as stores:
        assert (await stores.queue.depth()).notifications == 1
    assert peopled.run("dead", "drop", "--all", "--yes", "--json").json == {"dropped": 0}


async def test_dropped_dead_letters_are_gone(peopled: Workplace) -> None:
    async with opened(peopled) as stores:
        (device,) = await stores.registry.devices_of(UserRef(user_id="mary"))
        await dead_letter(stores, device.id)
    assert peopled.run("dead", "drop", "--all", given="n\n").status == 1
    assert peopled.run("dead", "drop", "--all", "--yes", "--json").json == {"dropped": 1}
    assert peopled.run("dead", "list", "--json").json["dead"] == []


# --- lanes -------------------------------------------------------------------------------------


OPEN = {
    "agent/fcm/android": "open",
    "agent/fcm/ios": "open",
    "agent/fcm/web": "open",
    "agent/apns/production": "open",
    "agent/apns/sandbox": "open",
}


def states(place: Workplace) -> dict[str, str]:
    rows = place.run("lanes", "list", "--json").json["lanes"]
    return {f"{row['app']}/{row['provider']}/{row['part']}": row["state"] for row in rows}


def paused(*parts: str) -> dict[str, str]:
    return OPEN | {f"agent/{part}": "paused" for part in parts}


@pytest.mark.parametrize("named", [["agent/fcm"], ["agent", "fcm"]], ids=" ".join)
def test_a_lane_is_held_and_let_go(place: Workplace, named: list[str]) -> None:
    assert states(place) == OPEN
    done = place.run("lanes", "pause", *named, "--reason", "quota")
    assert (done.status, done.out) == (0, "paused: agent/fcm\n")
    assert states(place) == paused("fcm/android", "fcm/ios", "fcm/web")
    assert "quota" in place.run("lanes", "list").out
    assert place.run("lanes", "resume", *named).status == 0
    assert states(place) == OPEN
    again = place.run("lanes", "resume", *named)
    assert (again.status, again.err) == (1, "Nothing is paused, held, accused or quiet there.\n")


def test_a_part_is_held_and_let_go_alone(place: Workplace) -> None:
    done = place.run("lanes", "pause", "agent/fcm/ios", "agent/apns/sandbox", "--json")
    assert done.json["held"] == ["agent/apns/sandbox", "agent/fcm/ios"]
    assert states(place) == paused("fcm/ios", "apns/sandbox")
    assert place.run("lanes", "resume", "agent", "fcm", "ios").status == 0
    assert states(place) == paused("apns/sandbox")


def test_a_part_of_a_lane_that_is_held_as_a_whole_is_let_go_and_the_others_stay_held(
    place: Workplace,
) -> None:
    place.run("lanes", "pause", "agent/fcm", "--reason", "quota")
    assert place.run("lanes", "resume", "agent/fcm/web", "--json").json["resumed"] == [
        "agent/fcm/web"
    ]
    assert states(place) == paused("fcm/android", "fcm/ios")
    assert place.run("lanes", "list").out.count("quota") == 2


def test_a_pause_that_is_repeated_without_a_reason_keeps_it(place: Workplace) -> None:
    place.run("lanes", "pause", "agent/fcm/ios", "--reason", "quota")
    place.run("lanes", "pause", "agent/fcm/ios")
    assert "quota" in place.run("lanes", "list").out


def test_a_lane_that_is_not_there_is_told_with_those_that_are(place: Workplace) -> None:
    done = place.run("lanes", "pause", "agent/fcm/watch")
    assert done.status == 2
    assert "agent/fcm/android" in done.err


def test_an_app_names_all_its_lanes(place: Workplace) -> None:
    held = place.run("lanes", "pause", "agent", "--json").json["held"]
    assert held == ["agent/apns", "agent/fcm"]  # each as a whole
    assert place.run("lanes", "resume", "--json").json["resumed"] == held


async def test_resuming_a_part_clears_what_single_targets_are_accused_of(place: Workplace) -> None:
    accused = PartRow("ios", trouble="accused", trouble_reason="THIRD_PARTY_AUTH_ERROR")
    async with opened(place) as stores:
        await stores.lanes.report([LaneRow("agent", "fcm", parts=(accused,))])
    assert "THIRD_PARTY_AUTH_ERROR" in place.run("lanes", "list").out
    done = place.run("lanes", "resume", "agent/fcm/ios")
    assert (done.status, done.out) == (0, "resumed: agent/fcm/ios\n")
    assert "THIRD_PARTY_AUTH_ERROR" not in place.run("lanes", "list").out


async def test_releasing_the_brake_prunes_what_it_held_back(peopled: Workplace) -> None:
    assert peopled.run("lanes", "release").status == 1
    async with opened(peopled) as stores:
        (device,) = await stores.registry.devices_of(UserRef(user_id="mary"))
        await hold_back(Handle(stores.store, stores.queue), [removal(device)], now=1000.0)
    assert "ON since" in peopled.run("lanes", "list").out
    done = peopled.run("lanes", "release", "agent/fcm", "--json")
    assert done.json == {"released": [{"lane": "agent/fcm", "pruned": 1}]}
    (device_now,) = peopled.run("devices", "list", "--user", "mary", "--json").json["devices"]
    assert device_now["state"] == "pruned"


def test_migrating_twice_changes_nothing(place: Workplace) -> None:
    for _ in range(2):
        done = place.run("migrate")
        assert done.status == 0
        assert "inkpush.db" in done.out


def test_a_store_that_cannot_be_opened_is_told_without_a_trace(place: Workplace) -> None:
    (place.folder / "inkpush.db").mkdir()
    done = place.run("keys", "list")
    assert done.status == 1
    assert done.err.startswith("inkpush: ")
    assert "Traceback" not in done.err
