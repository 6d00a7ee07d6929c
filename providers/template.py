"""JSON that is the same but for a few texts: rendered once, filled in many times.

Owns the step from a rendered payload to a template of it, so that the readable function that
renders stays the only place where a payload's form is written. Refuses to know what texts mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from json.encoder import encode_basestring

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
