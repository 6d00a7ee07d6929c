"""[[sources]]: what may stand there, what may not, and what a source that names little gets."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

import pytest

from config.checks import advice
from config.settings import Settings, SettingsError, masked
from gateway.app.settings import load
from gateway.app.sources import limits_of, names_of, webhook_limits
from gateway.core.sources import UNLIMITED, Limits


def secret_of(key: bytes) -> str:
    return "whsec_" + base64.b64encode(key).decode()


OURS = secret_of(b"the key of webhook, 24 b")
THEIRS = secret_of(b"the key of staging, 24 b")
MORE = secret_of(b"the key of a third, 24 b")
LONG = b"a key that is longer than the block of its hash function, which is 64 bytes"


def read(
    folder: Path, sources: str, *, webhook: str = f'secrets = ["{OURS}"]', role: str = "all"
) -> Settings:
    (folder / "fcm.json").write_text("{}")
    (folder / "staging.txt").write_text(f"# of staging\n{THEIRS}\n")
    text = f'[server]\nrole = "{role}"\n[webhook]\n{webhook}\n{sources}\n'
    for app in ("agent", "agent-staging"):
        text += f'[[apps]]\nid = "{app}"\n[apps.fcm]\ncredentials_file = "fcm.json"\n'
    file = folder / "inkpush.toml"
    file.write_text(text)
    return load(file, {})


def source(**values: object) -> str:
    given = {"id": "staging", "secrets": [THEIRS]} | values
    lines = [f"{name} = {json.dumps(value)}" for name, value in given.items() if value is not None]
    return "\n".join(["[[sources]]", *lines, ""])


def test_what_a_source_does_not_name_is_the_webhooks(tmp_path: Path) -> None:
    webhook = f'secrets = ["{OURS}"]\ntolerance_s = 77\nmax_body_bytes = 4096'
    settings = read(
        tmp_path, source() + source(id="b", secrets=[MORE], tolerance_s=9), webhook=webhook
    )
    limits = limits_of(settings, str)
    assert names_of(settings) == ["learnink", "staging", "b"]
    assert limits == {"staging": UNLIMITED, "b": UNLIMITED}
    for name, tolerance_s, key in (
        ("learnink", 77, b"the key of webhook, 24 b"),
        ("staging", 77, b"the key of staging, 24 b"),
        ("b", 9, b"the key of a third, 24 b"),
    ):
        taken = webhook_limits(settings, name, limits)
        assert taken is not None
        assert taken.keys == [key]
        assert (taken.tolerance_s, taken.max_body_bytes) == (tolerance_s, 4096)
        assert taken.max_age_s == settings.relay.max_age_s
    for nobody in ("nobody", "api", "cli", ""):
        assert webhook_limits(settings, nobody, limits) is None


def test_what_a_source_names_is_its_own(tmp_path: Path) -> None:
    named = source(
        secrets=None,
        secrets_file="staging.txt",
        apps=["agent-staging"],
        only_users=["u1", "c2"],
        max_age_s=0,
        max_body_bytes=2048,
    )
    settings = read(tmp_path, named)
    limits = limits_of(settings, str.upper)
    assert limits["staging"] == Limits(
        frozenset({"agent-staging"}), frozenset({"U1", "C2"}), max_age_s=0
    )
    taken = webhook_limits(settings, "staging", limits)
    assert taken is not None
    assert taken.pushes == limits["staging"]
    assert taken.max_body_bytes == 2048
    assert taken.keys == [b"the key of staging, 24 b"]
    assert THEIRS not in json.dumps(masked(settings))


def test_sources_come_from_variables_as_apps_do(tmp_path: Path) -> None:
    settings = read(tmp_path, "")
    file = tmp_path / "inkpush.toml"
    env = {
        "INKPUSH_SOURCES__0__ID": "staging",
        "INKPUSH_SOURCES__0__SECRETS_FILE": str(tmp_path / "staging.txt"),
        "INKPUSH_SOURCES__0__APPS": "agent,agent-staging",
        "INKPUSH_SOURCES__0__ONLY_USERS": '["a", "b,c"]',
        "INKPUSH_SOURCES__0__MAX_AGE_S": "60",
        "INKPUSH_SOURCES__1__ID": "b",
        "INKPUSH_SOURCES__1__SECRETS": MORE,
    }
    settings = load(file, env)
    first, second = settings.sources
    assert (first.id, first.apps) == ("staging", ("agent", "agent-staging"))
    assert (first.only_users, first.max_age_s) == (("a", "b,c"), 60)
    assert [one.get_secret_value() for one in (*first.secrets, *second.secrets)] == [THEIRS, MORE]


MISTAKES = {
    "a reserved id": (source(id="api"), 'sources[0].id: is "api", which is always there'),
    "the id of the webhook": (source(id="learnink"), 'sources[0].id: is "learnink"'),
    "a colon": (source(id="a:b"), "sources[0].id: is not the name of a source; expected letters"),
    "a slash": (source(id="a/b"), "sources[0].id: is not the name"),
    "a dot": (source(id="a.b"), "sources[0].id: is not the name"),
    "a letter of another script": (source(id="st\u0430ging"), "sources[0].id: is not the name"),
    "a line end": (source(id="staging\n"), "sources[0].id: is not the name"),
    "nothing": (source(id=""), "sources[0].id: is not the name"),
    "no id": (source(id=None), "sources[0].id: is missing"),
    "the same id twice": (
        source() + source(secrets=[MORE]),
        "sources[1].id: is the same as sources[0].id",
    ),
    "an unknown app": (
        source(apps=["agent", "agnet"]),
        'sources[0].apps[1]: is "agnet", which no [[apps]] has; expected agent, agent-staging',
    ),
    "no secret": (source(secrets=None), "sources[0].secrets: is missing"),
    "an empty list of secrets": (source(secrets=[]), "sources[0].secrets: is missing"),
    "what is no secret": (source(secrets=["hello"]), "sources[0].secrets[0]: is not a signing"),
    "the webhook's secret": (
        source(secrets=[MORE, OURS]),
        "sources[0].secrets[1]: is the same secret as webhook.secrets[0]",
    ),
    "the webhook's key in other letters": (
        source(secrets=[secret_of(b"the key of webhook, 24 b\0\0\0")]),
        "sources[0].secrets[0]: is the same secret as webhook.secrets[0]",
    ),
    "another source's secret": (
        source() + source(id="b", secrets=[THEIRS]),
        "sources[1].secrets[0]: is the same secret as sources[0].secrets[0]",
    ),
    "a long key and its hash": (
        source(secrets=[secret_of(LONG)])
        + source(id="b", secrets=[secret_of(hashlib.sha256(LONG).digest())]),
        "sources[1].secrets[0]: is the same secret as sources[0].secrets[0]",
    ),
    "the same secret by a file": (
        source() + source(id="b", secrets=None, secrets_file="staging.txt"),
        "sources[1].secrets[0]: is the same secret as sources[0].secrets[0]",
    ),
    "a file that is not there": (source(secrets_file="none.txt"), "sources[0].secrets_file: there"),
    "an age below nothing": (
        source(max_age_s=-1),
        "sources[0].max_age_s: is -1; expected at least",
    ),
    "a user without a name": (source(only_users=[""]), "sources[0].only_users[0]: is empty"),
    "an unknown key": (source(only_user=["a"]), "did you mean sources[0].only_users?"),
}


@pytest.mark.parametrize(("text", "told"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_told_and_shows_no_secret(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(SettingsError) as refused:
        read(tmp_path, text)
    problems = refused.value.problems
    assert [one for one in problems if told in one], problems
    assert len(problems) == 1
    assert "whsec_" not in problems[0].replace("(whsec_...)", "").replace("whsec_ and base64", "")


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    text = (
        source(id="cli", apps=["x"])
        + source(id="b", secrets=[OURS])
        + source(id="b", secrets=None)
        + source(id="c", secrets=[MORE], tolerance_s=-1)
    )
    with pytest.raises(SettingsError) as refused:
        read(tmp_path, text)
    keys = {problem.partition(": ")[0] for problem in refused.value.problems}
    assert keys == {
        "sources[0].id",
        "sources[0].apps[0]",
        "sources[1].secrets[0]",
        "sources[2].id",
        "sources[2].secrets",
        "sources[3].tolerance_s",
    }


def test_the_same_secret_twice_in_one_source_is_no_mistake(tmp_path: Path) -> None:
    assert len(read(tmp_path, source(secrets=[THEIRS, THEIRS])).sources) == 1


def test_a_relay_needs_no_secrets_of_its_sources(tmp_path: Path) -> None:
    (found,) = read(tmp_path, source(secrets=None), role="relay").sources
    assert found.secrets == ()


def test_two_secrets_are_worth_a_warning_wherever_they_stand(tmp_path: Path) -> None:
    rotated = secret_of(b"a new one of staging, 24")
    webhook = f'secrets = ["{OURS}", "{MORE}"]'
    settings = read(tmp_path, source(secrets=[THEIRS, rotated]), webhook=webhook)
    told = [one for one in advice(settings) if "rotated" in one]
    assert [one.partition(":")[0] for one in told] == ["webhook.secrets", "sources[0].secrets"]
    assert all("[[sources]]" in one for one in told)
    assert not [one for one in advice(read(tmp_path, source())) if "rotated" in one]
