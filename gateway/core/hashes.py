"""Keyed hashes: words that stand for an id or an address, and tell it to nobody. Pure.

The key is the store's secret, so all replicas make the same word, and another gateway another one.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b

Fresh = Callable[[], bytes]
"""Makes the secret of a store that has none yet."""

SECRET_BYTES = 32
WORD_BYTES = 16


class Keyed:
    """Makes the words of one purpose whose first parts are the same: `of(last)` is
    `keyed(secret, purpose, *first, last)` in hexadecimal digits, in a third of the time."""

    __slots__ = ("_begun",)

    def __init__(self, secret: bytes, purpose: str, *first: str) -> None:
        self._begun = blake2b(key=secret, person=purpose.encode(), digest_size=WORD_BYTES)
        for part in first:
            text = part.encode("utf-8", "surrogatepass")
            self._begun.update(len(text).to_bytes(4) + text)

    def of(self, last: str) -> str:
        """The word for this last part."""
        word = self._begun.copy()
        text = last.encode("utf-8", "surrogatepass")
        word.update(len(text).to_bytes(4) + text)
        return word.hexdigest()


def keyed(secret: bytes, purpose: str, *parts: str) -> bytes:
    """The word for these texts, 16 bytes. One purpose's words say nothing of another's.

    `purpose` has at most 16 ASCII characters. Parts never run into each other: ("a", "bc") and
    ("ab", "c") have different words.
    """
    word = blake2b(key=secret, person=purpose.encode(), digest_size=WORD_BYTES)
    for part in parts:
        text = part.encode("utf-8", "surrogatepass")
        word.update(len(text).to_bytes(4))
        word.update(text)
    return word.digest()


def person_word(secret: bytes, kind: str, name: str) -> bytes:
    """The word for a person in experiments and in what people learnt; as hexadecimal text in the
    store. `kind` is the id's: `user_id` or `custom_id`."""
    return keyed(secret, "outcomes", kind, name)


def person_words(secret: bytes, user_id: str | None, custom_id: str | None) -> tuple[str, str]:
    """Both words of somebody, as the store has them; "" for an id that is not known."""
    return (
        "" if user_id is None else person_word(secret, "user_id", user_id).hex(),
        "" if custom_id is None else person_word(secret, "custom_id", custom_id).hex(),
    )
