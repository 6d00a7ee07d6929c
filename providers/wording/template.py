"""JSON that is the same but for a few texts: rendered once, filled in many times.

Owns the step from a rendered payload to a template of it, so that the readable function that
renders stays the only place where a payload's form is written. Refuses to know vendors.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import count
from json.encoder import encode_basestring

from providers.contract import Message

quoted = encode_basestring
"""A text as a JSON string, quotes included: the function behind `providers.wording.text.encode`."""


class Template:
    """`rendered` is compact JSON with a string of its own for each gap; `gaps` names them."""

    def __init__(self, rendered: bytes, gaps: Mapping[str, str]) -> None:
        names = {quoted(text): name for name, text in gaps.items()}
        pieces = re.split(f"({'|'.join(map(re.escape, names))})", rendered.decode())
        # between two pieces that stay there is always one gap
        self._pieces = pieces
        self._names = [names[text] for text in pieces[1::2]]

    def fill(self, values: Mapping[str, str]) -> bytes:
        """The JSON with these values in its gaps; each is JSON itself."""
        pieces = self._pieces.copy()
        pieces[1::2] = map(values.__getitem__, self._names)
        return "".join(pieces).encode()


def unused_number(texts: Iterable[str]) -> int:
    """A number of seven digits that none of the texts holds: what holds it is a gap's."""
    taken = "\n".join(texts)
    return next(number for number in count(1_000_000) if str(number) not in taken)


def message_gaps(number: int) -> dict[str, str]:
    """What stands in a rendered payload where the texts of a message go; all hold the number."""
    return {name: f"inkpush gap {name} {number}" for name in ("event_id", "title", "body", "path")}


class Texts:
    """The values of a template: those of a message are coded once for all of a user's devices."""

    def __init__(self) -> None:
        self._message: Message | None = None
        self._values: dict[str, str] = {}

    def of(self, message: Message) -> dict[str, str]:
        """The values of a message's gaps, to which the device's own are added.

        They are kept until the next message; one comes again as the same object.
        """
        values = self._values
        if message is not self._message:
            self._message = message
            values["title"] = quoted(message.title)
            values["body"] = quoted(message.body)
            values["event_id"] = quoted(message.event_id)
            values["path"] = quoted(message.path or "")
        return values
