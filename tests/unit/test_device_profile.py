"""What an app tells of its phone never costs the phone its pushes."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.devices.profile import CAN, DESCRIPTIVE, MEASURE, NOTIFICATIONS, read_profile
from tests.kit.json_values import json_values

LOCALES = {
    "en": "en",
    "en-US": "en-US",
    "en_US": "en-US",
    "EN-us": "en-US",
    "sw_KE": "sw-KE",
    "zh-Hans-CN": "zh-Hans-CN",
    "zh_hans_cn": "zh-Hans-CN",
    "zh-Hans_CN": "zh-Hans-CN",
    "zh_CN_#Hans": "zh-Hans-CN",
    "sr_RS_#Latn": "sr-Latn-RS",
    "zh__#Hant": "zh-Hant",
    "zh_TW_#Hant_x-java": "zh-Hant-TW-x-java",
    "th_TH_TH_#u-nu-thai": "th-TH-u-nu-thai",
    "en_US@rg=kezzzz": "en-US",
    "en_US@calendar=buddhist;numbers=arab": "en-US",
    "sw_KE.UTF-8": "sw-KE",
    "en_US.UTF-8@euro": "en-US",
    "en-US-u-rg-kezzzz": "en-US-u-rg-kezzzz",
    "en-US-u": "en-US",
    "de-CH-1996": "de-CH-1996",
    "sl-rozaj-biske": "sl-rozaj-biske",
    "es-419": "es-419",
    "zh-yue-HK": "zh-yue-HK",
    "fil_PH": "fil-PH",
    "en-": "en",
    " en-KE ": "en-KE",
    "en-US,sw;q=0.8": "en-US",
    "en" + "-ab" * 30: "en-AB",
    "en-u-" + "-".join(["abcdefgh"] * 12): "en",
}
NO_LOCALES = ["e", "-US", "_US", "_US_#Latn", "en US", "e1", "English (Kenya)", "C", "!", "日本語"]
ZONES = {
    "Africa/Nairobi": "Africa/Nairobi",
    "africa/nairobi": "Africa/Nairobi",
    "America/New York": "America/New_York",
    "America/Argentina/Buenos_Aires": "America/Argentina/Buenos_Aires",
    "Asia/Calcutta": "Asia/Calcutta",
    "UTC": "UTC",
    " UTC\n": "UTC",
}
NO_ZONES = ["Nowhere/City", "../../etc/passwd", "E. Africa Standard Time", "GMT+03:00", "\0"]
LABELS = {
    "18.1": "18.1",
    34: "34",
    412: "412",
    18.1: "18.1",
    "iPhone de Máire 📱": "iPhone de Máire 📱",
    "Pixel\t7 \n Pro": "Pixel 7 Pro",
    "a\x00b\x1bc\u202ed\x85": "abcd",
    "é" * 129: "é" * 128,
    "x" * 127 + "👨\u200d👩\u200d👧": "x" * 127,
    10**300: "1" + "0" * 127,
}
NO_LABELS = [True, False, "\0", " ", [], ["1"], {"a": 1}, float("nan"), float("inf"), "\ud800"]
NEVER = [1, 0.5, True, [], {}, ["x"], {"a": 1}, "no such word", "\0", "\ud800", "x" * 9_000]


def table(name: str, values: dict[Any, str]) -> list[tuple[str, Any, str]]:
    return [(name, given, kept) for given, kept in values.items()]


@pytest.mark.parametrize(
    ("name", "given", "kept"),
    [
        *table("locale", LOCALES),
        *table("timezone", ZONES),
        *(
            row
            for name in ("app_version", "os_version", "device_model")
            for row in table(name, LABELS)
        ),
        *(
            (name, word, word)
            for name, words in (("notifications", NOTIFICATIONS), ("measure", MEASURE))
            for word in words
        ),
        ("notifications", " Granted", "granted"),
        ("measure", "DENIED", "denied"),
    ],
)
def test_what_can_be_read_is_kept_in_its_normal_form(name: str, given: Any, kept: str) -> None:
    profile, ignored = read_profile({name: given})
    assert (getattr(profile, name), ignored) == (kept, [])
    assert read_profile({name: kept}) == (profile, [])


@pytest.mark.parametrize(
    ("name", "given"),
    [
        *(("locale", one) for one in [*NO_LOCALES, *NEVER[:-1], "x" * 9_000]),
        *(("timezone", one) for one in [*NO_ZONES, *NEVER]),
        *(
            (name, one)
            for name in ("app_version", "os_version", "device_model")
            for one in NO_LABELS
        ),
        *((name, one) for name in ("notifications", "measure") for one in NEVER),
        *(("can", one) for one in [1, True, {}, "no such word", ["x"], [["received"]]]),
    ],
)
def test_what_cannot_be_read_is_left_out_and_named(name: str, given: Any) -> None:
    profile, ignored = read_profile({name: given, "app_version": "1"} | {name: given})
    assert (getattr(profile, name), ignored) == (None, [name])


@pytest.mark.parametrize(
    ("given", "kept", "ignored"),
    [
        (["opened", "received"], "received opened", []),
        (["Received", "received"], "received", []),
        ([], "", []),
        ("opened, received", "received opened", []),
        (list(CAN), " ".join(CAN), []),
        (["received", "teleported"], "received", ["can"]),
        (["received", 7], "received", ["can"]),
        (["teleported"], None, ["can"]),
    ],
)
def test_what_a_build_can_do_is_kept_word_by_word(
    given: Any, kept: str | None, ignored: list[str]
) -> None:
    profile, left_out = read_profile({"can": given})
    assert (profile.can, left_out) == (kept, ignored)


@pytest.mark.parametrize("nothing", [None, ""])
def test_nothing_is_no_mistake(nothing: Any) -> None:
    profile, ignored = read_profile(dict.fromkeys(DESCRIPTIVE, nothing))
    assert (set(asdict(profile).values()), ignored) == ({None}, [])


@given(st.dictionaries(st.sampled_from(DESCRIPTIVE), json_values | st.text()))
def test_whatever_is_told_is_kept_in_a_form_that_reads_back_or_is_named(
    document: dict[str, Any],
) -> None:
    profile, ignored = read_profile(document)
    kept = {name: value for name, value in asdict(profile).items() if value is not None}
    told = {name for name, value in document.items() if value is not None and value != ""}
    assert {*kept, *ignored} == told
    assert all(len(value.encode()) <= 512 for value in kept.values())
    if kept.get("can") == "":
        kept["can"] = []
    assert read_profile(kept) == (profile, [])
