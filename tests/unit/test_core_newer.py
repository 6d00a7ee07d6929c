"""The key that pushes to one device share: for one place, or for one person, and nobody else."""

from __future__ import annotations

from itertools import combinations
from uuid import UUID

import pytest

from gateway.core.model import Target
from gateway.core.newer import Collapse, key_of
from providers.contract import Address

MARY = Target(1, "agent", "fcm", Address("a"), "mary-u", "mary-c", 0.0, 0, "word-u", "word-c")
PATHS = (None, "", "/learning", "/learning?x=1", "/learning/", "/\ud800")


@pytest.mark.parametrize("mode", ["delivery", "none"])
def test_these_modes_have_no_key(mode: Collapse) -> None:
    assert {key_of(mode, path, MARY) for path in PATHS} == {""}


def test_a_place_has_a_key_and_without_a_path_there_is_none() -> None:
    keys = {path: key_of("path", path, MARY) for path in PATHS}

    assert keys[None] == keys[""] == ""
    named = [key for key in keys.values() if key]
    assert len(set(named)) == len(named) == 4


def test_a_person_has_one_key_whatever_the_path() -> None:
    assert len({key_of("user", path, MARY) for path in PATHS}) == 1


@pytest.mark.parametrize("mode", ["path", "user"])
def test_devices_and_persons_have_keys_of_their_own(mode: Collapse) -> None:
    targets = [
        MARY,
        MARY._replace(device_id=2),
        MARY._replace(user_word="otis"),
        MARY._replace(user_word=None, custom_word="otis-c"),
    ]
    for one, other in combinations(targets, 2):
        assert key_of(mode, "/learning", one) != key_of(mode, "/learning", other)


@pytest.mark.parametrize("mode", ["path", "user"])
def test_a_key_hangs_on_the_person_and_not_on_how_an_item_found_them(mode: Collapse) -> None:
    by_both = key_of(mode, "/learning", MARY)

    assert by_both == key_of(mode, "/learning", MARY._replace(custom_id=None, custom_word=None))
    assert by_both == key_of(mode, "/learning", MARY._replace(stated=3, seen_at=9.0))


@pytest.mark.parametrize("mode", ["path", "user"])
def test_a_key_has_the_form_of_a_delivery_id_and_shows_nobody(mode: Collapse) -> None:
    """Apple takes 64 bytes, a topic of the web 32 characters."""
    key = key_of(mode, "/learning/mary-u", MARY)

    assert str(UUID(key)) == key
    assert len(key.replace("-", "")) == 32
    assert "mary" not in key
