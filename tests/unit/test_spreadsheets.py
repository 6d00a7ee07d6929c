"""Devices from files as people save them: any separator, encoding, header and padding."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cli.records import Format, format_of, read_records, write_record
from gateway.cli.spreadsheets import BadLine
from gateway.cli.writing import whole_file
from gateway.devices.records import FIELDS

ROOT = Path(__file__).parents[2]
PLAIN = (
    "installation_id,custom_id,platform,provider,address,locale\n"
    "phone-1,mary,ios,apns,abababab,en-US\n"
    "phone-2,0049,android,fcm,token:with-signs,\n"
)
RECORDS = [
    {
        "installation_id": "phone-1",
        "custom_id": "mary",
        "platform": "ios",
        "provider": "apns",
        "address": "abababab",
        "locale": "en-US",
    },
    {
        "installation_id": "phone-2",
        "custom_id": "0049",
        "platform": "android",
        "provider": "fcm",
        "address": "token:with-signs",
    },
]


def read(raw: bytes, form: Format = "csv") -> list[tuple[int, dict[str, Any] | BadLine]]:
    return list(read_records(io.BytesIO(raw), form, lambda _: None))


def good(raw: bytes, form: Format = "csv") -> list[Any]:
    return [record for _, record in read(raw, form)]


def quoted(text: str) -> str:
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL).writerows(csv.reader(io.StringIO(text)))
    return out.getvalue()


def padded(text: str) -> str:
    return "\n".join(
        ",".join(f"  {cell}\t" for cell in line.split(",")) for line in text.splitlines()
    )


def titled(title: Callable[[str], str]) -> Callable[[str], bytes]:
    def change(text: str) -> bytes:
        header, rest = text.split("\n", 1)
        return f"{','.join(map(title, header.split(',')))}\n{rest}".encode()

    return change


SAVED: dict[str, Callable[[str], bytes]] = {
    "as it is": str.encode,
    "CSV UTF-8 of Excel": lambda text: text.replace("\n", "\r\n").encode("utf-8-sig"),
    "semicolons": lambda text: text.replace(",", ";").encode(),
    "tabs": lambda text: text.replace(",", "\t").encode(),
    "bars": lambda text: text.replace(",", "|").encode(),
    "Unicode text of Excel": lambda text: text.replace(",", "\t").encode("utf-16"),
    "UTF-16 big endian": lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
    "UTF-16 without a mark": lambda text: text.encode("utf-16-le"),
    "a line that names the separator": lambda text: f"sep=;\n{text.replace(',', ';')}".encode(),
    "line ends of an old Mac": lambda text: text.replace("\n", "\r").encode(),
    "every cell in quotes": lambda text: quoted(text).encode(),
    "formulas that keep digits": lambda text: text.replace("0049", '"=""0049"""').encode(),
    "blanks around": lambda text: padded(text).encode(),
    "empty lines": lambda text: f"\n \n{text}".replace("mary,ios", "mary,ios").encode() + b"\n\n",
    "empty rows": lambda text: text.replace("phone-2", ",,,,,\n , ,\nphone-2").encode() + b",,\n",
    "padding columns": lambda text: text.replace("\n", ",,\n").encode(),
    "cells left out at the end": lambda text: text.replace("signs,", "signs").encode(),
    "no last line end": lambda text: text.rstrip("\n").encode(),
    "header in capitals": titled(str.upper),
    "header in words": titled(lambda name: name.replace("_", " ").title()),
    "header in camel case": titled(
        lambda name: name.title().replace("_", "")[:1].lower() + name.title().replace("_", "")[1:]
    ),
    "header with hyphens": titled(lambda name: f' "{name.replace("_", "-")}"'.strip()),
}


@pytest.mark.parametrize("saved", SAVED.values(), ids=SAVED)
def test_a_spreadsheet_is_read_as_it_was_saved(saved: Callable[[str], bytes]) -> None:
    assert good(saved(PLAIN)) == RECORDS


@pytest.mark.parametrize("name", ["devices.txt", "-", "devices", "devices.tsv"])
def test_what_a_file_holds_counts_more_than_its_name(name: str) -> None:
    assert good(PLAIN.encode(), format_of(name, None)) == RECORDS
    lines = "\n".join(map(json.dumps, RECORDS)).encode()
    assert good(lines, format_of("devices.csv", None)) == RECORDS


def test_lines_of_json_are_read_in_any_encoding() -> None:
    text = "\r\n".join(map(json.dumps, RECORDS)) + "\r\n\r\n"
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        assert good(text.encode(encoding), "ndjson") == RECORDS


def test_lines_keep_their_numbers() -> None:
    raw = b"\n" + PLAIN.encode() + b"\nphone-3,too,many,cells,in,this,row\n"
    assert [number for number, _ in read(raw)] == [3, 4, 6]


#: what is wrong, in what line, and what is told of it
WRONG: list[tuple[str, bytes, int, str]] = [
    ("latin-1", PLAIN.replace("mary", "mari\u00e9").encode("latin-1"), 2, '"CSV UTF-8"'),
    ("latin-1 header", b"installation_id,address,caf\xe9\n", 1, '"CSV UTF-8"'),
    ("xlsx", b"PK\x03\x04" + bytes(200), 1, "is a workbook (xlsx, ods)"),
    ("xls", b"\xd0\xcf\x11\xe0" + bytes(200), 1, "is a workbook (xls)"),
    ("gzip", b"\x1f\x8b\x08" + bytes(20), 1, "unpack it first"),
    ("rounded", PLAIN.replace("0049", "2.54705E+11").encode(), 3, "custom_id: the spreadsheet"),
    (
        "rounded, comma",
        b'installation_id;address\n2,54E+10;"x"\n',
        2,
        "installation_id: the spread",
    ),
    ("too many", PLAIN.replace("en-US", "en-US,x").encode(), 2, "has 7 fields, the header 6"),
    ("cut off", PLAIN.encode()[:-12], 3, "has 5 fields, the header 6"),
    ("no header", b"phone-1,mary,ios,apns,abab\n", 1, "the header has no column installation_id"),
    ("no address", b"installation_id,user_id\n1,2\n", 1, "the header has no column address"),
    ("twice", b"installation_id,address,Address\n1,2,3\n", 1, "has two columns address"),
    ("quote", PLAIN.replace("mary", '"ma"ry').encode(), 2, "a quote or a line end is out of"),
]


