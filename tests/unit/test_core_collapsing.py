"""What a push replaces on a phone: its own repeats, or a correction what it corrects."""

from __future__ import annotations

from gateway.core.collapsing import Origin, collapse_id, in_place_of, origin_of
from gateway.core.model import delivery_id
from tests.kit.build import item


def test_a_push_replaces_its_own_repeats_alone() -> None:
    assert collapse_id("msg_1", item(3), 7) == ""
    assert origin_of("msg_1", item(3)) == Origin("msg_1", 3, item(3).path)


def test_a_correction_takes_the_place_of_what_it_corrects() -> None:
    first = item(3)._replace(path="/learning")
    second = item(0)._replace(path="/other", collapse_id=in_place_of("msg_1", first))

    assert origin_of("msg_1:r1", second) == Origin("msg_1", 3, "/learning")
    assert collapse_id("msg_1:r1", second, 7) == delivery_id("msg_1", 3, 7)
    assert delivery_id("msg_1:r1", 0, 7) != delivery_id("msg_1", 3, 7)


def test_a_correction_of_a_correction_takes_the_first_ones_place() -> None:
    first = item(3)
    second = item(0)._replace(collapse_id=in_place_of("msg_1", first))
    third = item(1)._replace(collapse_id=in_place_of("msg_1:r1", second))

    assert collapse_id("msg_1:r1:r1", third, 7) == delivery_id("msg_1", 3, 7)


def test_what_nobody_wrote_replaces_nothing_else() -> None:
    for text in ("", "3", "[]", "{", '["msg_1", "x", null]'):
        broken = item(3)._replace(collapse_id=text)
        assert collapse_id("msg_9", broken, 7) == delivery_id("msg_9", 3, 7)
