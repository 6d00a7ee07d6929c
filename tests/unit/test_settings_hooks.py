"""`[[hooks]]`: what a hook may be, and how a mistake is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from config.checks import advice
from config.settings import Settings, SettingsError, masked
from gateway.app.hook_plans import plan_of
from gateway.app.hooking import ways_of
from gateway.app.settings import load
from gateway.errors import ConfigurationError

SECRET = "whsec_" + "bmV3IHNlY3JldCBvZiAyNCBieXRlcyE="
OTHER = "whsec_" + "b2xkIHNlY3JldCBvZiAyNCBieXRlcyE="
GOOD: dict[str, Any] = {
    "id": "crm",
    "url": "https://crm.example.com/in?key=of-the-url",
    "secrets": [SECRET],
    "events": ["delivery.settled", "receipt.*", "learnink.user.course.*"],
}


def read(folder: Path, *hooks: dict[str, Any], role: str = "ingest", more: str = "") -> Settings:
    tables = [f'[server]\nrole = "{role}"\n[webhook]\nsecrets = ["{OTHER}"]\n{more}']
    for hook in hooks:
        lines = [f"{name} = {json.dumps(value)}" for name, value in hook.items()]
        tables.append("\n".join(["[[hooks]]", *lines, ""]))
    (folder / "inkpush.toml").write_text("\n".join(tables))
    return load(folder / "inkpush.toml", {})


def problems(folder: Path, *hooks: dict[str, Any], **changed: Any) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        read(folder, *hooks, **changed)
    return caught.value.problems


def test_a_hook_has_defaults_that_are_the_contracts(tmp_path: Path) -> None:
    (hook,) = read(tmp_path, GOOD).hooks
    assert (hook.batch, hook.max_waiting, hook.max_age_s) == (100, 100_000, 259_200)
    assert (hook.identify, hook.bodies, hook.allow_private) == (False, False, False)
    assert plan_of(read(tmp_path, GOOD)).deliveries


def test_secrets_may_stand_in_a_file_and_several_sign(tmp_path: Path) -> None:
    (tmp_path / "crm.txt").write_text(f"{SECRET}\n{OTHER}  # the old one\n")
    settings = read(tmp_path, {**GOOD, "secrets": [], "secret_file": "crm.txt"})
    (way,) = ways_of(settings, lambda: 0.0)
    assert way.hook.id == "crm"
    assert [one.get_secret_value() for one in settings.hooks[0].secrets] == [SECRET, OTHER]


def test_nothing_of_a_url_or_a_secret_is_shown(tmp_path: Path) -> None:
    shown = json.dumps(masked(read(tmp_path, GOOD)))
    assert "of-the-url" not in shown
    assert SECRET not in shown
    told = problems(tmp_path, {**GOOD, "url": "https://10.0.0.1/in?key=of-the-url"})
    assert "of-the-url" not in "".join(told)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"url": "http://crm.example.com/"}, "hooks[0].url: is not https"),
        ({"url": "https://127.1/"}, "hooks[0].url: leads to an address that is loopback"),
        ({"url": "https://[::ffff:10.0.0.1]/"}, "hooks[0].url: leads to an address"),
        ({"url": "https://u:p@crm.example.com/"}, "hooks[0].url: has a login"),
        ({"url": "crm.example.com"}, "hooks[0].url: is not a valid URL"),
        ({"events": []}, "hooks[0].events"),
        ({"events": ["delivery.done"]}, "hooks[0].events[0]: is no type of event"),
        ({"events": ["user.erased"]}, "hooks[0].events[0]: is no type of event"),
        ({"id": "c r m"}, "hooks[0].id"),
        ({"id": "hook/crm"}, "hooks[0].id"),
        ({"batch": 0}, "hooks[0].batch"),
        ({"colour": "red"}, "hooks[0].colour: there is no such setting"),
        ({"secrets": ["word"]}, "hooks[0].secrets[0]: is not a signing secret"),
        ({"ca_file": "missing.pem"}, "hooks[0].ca_file: there is no file"),
    ],
)
def test_a_mistake_is_told_by_its_key(tmp_path: Path, changed: dict[str, Any], told: str) -> None:
    found = problems(tmp_path, {**GOOD, **changed})
    assert [one for one in found if one.startswith(told)] != [], found


def test_who_posts_needs_a_secret_and_each_hook_a_name_of_its_own(tmp_path: Path) -> None:
    bare = {name: value for name, value in GOOD.items() if name != "secrets"}
    assert read(tmp_path, bare).hooks[0].secrets == ()
    found = problems(tmp_path, bare, GOOD, role="relay")
    assert any(one.startswith("hooks[0].secrets: is missing") for one in found)
    assert any(one.startswith("hooks[1].id: is the same as hooks[0].id") for one in found)
    found = problems(tmp_path, GOOD, more='[[apps]]\nid = "hook"\n')
    assert any(one.startswith("apps[0].id:") and "lanes of hooks" in one for one in found)


def test_with_allow_private_it_may_be_inside_and_is_advised_against(tmp_path: Path) -> None:
    inside = {**GOOD, "url": "http://127.0.0.1:8000/", "allow_private": True}
    settings = read(tmp_path, inside)
    assert any(one.startswith("hooks[0].allow_private:") for one in advice(settings))
    assert not any(one.startswith("hooks") for one in advice(read(tmp_path, GOOD)))
    odd = {**GOOD, "events": ["device.*"], "bodies": True}
    assert any(one.startswith("hooks[0].bodies:") for one in advice(read(tmp_path, odd)))


def test_a_certificate_that_is_none_is_told_before_anything_changes(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    settings = read(tmp_path, {**GOOD, "ca_file": "ca.pem"})
    with pytest.raises(ConfigurationError, match="crm"):
        ways_of(settings, lambda: 0.0)


def test_a_hook_may_be_given_by_variables(tmp_path: Path) -> None:
    read(tmp_path)
    values = {
        "ID": "crm",
        "URL": "http://127.0.0.1:8000/",
        "SECRETS": SECRET,
        "EVENTS": "delivery.settled,receipt.*",
        "ALLOW_PRIVATE": "true",
    }
    env = {f"INKPUSH_HOOKS__0__{name}": value for name, value in values.items()}
    (hook,) = load(tmp_path / "inkpush.toml", env).hooks
    assert (hook.events, hook.allow_private) == (("delivery.settled", "receipt.*"), True)
