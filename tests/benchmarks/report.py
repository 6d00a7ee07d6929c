"""What was measured: lines with a target or without, the rounds behind them, and their table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

_WIDE = 130
#: share of the time that a gateway may wait for a core, its own stand-in and sender included
CROWDED = 0.2
CROWDED_NOTE = "other processes had the cores for much of the time"


@dataclass(frozen=True, slots=True)
class Line:
    """One figure beside its counterpart. `passed` is None where there is no target."""

    what: str
    unit: str
    measured: float
    counterpart: str = ""
    other: float | None = None
    ratio: float | None = None
    target: str = ""
    passed: bool | None = None
    note: str = ""


def at_most(
    limit: float | None,
    what: str,
    ours: Sequence[float],
    counterpart: str,
    theirs: Sequence[float],
    *,
    note: str = "",
) -> Line:
    """Microseconds of rounds that took turns: medians, and the median of each round's ratio, which
    is to be so much at most (None: it is shown only)."""
    ratio = median(one / other for one, other in zip(ours, theirs, strict=True))
    return Line(
        what,
        "us",
        median(ours),
        counterpart,
        median(theirs),
        ratio,
        "" if limit is None else f"at most {limit} x",
        None if limit is None else ratio <= limit,
        note,
    )


@dataclass(slots=True)
class Report:
    """All lines in the order they came, and every round, by benchmark."""

    lines: list[Line] = field(default_factory=list)
    rounds: dict[str, Any] = field(default_factory=dict)

    def add(self, line: Line) -> None:
        self.lines.append(line)

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {"lines": [asdict(line) for line in self.lines], "rounds": self.rounds}

    def show(self) -> None:
        """Print the table."""
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in ("what", "measured", "counterpart", "ratio", "target", ""):
            right = column in {"measured", "ratio"}
            table.add_column(column, justify="right" if right else "left", overflow="fold")
        for line in self.lines:
            other = ""
            if line.other is not None:
                other = f"{line.counterpart}: {_amount(line.other, line.unit)}"
            table.add_row(
                line.what,
                _amount(line.measured, line.unit),
                other,
                "" if line.ratio is None else f"{line.ratio:,.2f} x",
                line.target,
                {None: "", True: "PASS", False: "MISS"}[line.passed],
            )
        console = Console(highlight=False)
        if not console.is_terminal:
            console = Console(width=_WIDE, highlight=False)
        console.print(table)
        for line in self.lines:
            if line.note:
                console.print(f"  {line.what}: {line.note}")


def _amount(value: float, unit: str) -> str:
    digits = 0 if value >= 100 else 1
    return f"{value:,.{digits}f} {unit}"
