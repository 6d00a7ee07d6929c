"""What a vendor answered, as an object; whatever came, it is one. Refuses to know what it means."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

Body = bytes | Mapping[str, Any] | None
"""A body as it came, or already read; None and b"" are the same."""


def parse_body(body: Body) -> Mapping[str, Any]:
    """The JSON object of an answer; empty for HTML, other JSON, or nothing."""
    if isinstance(body, Mapping):
        return body
    try:
        value = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
