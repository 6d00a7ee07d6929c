"""What is found in a learning event when it comes in. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Learnt:
    """What is found in a learning event when it comes in, to be kept with it.

    `object` is what was learnt. `salt` has 32 random bytes: without them nobody can try bodies
    until one fits the digest.
    """

    user_id: str | None = field(default=None, repr=False)
    custom_id: str | None = field(default=None, repr=False)
    object: str | None = field(default=None, repr=False)
    salt: bytes = field(default=b"", repr=False)
