"""The row by which a store tries whether it can store: large, and nothing can pack it."""

from __future__ import annotations

import os

_BYTES = 1024 * 1024


def trial_data() -> bytes:
    """The bytes of such a row."""
    return os.urandom(_BYTES)
