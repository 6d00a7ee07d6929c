"""A path is a place in the app, however a WebView reads it."""
# ruff: noqa: RUF001  # letters of other scripts look like Latin ones

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.paths import path_fault

INSIDE = [
    "/",
    "/learning",
    "/learning/",
    "/learning//module",
    "/courses/7?tab=a&next=//x#y",
    "/?next=/..//x",
    "/#/..//x",
    "/a/./b/../c",
    "/a/..",
    "/..",
    "/../",
    "/.",
    "/a..b/.c/...",
    "/%2e%2e/learning",
    "/kozi/mafunzo-ya-áfya",
    "/درس/۱",
    "/नमस्\u200dते",
    "/می\u200cخواهم",
    "/a b",
    "/user@example.com:80/x",
    "/https://example.com",
    "/x" * 512,
]
OUTSIDE = [
    "learning",
    "//evil.example/x",
    "///x",
    "https://evil.example/x",
    "javascript:alert(1)",
    " /learning",
    "?x",
    "/\\evil.example",
    "\\\\evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "/.//evil.example",
    "/..//evil.example",
    "/a/..//evil.example",
    "/a/b/../..//evil.example",
    "/./.././/evil.example",
    "/%2e//evil.example",
    "/%2E%2e//evil.example",
    "/.%2E//evil.example",
    "/.//",
    "/a/..//?x",
    "/x\u202egpj.exe",
    "/\u2066x\u2069",
    "/\u200fx",
    "/\u061cx",
    "/a\u2028b",
    "/a\u2029b",
    "/a\x85b",
    "/a\x9fb",
    "/a\x00b",
    "/a\x7fb",
    "/\ud800",
    7,
    ["/learning"],
    "/" + "x" * 1024,
]


@pytest.mark.parametrize("path", INSIDE)
def test_a_place_inside_the_app_is_a_path(path: str) -> None:
    assert path_fault(path) is None


@pytest.mark.parametrize("path", OUTSIDE)
def test_what_may_lead_out_or_deceive_is_no_path(path: object) -> None:
    fault = path_fault(path)
    assert fault is not None
    assert fault.startswith("path ")
    assert "evil" not in fault


def test_no_control_no_separator_of_lines_and_nothing_that_turns_a_text_is_taken() -> None:
    turns = {"LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI"}
    marks = {0x061C, 0x200E, 0x200F}  # of Arabic letters, left to right, right to left
    expected = {
        number
        for number in range(0x110000)
        if number in marks
        or unicodedata.category(chr(number)) in {"Cc", "Cs", "Zl", "Zp"}
        or unicodedata.bidirectional(chr(number)) in turns
    }
    found = {n for n in range(0x110000) if n != ord("/") and path_fault(f"/{chr(n)}x")}
    assert found == {*expected, ord("\\")}


SEGMENT = st.sampled_from(["a", "", ".", "..", "%2e", "%2E.", ".%2e", "%2e%2e", "...", "evil.ex"])


@given(st.lists(SEGMENT, max_size=8), st.sampled_from(["", "?q=/..//h", "#/..//h"]))
def test_no_path_names_a_host_when_it_is_read_and_read_again(parts: list[str], end: str) -> None:
    place = "/" + "/".join(parts)
    read = by_the_letter_of_rfc_3986(place.lower().replace("%2e", "."))
    leads_out = place.startswith("//") or read.startswith("//")
    assert (path_fault(place + end) is not None) == leads_out


def by_the_letter_of_rfc_3986(rest: str) -> str:
    """Remove dot segments as section 5.2.4 says it, step by step."""
    out = ""
    while rest:
        if rest.startswith("/./") or rest == "/.":
            rest = "/" + rest[3:]
        elif rest.startswith("/../") or rest == "/..":
            rest = "/" + rest[4:]
            out = out.rpartition("/")[0]
        else:
            stop = rest.find("/", 1)
            stop = len(rest) if stop < 0 else stop
            out, rest = out + rest[:stop], rest[stop:]
    return out
