"""Keyed hashes: what makes two words the same, and what keeps them apart."""

from __future__ import annotations

from gateway.core.hashes import WORD_BYTES, keyed

_SECRET = b"s" * 32


def test_a_word_is_the_same_for_the_same_key_purpose_and_texts() -> None:
    word = keyed(_SECRET, "for", "agent", "mary")
    assert word == keyed(_SECRET, "for", "agent", "mary")
    assert len(word) == WORD_BYTES


def test_another_key_purpose_or_split_makes_another_word() -> None:
    words = [
        keyed(_SECRET, "for", "a", "bc"),
        keyed(b"t" * 32, "for", "a", "bc"),
        keyed(_SECRET, "forgotten", "a", "bc"),
        keyed(_SECRET, "for", "ab", "c"),
        keyed(_SECRET, "for", "abc"),
        keyed(_SECRET, "for", "a", "bc", ""),
    ]
    assert len(set(words)) == len(words)


def test_any_text_has_a_word() -> None:
    assert keyed(_SECRET, "for", "\ud800") != keyed(_SECRET, "for", "?")
