"""How a mistake in the settings is told: the key, what is wrong, what is expected.

Knows pydantic's kinds of errors; never shows a secret, nor any long text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from config import shape, typed

_NUMBERS: dict[str, str] = {
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "finite_number": "a finite number",
}
_KINDS: dict[str, str] = {
    "string_type": "text in quotes",
    "path_type": "the name of a file",
    "tuple_type": "a list",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "string_too_short": "some text",
}
_LIMITS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "greater_than": lambda limit: f"more than {limit['gt']:.15g}",
    "greater_than_equal": lambda limit: f"at least {limit['ge']:.15g}",
    "less_than": lambda limit: f"less than {limit['lt']:.15g}",
    "less_than_equal": lambda limit: f"at most {limit['le']:.15g}",
}
#: what people write on a line of TOML that is not TOML, and what to write
_TOML_SLIPS = (
    ("[\u201c\u201d\u201e\u2018\u2019\u00ab\u00bb]", "straight quotes, not typographic ones"),
    (r'=\s*"[^"]*\\[^"]*"', "a name with backslashes in single quotes: 'C:\\path\\file'"),
    (r"=\s*(?:yes|no|on|off|True|False|TRUE|FALSE)\b", "true or false"),
    (r"^\s*[\w.]+\s*:", "key = value, with an equals sign"),
    (r"=\s*[A-Za-z/.~][^\"'\[{]*$", "text in quotes"),
)
_NAME = "letters, digits, and . _ - inside, 64 characters at most"
_SHOWN_CHARACTERS = 40


def unknown(key: str, known: Iterable[str]) -> str:
    """Tell that there is no such setting, and which may be meant."""
    close = get_close_matches(key, list(known), n=1)
    if may_be_secret(key):
        key = f"{key.rpartition('.')[0]}.(a long text)".removeprefix(".")
    return f"{key}: there is no such setting; " + (
        f"did you mean {close[0]}?" if close else "expected one of config/README.md"
    )


def toml(error: str, text: str) -> str:
    """Tell what TOML's parser says, and what is likely meant on that line."""
    told = error.lower()
    found = re.search(r"line (\d+)", error)
    lines = text.split("\n")
    line = lines[int(found[1]) - 1] if found and int(found[1]) <= len(lines) else ""
    for pattern, cure in _TOML_SLIPS:
        if re.search(pattern, line):
            return f"{told}; expected {cure}"
    return told


def explain(
    model: type[BaseModel],
    loc: shape.Loc,
    error: ErrorDetails,
    variables: Mapping[shape.Loc, str],
) -> str:
    """Tell one of pydantic's errors in plain words."""
    key = shape.dotted(loc)
    if error["type"] == "extra_forbidden":
        table = shape.model_at(model, loc[:-1])
        before = shape.dotted(loc[:-1])
        names = table.model_fields if table else ()
        return unknown(key, [f"{before}.{name}".removeprefix(".") for name in names])
    if variable := next((name for at, name in variables.items() if loc[: len(at)] == at), ""):
        key = f"{key} (from {variable})"
    name = next((part for part in reversed(loc) if isinstance(part, str)), "")
    return f"{key}: {_wrong(error, name, secret=shape.is_secret(model, loc))}"


def _wrong(error: ErrorDetails, name: str, *, secret: bool) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind == "missing":
        return "is missing; expected " + ("a table" if not error["loc"] else "a value")
    if kind == "value_error":
        return str(context["error"])
    if kind == "literal_error":
        return f"is {_shown(error, secret)}; expected one of {context['expected']}"
    if kind in _LIMITS:
        return f"is {_shown(error, secret)}; expected {_LIMITS[kind](context)}"
    if kind in _NUMBERS:
        units = typed.expected(name)
        told = f"is {_shown(error, secret)}; expected {_NUMBERS[kind]}"
        return f"{told} of {units}" if units else told
    if kind == "string_pattern_mismatch":
        return f"is {_shown(error, secret)}; expected {_NAME}"
    if kind == "string_too_short":
        return "is empty; expected some text"
    if kind == "tuple_type" and isinstance(error["input"], dict) and len(error["loc"]) == 0:
        return f"is a table; expected a list: write [[{name}]] in place of [{name}]"
    if kind in ("model_type", "model_attributes_type") and isinstance(error["input"], list):
        return f"is a list; expected a table: write [{name}] in place of [[{name}]]"
    return f"is {_kind_of(error['input'])}; expected {_KINDS.get(kind, error['msg'])}"


def _shown(error: ErrorDetails, secret: bool) -> str:
    value = error["input"]
    if secret or not isinstance(value, str | int | float | bool):
        return _kind_of(value)
    text = str(value)
    if may_be_secret(text):
        return "a long text"
    return f'"{text}"' if isinstance(value, str) else text.lower()


def may_be_secret(text: str) -> bool:
    """Whether a text looks like a secret that somebody put in the wrong place."""
    return is_marked(text) or len(text.rpartition(".")[2]) > _SHOWN_CHARACTERS


def is_marked(text: str) -> bool:
    """Whether a text holds what a secret is known by."""
    return any(mark in text for mark in ("whsec_", "-----", "{"))


def _kind_of(value: Any) -> str:
    kinds = {dict: "a table", list: "a list", bool: "true or false", str: "text"}
    return kinds.get(type(value), "a number" if isinstance(value, int | float) else "a value")
