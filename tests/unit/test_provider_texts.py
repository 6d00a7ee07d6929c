"""Texts are cut to size without breaking what a reader sees as one character."""
# ruff: noqa: RUF001  # letters of other scripts look like Latin ones

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.wording.retry_after import LONGEST_S, parse_retry_after
from providers.wording.text import cut, encode, fit_texts, json_size, mend

NOW = 1_762_423_138.0  # 2025-11-06T09:58:58Z

ANY_TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]))
FAMILY = "👨‍👩‍👧"
CLUSTERS = ["a", "é", "e\u0301", "ß", FAMILY, "👍🏽", "🇰🇪", "한", "नि", '"', "\n", "\x01"]

#: a word of a script, and what its readers see as one character each
WORDS = {
    "Latin, composed and not": "n|a|ï|v|e\u0301|t|é",
    "Vietnamese": "V|i|ê\u0323|t",
    "Greek with accents apart": "α\u0313\u0301|λ|λ|ο|ς",
    "Cyrillic with titlo": "г\u0483|д|ь",
    "Hebrew with points": "ש\u05b8\u05c1|ל|ו\u05b9|ם",
    "Arabic with marks": "م\u064f|ح\u064e|م\u0651\u064e|د",
    "Persian with a non-joiner": "م|ی\u200c|خ|و|ا|ه|م",
    "Urdu": "ا\u064f|ر|د|و",
    "Syriac": "ܫ\u0732|ܠ|ܡ",
    "Thaana": "ދ\u07a8|ވ\u07ac|ހ\u07a8",
    "N'Ko": "ߒ|ߞ\u07eb|ߏ",
    "Devanagari": "न|म|स्ते",
    "Devanagari, three in one": "स्त्री|लिं|ग",
    "Devanagari with a joiner": "क्\u200dष|मा",
    "Bengali": "ক্ষ|মা",
    "Gurmukhi": "ਪੰ|ਜਾ|ਬੀ",
    "Gujarati": "ક્ષ|મા",
    "Odia": "ଓ|ଡ଼ି|ଆ",
    "Tamil": "நி|லை",
    "Telugu": "క్ష|మిం|చు",
    "Kannada": "ಕ|ನ್|ನ|ಡ",
    "Malayalam": "ക്ഷ|മി|ക്കു",
    "Sinhala with a joiner": "ශ්\u200dරී|ලං|කා",
    "Thai with SARA AM": "น้ำ|คำ",
    "Lao with SARA AM": "ນ້ຳ|ຄຳ",
    "Tibetan": "བོ|ད|སྐ|ད",
    "Burmese": "မြ|န်|မာ",
    "Khmer": "ខ្មែ|រ",
    "Balinese": "ᬓ᭄ᬱ|ᬫ",
    "Javanese": "ꦗ|ꦮ",
    "Korean": "한|국|어",
    "Korean in parts": "\u1112\u1161\u11ab|\u1100\u116e\u11a8",
    "Japanese": "日|本|カ\u3099",
    "Chinese with a variant": "葛\U000e0100|城",
    "Ethiopic": "አ|ማ|ር\u135d",
    "Mongolian": "ᠮ|ᠣ\u180b|ᠩ",
    "Adlam": "𞤀|𞤣\U0001e94a|𞤤",
    "Chakma": "𑄌|𑄋\U00011127",
    "emoji": "👨\u200d👩\u200d👧|👍🏽|❤\ufe0f\u200d🔥|👩🏽\u200d🚀|1\ufe0f\u20e3|🏳\ufe0f\u200d🌈",
    "flags": "🇰🇪|🇳🇵|🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f|🇬",
    "line ends": "a|\r\n|b|\n|\n|c",
}


