"""What of a received body is not kept, and whom a body names, so that an erase finds it. Pure.

Owns the removal of phone numbers from batches, and which fields of any event hold a person's id.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from gateway.core.identifiers import MAX_ID

PHONE = "phone_number"
MOST_PEOPLE = 32
"""Ids that are noted of one event. A body may name more: a search of the body finds those."""
#: values of a body that are looked through for ids
_MOST_VALUES = 2_000

#: A phone number with its name and the comma in front, as nearly all are written. Quotes within a
#: JSON string are escaped, so this never begins inside of one.
_USUAL = re.compile(rb',\s*"phone_number"\s*:\s*(?:null|"[^"\\]*")')
#: any other, with a comma behind it
_MEMBER = re.compile(
    rb'"phone_number"\s*:\s*(?:"[^"\\]*(?:\\.[^"\\]*)*"|[-+.\w]+)(\s*,)?', re.DOTALL
)
_SPACE = b" \t\r\n"


def without_phones(body: bytes, document: Any, entries: Sequence[Any]) -> bytes:
    """A batch without its phone numbers, and else byte for byte as it is. `document` is what it
    says, `entries` are its notifications."""
    numbers = [one[PHONE] for one in entries if type(one) is dict and PHONE in one]
    if not numbers and PHONE.encode() not in body:
        return body
    left, found = _USUAL.subn(b"", body)
    if PHONE.encode() in left:
        left, more = _without_members(left)
        found += more
    is_odd = found < len(numbers) or any(type(one) in (dict, list) for one in numbers)
    if is_odd or (b"\\u" in body and not _is_clean(left)):
        # written in a way of its own: the name with an escape, or a list for a number
        return json.dumps(_cleaned(document)).encode()
    return left


def people_in(value: Any) -> tuple[str, ...]:
    """Ids that something in a body names: what stands in fields for ids, at any depth."""
    found: dict[str, None] = {}
    waiting = [("", value)]
    for _ in range(_MOST_VALUES):
        if not waiting or len(found) >= MOST_PEOPLE:
            break
        under, one = waiting.pop()
        if isinstance(one, list):
            waiting += [(under, part) for part in one[:_MOST_VALUES]]
        elif isinstance(one, dict):
            for name, part in one.items():
                if isinstance(part, dict | list):
                    waiting.append((name, part))
                elif name in ("user_id", "custom_id") or (name == "id" and under == "user"):
                    _note(part, found)
    return tuple(found)


def _without_members(body: bytes) -> tuple[bytes, int]:
    """The body without phone numbers, wherever they stand in their object; and how many there
    were."""
    kept = bytearray()
    end = found = 0
    for member in _MEMBER.finditer(body):
        found += 1
        kept += body[end : member.start()]
        if member[1] is None:
            # the last of its object: the comma in front of it goes
            place = len(kept.rstrip(_SPACE))
            if kept[place - 1 : place] == b",":
                del kept[place - 1 :]
        end = member.end()
    kept += body[end:]
    return bytes(kept), found


def _note(value: Any, found: dict[str, None]) -> None:
    if type(value) is int:
        value = str(value)
    if isinstance(value, str) and 0 < len(value) <= MAX_ID and "\0" not in value:
        try:
            value.encode()
        except UnicodeEncodeError:
            return
        found[value] = None


def _is_clean(body: bytes) -> bool:
    """Whether no notification has a phone number."""
    try:
        entries: Iterable[Any] = orjson.loads(body)["data"]["notifications"]
    except (ValueError, RecursionError):
        return False
    return not any(isinstance(one, dict) and PHONE in one for one in entries)


def _cleaned(value: Any) -> Any:
    if isinstance(value, list):
        return [_cleaned(one) for one in value]
    if isinstance(value, dict):
        return {name: _cleaned(one) for name, one in value.items() if name != PHONE}
    return value
