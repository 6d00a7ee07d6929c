"""A chunk as a message, and which message holds a delivery: pure, without a broker."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from gateway.core.model import Chunk, Remainder
from gateway.core.stored import NEWEST, Unreadable
from gateway.queue.nats import servers_of
from gateway.queue.nats.coding import (
    TooLarge,
    chunk_of,
    head_of,
    messages_of,
    size_of,
)
from gateway.queue.nats.holding import not_held
from tests.kit.build import NOW, chunk, item
from tests.kit.stores import leftover

MAX = 1024 * 1024


def subject(one: Chunk) -> str:
    (message,) = messages_of(one, form=NEWEST, max_payload=MAX)
    return message.subject


def again(*devices: int, attempts: int = 2, due_at: float = NOW + 60) -> Chunk:
    return leftover("msg_1", *(Remainder(one, attempts) for one in devices), due_at=due_at)


# --- coding -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "one",
    [
        chunk([item(0, title="Hi 🌱 \"'\n"), item(7, user_id=None, custom_id="x")]),
        replace(again(7, 8), lane="agent/apns", day=20_000, number=3),
        replace(chunk([item()]), event_id="msg with spaces.and*wild>cards", number=-1),
    ],
    ids=["original", "leftover", "replay of an odd id"],
)
def test_a_chunk_comes_out_as_it_went_in(one: Chunk) -> None:
    (message,) = messages_of(one, form=NEWEST, max_payload=MAX)
    head = head_of(message.data)
    assert head.chunk == replace(one, items=())
    assert chunk_of(head, message.data) == one
    assert size_of(message.subject) == len(one.items)
    assert not set(message.subject) & set(" *>")


def test_an_original_has_one_subject_whenever_its_event_is_received() -> None:
    assert subject(chunk()) == subject(replace(chunk(), first_seen=NOW + 9, due_at=NOW + 9))


def test_leftovers_differ_by_devices_attempts_and_time() -> None:
    lefts = [chunk(), again(7), again(8), again(7, 8), again(7, attempts=3), again(7, due_at=NOW)]
    assert len({subject(one) for one in lefts}) == len(lefts)


def test_what_is_too_large_is_cut_and_nothing_of_it_is_lost() -> None:
    texts = [Random(n).randbytes(300).hex() for n in range(64)]  # that hardly shrink
    one = chunk([item(n, body=text) for n, text in enumerate(texts)])
    messages = list(messages_of(one, form=NEWEST, max_payload=12_000))
    assert len(messages) > 1
    assert max(len(message.data) for message in messages) <= 12_000
    read = [chunk_of(head_of(message.data), message.data) for message in messages]
    assert [entry for part in read for entry in part.items] == list(one.items)
    assert len({message.subject for message in messages}) == len(messages)
    with pytest.raises(TooLarge):
        list(messages_of(one, form=NEWEST, max_payload=4_200))


@pytest.mark.parametrize("data", [b"", b"{}", b"[]\n[]", b'{"v":1}\n[]', b"\xff", b"null"])
def test_what_is_no_chunk_is_told_as_such(data: bytes) -> None:
    with pytest.raises(Unreadable):
        head_of(data)


def test_servers_share_the_scheme_and_the_usual_port() -> None:
    assert servers_of("nats://a:4223,b, c:1") == ("nats://a:4223", "nats://b:4222", "nats://c:1")
    assert servers_of("tls://[::1]:4222,[::2]") == ("tls://[::1]:4222", "tls://[::2]:4222")


# --- who holds a delivery -------------------------------------------------------------------------


def test_what_no_message_holds_is_added_again() -> None:
    assert not_held(chunk(), [again(7)], []) == [again(7)]


def test_what_a_leftover_holds_is_not_added_again() -> None:
    missing = not_held(chunk(), [again(7, 8)], [again(7)])
    assert missing == [again(8)]
    assert not_held(chunk(), [again(7)], [again(7, attempts=3, due_at=NOW + 90)]) == []


def test_of_copies_that_are_behind_only_the_furthest_adds_what_is_missing() -> None:
    original, first = chunk(), again(7, attempts=1, due_at=NOW)
    second = again(7, attempts=1, due_at=NOW + 30)
    last = again(7)
    assert not_held(original, [last], [first, second]) == []
    assert not_held(first, [last], [original, second]) == []
    assert not_held(second, [last], [original, first]) == [last]


def test_a_copy_of_another_item_or_device_holds_nothing() -> None:
    other = replace(again(7), items=(again(7).items[0]._replace(item=item(5)),))
    assert not_held(chunk(), [again(7)], [again(9), other]) == [again(7)]
