"""Devices as a spreadsheet saves them: CSV with any separator, header and padding.

Owns what a cell means, and what a spreadsheet has made of it that cannot be undone. Refuses to know
encodings, which are `lines`', and what a device is.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.cli.lines import is_foreign

NEEDED = ("installation_id", "address")
_SEPARATORS = ",;\t|"
_SEPARATOR_LINE = re.compile(r"sep=(.)\s*", re.IGNORECASE)
_SIGNS = re.compile(r"[^a-z0-9]")
#: a text that a formula keeps as it is, however it looks: ="0049"
_KEPT = re.compile(r'="((?:[^"]|"")*)"', re.DOTALL)
#: what a spreadsheet makes of long digits; the digits after the first ones are lost
_ROUNDED = re.compile(r"[+-]?\d[.,]\d+E[+-]?\d+", re.IGNORECASE | re.ASCII)
_NOT_UTF_8 = 'is not UTF-8 text; in the spreadsheet, choose "CSV UTF-8" as the type of file'


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line without a valid record, and why, without its content."""

    reason: str


def looks_like_one(first: str, fields: Sequence[str]) -> bool:
    """Whether a file that begins with this line is a spreadsheet, and no NDJSON."""
    if _SEPARATOR_LINE.fullmatch(first.strip("\r\n")):
        return True
    return not first.lstrip().startswith(("{", "[")) and len(_known(first, fields)) > 0


def records_of(
    lines: Iterable[str], fields: Sequence[str]
) -> Iterator[tuple[int, dict[str, Any] | BadLine]]:
    """Yield (line number, record) for every row; an empty cell is a missing field.

    `fields` are the names that a header may have, in any spelling: `Installation ID` is
    `installation_id`. Other columns are kept under their own names. Empty rows are skipped.
    """
    source = _Source(lines)
    separator = source.separator(fields)
    reader = csv.reader(source, delimiter=separator, strict=True)
    header: list[str] | None = None
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error:
            told = "is not CSV: a quote or a line end is out of place"
            yield source.number, BadLine(told)
            continue
        if not any(cell.strip() for cell in row):
            continue
        if any(is_foreign(cell) for cell in row):
            yield source.number, BadLine(_NOT_UTF_8)
            if header is None:
                return
        elif header is None:
            header = [_name(cell, fields) for cell in row]
            if wrong := _wrong_header(header, fields):
                yield source.number, BadLine(wrong)
                return
        else:
            yield source.number, _record(header, row, whole=source.whole)


class _Source:
    """The lines for the reader: numbered, and without a first line that names the separator."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self._waiting: list[str] = []
        self.number = 0
        self.whole = True

    def separator(self, fields: Sequence[str]) -> str:
        """What parts the cells: what the first line says, else what makes most of the header."""
        first = next(self._lines, "")
        if named := _SEPARATOR_LINE.fullmatch(first.rstrip("\r\n")):
            self.number += 1
            return named[1]
        self._waiting.append(first)
        while not self._waiting[-1].strip() and (following := next(self._lines, None)) is not None:
            self._waiting.append(following)
        header = self._waiting[-1]
        return max(_SEPARATORS, key=lambda sign: len(_known(header, fields, sign)))

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._waiting.pop(0) if self._waiting else next(self._lines)
        self.number += 1
        self.whole = line.endswith("\n")
        return line


def _known(header: str, fields: Sequence[str], signs: str = _SEPARATORS) -> set[str]:
    cells = re.split(f"[{re.escape(signs)}]", header)
    return {_name(cell.strip(" \t\r\n\"'"), fields) for cell in cells} & set(fields)


def _name(cell: str, fields: Sequence[str]) -> str:
    """The field that a column's title means; its own words where it means none."""
    bare = _SIGNS.sub("", cell.lower())
    return next((name for name in fields if _SIGNS.sub("", name) == bare), cell.strip())


def _wrong_header(header: list[str], fields: Sequence[str]) -> str:
    missing = [name for name in NEEDED if name not in header]
    if missing:
        return f"the header has no column {' and '.join(missing)}"
    twice = [name for name in fields if header.count(name) > 1]
    return f"the header has two columns {' and '.join(twice)}" if twice else ""


def _record(header: list[str], row: list[str], *, whole: bool) -> dict[str, Any] | BadLine:
    while len(row) > len(header) and not row[-1].strip():
        row.pop()
    # spreadsheets leave out empty cells at the end of a row; a file that was cut off looks the same
    if len(row) > len(header) or (len(row) < len(header) and not whole):
        return BadLine(f"has {len(row)} fields, the header {len(header)}")
    record = {}
    rounded = []
    for name, cell in zip(header, row, strict=False):
        kept = _KEPT.fullmatch(cell.strip())
        value = kept[1].replace('""', '"') if kept else cell.strip()
        if kept is None and _ROUNDED.fullmatch(value):
            rounded.append(name)
        if value:
            record[name] = value
    if rounded:
        return BadLine(
            f"{', '.join(rounded)}: the spreadsheet made a rounded number of it, as 1.2E+11; set "
            "the column's format to text, and enter it anew"
        )
    return record


def cell_of(value: Any) -> Any:
    """A value as a cell that `records_of` reads as it is."""
    if not isinstance(value, str):
        return value
    plain = value == value.strip() and not _KEPT.fullmatch(value) and not _ROUNDED.fullmatch(value)
    if plain:
        return value
    quoted = value.replace('"', '""')
    return f'="{quoted}"'