@pytest.mark.parametrize(("_name", "raw", "line", "told"), WRONG, ids=[name for name, *_ in WRONG])
def test_what_cannot_be_read_is_told_with_its_line_and_its_cure(
    _name: str, raw: bytes, line: int, told: str
) -> None:
    ((number, wrong),) = [(at, one) for at, one in read(raw) if isinstance(one, BadLine)]
    assert number == line
    assert told in wrong.reason
    assert "phone" not in wrong.reason
    assert "mari" not in wrong.reason


def test_a_list_of_json_is_told_once() -> None:
    ((number, wrong),) = read(json.dumps(RECORDS, indent=1).encode(), "ndjson")
    assert number == 1
    assert isinstance(wrong, BadLine)
    assert "jq -c '.[]'" in wrong.reason


_cells = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=12) | st.sampled_from(
    ["=1+1", '="x"', " mary ", "2.54705E+11", "-rf", "'x", '"', ";", "0049", "\t"]
)


@pytest.mark.parametrize("form", ["csv", "ndjson"])
@given(records=st.lists(st.dictionaries(st.sampled_from(FIELDS), _cells, min_size=1), max_size=4))
def test_what_was_written_is_read_as_it_was(form: Format, records: list[dict[str, str]]) -> None:
    out = io.StringIO(newline="")
    write = write_record(out, form, FIELDS)
    for record in records:
        write(record)

    kept = [{name: value for name, value in record.items() if value} for record in records]
    kept = [record for record in kept if record] if form == "csv" else records
    assert good(out.getvalue().encode(), form) == kept


@given(raw=st.binary(max_size=200) | st.binary(max_size=60).map(lambda raw: PLAIN.encode() + raw))
def test_any_bytes_are_records_or_bad_lines(raw: bytes) -> None:
    for form in ("csv", "ndjson"):
        for number, one in read(raw, form):
            assert number >= 1
            assert isinstance(one, dict | BadLine)


@given(st.integers(1, 7), st.sampled_from(["\n", "\r\n", "\r"]), st.booleans())
def test_the_size_of_pieces_and_the_kind_of_line_ends_do_not_matter(
    size: int, end: str, wide: bool
) -> None:
    raw = PLAIN.replace("\n", end).encode("utf-16" if wide else "utf-8")

    class Slow(io.BytesIO):
        def read(self, _wanted: int | None = -1, /) -> bytes:
            # the beginning, by which the encoding is known, comes at once
            return super().read(64 if self.tell() == 0 else size)

    sizes: list[int] = []
    found = [record for _, record in read_records(Slow(raw), "csv", sizes.append)]

    assert found == RECORDS
    assert sum(sizes) == len(raw)


# --- files that are written ----------------------------------------------------------------------


def names(folder: Path) -> list[str]:
    return [file.name for file in folder.iterdir()]


def test_a_file_stands_under_its_name_once_it_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "devices.ndjson"
    file.write_text("older")
    file.chmod(0o644)
    with whole_file(file) as out:
        out.write("newer")
        assert file.read_text() == "older"
    assert file.read_text() == "newer"
    assert file.stat().st_mode & 0o777 == 0o600
    assert names(tmp_path) == [file.name]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, RuntimeError, MemoryError])
@pytest.mark.parametrize("older", [None, "older"])
def test_an_interrupted_file_leaves_nothing_under_its_name(
    tmp_path: Path, error: type[BaseException], older: str | None
) -> None:
    file = tmp_path / "devices.ndjson"
    if older:
        file.write_text(older)
    with pytest.raises(error), whole_file(file) as out:  # noqa: PT012
        out.write("half")
        out.flush()
        raise error
    assert (file.read_text() if file.exists() else None) == older
    assert names(tmp_path) == ([file.name] if older else [])


def test_a_killed_process_leaves_nothing_under_the_name(tmp_path: Path) -> None:
    file = tmp_path / "devices.ndjson"
    told = f"""
import os
from pathlib import Path
from gateway.cli.writing import whole_file
with whole_file(Path({str(file)!r})) as out:
    out.write("half" * 10000)
    out.flush()
    os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", told], cwd=ROOT, check=False)
    assert done.returncode == -9
    assert not file.exists()


def test_a_link_stays_a_link_and_a_pipe_is_written_to(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("older")
    link = tmp_path / "link"
    link.symlink_to("real")
    with whole_file(link) as out:
        out.write("newer")
    assert link.is_symlink()
    assert (tmp_path / "real").read_text() == "newer"
    with whole_file(Path("/dev/null")) as out:
        out.write("gone")
    assert Path("/dev/null").is_char_device()


def test_what_cannot_be_written_is_told_in_words(tmp_path: Path) -> None:
    with pytest.raises(click.ClickException, match="No such file or directory") as refused:  # noqa: SIM117
        with whole_file(tmp_path / "none" / "x"):
            pass
    assert "Errno" not in refused.value.message
    with pytest.raises(click.ClickException, match="No space left"), whole_file(tmp_path / "x"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert names(tmp_path) == []
