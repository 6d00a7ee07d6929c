"""Devices as lines of a file: NDJSON or CSV, one at a time, tolerant of any content."""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, Literal, TextIO

from gateway.cli.lines import NoLines, is_foreign, lines_of
from gateway.cli.spreadsheets import BadLine, cell_of, looks_like_one, records_of

Format = Literal["ndjson", "csv"]


def format_of(name: str, chosen: Format | None) -> Format:
    """The chosen format, else the one of the file's name, else NDJSON."""
    return chosen or ("csv" if str(name).lower().endswith((".csv", ".tsv")) else "ndjson")


def read_records(
    file: BinaryIO, form: Format, advance: Callable[[int], object]
) -> Iterator[tuple[int, dict[str, Any] | BadLine]]:
    """Yield (line number, record) to the end of the file; empty lines are skipped.

    `advance` gets the size of what was read. What the file holds counts more than `form`: neither
    format can begin as the other does.
    """
    from gateway.devices.records import FIELDS

    lines = lines_of(file, advance)
    heads: list[str] = []
    try:
        for line in lines:
            heads.append(line)
            if line.strip():
                break
    except NoLines as wrong:
        yield 1, BadLine(str(wrong))
        return
    first = heads[-1] if heads else ""
    every = itertools.chain(heads, lines)
    is_json = first.lstrip().startswith(("{", "["))
    if looks_like_one(first, FIELDS) or (form == "csv" and not is_json):
        yield from records_of(every, FIELDS)
    else:
        yield from _json_records(every)


def _json_records(lines: Iterable[str]) -> Iterator[tuple[int, dict[str, Any] | BadLine]]:
    begun = False
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text:
            continue
        if is_foreign(text):
            yield number, BadLine("is not UTF-8 text")
            continue
        if text.startswith("[") and not begun:
            yield number, BadLine("is a list; expected one object a line (jq -c '.[]' makes that)")
            return
        begun = True
        try:
            record = json.loads(text)
        except (ValueError, RecursionError):
            yield number, BadLine("is not JSON")
        else:
            good = isinstance(record, dict)
            yield number, record if good else BadLine("is not a JSON object")


def write_record(
    out: TextIO | io.TextIOBase, form: Format, fields: Sequence[str]
) -> Callable[[Mapping[str, Any]], Any]:
    """Begin to write records with these fields; returns what writes one record."""
    if form == "csv":
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(fields)
        return lambda record: writer.writerow([cell_of(record.get(name)) for name in fields])
    return lambda record: out.write(
        json.dumps({name: value for name, value in record.items() if value is not None}) + "\n"
    )
