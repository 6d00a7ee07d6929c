"""The words of the audit table: who, and what is left of a person."""

from __future__ import annotations

import os
import pwd

import pytest

from gateway.cli.acting import actor
from gateway.core.audit import Actor, key_holder, names_of, row_of, without_ids
from gateway.core.model import UserRef


@pytest.mark.parametrize(
    ("reason", "left"),
    [
        ("mary asked", "(erased) asked"),
        ("as mary: ticket 42", "as (erased): ticket 42"),
        ("(mary)", "((erased))"),
        ("maryland", "maryland"),
        ("rosemary-7", "rosemary-7"),
        ("+254.1 rang", "(erased) rang"),
        ("+25441 rang", "+25441 rang"),
        ("mary, mary", "(erased), (erased)"),
        ("", ""),
    ],
)
def test_a_reason_loses_a_persons_ids_as_whole_words(reason: str, left: str) -> None:
    assert without_ids(reason, UserRef(user_id="mary", custom_id="+254.1")) == left


def test_a_person_without_an_id_takes_nothing_away() -> None:
    assert without_ids("mary asked", UserRef()) == "mary asked"


def test_a_key_is_told_by_name_and_id() -> None:
    assert key_holder("0a1b2c3d", "shop") == "shop (key 0a1b2c3d)"
    assert key_holder("0a1b2c3d", "") == "key 0a1b2c3d"


def test_many_things_are_one_object_of_a_bounded_length() -> None:
    assert names_of(None) == "all"
    assert names_of([17, 18]) == "17 18"
    act = Actor("a", "cli").does("dead.drop", names_of(range(1_000)), at=0.0)
    row = row_of(act, count=1_000)
    assert len(row.object) == 600
    assert row.object.endswith("…")


def test_a_reason_is_not_in_what_an_act_shows_of_itself() -> None:
    someone = Actor("a", "cli", reason="secret")
    assert "secret" not in f"{someone!r}{someone.does('dead.drop', at=0.0)!r}"


def test_the_system_user_acts_also_behind_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 0)
    monkeypatch.setenv("SUDO_USER", "alice")
    assert actor().who.startswith("alice as root@")
    # who is not root has not come by sudo, whatever a variable says
    monkeypatch.setattr(os, "getuid", lambda: pwd.getpwnam("nobody").pw_uid)
    assert actor().who.startswith("nobody@")


def test_a_user_without_a_name_is_told_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000_000)
    assert actor("why").who.startswith("4000000000@")
    assert (actor("why").origin, actor("why").reason) == ("cli", "why")
