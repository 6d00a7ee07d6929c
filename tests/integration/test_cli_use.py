"""The command line: help, wrong use, bad configuration, and what needs no store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import click
import jwt
import pytest
from standardwebhooks.webhooks import Webhook

from gateway import __version__
from gateway.cli.root import inkpush
from tests.kit.commands import JWT_SECRET, SECRET, Workplace

EVENT = '{"type": "notifications.sent", "timestamp": "2025-11-06T09:58:58.233Z", "data": {}}'
GROUPS = {
    "users": {"export", "erase"},
    "webhook": {"sign"},
    "devices": {"list", "show", "import", "export", "forget"},
    "deliveries": {"show"},
    "events": {"list", "show", "types", "replay", "requeue", "cancel", "export", "audit"},
    "dead": {"list", "replay", "drop"},
    "experiments": {"plan", "start", "end", "list", "exempt"},
    "hooks": {"list", "test", "pause", "resume", "replay"},
    "lanes": {"list", "pause", "resume", "release"},
    "clock": {"accept"},
    "keys": {"create", "list", "revoke"},
    "token": {"mint"},
    "config": {"show", "schema"},
    "store": ("copy",),
    "sandbox": ("phones",),
}
ALONE = {
    "serve",
    "demo",
    "bench",
    "sandbox",
    "clock",
    "check",
    "send",
    "migrate",
    "audit",
    "why",
    "report",
    "effect",
}


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    return Workplace.make(tmp_path)


def commands(group: click.Group, path: str = "") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        inner = command if isinstance(command, click.Group) else None
        if inner is None or inner.invoke_without_command:
            yield f"{path}{name}", command
        if inner is not None:
            yield from commands(inner, f"{path}{name} ")


ALL_COMMANDS = dict(commands(inkpush))


def test_the_commands_are_those_of_the_contract() -> None:
    grouped = {f"{group} {name}" for group, names in GROUPS.items() for name in names}
    assert set(ALL_COMMANDS) == grouped | ALONE


@pytest.mark.parametrize("path", ALL_COMMANDS)
def test_every_command_explains_itself_with_an_example_of_its_own(path: str) -> None:
    command = ALL_COMMANDS[path]
    with click.Context(command, info_name=f"inkpush {path}") as context:
        text = command.get_help(context)
    assert "--config" in text
    assert len(command.help or "") > 20
    assert f"inkpush {path}" in (command.epilog or "")
    for option in command.params:
        if isinstance(option, click.Option) and option.name != "limit":
            assert option.help, f"{path}: {option.name} has no help"


@pytest.mark.parametrize("path", ["", *GROUPS])
def test_no_list_of_commands_cuts_what_it_says_of_one(path: str) -> None:
    group = inkpush.commands[path] if path else inkpush
    assert isinstance(group, click.Group)
    with click.Context(group, info_name=f"inkpush {path}".strip()) as context:
        _, found, listed = group.get_help(context).partition("Commands:")
    assert found
    assert "..." not in listed
    lengths = {name: len(one.short_help or "") for name, one in group.commands.items()}
    assert all(0 < length <= 45 for length in lengths.values()), lengths


def test_the_installed_command_knows_its_version(place: Workplace) -> None:
    done = place.run("--version")
    assert (done.status, done.out) == (0, f"inkpush {__version__}\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["devices", "list", "--nonsense"],
        ["keys", "create", "--scope", "everything"],
        ["send", "--user", "u1"],
        ["devices", "forget"],
        ["dead", "replay"],
        ["dead", "replay", "1", "--all"],
        ["lanes", "pause"],
        ["lanes", "pause", "agent/smoke"],
        ["deliveries", "show", "--user", "u", "--since", "yesterday"],
        ["webhook", "sign", "inkpush.toml", "--now"],
        ["webhook", "sign", "inkpush.toml", "--secret", "whsec_?"],
        ["webhook", "sign", "gone.json"],
    ],
    ids=" ".join,
)
def test_wrong_use_is_explained_and_ends_with_2(place: Workplace, arguments: list[str]) -> None:
    done = place.run(*arguments)
    assert done.status == 2
    assert done.out == ""
    assert "Error: " in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("arguments", [["serve"], ["check"], ["config", "show"], ["keys", "list"]])
def test_a_bad_configuration_shows_all_its_mistakes_and_ends_with_2(
    place: Workplace, arguments: list[str]
) -> None:
    (place.folder / "inkpush.toml").write_text('[server]\nport = "x"\n[webhook]\nsecret = 1\n')
    done = place.run(*arguments)
    assert done.status == 2
    keys = [line.partition(": ")[0] for line in done.err.splitlines()]
    assert keys == ["server.port", "webhook.secret", "webhook.secrets", "apps"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--config", "other.toml", "config", "show", "--json"],
        ["config", "--config", "other.toml", "show", "--json"],
        ["config", "show", "--json", "--config", "other.toml"],
    ],
    ids=" ".join,
)
def test_the_configuration_may_be_named_before_and_after_the_command(
    place: Workplace, arguments: list[str]
) -> None:
    text = (place.folder / "inkpush.toml").read_text()
    (place.folder / "other.toml").write_text(text.replace("port = 0", "port = 7", 1))
    done = place.run(*arguments)
    assert done.status == 0, done.err
    assert done.json["server"]["port"] == 7


def test_the_settings_in_force_are_shown_with_secrets_masked(place: Workplace) -> None:
    place.variables["INKPUSH_RELAY__MAX_ATTEMPTS"] = "3"
    for done in (place.run("config", "show"), place.run("config", "show", "--json")):
        assert done.status == 0
        assert SECRET not in done.out
        assert JWT_SECRET not in done.out
    assert done.json["relay"]["max_attempts"] == 3


def test_the_schema_is_json(place: Workplace) -> None:
    schema = place.run("config", "schema").json
    assert "webhook" in schema["properties"]
    # an editor lets "24h" stand where it is read
    tolerance = schema["$defs"]["WebhookSettings"]["properties"]["tolerance_s"]
    assert tolerance["type"] == ["number", "string"]


def test_a_signed_body_is_accepted_by_an_independent_verifier(place: Workplace) -> None:
    (place.folder / "event.json").write_text(EVENT)
    done = place.run("webhook", "sign", "event.json", "--id", "msg_1")
    assert done.status == 0, done.err
    headers = dict(line.split(": ", 1) for line in done.out.splitlines())
    assert headers["svix-id"] == "msg_1"
    named = {name.replace("svix", "webhook"): value for name, value in headers.items()}
    assert Webhook(SECRET).verify(EVENT, named) == json.loads(EVENT)


STAGING = "whsec_" + "c3RhZ2luZydzIHNlY3JldCwgMjQgYnk="
SOURCE = f"""
[[sources]]
id = "staging"
secrets = ["{STAGING}"]
"""


def with_staging(place: Workplace) -> Workplace:
    file = place.folder / "inkpush.toml"
    file.write_text(file.read_text() + SOURCE)
    (place.folder / "event.json").write_text(EVENT)
    return place


@pytest.mark.parametrize(
    ("options", "secret"),
    [((), SECRET), (("--source", "staging"), STAGING), (("--source", "learnink"), SECRET)],
)
def test_a_body_is_signed_for_its_source(
    place: Workplace, options: tuple[str, ...], secret: str
) -> None:
    done = with_staging(place).run("webhook", "sign", "event.json", *options)
    assert done.status == 0, done.err
    headers = dict(line.split(": ", 1) for line in done.out.splitlines())
    named = {name.replace("svix", "webhook"): value for name, value in headers.items()}
    assert Webhook(secret).verify(EVENT, named)


def test_a_source_without_a_secret_cannot_be_signed_for(place: Workplace) -> None:
    done = with_staging(place).run("webhook", "sign", "event.json", "--source", "nobody")
    assert done.status == 2
    assert "no signing secret of nobody" in done.err


def test_check_warns_of_two_secrets_and_refuses_one_in_two_sources(place: Workplace) -> None:
    file = with_staging(place).folder / "inkpush.toml"
    text = file.read_text()
    more = "whsec_" + "dGhlIHRoaXJkIHNlY3JldCwgMjQgYnl0"
    file.write_text(text.replace(f'["{SECRET}"]', f'["{SECRET}", "{more}"]'))
    found = place.run("check", "--json").json["findings"]
    warned = [one["what"] for one in found if one["level"] == "warning"]
    assert [one for one in warned if one.startswith("webhook.secrets: has 2 secrets")]
    file.write_text(text.replace(STAGING, SECRET))
    done = place.run("check")
    assert done.status == 2
    assert "sources[0].secrets[0]: is the same secret as webhook.secrets[0]" in done.err
    assert SECRET not in done.err


def test_signing_for_now_sets_the_events_timestamp_and_signs_what_it_prints(
    place: Workplace,
) -> None:
    other = "whsec_" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldY"
    done = place.run("webhook", "sign", "-", "--now", "--json", "--secret", other, given=EVENT)
    assert done.status == 0, done.err
    body, headers = done.json["body"], done.json["headers"]
    named = {name.replace("svix", "webhook"): value for name, value in headers.items()}
    event = Webhook(other).verify(body, named)
    assert event["type"] == "notifications.sent"
    assert event["timestamp"] > "2026"


def test_a_minted_token_proves_its_user(place: Workplace) -> None:
    done = place.run("token", "mint", "--user", "u1", "--user-id", "li1", "--ttl", "60", "--json")
    claims = jwt.decode(done.json["token"], JWT_SECRET, algorithms=["HS256"])
    assert (claims["sub"], claims["user_id"]) == ("u1", "li1")
    assert claims["exp"] - claims["iat"] == 60


@pytest.mark.parametrize("user", ["", "a\x01b", "x" * 257])
def test_no_token_is_minted_for_what_no_id_can_be(place: Workplace, user: str) -> None:
    done = place.run("token", "mint", "--user", user)
    assert (done.status, done.out) == (2, "")
    assert "--user" in done.err


@pytest.mark.parametrize(
    "command", [("devices", "show"), ("events", "show"), ("devices", "list", "--app")]
)
def test_an_argument_that_is_no_text_is_told(place: Workplace, command: tuple[str, ...]) -> None:
    done = place.run(*command, "\udcff")
    assert done.status == 2
    assert "not UTF-8 text" in done.err
    assert "Traceback" not in done.err


def test_without_a_secret_no_token_is_minted(place: Workplace) -> None:
    text = (place.folder / "inkpush.toml").read_text()
    (place.folder / "inkpush.toml").write_text(text.replace(JWT_SECRET, ""))
    done = place.run("token", "mint", "--user", "u1")
    assert done.status == 2
    assert "auth.jwt_secret" in done.err


def test_check_says_what_to_do_and_fails_when_something_cannot_work(place: Workplace) -> None:
    done = place.run("check", "--json")
    assert done.status == 1
    wrong = [found["what"] for found in done.json["findings"] if found["level"] == "error"]
    assert any("fcm" in what for what in wrong)
    assert any("apns" in what for what in wrong)
    assert "ERROR" in place.run("check").out
