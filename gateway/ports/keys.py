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
    "events:read",
    "ops",
    "admin",
)
"""What an API key may be allowed; `admin` includes all others."""
LIMITED = "events:read"
"""The one scope of a key that is limited to sources or types of events: only where events are read
is each looked at by itself."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key as it is kept: its hash stays in the store. `sources` and `types` limit which
    events it may read, none: all; a type may end in `*`."""

    id: str
    name: str
    scopes: frozenset[str]
    created_at: float
    revoked_at: float | None = None
    expires_at: float | None = None
    sources: tuple[str, ...] = ()
    types: tuple[str, ...] = ()

    @property
    def is_limited(self) -> bool:
        """Whether it may read some events only."""
        return bool(self.sources or self.types)

    def grants(self, scope: str) -> bool:
        """Whether it has this scope; `admin` has all. One that is limited has `LIMITED` at most,
        whatever is written of it."""
        if self.is_limited:
            return scope == LIMITED and scope in self.scopes
        return scope in self.scopes or "admin" in self.scopes

    def in_force(self, now: float) -> bool:
        """Whether it is neither revoked nor over."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


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
