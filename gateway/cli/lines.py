"""The lines of a file that people made: text in any encoding an editor or a spreadsheet gives it.

Owns encodings, line ends, and what is no text at all. Reads a piece at a time, of any length.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator
from typing import BinaryIO

from providers import pasted

_PIECE = 64 * 1024
_LINE_END = re.compile(r"\r\n|\r|\n")
_FOREIGN = re.compile("[\udc80-\udcff]")
_SAVE_AGAIN = 'in the spreadsheet, choose "CSV UTF-8" as the type of file'
#: how a file begins that is no text, and what to say of it
_NO_TEXT = (
    (b"PK\x03\x04", f"is a workbook (xlsx, ods) or an archive; {_SAVE_AGAIN}"),
    (b"\xd0\xcf\x11\xe0", f"is a workbook (xls); {_SAVE_AGAIN}"),
    (b"\x1f\x8b", "is packed; unpack it first (gunzip)"),
    (b"%PDF", f"is a PDF; {_SAVE_AGAIN}"),
    (b"SQLite format 3", "is a database; export the devices from it first"),
)


class NoLines(ValueError):
    """The file is no text; the message says what it is, and what to do."""


def lines_of(file: BinaryIO, advance: Callable[[int], object]) -> Iterator[str]:
    """Yield the lines with their ends, as `\\n`; the last one may have none. Raises NoLines.

    `advance` gets the size of each piece that was read. What is not UTF-8 comes as lone
    surrogates: a line that has some is in another encoding.
    """
    piece = file.read(_PIECE)
    for beginning, told in _NO_TEXT:
        if piece.startswith(beginning):
            raise NoLines(told)
    encoding = pasted.encoding_of(piece[:64])
    errors = "surrogateescape" if encoding.startswith("utf-8") else "replace"
    decoder = codecs.getincrementaldecoder(encoding)(errors)
    rest = ""
    while piece:
        advance(len(piece))
        following = file.read(_PIECE)
        text = rest + decoder.decode(piece, final=not following)
        # a CR at the very end may be half of a line's end
        whole = text if not following or not text.endswith("\r") else text[:-1]
        held = text[len(whole) :]
        *lines, rest = _LINE_END.split(whole)
        rest += held
        yield from (f"{line}\n" for line in lines)
        piece = following
    if rest:
        yield rest


def is_foreign(text: str) -> bool:
    """Whether a line was not UTF-8."""
    return _FOREIGN.search(text) is not None
