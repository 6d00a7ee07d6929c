"""The command line against a running gateway, with the vendors' sandbox behind it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.commands import DEADLINE_S, Done, Workplace, running_gateway

DEVICES = [
    {
        "installation_id": "android",
        "user_id": "mary",
        "platform": "android",
        "provider": "fcm",
        "address": "dQw4w9WgXcQ:APA91b" + "x" * 120,
    },
    {
        "installation_id": "iphone",
        "custom_id": "john",
        "platform": "ios",
        "provider": "apns",
        "address": "ab" * 32,
    },
]
EVENT = {
    "api_version": "2022-11-15",
    "object": "event",
    "type": "notifications.sent",
    "timestamp": "2025-11-06T09:58:58.233Z",
    "data": {"notifications": [{"title": "Hi Mary!", "body": "Train", "user_id": "mary"}]},
}


STAGING = """
[[sources]]
id = "staging"
secrets = ["whsec_c3RhZ2luZydzIHNlY3JldCwgMjQgYnk="]
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workplace]:
    """A workplace whose vendors are the sandbox, started by its own command."""
    folder = tmp_path_factory.mktemp("running")
    sandbox = Workplace(folder)
    with sandbox.start("sandbox", "--directory", str(folder / "sandbox")) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("transport") and "[apps.apns]\n" in lines:
                break
        configuration = "".join(lines[lines.index("[[apps]]\n") :])
        yield Workplace.make(folder, STAGING + configuration)


@pytest.fixture(scope="module")
def url(place: Workplace) -> Iterator[str]:
    lines = "\n".join(json.dumps(device) for device in DEVICES)
    assert place.run("devices", "import", "-", given=lines).status == 0
    with running_gateway(place) as public:
        yield public


