"""The words of ids: short, the same for ever, and nobody else's."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.words import Words
from providers.contract import LONGEST_WORD

WORDS = Words(b"s" * 32)


@given(st.text(max_size=300))
def test_a_word_goes_into_any_payload_whatever_the_id(identifier: str) -> None:
    for word in (WORDS.of_user(identifier), WORDS.of_custom(identifier)):
        assert re.fullmatch(r"[A-Za-z0-9_-]{16}", word)
        assert len(word) <= len(LONGEST_WORD)


@given(st.text(max_size=30), st.text(max_size=30))
def test_an_id_has_one_word_of_each_kind_and_shares_it_with_no_other(one: str, other: str) -> None:
    assert WORDS.of_user(one) == Words(b"s" * 32).of_user(one)
    assert WORDS.of_user(one) != WORDS.of_custom(one)
    assert (WORDS.of_user(one) == WORDS.of_user(other)) == (one == other)


def test_another_gateway_has_other_words() -> None:
    assert WORDS.of_user("mary") != Words(b"t" * 32).of_user("mary")
