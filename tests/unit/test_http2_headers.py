"""Our coding of header blocks, held against the hpack library's reading and writing."""

from __future__ import annotations

import random

import pytest
from hpack import Decoder, Encoder, NeverIndexedHeaderTuple

from providers.http2.headers import (
    BadHeaders,
    ConstantFields,
    HeaderReader,
    Malformed,
    Surroundings,
    literal,
    literal_after,
    literal_name,
    read_literals,
    short_string,
)

FIELDS = (
    (":method", "POST"),
    (":scheme", "https"),
    (":authority", "vendor.test"),
    ("apns-topic", "com.learnink.app"),
    ("apns-push-type", "alert"),
)
PATH = (":path", "/3/device/ab")
ALL = [*FIELDS[:3], PATH, *FIELDS[3:]]


def next_block(surroundings: Surroundings) -> bytes:
    before, after = surroundings.now
    surroundings.now = surroundings.later
    return before + literal(*PATH) + after


def read(decoder: Decoder, block: bytes) -> list[tuple[str, str]]:
    return [(str(name), str(value)) for name, value in decoder.decode(block)]


def entries(decoder: Decoder) -> list[tuple[str, str]]:
    table = decoder.header_table.dynamic_entries
    return [(name.decode(), value.decode()) for name, value in table]


def size_of(*fields: tuple[str, str]) -> int:
    return ConstantFields(fields).size


def test_every_request_reads_the_same_and_all_but_the_first_are_short() -> None:
    surroundings, decoder = Surroundings(ConstantFields(FIELDS)), Decoder()

    first, second, third = (next_block(surroundings) for _ in range(3))

    assert read(decoder, first) == ALL
    assert read(decoder, second) == ALL
    assert read(decoder, third) == ALL
    assert second == third
    assert len(second) == len(FIELDS) + len(literal(*PATH))


def test_only_the_constant_fields_enter_the_peers_table() -> None:
    surroundings, decoder = Surroundings(ConstantFields(FIELDS)), Decoder()

    for _ in range(3):
        read(decoder, next_block(surroundings))

    assert entries(decoder) == list(reversed(FIELDS[2:]))
    assert decoder.header_table._current_size == ConstantFields(FIELDS).size


def test_fields_of_the_static_table_alone_need_no_other() -> None:
    fields = ((":method", "POST"), (":scheme", "https"), ("accept-encoding", "gzip, deflate"))
    constant = ConstantFields(fields)

    assert constant.size == 0
    assert constant.first == constant.later == constant.plain
    assert constant.first == (b"\x83\x87", b"\x90")


def test_more_constant_fields_than_an_index_byte_can_number_still_read_right() -> None:
    fields = tuple((f"x-{number}", str(number)) for number in range(100))
    surroundings, decoder = Surroundings(ConstantFields(fields)), Decoder()

    for _ in range(3):
        assert read(decoder, next_block(surroundings)) == [PATH, *fields]


def test_constant_fields_that_no_table_holds_are_spelled_out_each_time() -> None:
    fields = ((":method", "POST"), ("x-large", "v" * 5_000))
    surroundings, decoder = Surroundings(ConstantFields(fields)), Decoder()

    for _ in range(3):
        assert read(decoder, next_block(surroundings)) == [fields[0], PATH, fields[1]]
    assert entries(decoder) == []


@pytest.mark.parametrize("size", [4_096, 4_097, 65_536, 2**32 - 1])
def test_a_limit_that_changes_nothing_is_not_spoken_of(size: int) -> None:
    surroundings = Surroundings(ConstantFields(FIELDS))
    before = surroundings.now

    surroundings.limit_table(size)

    assert surroundings.now == before


@pytest.mark.parametrize("requests_before", [0, 1, 5])
@pytest.mark.parametrize("size", [0, 1, 100, size_of(*FIELDS) - 1, size_of(*FIELDS), 4_095])
def test_a_limit_of_the_table_is_kept_and_told_at_any_time(size: int, requests_before: int) -> None:
    surroundings, decoder = Surroundings(ConstantFields(FIELDS)), Decoder()
    for _ in range(requests_before):
        read(decoder, next_block(surroundings))

    surroundings.limit_table(size)
    decoder.max_allowed_table_size = size

    for _ in range(3):
        assert read(decoder, next_block(surroundings)) == ALL
        assert decoder.header_table_size == size
        assert (len(entries(decoder)) == 3) == (size >= size_of(*FIELDS))


