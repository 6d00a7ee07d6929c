"""The sender of webhooks: LearnInk's envelope, signed as Svix does, by packages not ours."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import standardwebhooks.webhooks
import svix.webhooks

Signer = Literal["svix", "standardwebhooks"]

DOCUMENTED_EVENT = """\
{"api_version":"2022-11-15","object":"event","type":"notifications.sent",\
"timestamp":"2025-11-06T09:58:58.233Z",
 "data":{"notifications":[{"title":"Hi Mary!",\
"body":"Don't forget to complete your training today","path":"/learning",
   "user_id":"le2bB6Fi4CMgrIOIqMCJryZb9PR2","custom_id":"3c2143e4-3e8e-478a-bf0b-9dc6e284fa33",\
"phone_number":"+254705408079"}]}}"""
"""The example of LearnInk's documentation (developers.learn.ink), to the letter."""


def event(notifications: Sequence[dict[str, Any]], at: datetime | None = None) -> bytes:
    """A `notifications.sent` event that occurs now, or at a given time."""
    envelope = {
        "api_version": "2022-11-15",
        "object": "event",
        "type": "notifications.sent",
        "timestamp": (at or datetime.now(UTC)).isoformat(),
        "data": {"notifications": list(notifications)},
    }
    return json.dumps(envelope, ensure_ascii=False).encode()


def signed(message_id: str, body: bytes, secret: str, *, signer: Signer = "svix") -> dict[str, str]:
    """The headers of a delivery: `svix-*` from Svix's package, `webhook-*` from the standard's."""
    now = datetime.now(UTC)
    sign = (
        svix.webhooks.Webhook(secret).sign
        if signer == "svix"
        else standardwebhooks.webhooks.Webhook(secret).sign
    )
    prefix = "svix" if signer == "svix" else "webhook"
    return {
        f"{prefix}-id": message_id,
        f"{prefix}-timestamp": str(int(now.timestamp())),
        f"{prefix}-signature": sign(message_id, now, body.decode()),
        "content-type": "application/json",
    }
