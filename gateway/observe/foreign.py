"""What libraries log, without what they quote. Their messages and exceptions repeat input: a
header, an address, a row; redaction knows shapes, and a title or a user id has none.

Owns what is left of such a line: who says it, how loud, from where, the pattern of the message, and
the kinds of the exceptions; and how often it is said.
"""

from __future__ import annotations

import logging
import traceback
from typing import TextIO

FOREIGN_S = 10.0
"""Seconds between two lines from one place: input can cause as many as it likes."""
_MOST_PLACES = 1_000
_OURS = ("gateway.", "providers.")


class Handler(logging.StreamHandler[TextIO]):
    """Writes lines; those of libraries, which are no records of ours, without what they quote."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        #: by place: when it was last told (epoch seconds), and how often it was not since
        self._told: dict[tuple[str, int], tuple[float, int]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler`."""
        if isinstance(record.msg, dict) or record.name.startswith(_OURS):  # a dict is structlog's
            super().emit(record)
            return
        place = record.pathname, record.lineno
        at, more = self._told.get(place, (float("-inf"), 0))
        if 0 <= record.created - at < FOREIGN_S:
            self._told[place] = at, more + 1
            return
        if len(self._told) >= _MOST_PLACES:
            self._told.clear()
        self._told[place] = record.created, 0
        super().emit(_bare(record, more))


def _bare(record: logging.LogRecord, more: int) -> logging.LogRecord:
    """The line with its pattern in place of its message: what has no pattern has no message."""
    text = str(record.msg) if record.args else "said something"
    text += f" [{record.filename}:{record.lineno}]"
    error = record.exc_info[1] if record.exc_info else None
    if error is not None:
        text += f" {_kinds(error)}"
    if more:
        text += f" ({more} more before)"
    bare = logging.makeLogRecord(record.__dict__)
    bare.msg, bare.args, bare.exc_info, bare.exc_text, bare.stack_info = text, (), None, None, None
    return bare


def _kinds(error: BaseException) -> str:
    """An exception and what it came from: their kinds, and where the innermost was raised."""
    kinds: list[str] = []
    inner: BaseException | None = error
    while inner is not None and len(kinds) < 8:  # of a chain that may have no end
        kinds.append(type(inner).__name__)
        error, inner = inner, inner.__cause__ or inner.__context__
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return " from ".join(kinds) + where
