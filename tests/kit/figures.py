"""What a test measured, for a person to read at the end of the run."""

from __future__ import annotations

from collections.abc import Callable

Figures = Callable[[str], None]
"""Tells one line of figures; the fixture of that name is where acceptance tests get it."""
