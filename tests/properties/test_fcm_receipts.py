"""FCM's receipts have a fast form: it never says anything else than the general one."""

from __future__ import annotations

import json

from hypothesis import example, given
from hypothesis import strategies as st

from providers.contract import Delivered
from providers.fcm.verdicts import classify, receipt

NOW = 1_762_423_138.0
NAME = "projects/p/messages/0:1500415314455276%31bd1c9631bd1c96"
SHORT = b' { "name" : "p/1" } '
RECEIPT = json.dumps({"name": NAME}).encode()

space = st.text(" \t\r\n", max_size=3).map(str.encode)
odd_space = st.sampled_from([b"", b" ", b"\v", b"\f", b"\0", b"\xa0", b"\xc2\xa0", b"\xef\xbb\xbf"])
plain = st.text(
    st.characters(codec="ascii", min_codepoint=0x20, max_codepoint=0x7E, exclude_characters='"\\'),
    min_size=1,
).map(str.encode)
strings = (
    plain
    | st.binary(max_size=12)
    | st.text(max_size=12).map(lambda text: json.dumps(text).encode()[1:-1])
    | st.text(st.characters(codec="utf-8"), max_size=12).map(str.encode)
)
keys = st.sampled_from([b"name", b"Name", b"nam\\u0065", b"error", b"name ", b""])
values = (
    strings.map(lambda text: b'"%b"' % text)
    | st.sampled_from([b"null", b"5", b"NaN", b"[]", b'["x"]', b'{"name": "x"}', b""])
)  # fmt: skip


@st.composite
def objects(draw: st.DrawFn) -> bytes:
    """What looks like a receipt, with odd things in all its places."""
    gap = space | odd_space
    members = [
        draw(gap) + b'"' + draw(keys) + b'"' + draw(gap) + b":" + draw(gap) + draw(values)
        for _ in range(draw(st.integers(0, 2)))
    ]
    return draw(gap) + b"{" + (draw(gap) + b",").join(members) + draw(gap) + b"}" + draw(gap)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A receipt with a few bytes cut out and others put in."""
    start = draw(st.integers(0, len(RECEIPT)))
    stop = draw(st.integers(start, len(RECEIPT)))
    return RECEIPT[:start] + draw(st.binary(max_size=4)) + RECEIPT[stop:]


other_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "error"]) | st.text(), inner, max_size=3)
    ),
)
encoded = st.tuples(other_json, st.sampled_from(["utf-8", "utf-16", "utf-16-le", "utf-32"])).map(
    lambda pair: json.dumps(pair[0]).encode(pair[1])
)


@given(st.binary() | objects() | damaged() | encoded)
@example(b"")
@example(RECEIPT)
@example(RECEIPT[:-1])
@example(RECEIPT + b"\n")
@example(RECEIPT + b"\n\n}")
@example(RECEIPT + RECEIPT)
@example(b'{"name": "a\nb"}')
@example(b'{"name": "a\x7fb"}')
@example(b'{"name": ""}')
@example(b'{"name": "a", "name": ""}')
@example(b'{"name": "\xff"}')
@example(b'{"name": "\\ud800"}')
@example(b'\xef\xbb\xbf{"name": "a"}')
@example('{"name": "a"}'.encode("utf-16-le"))
def test_the_fast_form_says_what_the_general_one_says_or_nothing(body: bytes) -> None:
    said = receipt(body)

    assert said is None or said == classify(200, body, None, NOW)


@given(st.lists(space, min_size=6, max_size=6), plain)
def test_a_receipt_in_plain_ascii_has_the_fast_form(gaps: list[bytes], name: bytes) -> None:
    body = b'%b{%b"name"%b:%b"%b"%b}%b' % (*gaps[:4], name, *gaps[4:])

    assert receipt(body) == Delivered(name.decode()) == classify(200, body, None, NOW)


def test_every_byte_in_every_place_of_a_receipt_means_the_same_in_both_forms() -> None:
    for place in range(len(SHORT) + 1):
        for byte in range(256):
            for after in (SHORT[place:], SHORT[place + 1 :]):  # put in, and in place of another
                body = b"%b%c%b" % (SHORT[:place], byte, after)
                said = receipt(body)
                assert said is None or said == classify(200, body, None, NOW), body
