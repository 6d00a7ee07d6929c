"""Making unique names. The maker is handed down, so that a run can be repeated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

NewId = Callable[[], str]
"""Makes a name that is unique on the store and the broker: 32 hexadecimal digits."""


@dataclass(frozen=True, slots=True)
class Ids:
    """`new()` makes a unique name; `host()` is this machine's name, for people; `secret(size)` is
    that many bytes that nobody can guess."""

    new: NewId
    host: Callable[[], str]
    secret: Callable[[int], bytes]

    def process(self) -> str:
        """A unique name for a process, which tells people its machine."""
        return f"{self.host()}-{self.new()}"