def settled(place: Workplace, event_id: str) -> dict[str, int]:
    """The deliveries of an event once all are settled."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        shown = place.run("events", "show", event_id, "--json").json
        if shown["settled"]:
            return {state: count for state, count in shown["deliveries"].items() if count}
        assert time.monotonic() < deadline, f"{event_id} did not settle: {shown}"


def test_a_push_sent_from_the_command_line_arrives(place: Workplace, url: str) -> None:
    event_id = place.run("send", "--user", "john", "--title", "Hi", "--json").json["event_id"]
    assert settled(place, event_id) == {"delivered": 1}
    shown = place.run("deliveries", "show", "--user", "john", "--json").json["deliveries"]
    assert shown[0]["state"] == "delivered"
    assert shown[0]["installation_id"] == "iphone"


def test_with_an_api_key_a_push_goes_through_the_gateway_and_a_repeat_sends_nothing(
    place: Workplace, url: str
) -> None:
    key = place.run("keys", "create", "--scope", "notifications:write", "--json").json["key"]
    call = ("send", "--user", "mary", "--title", "Hi", "--url", url, "--key", key)
    first = place.run(*call, "--idempotency-key", "once", "--json")
    again = place.run(*call, "--idempotency-key", "once", "--json")
    assert (first.status, first.json["status"]) == (0, "accepted")
    assert again.json["status"] == "duplicate"
    assert settled(place, first.json["event_id"]) == {"delivered": 1}


BOTH = {"user_id": "le2bB6", "custom_id": "3c2143e4"}


@pytest.mark.parametrize("id_of", BOTH)
@pytest.mark.parametrize("way", ["found", "said"])
def test_a_push_through_the_gateway_reaches_a_phone_by_either_of_its_ids(
    place: Workplace, url: str, id_of: str, way: str
) -> None:
    """The key may look up which id it is, or the command says so."""
    line = DEVICES[0] | BOTH | {"installation_id": "both", "address": "both:APA91b" + "x" * 120}
    assert place.run("devices", "import", "-", given=json.dumps(line)).status == 0
    scopes = ["notifications:write", *(["devices:read"] if way == "found" else [])]
    options = [word for scope in scopes for word in ("--scope", scope)]
    key = place.run("keys", "create", *options, "--json").json["key"]
    call = ("send", "--user", BOTH[id_of], "--title", "Hi", "--url", url, "--key", key, "--json")
    sent = place.run(*call, *(["--by", id_of] if way == "said" else []))
    assert settled(place, sent.json["event_id"]) == {"delivered": 1}


def test_a_push_through_the_gateway_to_an_id_of_two_people_is_refused(
    place: Workplace, url: str
) -> None:
    lines = [
        DEVICES[0] | {"installation_id": "bobs", "user_id": "bob", "address": "bob:APA91bxxxxxx"},
        DEVICES[1] | {"installation_id": "eves", "custom_id": "bob", "address": "cd" * 32},
    ]
    given = "\n".join(map(json.dumps, lines))
    assert place.run("devices", "import", "-", given=given).status == 0
    key = place.run("keys", "create", "--scope", "admin", "--json").json["key"]
    done = place.run("send", "--user", "bob", "--title", "Hi", "--url", url, "--key", key)
    assert done.status == 1
    assert "say which is meant" in done.err


def test_a_wrong_key_is_told(place: Workplace, url: str) -> None:
    done = place.run("send", "--user", "mary", "--title", "Hi", "--url", url, "--key", "ik_wrong")
    assert done.status == 1
    assert done.err.startswith("401 ")


def test_a_signed_event_is_posted_and_arrives(place: Workplace, url: str) -> None:
    (place.folder / "event.json").write_text(json.dumps(EVENT))
    call = ("webhook", "sign", "event.json", "--to", f"{url}/webhooks/learnink", "--id", "msg_now")
    done = place.run(*call, "--now")
    assert done.status == 0, done.err
    assert done.out.startswith("200 ")
    assert settled(place, "msg_now") == {"delivered": 1}
    assert "duplicate" in place.run(*call).out


def test_each_source_is_posted_to_with_its_own_secret_and_listed_by_it(
    place: Workplace, url: str
) -> None:
    (place.folder / "event.json").write_text(json.dumps(EVENT))
    for source in ("staging", "learnink"):
        target = ("--to", f"{url}/webhooks/{source}", "--id", "msg_twice")
        done = place.run("webhook", "sign", "event.json", "--now", *target)
        assert done.status == 0, done.err
    wrong = ("--to", f"{url}/webhooks/staging", "--source", "learnink")
    assert place.run("webhook", "sign", "event.json", *wrong).out.startswith("401 ")
    assert settled(place, "staging:msg_twice") == {"delivered": 1}
    assert settled(place, "msg_twice") == {"delivered": 1}
    listed = place.run("events", "list", "--source", "staging", "--json").json["events"]
    assert [(one["event_id"], one["source"]) for one in listed] == [
        ("staging:msg_twice", "staging")
    ]
    shown = place.run("events", "show", "staging:msg_twice", "--items", "--json").json
    assert (shown["source"], shown["items"][0]["source"]) == ("staging", "staging")
    told = place.run("deliveries", "show", "--user", "mary", "--json").json["deliveries"]
    sources = {one["event_id"]: one["source"] for one in told}
    assert sources["staging:msg_twice"] == "staging"
    assert sources["msg_twice"] == "learnink"


def test_what_is_sent_from_here_is_of_the_source_cli(place: Workplace, url: str) -> None:
    sent = place.run("send", "--user", "mary", "--title", "Hi", "--json")
    event_id = sent.json["event_id"]
    assert event_id.startswith("cli:")
    assert settled(place, event_id) == {"delivered": 1}
    assert place.run("events", "show", event_id, "--json").json["source"] == "cli"


def test_an_old_event_is_taken_and_expires(place: Workplace, url: str) -> None:
    (place.folder / "old.json").write_text(json.dumps(EVENT))
    call = ("webhook", "sign", "old.json", "--to", f"{url}/webhooks/learnink", "--id", "msg_old")
    done = place.run(*call)
    assert done.status == 0
    assert "too old" in done.err
    assert settled(place, "msg_old") == {"expired": 1}


def test_a_webhook_at_the_wrong_place_is_told_the_right_one(place: Workplace, url: str) -> None:
    (place.folder / "event.json").write_text(json.dumps(EVENT))
    done = place.run("webhook", "sign", "event.json", "--to", f"{url}/webhook", "--now")
    assert done.status == 1
    assert "/webhooks/learnink" in done.err


def test_a_wrongly_signed_event_is_refused(place: Workplace, url: str) -> None:
    (place.folder / "bad.json").write_text("{}")
    target = f"{url}/webhooks/learnink"
    done = place.run("webhook", "sign", "bad.json", "--to", target, "--secret", "whsec_d3Jvbmc=")
    assert done.status == 1
    assert done.out.startswith("401 ")


def test_nobody_at_the_address_is_told_without_a_trace(place: Workplace) -> None:
    done = place.run(
        "send", "--user", "u", "--title", "x", "--url", "http://127.0.0.1:9", "--key", "k"
    )
    assert done.status == 1
    assert "cannot reach 127.0.0.1:9" in done.err
    assert "inkpush serve" in done.err
    assert "Errno" not in done.err
    assert "Traceback" not in done.err


def test_credentials_are_checked_with_the_vendors(place: Workplace) -> None:
    done = place.run("check", "--online", "--json")
    assert done.status == 0, done.out
    told = [found["what"] for found in done.json["findings"]]
    accepted = {what.partition(": ")[0] for what in told if what.endswith("the credential")}
    parts = ("fcm/android", "fcm/ios", "fcm/web", "apns/production", "apns/sandbox")
    assert accepted == {f"demo/{part}" for part in parts}


def test_the_demo_shows_every_push_arriving(place: Workplace) -> None:
    done = place.run("demo", "--once", "--notifications", "10")
    assert done.status == 0, done.out + done.err
    assert done.json["ok"] is True
    assert done.json["delivered"] == 10


@pytest.mark.parametrize("provider", ["fcm", "apns"])
def test_the_bench_tells_its_figures_and_leaves_nothing_behind(
    tmp_path: Path, provider: str
) -> None:
    workplace = Workplace(tmp_path, {"TMPDIR": str(tmp_path)})
    done = workplace.run("bench", "--pushes", "200", "--provider", provider, "--json")
    assert done.status == 0, done.out + done.err
    figures = done.json
    assert figures["stand_in"] in {"nginx", "sandbox"}
    assert (figures["provider"], figures["pushes"], figures["delivered"]) == (provider, 200, 200)
    for name in ("seconds", "pushes_per_second", "cpu_us_per_push", "ack_p50_ms", "rss_mib"):
        assert figures[name] > 0, name
    assert figures["ack_p50_ms"] <= figures["ack_p99_ms"]
    assert list(tmp_path.iterdir()) == []


def test_the_sandbox_s_phones_are_told_and_looked_at(place: Workplace, tmp_path: Path) -> None:
    def phones(*words: str) -> Done:
        return place.run("sandbox", "phones", "--directory", str(place.folder / "sandbox"), *words)

    told = phones("--off", "--deny", "--for", "b", "--for", "a", "phone-1:x", "--json").json
    assert (told["state"], told["notifications"], told["for"]) == ("off", "denied", ["a", "b"])
    refused = phones("--reinstall", "phone-2:x", "phone-1:x")
    assert (refused.status, "is off" in refused.err) == (1, True)
    phones("--on", "--grant", "--open", "--nobody", "--platform", "ios", "phone-1:x")
    fresh = phones("--reinstall", "phone-2:x", "phone-1:x", "--json").json
    assert (fresh["address"], fresh["for"], fresh["platform"]) == ("phone-2:x", [], "ios")
    assert [one["address"] for one in phones("--json").json] == ["phone-2:x"]
    assert "phone-2:x" in phones().out
    for wrong in (("--off",), ("--nobody", "--for", "a", "phone-1:x")):
        assert phones(*wrong).status == 2
    nowhere = place.run("sandbox", "phones", "--directory", str(tmp_path))
    assert (nowhere.status, "not the directory of a sandbox" in nowhere.err) == (1, True)