@pytest.mark.parametrize("sizes", [(500, 400, 300), (300, 0, 4_096), (0, 4_096, 0), (4_000, 1, 2)])
@pytest.mark.parametrize("requests_before", [0, 1])
def test_of_several_limits_between_two_requests_the_smallest_is_told(
    sizes: tuple[int, ...], requests_before: int
) -> None:
    surroundings, decoder = Surroundings(ConstantFields(FIELDS)), Decoder()
    for _ in range(requests_before):
        read(decoder, next_block(surroundings))

    for size in sizes:
        surroundings.limit_table(size)
    decoder.max_allowed_table_size = sizes[-1]

    for _ in range(3):
        assert read(decoder, next_block(surroundings)) == ALL
        assert decoder.header_table_size == min(sizes)


def test_limits_and_requests_in_any_order_read_right() -> None:
    rng, fits = random.Random(7541), size_of(*FIELDS)
    for _ in range(300):
        surroundings, decoder = Surroundings(ConstantFields(FIELDS)), Decoder()
        for _ in range(rng.randrange(12)):
            if rng.random() < 0.5:
                size = rng.choice([0, 50, fits - 1, fits, fits + 1, 4_096, 9_999])
                surroundings.limit_table(size)
                decoder.max_allowed_table_size = size
            else:
                assert read(decoder, next_block(surroundings)) == ALL


@pytest.mark.parametrize("length", [0, 1, 126, 127, 128, 254, 255, 256, 16_383, 16_384, 70_000])
def test_strings_of_any_length_read_right(length: int) -> None:
    field = ("x-" + "n" * length, "v" * length)
    decoder = Decoder(max_header_list_size=200_000)

    assert read(decoder, literal(*field)) == [field]
    assert entries(decoder) == []


@pytest.mark.parametrize("name", [":path", "authorization", "content-length", "www-authenticate"])
def test_names_of_the_static_table_are_numbers_on_either_side_of_the_prefix(name: str) -> None:
    assert read(Decoder(), literal(name, "v")) == [(name, "v")]
    assert len(literal(name, "v")) <= 4


def test_a_secret_is_never_indexed_on_any_hop() -> None:
    secret, plain = Decoder().decode(
        literal("authorization", "bearer s", secret=True) + literal("apns-id", "1")
    )

    assert isinstance(secret, NeverIndexedHeaderTuple)
    assert not isinstance(plain, NeverIndexedHeaderTuple)
    assert str(secret[1]) == "bearer s"


@pytest.mark.parametrize("secret", [False, True])
@pytest.mark.parametrize("length", [0, 1, 126])
def test_a_name_and_a_short_string_are_a_literal(length: int, *, secret: bool) -> None:
    for name in (":path", "apns-id"):
        pieced = literal_name(name, secret=secret) + short_string(b"v" * length)
        assert pieced == literal(name, "v" * length, secret=secret)


@pytest.mark.parametrize("length", [0, 1, 126, 127, 128, 254, 255, 16_000])
def test_a_name_may_be_coded_before_its_value(length: int) -> None:
    for name in (":path", "apns-id"):
        pieced = literal_after(literal_name(name), b"v" * length)
        assert pieced == literal(name, "v" * length)


def test_literals_can_be_read_back_for_a_peer_of_another_protocol() -> None:
    fields = [PATH, ("authorization", "bearer s"), ("x", ""), ("large", "v" * 300)]

    assert read_literals(b"".join(literal(*field) for field in fields)) == fields
    assert read_literals(b"") == []


def answer(*fields: tuple[str, str], huffman: bool = True) -> bytes:
    encoder = Encoder()
    encoder.header_table_size = 0
    return bytes(encoder.encode(fields, huffman=huffman))


@pytest.mark.parametrize("huffman", [True, False])
def test_an_answer_reads_as_its_status_and_its_other_fields(*, huffman: bool) -> None:
    block = answer((":status", "410"), ("apns-id", "AB-1"), ("x", ""), huffman=huffman)

    for _ in range(2):  # and needs nothing that was read before
        assert HeaderReader().read(block) == (410, {b"apns-id": b"AB-1", b"x": b""})


def test_one_reader_reads_each_block_for_itself() -> None:
    reader = HeaderReader()

    assert reader.read(b"\x88") == (200, {})
    assert reader.read(b"\x20\x88") == (200, {})
    assert reader.read(b"\x20\x20\x8d") == (404, {})
    # a peer that indexes all the same keeps nothing: its table has no room
    assert reader.read(b"\x88\x40\x01a\x01b") == (200, {b"a": b"b"})
    assert reader.read(b"\x88") == (200, {})


def test_of_a_field_that_comes_twice_the_last_counts() -> None:
    assert HeaderReader().read(answer((":status", "429"), ("a", "1"), ("a", "2"))) == (
        429,
        {b"a": b"2"},
    )


