"""Whatever was signed is kept: reading an event never raises, and loses no item of a batch."""

from __future__ import annotations

import json
from typing import Any
from unittest.mock import patch

import orjson
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.instants import to_iso
from gateway.core.model import CHUNK_SIZE
from gateway.core.stored import read_items, write_items
from gateway.ingest.schema import understand
from tests.kit.build import NOW
from tests.kit.events import body_of, example

# What JSON can carry, lone surrogates and all that Python reads beyond the standard included.
texts = st.text(alphabet=st.characters(exclude_categories=()), max_size=20)
leaves = st.none() | st.booleans() | st.integers() | st.floats() | texts
json_values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
good_items = st.fixed_dictionaries(
    {"title": st.text(min_size=1, max_size=20), "user_id": st.text(min_size=1, max_size=20)},
    optional={"body": st.none() | texts, "path": st.none() | texts, "custom_id": st.none() | texts},
)
batches = st.lists(good_items | json_values, max_size=6)
documents = st.fixed_dictionaries(
    {"type": st.just("notifications.sent") | json_values, "data": json_values},
    optional={"timestamp": json_values | st.datetimes().map(str), "api_version": json_values},
)


@given(st.binary() | json_values.map(body_of) | documents.map(body_of))
def test_reading_never_raises_and_always_keeps_the_body(body: bytes) -> None:
    found = understand("msg_1", body, received_at=NOW, max_age_s=3600.0)
    assert found.event.status in ("accepted", "ignored", "quarantined")
    assert found.event.body == body
    assert (found.event.status == "quarantined") is bool(found.event.reason)
    if found.event.occurred_at is not None:
        assert to_iso(found.event.occurred_at).endswith("Z")


@given(st.binary() | json_values.map(body_of) | documents.map(body_of))
def test_the_quick_reader_finds_what_the_standard_library_finds(body: bytes) -> None:
    found = understand("msg_1", body, received_at=NOW, max_age_s=3600.0)
    with patch.object(orjson, "loads", json.loads):
        assert understand("msg_1", body, received_at=NOW, max_age_s=3600.0) == found


@given(batches)
def test_every_item_of_a_batch_goes_out_once_or_is_rejected_with_a_reason(
    entries: list[Any],
) -> None:
    body = body_of(example() | {"data": {"notifications": entries}})
    found = understand("msg_1", body, received_at=NOW, max_age_s=3600.0)
    assert found.event.status == "accepted"
    out = [entry.item.index for chunk in found.chunks for entry in chunk.items]
    rejected = [one.index for one in found.event.rejections]
    assert sorted(out + rejected) == list(range(len(entries)))
    assert found.event.notifications == len(out)
    assert found.event.chunks == len(found.chunks)
    assert all(one.reason for one in found.event.rejections)


@given(batches)
def test_what_goes_out_can_be_written_read_back_and_sent(entries: list[Any]) -> None:
    body = body_of(example() | {"data": {"notifications": entries}})
    for chunk in understand("msg_1", body, received_at=NOW, max_age_s=3600.0).chunks:
        assert 0 < len(chunk.items) <= CHUNK_SIZE
        assert read_items(write_items(chunk.items)) == chunk.items
        for entry in chunk.items:
            path = entry.item.path
            assert path is None or (path.startswith("/") and not path.startswith("//"))
            assert entry.item.user_id or entry.item.custom_id
            assert entry.item.title or entry.item.body


@given(st.text(min_size=4), st.sampled_from(["title", "body", "path", "user_id", "custom_id"]))
def test_no_reason_holds_what_was_sent(text: str, name: str) -> None:
    secret = f"<{text}>" * 1500
    body = json.dumps(example() | {"data": {"notifications": [{"title": "t", name: secret}]}})
    event = understand("msg_1", body.encode(), received_at=NOW, max_age_s=3600.0).event
    for rejection in event.rejections:
        assert f"<{text}>" not in rejection.reason
