"""[[suppress]]: what may stand there, and what may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.settings import Settings, SettingsError
from gateway.app.sources import rules_of
from tests.unit.test_settings_sources import read

ON = 'on = "user.course.completed"'


def suppress(folder: Path, *lines: str) -> Settings:
    return read(folder, "\n".join(["[[suppress]]", *lines, ""]))


@pytest.mark.parametrize(
    "lines",
    [
        (ON, 'match = "data.course.path"'),
        (ON, 'match = "data.course.path"', 'path = "/learning*"', "within_s = 0"),
        (ON, 'path = "/learning"', "within_s = 1209600"),
    ],
)
def test_what_may_stand_there(tmp_path: Path, lines: tuple[str, ...]) -> None:
    settings = suppress(tmp_path, *lines)
    (one,) = settings.suppress
    assert one.within_s in (0, 86_400, 1_209_600)
    assert rules_of(settings, b"s" * 32)


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ((ON,), "suppress[0].path: is missing; expected a path"),
        ((ON, 'path = "/learning*"'), 'suppress[0].path: holds a "*"; expected a whole path'),
        ((ON, 'path = "/l*g"', 'match = "a"'), 'suppress[0].path: holds a "*" before its end'),
        ((ON, 'path = "learning"'), "suppress[0].path: does not start with one /"),
        ((ON, 'match = "data..path"'), "suppress[0].match: is no dotted path"),
        (('on = "user.*"', 'match = "a"'), 'suppress[0].on: holds a "*"'),
        (('on = "notifications.sent"', 'match = "a"'), "suppress[0].on: is a batch of pushes"),
        (('on = ""', 'match = "a"'), "suppress[0].on:"),
        (('match = "a"',), "suppress[0].on:"),
        ((ON, 'match = "a"', "within_s = -1"), "suppress[0].within_s:"),
        ((ON, 'match = "a"', "within_s = 1209601"), "expected at most relay.retention_days"),
        ((ON, 'match = "a"', "other = 1"), "other"),
    ],
)
def test_what_may_not_is_told(tmp_path: Path, lines: tuple[str, ...], told: str) -> None:
    with pytest.raises(SettingsError) as refused:
        suppress(tmp_path, *lines)
    assert any(told in line for line in refused.value.problems), refused.value.problems