@pytest.mark.parametrize("written", WORDS.values(), ids=WORDS)
@pytest.mark.parametrize("behind", ["", "a", "é"])
def test_no_character_of_any_script_is_cut_in_two(written: str, behind: str) -> None:
    characters = written.split("|")
    text = "".join(characters) + behind
    starts = {"".join(characters[:count]).rstrip() for count in range(len(characters) + 1)}

    for room in range(3, json_size(text)):
        kept = cut(text, room)
        assert kept.removesuffix("…") in starts
        # and no more is left out than must be
        fitting = [one for one in starts if json_size(one) + 3 <= room]
        assert len(kept) - 1 == max(map(len, fitting))


@given(ANY_TEXT, st.integers(min_value=0, max_value=60))
def test_a_cut_text_takes_no_more_room_than_it_was_given(text: str, room: int) -> None:
    short = cut(text, room)

    assert json_size(short) <= room
    assert short in (text, "") or short.endswith("…")


@given(ANY_TEXT, st.integers(min_value=0, max_value=60))
def test_a_cut_text_is_a_beginning_of_the_text(text: str, room: int) -> None:
    short = cut(text, room)

    assert text.startswith(short.removesuffix("…"))


@given(st.lists(st.sampled_from(CLUSTERS), min_size=1, max_size=12), st.integers(3, 80))
def test_characters_of_several_code_points_are_kept_whole_or_left_out(
    clusters: list[str], room: int
) -> None:
    text = "".join(clusters)
    starts = {"".join(clusters[:count]) for count in range(len(clusters) + 1)}

    kept = cut(text, room)

    assert kept == text or kept.removesuffix("…") in {start.rstrip() for start in starts}


def test_a_text_that_fits_is_left_alone() -> None:
    assert cut("Hi Mary!", 8) == "Hi Mary!"


def test_two_flags_side_by_side_can_be_parted_only_between_them() -> None:
    flags = "🇰🇪🇳🇵"

    assert cut(flags, json_size(flags) - 1) == "🇰🇪…"


def test_no_room_for_an_ellipsis_leaves_nothing() -> None:
    assert cut("Hello", 2) == ""


def test_the_body_gives_way_before_the_title() -> None:
    title, body = fit_texts("Training", "Please complete it today", 20)

    assert title == "Training"
    assert body == "Please co…"


def test_a_title_that_fills_everything_leaves_no_body() -> None:
    title, body = fit_texts("x" * 50, "body", 20)

    assert (title, body) == ("x" * 17 + "…", "")


@given(ANY_TEXT)
def test_the_size_is_that_of_the_text_between_the_quotes(text: str) -> None:
    assert json_size(text) == len(json.dumps(text, ensure_ascii=False).encode()) - 2


def test_json_is_compact_and_in_utf_8() -> None:
    assert encode({"a": "é", "b": [1]}) == '{"a":"é","b":[1]}'.encode()


def test_a_lone_surrogate_is_replaced_and_a_pair_is_joined() -> None:
    assert mend("a\ud800b") == "a\N{REPLACEMENT CHARACTER}b"
    assert mend("\ud83d\ude00") == "\N{GRINNING FACE}"
    assert mend("plain") == "plain"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("nan", None),
        ("1e9", None),
        ("٣", None),
        ("0", None),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("1.5", 1.5),
        ("999999", LONGEST_S),
        ("99999999999999999999", None),
        ("Thu, 06 Nov 2025 10:00:00 GMT", 62.0),
        ("Thu, 06 Nov 2025 09:00:00 GMT", None),
        ("Thu, 06 Nov 2055 09:00:00 GMT", LONGEST_S),
        ("Thu, 06 Nov 2025 10:00:00 -0000", 62.0),
        ("Thu, 99 Nov 2025 10:00:00 GMT", None),
    ],
)
def test_retry_after_is_read_in_both_forms_and_never_believed_blindly(
    header: str | None, seconds: float | None
) -> None:
    assert parse_retry_after(header, NOW) == seconds


@given(st.text())
def test_no_retry_after_makes_it_fail(header: str | None) -> None:
    wait = parse_retry_after(header, NOW)

    assert wait is None or 0 <= wait <= LONGEST_S
