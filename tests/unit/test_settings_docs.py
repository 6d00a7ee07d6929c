"""The settings reference and the annotated example cannot drift from the settings."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
from pydantic import SecretStr
from pydantic_core import PydanticUndefined

from config import shape
from config.settings import Settings
from gateway.app.settings import load, settings_model

CONFIG = Path(__file__).parents[2] / "config"
MODEL = settings_model()
LEAVES = list(shape.leaves(MODEL))


def row(loc: shape.Loc) -> str:
    info = shape.field_of(MODEL, loc)
    key = shape.dotted(loc).replace("[0]", "")
    return (
        f"| `{key}` | {default_of(info.default)} | {' '.join((info.description or '').split())} |"
    )


def default_of(value: object) -> str:
    if value is PydanticUndefined:
        return "required"
    if value is None or value == ():
        return "none"
    return f"`{json.dumps('' if isinstance(value, SecretStr) else value)}`"


def test_the_reference_lists_every_setting_with_its_default_and_meaning() -> None:
    lines = (CONFIG / "README.md").read_text().splitlines()
    rows = [line for line in lines if line.startswith("| `")]
    assert rows == [row(loc) for loc in LEAVES]


@pytest.mark.parametrize("loc", LEAVES, ids=shape.dotted)
def test_every_setting_says_what_it_means(loc: shape.Loc) -> None:
    assert shape.field_of(MODEL, loc).description


def test_the_example_shows_every_setting_with_its_default() -> None:
    text = (CONFIG / "inkpush.example.toml").read_text()
    uncommented = re.sub(r"^# (?=\w+ = |\[)", "", text, flags=re.MULTILINE)
    data = tomllib.loads(uncommented)
    places = {tuple(0 if isinstance(key, int) else key for key in loc) for loc in shape.walk(data)}
    # an empty list has no single value
    places |= {
        ("auth", "jwt_public_keys"),
        ("server", "trusted_proxies"),
        ("server", "allowed_origins"),
        ("learning", "types"),
        ("learning", "drop"),
        ("learning", "keep"),
        ("experiments", 0, "never_paths"),
        ("experiments", 0, "began"),
    }
    # a list has a place for each of its values
    assert {loc[:-1] if loc[-1] == 0 else loc for loc in places} == set(LEAVES)


def test_the_example_works_given_its_files_and_shows_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "inkpush.toml"
    file.write_text((CONFIG / "inkpush.example.toml").read_text())
    (tmp_path / "fcm.json").write_text("{}")
    (tmp_path / "AuthKey.p8").write_text("")
    settings = load(file, {})
    app = settings.apps[0]
    shown = {
        **settings.model_dump(exclude={"apps", "webhook", "store"}),
        **settings.webhook.model_dump(exclude={"secrets"}),
        **app.vendors["fcm"].model_dump(exclude={"credentials_file"}),
        **app.vendors["apns"].model_dump(exclude={"key_file", "key_id", "team_id", "topic"}),
    }
    assert settings.sources == ()
    default = Settings()
    assert shown == {
        **default.model_dump(exclude={"apps", "webhook", "store"}),
        **default.webhook.model_dump(exclude={"secrets"}),
        **type(app.vendors["fcm"])(credentials_file=Path()).model_dump(
            exclude={"credentials_file"}
        ),
        **type(app.vendors["apns"])(key_file=Path(), key_id="x", team_id="x", topic="x").model_dump(
            exclude={"key_file", "key_id", "team_id", "topic"}
        ),
    }