@pytest.mark.parametrize("status", ["", "2", "20", "2000", "abc", "-10", "+20", " 20", "٢٠٠"])
def test_a_status_that_is_no_number_of_three_digits_is_none(status: str) -> None:
    with pytest.raises(Malformed):
        HeaderReader().read(answer((":status", status)))


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ([], "no status"),
        ([("a", "b")], "no status"),
        ([("a", "b"), (":status", "410")], "a status behind a field"),
        ([(":status", "410"), (":status", "503")], "two statuses"),
        ([(":status", "410"), (":path", "/")], "a pseudo-field of requests"),
        ([(":status", "410"), (":new", "x")], "an unknown pseudo-field"),
        ([(":status", "410"), ("a", "b"), (":status", "410")], "a pseudo-field behind a field"),
        ([(":status", "410"), ("Apns-Id", "1")], "a capital in a name"),
        ([(":status", "410"), ("a b", "1")], "a space in a name"),
        ([(":status", "410"), ("", "1")], "no name"),
        ([(":status", "410"), ("\x7f", "1")], "a control in a name"),
        ([(":status", "410"), ("a", "1\r\nb: 2")], "a line break in a value"),
        ([(":status", "410"), ("a", "1\0")], "a NUL in a value"),
        ([(":status", "410"), ("a", " 1")], "a space in front of a value"),
        ([(":status", "410"), ("a", "1\t")], "a tab behind a value"),
        ([(":status", "410"), ("connection", "close")], "a field of HTTP/1.1"),
        ([(":status", "410"), ("keep-alive", "5")], "a field of HTTP/1.1"),
        ([(":status", "410"), ("proxy-connection", "x")], "a field of HTTP/1.1"),
        ([(":status", "410"), ("transfer-encoding", "chunked")], "a field of HTTP/1.1"),
        ([(":status", "410"), ("upgrade", "h2c")], "a field of HTTP/1.1"),
    ],
)
def test_what_no_response_may_have_is_malformed(fields: list[tuple[str, str]], why: str) -> None:
    with pytest.raises(Malformed):
        HeaderReader().read(b"".join(literal(*field) for field in fields))
    assert why


@pytest.mark.parametrize("value", ["", "1", "a b", "\u00e9", '"quoted", (yes)'])
def test_any_other_value_is_read(value: str) -> None:
    block = literal(":status", "410") + literal("x-!#$%&'*+-.^_`|~9", value)
    assert HeaderReader().read(block) == (410, {b"x-!#$%&'*+-.^_`|~9": value.encode()})


@pytest.mark.parametrize(
    ("block", "why"),
    [
        (b"\xbe", "the first entry of a table that was refused"),
        (b"\x40\x01a\x01b\xbe", "an entry that was never kept"),
        (b"\x7e\x01b", "a name out of that table"),
        (b"\x80", "index zero"),
        (b"\x3f\xe1\x1f", "a table of 4096 bytes"),
        (b"\x21", "a table of one byte"),
        (b"\x88\x20", "a table's size behind a field"),
        (b"\x00\x05ab", "a name that is cut short"),
        (b"\x00\x01a\x05b", "a value that is cut short"),
        (b"\x00", "a literal without anything"),
        (b"\x40\x01a", "a literal without its value"),
        (b"\xff", "an index without its end"),
        (b"\xff" * 20_000, "an index without end"),
        (b"\x00\x84\xff\xff\xff\xff\x00", "Huffman code that is all padding"),
        (b"\x00\x81\x00\x00", "Huffman code that pads with zeros"),
        (b"\x00\xff" + b"\xff" * 50 + b"\x01", "a string longer than memory"),
        (b"\x88" + b"\x00\x01a\x01b" * 5_000, "a list beyond all measure"),
    ],
)
def test_what_cannot_be_read_is_bad_headers_and_says_nothing_of_them(
    block: bytes, why: str
) -> None:
    with pytest.raises(BadHeaders) as caught:
        HeaderReader().read(block)
    assert str(caught.value).isidentifier(), why
    assert caught.value.__cause__ is None


def test_garbage_is_read_or_refused_and_nothing_else() -> None:
    rng, reader = random.Random(20), HeaderReader()
    whole = answer((":status", "400"), ("content-type", "application/json"), ("apns-id", "a" * 36))
    refused = 0
    for _ in range(5_000):
        block = bytearray(whole if rng.random() < 0.5 else rng.randbytes(rng.randrange(60)))
        for _ in range(rng.randrange(4)):
            if block:
                block[rng.randrange(len(block))] = rng.randrange(256)
        try:
            status, _ = reader.read(bytes(block))
            assert 0 <= status <= 999
        except (BadHeaders, Malformed):
            refused += 1
    assert 500 < refused < 4_500
    assert HeaderReader().read(whole)[0] == reader.read(whole)[0] == 400
