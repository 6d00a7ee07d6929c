"""A chunk as a message: its subject, its id, its bytes. Pure; knows no connection.

The subject identifies a chunk - event, number, content - so that the stream, which holds one
message per subject, never holds the same chunk twice. It is
`<stream>.<event>.<number>.<content>.<notifications>`: the event as a hash, because an id may hold
any character; the content as a digest of the devices, their attempts and due times, of which the
last two grow from leftover to leftover; the notifications as a number, for the depth.

The bytes are a line of JSON with all but the items, then the items in a stored form, as in the SQL
queues: the line says whether a chunk is due, so the items need not be read for it. A release that
changes the line gives it the version of the newest stored form, so that one number says what a
process reads.
"""

from __future__ import annotations

import contextlib
import hashlib
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import orjson

from gateway.core.model import Chunk
from gateway.core.stored import Unreadable, read_items, write_items
from gateway.ports import Aside

_VERSION = 1
#: an event has fewer chunks than this
_NUMBERS = 2**31
#: room in a message for its subject, its headers and the line before the items, in bytes
_OVERHEAD = 4096
#: texts shrink to about a third, at 10 us a KB, which pays for large messages only
_COMPRESS = 256 * 1024


class TooLarge(ValueError):
    """An item is too large for any message of the broker."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message to publish. `subject` goes behind the stream's name; `id` may be empty."""

    subject: str
    id: str
    data: bytes
    size: int


@dataclass(frozen=True, slots=True)
class Head:
    """A message without its items. `compressed`: the items are."""

    chunk: Chunk
    compressed: bool


def messages_of(chunk: Chunk, *, form: int, max_payload: int) -> Iterator[Message]:
    """Write a chunk, its items in that version: as one message, or as several if the broker does
    not take one so large. Raises TooLarge."""
    items, compressed = write_items(chunk.items, form), False
    if len(items) > min(_COMPRESS, max_payload - _OVERHEAD):
        items, compressed = zlib.compress(items, 1), True
    if len(items) > max_payload - _OVERHEAD:
        if len(chunk.items) == 1:
            raise TooLarge
        middle = len(chunk.items) // 2
        for half in (chunk.items[:middle], chunk.items[middle:]):
            part = replace(chunk, items=half)
            yield from messages_of(part, form=form, max_payload=max_payload)
        return
    head = {
        "v": _VERSION,
        "event_id": chunk.event_id,
        "number": chunk.number,
        "first_seen": chunk.first_seen,
        "deadline": chunk.deadline,
        "due_at": chunk.due_at,
        "lane": chunk.lane,
        "part": chunk.part,
        "day": chunk.day,
        "z": compressed,
    }
    content = _digest(chunk)
    name = f"{chunk_subject(chunk)}.{content}"
    size = len(chunk.items)
    yield Message(f"{name}.{size}", name, orjson.dumps(head) + b"\n" + items, size)


def chunk_subject(chunk: Chunk) -> str:
    """The subject, behind the stream's name, of a chunk and all of its leftovers."""
    return f"{_named(chunk.event_id)}.{chunk.number if chunk.number >= 0 else 'replay'}"


def event_subject(event_id: str) -> str:
    """The subject, behind the stream's name, of all chunks of an event."""
    return _named(event_id)


def items_in(data: bytes) -> bytes:
    """The items of a message, in whatever form; all of it, if it has no first line."""
    items = data.partition(b"\n")[2] or data
    try:
        return zlib.decompress(items)
    except zlib.error:
        return items


def chunk_in(subject: str, event_ids: Iterable[str]) -> tuple[str, int]:
    """The chunk that a subject, behind the stream's name, is about, if its message does not say it:
    (event id, number), of one of these events. ("", -1): of none of them."""
    event, number = [*subject.split("."), ""][:2]
    for event_id in event_ids:
        if _named(event_id) == event:
            return event_id, int(number) if number.isdecimal() else -1
    return "", -1


def size_of(subject: str) -> int:
    """How many notifications a message has, by its subject; 0 for a foreign subject."""
    size = subject.rpartition(".")[2]
    return int(size) if size.isdecimal() else 0


def head_of(data: bytes) -> Head:
    """Read all but the items. Raises Unreadable."""
    line = data.partition(b"\n")[0]
    try:
        head: dict[str, Any] = orjson.loads(line)
        version = head["v"]
        chunk = Chunk(
            event_id=str(head["event_id"]),
            number=int(head["number"]),
            first_seen=float(head["first_seen"]),
            deadline=float(head["deadline"]),
            items=(),
            due_at=float(head["due_at"]),
            lane=str(head["lane"]),
            # the previous version knew no parts
            part=str(head.get("part", "")),
            day=int(head["day"]),
        )
        compressed = bool(head["z"])
    except (ValueError, LookupError, TypeError) as error:
        form = _version_of(line)
        if form is not None and form != _VERSION:
            raise _unknown(form) from None
        raise Unreadable(f"its first line is not a head ({type(error).__name__})") from None
    if version != _VERSION:
        raise _unknown(version if type(version) is int else None)
    return Head(chunk, compressed)


def aside_of(sequence: int, data: bytes, error: Unreadable) -> Aside:
    """A message that cannot be read: which chunk it is, as far as its first line says. Its items
    are kept, in their form; if the form is unknown, the whole message is."""
    event_id, number, raw = "", -1, data
    line, _, items = data.partition(b"\n")
    with contextlib.suppress(ValueError, LookupError, TypeError, zlib.error):
        head: dict[str, Any] = orjson.loads(line)
        event_id, number = str(head["event_id"]), int(head["number"])
        number = number if 0 <= number < _NUMBERS else -1
        if head["v"] == _VERSION:
            raw = zlib.decompress(items) if head["z"] else items
    return Aside(sequence, event_id, number, raw, error.form, str(error))


def chunk_of(head: Head, data: bytes) -> Chunk:
    """Read the items as well. Raises Unreadable."""
    items = data.partition(b"\n")[2]
    try:
        if head.compressed:
            items = zlib.decompress(items)
    except zlib.error as error:
        raise Unreadable(f"its items are broken ({type(error).__name__})") from None
    return replace(head.chunk, items=read_items(items))


def _version_of(line: bytes) -> int | None:
    """The version that an unknown first line names, if any."""
    with contextlib.suppress(ValueError, LookupError, TypeError):
        version = orjson.loads(line)["v"]
        return version if type(version) is int else None
    return None


def _unknown(form: int | None) -> Unreadable:
    return Unreadable(f"it is of version {form}, and this Inkpush reads {_VERSION}", form)


def _named(event_id: str) -> str:
    return hashlib.blake2b(event_id.encode(errors="replace"), digest_size=16).hexdigest()


def _digest(chunk: Chunk) -> str:
    """A digest that distinguishes a leftover from all others of its chunk. An original chunk's
    digest depends on its items alone, however often and whenever its event is received."""
    content: list[Any] = [
        (entry.item.index, entry.remainders and [left[:2] for left in entry.remainders])
        for entry in chunk.items
    ]
    if chunk.number < 0 or any(entry.remainders is not None for entry in chunk.items):
        content.append(chunk.due_at)
    return hashlib.blake2b(orjson.dumps(content), digest_size=12).hexdigest()
