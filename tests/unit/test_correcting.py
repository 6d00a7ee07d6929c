"""Corrections as events: whom they are for, what they say, and how they are cut again."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from gateway.app.correcting import NOBODY_TOOK_IT, chunks_of, correction
from gateway.app.replaying import cut_again
from gateway.core.cancelling import Cancel, written
from gateway.core.erased import Erased, words_of
from gateway.core.items import EMPTIED
from gateway.core.model import MAYBE_TAKEN, ChunkItem, Event, Item, Record, Remainder
from gateway.core.sources import Limits
from gateway.core.states import DeliveryState
from tests.kit.build import NOW, item
from tests.kit.stores import SECRET, record

TESTERS = Limits(users=frozenset({"w"}))
EVENT = Event("staging:m", "notifications.sent", "accepted", NOW, source="staging", limits=TESTERS)
ASKED = Cancel(
    "staging:m", NOW, 0, 3, NOW + 90, NOW + 90, "d", written({"body": "New", "path": None})
)
ITEMS = [
    item(number)._replace(user_id=f"u{number}", custom_id=None, path=f"/{number}")
    for number in range(5)
]


def rows(*changed: dict[str, object]) -> list[Record]:
    return [record("staging:m", **one) for one in changed]  # type: ignore[arg-type]  # as said


TAKEN = rows(
    {"index": 1, "device_id": 7},
    {"index": 1, "device_id": 8},
    {"index": 2, "device_id": 9, "state": DeliveryState.CANCELLED, "vendor_id": MAYBE_TAKEN},
    {"index": 3, "device_id": 5, "state": DeliveryState.REFUSED},
    {"index": 4, "device_id": 0, "state": DeliveryState.NO_DEVICE},
)


def entries(event: Event) -> list[ChunkItem]:
    return [entry for chunk in chunks_of(event, chunk_items=1) for entry in chunk.items]


def test_it_is_for_the_devices_that_took_it_and_names_what_stays() -> None:
    made = correction(EVENT, ITEMS, TAKEN, ASKED)
    assert (made.event_id, made.received_at, made.notifications) == ("staging:m:r1", NOW, 2)
    assert (made.source, made.limits) == ("staging", TESTERS)
    first, second = entries(made)
    place = '["staging:m",%d,"/%d"]'
    texts = {"title": item().title, "body": "New", "path": None, "custom_id": None}
    same: dict[str, Any] = {
        **texts,
        "source": "staging",
        "part": None,
        "occurred_at": None,
        "limits": TESTERS,
    }
    assert first == ChunkItem(
        Item(index=0, user_id="u1", collapse_id=place % (1, 1), **same),
        (Remainder(7), Remainder(8)),
    )
    assert second == ChunkItem(
        Item(index=1, user_id="u2", collapse_id=place % (2, 2), **same), (Remainder(9),)
    )


def test_whom_it_names_without_a_push_is_told_with_it() -> None:
    """An erase, and who asks for all that is held of a person, find it by that."""
    asked = ASKED._replace(replacement=written({"title": ""}))
    without = [one._replace(body="") if one.index == 2 else one for one in ITEMS]
    made = correction(EVENT, without, TAKEN, asked)
    assert [one.index for one in made.rejections] == [1]
    assert made.people == ("u2",)
    assert correction(EVENT, ITEMS, TAKEN, ASKED).people == ()


def test_its_age_counts_from_the_date_of_what_it_corrects() -> None:
    """A correction of it lives no longer than that."""
    dated = replace(EVENT, occurred_at=NOW - 3600)
    assert correction(dated, ITEMS, TAKEN, ASKED).occurred_at == NOW - 3600


def test_two_ways_to_write_the_same_are_one_correction() -> None:
    assert written({"path": "", "body": "New"}) == written({"body": "New", "path": None})
    assert written({"title": ""}) != written({"title": "", "path": None})


def test_it_is_cut_the_same_again_and_lives_as_long_as_what_it_corrects() -> None:
    made = correction(EVENT, ITEMS, TAKEN, ASKED)
    chunks = chunks_of(made, chunk_items=1)
    assert cut_again(made, max_age_s=1.0, chunk_items=1) == chunks
    assert [(one.number, one.deadline, one.due_at) for one in chunks] == [
        (0, NOW + 90, NOW),
        (1, NOW + 90, NOW),
    ]


def test_who_was_erased_gets_none_and_is_not_named() -> None:
    erased = Erased(SECRET, [(*words_of("u1", None, SECRET), NOW + 1)], {"staging:m": NOW}, [])
    made = correction(EVENT, ITEMS, TAKEN, ASKED, erased=erased)
    assert [entry.item.user_id for entry in entries(made)] == ["u2"]
    assert b"u1" not in made.body
    # an erase of later empties the entry: it is for nobody, and ends
    document = json.loads(correction(EVENT, ITEMS, TAKEN, ASKED).body)
    document["data"]["notifications"][0] = EMPTIED
    emptied = replace(correction(EVENT, ITEMS, TAKEN, ASKED), body=json.dumps(document).encode())
    first, second = entries(emptied)
    assert (first.item.user_id, first.item.title, first.remainders) == (None, "", None)
    assert second.item.user_id == "u2"


def test_what_nobody_took_needs_none() -> None:
    made = correction(EVENT, ITEMS, TAKEN[3:], ASKED)
    assert (made.notifications, made.reason) == (0, NOBODY_TOOK_IT)
    assert chunks_of(made, chunk_items=9) == []


def test_a_body_that_is_gone_is_cut_into_nothing() -> None:
    made = correction(EVENT, ITEMS, TAKEN, ASKED)
    for body in (b"", b"{}", b'{"data": {"notifications": 3}}', b"[]"):
        assert chunks_of(replace(made, body=body), chunk_items=9) == []
