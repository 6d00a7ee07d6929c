"""Signers that are not ours: the packages of Svix and of Standard Webhooks.

They sign what LearnInk's sender would, so that our own reading of the scheme is not its own judge.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime

import standardwebhooks.webhooks
import svix.webhooks

Signer = Callable[[str, str, int, bytes], str]
"""(secret, message id, timestamp in epoch seconds, body) -> the signature header."""


def secret_of(key: bytes) -> str:
    """The secret as a sender's dashboard shows it."""
    return "whsec_" + b64encode(key).decode()


def sign_as_svix(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """Sign with the svix package."""
    moment = datetime.fromtimestamp(timestamp, UTC)
    return svix.webhooks.Webhook(secret).sign(message_id, moment, body.decode())


def sign_as_standard(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """Sign with the standardwebhooks package."""
    moment = datetime.fromtimestamp(timestamp, UTC)
    return standardwebhooks.webhooks.Webhook(secret).sign(message_id, moment, body.decode())


SIGNERS: dict[str, Signer] = {"svix": sign_as_svix, "standardwebhooks": sign_as_standard}
FAMILIES = ("svix", "webhook")


def headers_of(
    family: str, message_id: str, timestamp: int | str, signature: str
) -> dict[str, str]:
    """The three headers, as `svix-*` or `webhook-*`."""
    return {
        f"{family}-id": message_id,
        f"{family}-timestamp": str(timestamp),
        f"{family}-signature": signature,
    }
