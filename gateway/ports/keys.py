"""API keys, as they are kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from gateway.core.audit import Act

SCOPES = (
    "devices:read",
    "devices:write",
    "deliveries:read",
    "receipts:read",
    "notifications:write",
    "admin",
)
"""What an API key may be allowed; `admin` includes all others."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key as it is kept: its hash stays in the store."""

    id: str
    name: str
    scopes: frozenset[str]
    created_at: float
    revoked_at: float | None = None

    def allows(self, scope: str) -> bool:
        return self.revoked_at is None and (scope in self.scopes or "admin" in self.scopes)


class Keys(Protocol):
    """API keys, kept by SHA-256 of the key."""

    async def add(self, key: ApiKey, digest: bytes, *, act: Act | None = None) -> None:
        """Keep a new key."""

    async def find(self, digest: bytes) -> ApiKey | None:
        """The key with this hash, revoked or not."""

    async def all(self) -> list[ApiKey]:
        """Every key, newest first."""

    async def revoke(self, key_id: str, *, now: float, act: Act | None = None) -> bool:
        """End a key at once. False: there is no such key in force."""
