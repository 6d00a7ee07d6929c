"""LearnInk's event, as its public documentation shows it, and variations of it."""

from __future__ import annotations

import json
from typing import Any

EXAMPLE = (
    b'{"api_version":"2022-11-15","object":"event","type":"notifications.sent",'
    b'"timestamp":"2025-11-06T09:58:58.233Z",\n'
    b' "data":{"notifications":[{"title":"Hi Mary!",'
    b'"body":"Don\'t forget to complete your training today","path":"/learning",\n'
    b'   "user_id":"le2bB6Fi4CMgrIOIqMCJryZb9PR2",'
    b'"custom_id":"3c2143e4-3e8e-478a-bf0b-9dc6e284fa33","phone_number":"+254705408079"}]}}'
)
"""The example event (developers.learn.ink, "push notifications"), byte by byte."""


def example(*, count: int = 1, timestamp: object = "2025-11-06T09:58:58.233Z") -> dict[str, Any]:
    """The example event with `count` notifications, all different objects."""
    document: dict[str, Any] = json.loads(EXAMPLE)
    (notification,) = document["data"]["notifications"]
    document["timestamp"] = timestamp
    document["data"]["notifications"] = [dict(notification) for _ in range(count)]
    return document


def body_of(document: object) -> bytes:
    """Write a document as the body of a request."""
    return json.dumps(document).encode()
