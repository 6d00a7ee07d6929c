"""Chance of a history: every draw follows from the seed and from what is drawn for.

Owns that nothing else decides. A draw is named - "the third answer to this push" - and not the next
of one stream, so that cutting a fault out of a history leaves the rest as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from random import Random
from typing import TypeVar

T = TypeVar("T")

_SCALE = 2.0**-64


class Chance:
    """Draws of one seed."""

    def __init__(self, seed: int) -> None:
        self._key = blake2b(str(seed).encode(), digest_size=16).digest()
        self._streams: dict[str, Random] = {}

    def share(self, *name: object) -> float:
        """A number in [0, 1): the same for the same name."""
        text = "\0".join(map(str, name)).encode()
        digest = blake2b(text, digest_size=8, key=self._key).digest()
        return int.from_bytes(digest, "little") * _SCALE

    def turn(self, name: str) -> float:
        """A number in [0, 1): another one at each turn of this name."""
        stream = self._streams.get(name)
        if stream is None:
            stream = self._streams[name] = self.stream(name)
        return stream.random()

    def between(self, low: float, high: float, *name: object) -> float:
        """A number of this range."""
        return low + (high - low) * self.share(*name)

    def one_of(self, choices: Sequence[T], *name: object) -> T:
        """One of these."""
        return choices[int(self.share(*name) * len(choices))]

    def stream(self, name: str) -> Random:
        """A generator of its own, for what is drawn before the history begins."""
        return Random(f"{self._key.hex()}/{name}")  # not a secret
