"""The Retry-After header as seconds from now.

Owns the reading of both its forms (RFC 9110, 10.2.3). Refuses to trust it: whatever a server or a
proxy writes there, the answer is a wait between nothing and an hour, or None.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST_S = 3600.0
"""The longest wait that is believed: a push that waits longer is better asked about again."""

_SECONDS = re.compile(r"[0-9]{1,10}(\.[0-9]{1,9})?\Z", re.ASCII)


def parse_retry_after(value: str | None, now: float) -> float | None:
    """Seconds to wait from `now` (epoch seconds), up to 3600; None when nothing usable was said.

    A wait of 0 says nothing: both vendors ask for more than that after any answer they repeat.
    """
    text = (value or "").strip()
    if _SECONDS.match(text):
        return min(float(text), LONGEST_S) or None
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    wait = (date - datetime.fromtimestamp(now, UTC)).total_seconds()
    return min(max(wait, 0.0), LONGEST_S) or None
