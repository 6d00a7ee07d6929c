"""What makes names that nobody else has. It is handed down, so that a run can be repeated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

NewId = Callable[[], str]
"""Makes a name that no process on the same store and broker has made: 32 hexadecimal digits."""


@dataclass(frozen=True, slots=True)
class Ids:
    """`new()` names things; `host()` is this machine's name, for people; `secret(size)` gives so
    many bytes that nobody can guess."""

    new: NewId
    host: Callable[[], str]
    secret: Callable[[int], bytes]
