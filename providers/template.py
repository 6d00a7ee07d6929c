"""JSON that is the same but for a few texts: rendered once, filled in many times.

Owns the step from a rendered payload to a template of it, so that the readable function that
renders stays the only place where a payload's form is written. Refuses to know vendors.
"""

from __future__ import annotations

from collections.abc import Mapping
from json.encoder import encode_basestring

from providers.contract import Message

quoted = encode_basestring
"""A text as a JSON string, quotes included: the function behind `providers.text.encode`."""


class Template:
    """`rendered` is compact JSON with a string of its own for each gap; `gaps` names them."""

    def __init__(self, rendered: bytes, gaps: Mapping[str, str]) -> None:
        form = rendered.decode().replace("%", "%%")
        for name, text in gaps.items():
            form = form.replace(quoted(text), f"%({name})s")
        self._form = form

    def fill(self, values: Mapping[str, str]) -> bytes:
        """The JSON with these values in its gaps; each is JSON itself."""
        return (self._form % values).encode()


GAPS = {name: f"inkpush gap {name}" for name in ("event_id", "title", "body", "path")}
"""What stands in a rendered payload where the texts of a message go; of `GAP_MESSAGE`."""

GAP_MESSAGE = Message(**GAPS)


class Texts:
    """The values of a template: those of a message are coded once for all of a user's devices."""

    def __init__(self) -> None:
        self._message: Message | None = None
        self._values: dict[str, str] = {}

    def of(self, message: Message) -> dict[str, str]:
        """The values of `GAPS`, to which the device's own are added; kept until the next message.

        A message comes again as the same object.
        """
        values = self._values
        if message is not self._message:
            self._message = message
            values["title"] = quoted(message.title)
            values["body"] = quoted(message.body)
            values["event_id"] = quoted(message.event_id)
            values["path"] = quoted(message.path or "")
        return values
