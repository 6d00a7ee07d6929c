"""[[experiments]]: what may stand there, and what may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.settings import Settings, SettingsError
from tests.unit.test_settings_sources import read

GIVEN = {
    "id": '"spring"',
    "approved_by": '"Dr. A. Wanjiku"',
    "purpose": '"Whether reminders are worth sending"',
    "paths": '["/learning*"]',
    "completed": '["user.course.completed"]',
    "ends": '"2027-02-01"',
}


def experiments(folder: Path, *tables: dict[str, str]) -> Settings:
    """Settings with these experiments; "" leaves a key out."""
    text = ""
    for table in tables:
        lines = [f"{key} = {value}" for key, value in (GIVEN | table).items() if value]
        text += "\n".join(["[[experiments]]", *lines, ""])
    return read(folder, text)


@pytest.mark.parametrize(
    "table",
    [
        {},
        {"main": '"began"', "began": '["user.course.started"]', "completed": ""},
        {"window_h": "24", "settle_days": "13"},
        {"holdout": "0.2", "dry_run_days": "0", "make_up": "false"},
        {"ends": "2027-02-01"},
    ],
)
def test_what_may_stand_there(tmp_path: Path, table: dict[str, str]) -> None:
    (one,) = experiments(tmp_path, table).experiments
    assert one.id == "spring"
    assert one.ends == "2027-02-01"


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"approved_by": ""}, "experiments[0].approved_by:"),
        ({"approved_by": '" "'}, "experiments[0].approved_by:"),
        ({"purpose": ""}, "experiments[0].purpose:"),
        ({"paths": ""}, "experiments[0].paths:"),
        ({"paths": "[]"}, "experiments[0].paths:"),
        ({"paths": '[""]'}, "experiments[0].paths[0]:"),
        ({"paths": '["learning"]'}, "experiments[0].paths[0]: does not start with one /"),
        ({"paths": '["/l*g"]'}, 'experiments[0].paths[0]: holds a "*" before its end'),
        ({"completed": ""}, "experiments[0].completed: is missing"),
        ({"completed": '["user.*"]'}, 'experiments[0].completed[0]: holds a "*"'),
        ({"main": '"began"'}, "experiments[0].began: is missing"),
        ({"main": '"tapped"'}, "experiments[0].main:"),
        ({"holdout": "0.3"}, "experiments[0].holdout:"),
        ({"holdout": "0"}, "experiments[0].holdout:"),
        ({"window_h": "300"}, "at most relay.retention_days (14)"),
        ({"settle_days": "8"}, "at most relay.retention_days (14)"),
        ({"ends": ""}, "experiments[0].ends:"),
        ({"ends": '"spring"'}, "experiments[0].ends: is no date"),
        ({"sources": '["api"]'}, "experiments[0].sources[0]: is no source of webhooks"),
        ({"id": '"Spring term"'}, "experiments[0].id:"),
        ({"stop_points": "0"}, "experiments[0].stop_points:"),
        ({"other": "1"}, "other"),
    ],
)
def test_what_may_not_is_told(tmp_path: Path, table: dict[str, str], told: str) -> None:
    with pytest.raises(SettingsError) as refused:
        experiments(tmp_path, table)
    assert any(told in problem for problem in refused.value.problems), refused.value.problems


def test_a_name_stands_once(tmp_path: Path) -> None:
    with pytest.raises(
        SettingsError, match=r"experiments\[1\].id: is the same as experiments\[0\]"
    ):
        experiments(tmp_path, {}, {})
