"""Stored forms: what each version looks like, and what is said of one that cannot be read."""

from __future__ import annotations

import json

import pytest

from gateway.core.model import CHUNK_SIZE, ChunkItem, Item, Remainder
from gateway.core.stored import (
    EMPTY,
    NEWEST,
    OLDEST,
    Forms,
    Reading,
    Unreadable,
    erase_items,
    form_of,
    read_items,
    read_letter,
    read_rejections,
    write_items,
)
from tests.kit.build import item


def test_a_chunk_is_written_without_escapes_so_that_scripts_cost_their_utf8_bytes() -> None:
    text = "Habari za asubuhi \u2014 \u0921\u091f\u0947 \U0001f469\U0001f3fe\u200d\U0001f3eb"
    assert text.encode() in write_items([ChunkItem(item(title=text))])


def test_what_was_queued_before_there_were_versions_is_read() -> None:
    queued = '[[0,"\u0921","b",null,"u",null],[7,"t","","/p",null,"c",[[5,2,1],[6,0,0]]]]'
    assert read_items(queued.encode()) == (
        ChunkItem(Item(0, "\u0921", "b", None, "u", None)),
        ChunkItem(Item(7, "t", "", "/p", None, "c"), (Remainder(5, 2, flipped=True), Remainder(6))),
    )


VERSION_1 = (
    b'1 {"all":{"title":"Hi","path":null,"custom_id":null,"source":"learnink"},'
    b'"fields":["index","body","user_id","remainders"],'
    b'"rows":[[0,"a","u1",null],[4,"b","u2",[[7,2,1]]]],'
    b'"remainders":["device_id","attempts","flipped"]}'
)


def test_version_1_is_written_and_read_as_it_stands_here() -> None:
    entries = (
        ChunkItem(Item(0, "Hi", "a", None, "u1", None, source="learnink")),
        ChunkItem(
            Item(4, "Hi", "b", None, "u2", None, source="learnink"), (Remainder(7, 2, True),)
        ),
    )
    assert write_items(entries) == VERSION_1
    assert read_items(VERSION_1) == entries


def test_fields_are_read_by_name_and_those_that_nobody_knows_are_overlooked() -> None:
    data = (
        b'1 {"rows":[["u1",[[1,9,7]],"b",0,"red","t"]],"all":{"tone":"ping"},'
        b'"fields":["user_id","remainders","body","index","colour","title"],'
        b'"remainders":["flipped","tries_left","device_id"]}'
    )
    with pytest.raises(Unreadable, match="broken"):
        read_items(data)  # what must be there is not
    whole = data.replace(b"tries_left", b"attempts").replace(
        b'"tone":"ping"', b'"tone":"ping","path":null,"custom_id":null'
    )
    assert read_items(whole) == (
        ChunkItem(Item(0, "t", "b", None, "u1", None), (Remainder(7, 9, True),)),
    )


def test_what_a_field_that_nobody_knows_says_of_a_user_goes_with_the_user() -> None:
    data = (
        b'1 {"all":{"title":"t","body":"b","path":null,"custom_id":null},'
        b'"fields":["index","user_id","phone"],"rows":[[0,"mary","+1"],[1,"zoe","+2"]]}'
    )
    left = erase_items(data, lambda _index, user_id, _custom_id: user_id == "mary")
    assert b"+1" not in left
    assert b"+2" in left
    assert [entry.item.user_id for entry in read_items(left)] == [None, "zoe"]


GARBAGE = {
    "nothing": EMPTY,
    "no form": b"\x00\xff\x80",
    "a version of many digits": b"12345 {}",
    "half": write_items([ChunkItem(item())])[:-9],
    "half of the oldest": write_items([ChunkItem(item())], OLDEST)[:-9],
    "a seventh field that is no list": b'[[0,"t","b",null,"u",null,5]]',
    "an eighth field": b'[[0,"t","b",null,"u",null,null,[]]]',
    "a row too short": b'[[0,"t"]]',
    "a title that is a number": b'[[0,7,"b",null,"u",null]]',
    "a device that is a word": b'[[0,"t","b",null,"u",null,[["x",0,0]]]]',
    "rows of different lengths": b'1 {"all":{},"fields":["index"],"rows":[[0],[1,2]]}',
    "no rows": b'1 {"all":{},"fields":["index"]}',
    "a list": b"1 []",
    "a word": b"1 true",
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("data", GARBAGE.values(), ids=GARBAGE.keys())
def test_what_cannot_be_read_says_so_and_reads_as_nothing_else(data: bytes) -> None:
    for read in (read_items, lambda bad: erase_items(bad, lambda *_: True)):
        with pytest.raises(Unreadable) as caught:
            read(data)
        assert not caught.value.too_new


def test_a_newer_version_is_told_from_garbage_without_being_read() -> None:
    data = b"3 \x00whatever it may be"
    assert form_of(data) == 3
    with pytest.raises(Unreadable, match="version 3, and this Inkpush reads up to 2") as caught:
        read_items(data)
    assert caught.value.too_new
    with pytest.raises(Unreadable):
        read_rejections("3 [[0]]")
    with pytest.raises(Unreadable):
        read_letter(item()[:6], "3 {}")


def test_a_version_costs_bytes_for_each_chunk_and_none_for_each_item() -> None:
    entries = [ChunkItem(item(index)) for index in range(CHUNK_SIZE)]
    assert len(write_items(entries)) <= len(write_items(entries, OLDEST)) + 200
    sourced = [one._replace(item=one.item._replace(source="learnink")) for one in entries]
    assert len(write_items(sourced)) - len(write_items(entries)) < 30


@pytest.mark.parametrize(
    ("least", "writes"), [(-1, OLDEST), (OLDEST, OLDEST), (NEWEST, NEWEST), (NEWEST + 5, NEWEST)]
)
def test_the_newest_form_that_all_read_is_written(least: int, writes: int) -> None:
    forms = Forms()
    assert forms.writes == NEWEST
    forms.learn(Reading(least, 9))
    assert forms.writes == writes


def test_an_empty_list_of_rejections_is_the_same_in_both_forms() -> None:
    assert json.loads("[]") == list(read_rejections("[]"))
