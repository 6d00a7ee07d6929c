"""A push at the sandbox: while its request is judged, and as it is remembered.

Owns the two forms. Refuses to know wires and vendors' words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

ProviderName = Literal["fcm", "apns"]


@dataclass(slots=True)
class Draft:
    """What is known of a push while its request is being judged."""

    provider: ProviderName
    environment: str = "production"
    address: str = field(default="", repr=False)
    id: str = ""
    collapse_id: str = ""
    delivery_id: str = ""
    title: str = field(default="", repr=False)
    body: str = field(default="", repr=False)
    data: Mapping[str, Any] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    #: the message (FCM) or the payload (APNs) as it came
    raw: Mapping[str, Any] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class ReceivedPush:
    """A push that was answered, or deliberately was not (`status` 0, `reason` says how).

    `id` is the apns-id or FCM's message name. `collapse_id` is what replaces a notification on
    the phone: apns-collapse-id or the Android tag. `headers` is the part that steers delivery:
    topic, push_type, priority, expiration (APNs); priority, ttl, collapse_key, channel (FCM).
    `accepted`: it reached the phone. `at` is in epoch seconds.
    """

    seq: int
    provider: ProviderName
    environment: str
    address: str = field(repr=False)
    id: str
    collapse_id: str
    status: int
    reason: str
    title: str = field(repr=False)
    body: str = field(repr=False)
    data: Mapping[str, Any] = field(repr=False)
    headers: Mapping[str, str]
    at: float
    accepted: bool

    def to_json(self) -> dict[str, Any]:
        """All fields, for the control API."""
        return asdict(self)
