"""The pace is what nobody sets, so each part of it says what it is and why."""

from __future__ import annotations

import ast
import inspect
from dataclasses import FrozenInstanceError, fields
from itertools import pairwise

import pytest

from gateway.core.pace import Pace
from gateway.ports import REPLICA_ALIVE_S


def explained() -> set[str]:
    """The fields that a docstring follows."""
    (definition,) = ast.parse(inspect.getsource(Pace)).body
    assert isinstance(definition, ast.ClassDef)
    return {
        field.target.id
        for field, text in pairwise(definition.body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
    }


def test_every_field_says_what_it_is() -> None:
    assert {field.name for field in fields(Pace)} == explained()


def test_one_pace_is_for_all() -> None:
    with pytest.raises(FrozenInstanceError):
        Pace().flush_s = 1.0  # type: ignore[misc]


def test_a_relay_is_missed_only_after_several_beats() -> None:
    assert Pace().beat_s * 5 == REPLICA_ALIVE_S
