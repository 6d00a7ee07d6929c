"""Values as people type them: "24h", "8 MiB", "5 %", "INFO". Pure.

Owns what such a text means for a setting, which follows from the setting's kind and from the unit
in its name: `_s`, `_days`, `_bytes`, `_per_s`. Only what has one meaning is read; the rest stays as
it is, and is refused by its name with what `expected` says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from config import shape

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_TIMES: Mapping[str, float] = {
    "ms": 0.001,
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), _MINUTE),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), _HOUR),
    **dict.fromkeys(("d", "day", "days"), _DAY),
    **dict.fromkeys(("w", "week", "weeks"), 7 * _DAY),
}
_SIZES: Mapping[str, int] = {
    **dict.fromkeys(("b", "byte", "bytes"), 1),
    **{f"{letter}ib": 1024**power for power, letter in enumerate("kmgt", 1)},
    **{f"{letter}b": 1000**power for power, letter in enumerate("kmgt", 1)},
}
_PER: Mapping[str, int] = {
    "_per_s": 1,
    "_per_second": 1,
    "_per_minute": _MINUTE,
    "_per_hour": _HOUR,
}
_TIME_NAMES: Mapping[str, tuple[float, str]] = {
    "_ms": (0.001, "milliseconds"),
    "_s": (1, "seconds"),
    "_seconds": (1, "seconds"),
    "_minutes": (_MINUTE, "minutes"),
    "_h": (_HOUR, "hours"),
    "_hours": (_HOUR, "hours"),
    "_d": (_DAY, "days"),
    "_days": (_DAY, "days"),
}
_SIZE_NAMES: Mapping[str, tuple[int, str]] = {
    "_bytes": (1, "bytes"),
    "_kib": (1024, "KiB"),
    "_mib": (1024**2, "MiB"),
    "_gib": (1024**3, "GiB"),
}
_SAME_WORD = {"warn": "warning", "err": "error", "information": "info"}
_SPACES = "[ \u00a0\u2009\u202f]"
_GROUPED = re.compile(rf"[+-]?\d{{1,3}}(?:{_SPACES}\d{{3}})+", re.ASCII)
_NUMBER = r"\d+(?:\.\d+)?"
_AMOUNT = re.compile(rf"({_NUMBER})\s*([A-Za-z]+)\s*", re.ASCII)
_PERCENT = re.compile(rf"({_NUMBER})\s*%", re.ASCII)
_RATE = re.compile(rf"({_NUMBER})\s*(?:/|per)\s*([A-Za-z]+)", re.ASCII)
_ISO = re.compile(
    rf"P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:({_NUMBER})S)?)?", re.ASCII
)


def seconds_of(text: str) -> float | None:
    """How long "90s", "1h 30m", "2 days" or "PT2H" is; None where that is not clear.

    A month and a year have no length, and `M` stands for minutes, months and millions.
    """
    text = text.strip()
    if (iso := _ISO.fullmatch(text)) and any(iso.groups()):
        lengths = (7 * _DAY, _DAY, _HOUR, _MINUTE, 1)
        return sum(float(n) * s for n, s in zip(iso.groups(), lengths, strict=True) if n)
    parts = _AMOUNT.findall(text)
    units = [unit if unit == "M" else unit.lower() for _, unit in parts]
    lengths_of = [_TIMES.get(unit) for unit in units]
    whole = "".join(found.group() for found in _AMOUNT.finditer(text)) == text
    if not parts or not whole or None in lengths_of or len(set(lengths_of)) < len(parts):
        return None
    return sum(float(n) * (s or 0) for (n, _), s in zip(parts, lengths_of, strict=True))


def read(model: type[BaseModel], data: Any) -> None:
    """Put plain values in the place of what was typed, wherever that has one meaning."""
    for loc in shape.walk(data):
        if isinstance(loc[-1], str) and shape.exists(model, loc):
            value = shape.get(data, loc)
            shape.put(data, loc, _read(shape.field_of(model, loc), loc[-1], value))


def _read(field: FieldInfo, name: str, value: Any) -> Any:
    kinds = shape.parts_of(field.annotation)
    number = int in kinds or float in kinds
    if isinstance(value, bool):
        # Python counts true as 1
        return str(value).lower() if number else value
    if isinstance(value, date) and str in kinds:
        # TOML has dates; a setting has them as text
        return value.isoformat()
    if not isinstance(value, str):
        return value
    text = value.strip()
    if number:
        amount = _amount(text, name, share=_is_share(field))
        return text if amount is None else amount
    choices = {kind.casefold(): kind for kind in kinds if isinstance(kind, str)}
    word = _SAME_WORD.get(text.casefold(), text.casefold())
    return choices.get(word, text)


def _amount(text: str, name: str, *, share: bool) -> float | None:
    if _GROUPED.fullmatch(text):
        return int(re.sub(_SPACES, "", text))
    if share and (found := _PERCENT.fullmatch(text)):
        return float(found[1]) / 100
    if unit := _unit(name, _PER):
        found = _RATE.fullmatch(text)
        length = _TIMES.get(found[2].lower()) if found and found[2] != "M" else None
        return _plain(float(found[1]) * unit / length) if found and length else None
    if times := _unit(name, _TIME_NAMES):
        seconds = seconds_of(text)
        return None if seconds is None else _plain(seconds / times[0])
    if sizes := _unit(name, _SIZE_NAMES):
        found = _AMOUNT.fullmatch(text)
        size = _SIZES.get(found[2].lower()) if found else None
        return _plain(float(found[1]) * size / sizes[0]) if found and size else None
    return None


def _unit(name: str, units: Mapping[str, Any]) -> Any:
    return next((unit for ending, unit in units.items() if name.endswith(ending)), None)


def _is_share(field: FieldInfo) -> bool:
    return any(1 in (getattr(limit, "le", 0), getattr(limit, "lt", 0)) for limit in field.metadata)


def _plain(value: float) -> float:
    """A whole number where it is one: a setting that counts takes no other."""
    return int(value) if value.is_integer() else value


def expected(name: str) -> str:
    """What may be typed besides a number, for a setting of this name; "" where nothing else."""
    if _unit(name, _PER):
        return ""
    if times := _unit(name, _TIME_NAMES):
        return f'{times[1]}, or text such as "90s", "30m", "24h" or "7d"'
    if sizes := _unit(name, _SIZE_NAMES):
        return f'{sizes[1]}, or text such as "512 KiB", "8 MiB" or "2 GiB" (MB is 1 000 000 bytes)'
    return ""
