"""Who has which device, and what a registration did."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from gateway.core.audit import Act
from gateway.core.model import Device, Found, Item, Registration, UserRef
from gateway.core.states import DeviceState
from providers.contract import Environment


@dataclass(frozen=True, slots=True)
class Registered:
    """The result of a registration: whether the installation is new, its row now, and which devices
    have another user or address since, or are gone."""

    created: bool
    device: Device
    changed: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Imported:
    """The result of a batch: how many installations are new, how many are known, and which lines,
    by their place in the batch, changed nothing: what is known here is newer."""

    new: int
    known: int
    newer: tuple[int, ...] = ()


class Audience(NamedTuple):
    """How many active devices let their app show nothing, by (app, platform), and how many were
    seen within the spans of `core.staleness.WITHIN`, by (app, span). What is not named is 0."""

    muted: Mapping[tuple[str, str], int]
    seen: Mapping[tuple[str, str], int]


class Registry(Protocol):
    """Who has which device. One owner per address, always."""

    async def register(
        self,
        registration: Registration,
        *,
        proven: UserRef | None,
        now: float,
        act: Act | None = None,
    ) -> Registered:
        """Upsert an installation in one step.

        `proven` is what the caller's token proves (None: the caller may act for everybody). An
        installation of somebody else is taken over only with its current address in `address` or
        `old_address`; else `InstallationOwned`. The address is taken from whoever else had it.
        Over the cap of devices a user may have, the least recently seen goes. A registration that
        only confirms what is known has no row in the audit table.
        """

    async def register_many(
        self,
        registrations: Sequence[Registration],
        *,
        now: float,
        force: bool = False,
        act: Act | None = None,
    ) -> Imported:
        """Upsert all in one transaction, as an API key would.

        A registration with `seen_at` (an import) does not count as contact from the app: a device
        already stored with this address is left unchanged, even if pruned. It takes no installation
        and no address from a device that the app confirmed at that time or later, and brings none
        back that went then or later, nor a user who was erased; without a time, it takes from no
        device, and brings back none that ever went. `force` lifts that, but for what an erase took.
        Its times are taken as far as they can be: none is after `now`.
        """

    async def forget(
        self,
        installation_id: str,
        *,
        proven: UserRef | None,
        app: str | None = None,
        now: float,
        act: Act | None = None,
    ) -> Sequence[int]:
        """Delete an installation; somebody else's stays. Returns the devices that went."""

    async def devices_of(self, user: UserRef) -> list[Device]:
        """All devices of a user in any state, most recently seen first."""

    async def installations(self, installation_id: str) -> list[Device]:
        """The devices of an installation in any state: one per app that registered it."""

    async def erase(self, user: UserRef, *, now: float, act: Act | None = None) -> Sequence[int]:
        """Remove a user's devices, and note that names and texts are to go: `Erasures` has the
        steps. Returns which devices went.

        What was received until `now` is never for a device that the user registers later, and
        nothing of it names the user when it is journaled or queued later. Asked again, it begins
        anew.
        """

    async def targets(self, items: Sequence[Item]) -> Found:
        """Look up the active devices of each item's user; one list per item, in order.

        A device is found by either id. It is left out where its latest registration stated or
        proved the item's other id with another value.
        """

    async def remember_environment(
        self, device_id: int, address: str, environment: Environment
    ) -> None:
        """Note which APNs environment knows the address, if the device still has it."""

    def export(
        self,
        *,
        app: str | None = None,
        state: DeviceState | None = None,
        silent_since: float | None = None,
        denied: bool = False,
    ) -> AsyncIterator[list[Device]]:
        """Stream the registry in pages; only devices of which nothing was seen since, and only
        those that let their app show nothing, if asked for."""

    async def count(self) -> dict[tuple[str, str, str], int]:
        """Count devices by (provider, app, state)."""

    async def audience(self, *, now: float) -> Audience:
        """Count who is muted, and who was seen when."""

    async def purge(self, *, pruned_before: float) -> int:
        """Delete rows that were pruned before this time. Returns how many."""

    async def purge_forgotten(self, *, before: float) -> int:
        """Delete what is remembered of what went before this time. Returns how many names."""
