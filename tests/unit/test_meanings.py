"""Every word that a push can fail with means something to people."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import providers
from gateway.app.vendors import VENDORS
from providers.apns.verdicts import REASONS
from providers.fcm.verdicts import FCM_ERROR_CODES
from providers.wording.meanings import OWN, meaning

ROOT = Path(providers.__file__).parent
#: words that a transport says of itself, as they stand in the code
_SAID = re.compile(r"(?:not_looked_at|Unavailable)\(\s*\"(\w+)\"")


def test_every_word_of_a_vendors_list_has_a_meaning() -> None:
    assert REASONS - VENDORS["apns"].meanings.keys() == set()
    assert FCM_ERROR_CODES - VENDORS["fcm"].meanings.keys() == set()
    for vendor in VENDORS.values():
        assert set(vendor.prune_reasons) - vendor.meanings.keys() == set()


def test_every_word_of_the_transports_has_a_meaning() -> None:
    said = {
        word
        for file in ROOT.rglob("*.py")
        if "sandbox" not in file.parts
        for word in _SAID.findall(file.read_text())
    }
    assert len(said) >= 8
    every = [*OWN, *(word for vendor in VENDORS.values() for word in vendor.meanings)]
    assert said - set(every) == set()


def test_a_meaning_is_one_sentence() -> None:
    texts = [*OWN.values(), *(text for one in VENDORS.values() for text in one.meanings.values())]
    assert [text for text in texts if not re.fullmatch(r"[A-Z][^.]*\.", text)] == []


def test_a_meaning_says_what_was_and_not_what_follows() -> None:
    """It is read of pushes that were given up, too."""
    texts = [*OWN.values(), *(text for one in VENDORS.values() for text in one.meanings.values())]
    assert [text for text in texts if re.search(r"again; |tried again|will be|next", text)] == []


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("UNREGISTERED", "removed"),
        ("UNREGISTERED; the device stays, for the clock is doubted", "removed"),
        ("UNREGISTERED, but the device has registered again or gone since", "removed"),
        ("HTTP 503", "not able to answer"),
        ("HTTP 429", "less"),
        ("HTTP 403 SomethingNew", "not in the vendor's list"),
        ("a proxy wants a login (HTTP 407)", "login"),
        ("Timeout", "in time"),
        ("unheard of", ""),
        ("", ""),
    ],
)
def test_words_are_found_with_what_was_added_to_them(word: str, told: str) -> None:
    said = meaning(word, VENDORS["fcm"].meanings)
    assert told in said
    assert bool(told) == bool(said)
