"""Devices as lines of a file: NDJSON or CSV, one at a time, tolerant of any content."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal, TextIO

Format = Literal["ndjson", "csv"]


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line without a valid record, and why, without its content."""

    reason: str


def format_of(name: str, chosen: Format | None) -> Format:
    """The chosen format, else the one of the file's name, else NDJSON."""
    return chosen or ("csv" if str(name).lower().endswith(".csv") else "ndjson")


def read_records(
    file: BinaryIO, form: Format, advance: Callable[[int], object]
) -> Iterator[tuple[int, dict[str, Any] | BadLine]]:
    """Yield (line number, record) to the end of the file; empty lines are skipped.

    `advance` gets the size of each line. In a CSV record an empty cell is a missing field.
    """
    lines = _counted(file, advance)
    return _csv_records(lines) if form == "csv" else _json_records(lines)


def _counted(file: BinaryIO, advance: Callable[[int], object]) -> Iterator[bytes]:
    for line in file:
        advance(len(line))
        yield line


def _json_records(lines: Iterator[bytes]) -> Iterator[tuple[int, dict[str, Any] | BadLine]]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
        except UnicodeDecodeError:
            yield number, BadLine("is not UTF-8 text")
        except (ValueError, RecursionError):
            yield number, BadLine("is not JSON")
        else:
            good = isinstance(record, dict)
            yield number, record if good else BadLine("is not a JSON object")


def _csv_records(lines: Iterator[bytes]) -> Iterator[tuple[int, dict[str, Any] | BadLine]]:
    # invalid UTF-8 becomes lone surrogates, which no field of a device may hold
    texts = (
        line.decode("utf-8-sig" if number == 0 else "utf-8", "surrogateescape")
        for number, line in enumerate(lines)
    )
    reader = csv.reader(texts, strict=True)
    header: list[str] | None = None
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield reader.line_num, BadLine("is not CSV: a quote or a line end is out of place")
            continue
        if not row:
            continue
        if header is None:
            header = [name.strip().lower() for name in row]
            unknown = [name for name in ("installation_id", "address") if name not in header]
            if unknown:
                yield reader.line_num, BadLine(f"the header has no column {' and '.join(unknown)}")
                return
        elif len(row) != len(header):
            yield reader.line_num, BadLine(f"has {len(row)} fields, the header {len(header)}")
        else:
            pairs = zip(header, row, strict=True)
            yield reader.line_num, {name: value for name, value in pairs if value}


def write_record(
    out: TextIO | io.TextIOBase, form: Format, fields: Sequence[str]
) -> Callable[[Mapping[str, Any]], Any]:
    """Begin to write records with these fields; returns what writes one record."""
    if form == "csv":
        writer = csv.DictWriter(out, fields, lineterminator="\n")
        writer.writeheader()
        return writer.writerow
    return lambda record: out.write(
        json.dumps({name: value for name, value in record.items() if value is not None}) + "\n"
    )
