"""A transport that hands everything on to another one: watchers of transports begin here."""

from __future__ import annotations

from collections.abc import Sequence

from providers.contract import (
    CredentialStatus,
    Misconfigured,
    Push,
    PushProvider,
    Settle,
    Trouble,
    Unavailable,
)


class PassingTransport:
    """The port `providers.contract.PushProvider` over another transport."""

    def __init__(self, inner: PushProvider) -> None:
        self._inner = inner
        self.burst = inner.burst

    def free(self, part: str) -> int:
        return self._inner.free(part)

    @property
    def in_flight(self) -> int:
        return self._inner.in_flight

    @property
    def connections(self) -> int:
        return self._inner.connections

    @property
    def credential(self) -> CredentialStatus:
        return self._inner.credential

    async def start(self) -> None:
        await self._inner.start()

    def send(self, pushes: Sequence[Push], settle: Settle) -> None:
        self._inner.send(pushes, settle)

    def trouble(self, part: str) -> Trouble | None:
        return self._inner.trouble(part)

    async def reach(self, part: str) -> Trouble | None:
        return await self._inner.reach(part)

    async def check(self, part: str) -> Misconfigured | Unavailable | None:
        return await self._inner.check(part)

    async def aclose(self) -> None:
        await self._inner.aclose()
