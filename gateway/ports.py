"""What the gateway needs from a database and a broker: one protocol per duty.

Methods are named after the life of the thing. Every method may raise `StoreUnavailable`, which
means that nothing was changed - or, of a store that is asked over a network, that the answer to the
last word was lost and nobody could tell yet: every method bears being asked again then (see
deploy/docs/decisions/0015-postgresql.md). Implementations live in `gateway.store` and
`gateway.queue`; each passes the behaviour suites in tests/conformance.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from gateway.core.model import (
    Chunk,
    Claim,
    Device,
    Event,
    Item,
    Record,
    Registration,
    Removal,
    Target,
    UserRef,
)
from gateway.core.states import DeliveryState, DeviceState
from providers.contract import Environment

Clock = Callable[[], float]
"""The time now, in epoch seconds."""


# --- registry ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Registered:
    """What a registration did: `created` for a new installation, and the row as it now stands."""

    created: bool
    device: Device


class Registry(Protocol):
    """Who has which device. One owner per address, always."""

    async def register(
        self, registration: Registration, *, proven: UserRef | None, now: float
    ) -> Registered:
        """Upsert an installation in one step.

        `proven` is what the caller's token proves (None: the caller may act for everybody). An
        installation of somebody else is taken over only with its current address in `address` or
        `old_address`; else `InstallationOwned`. The address is taken from whoever else had it.
        Over the cap of devices a user may have, the least recently seen goes.
        """

    async def register_many(
        self, registrations: Sequence[Registration], *, now: float
    ) -> tuple[int, int]:
        """Upsert all in one transaction, as an API key would. Returns (new, known).

        One with `seen_at` is no word from the app: a device that is known as it says stays as it
        is, pruned ones included.
        """

    async def forget(
        self, installation_id: str, *, proven: UserRef | None, app: str | None = None
    ) -> int:
        """Delete an installation; somebody else's stays. Returns how many rows went."""

    async def devices_of(self, user: UserRef) -> list[Device]:
        """All devices of a user in any state, most recently seen first."""

    async def installations(self, installation_id: str) -> list[Device]:
        """The devices of an installation in any state: one per app that registered it."""

    async def erase(self, user: UserRef) -> None:
        """Remove a user's devices, and the user's names and texts from the log."""

    async def targets(self, items: Sequence[Item]) -> list[list[Target]]:
        """Look up the active devices of each item's user; one list per item, in order."""

    async def remember_environment(
        self, device_id: int, address: str, environment: Environment
    ) -> None:
        """Note which APNs environment knows the address, if the device still has it."""

    def export(
        self, *, app: str | None = None, state: DeviceState | None = None
    ) -> AsyncIterator[list[Device]]:
        """Stream the registry in pages."""

    async def count(self) -> dict[tuple[str, str, str], int]:
        """Count devices by (provider, app, state)."""

    async def purge(self, *, pruned_before: float) -> int:
        """Delete rows that were pruned before this time. Returns how many."""


# --- journal ----------------------------------------------------------------------------------


class Progress(NamedTuple):
    """What the journal knows of one delivery when its chunk comes again."""

    state: DeliveryState
    attempts: int


@dataclass(frozen=True, slots=True)
class EventSummary:
    """An event and how its deliveries stand."""

    event: Event
    deliveries: dict[str, int]
    settled: bool


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A delivery that was given up; `item` is what it would have said."""

    id: int
    event_id: str
    item: Item
    device_id: int
    app: str
    provider: str
    reason: str
    attempts: int
    died_at: float


class Journal(Protocol):
    """What happened: events, one row per delivery, dead letters."""

    async def progress(
        self, event_id: str, indexes: Sequence[int], *, day: int
    ) -> Mapping[tuple[int, int], Progress]:
        """What is journaled for these items of an event, by (index, device id).

        `day` is the event's (`core.model.day_of`): its deliveries are kept by it.
        """

    async def record(
        self,
        records: Sequence[Record],
        removals: Sequence[tuple[int, Removal]],
        dead: Sequence[tuple[int, Item]] = (),
        done: Sequence[tuple[str, int]] = (),
    ) -> set[int]:
        """Write how deliveries stand, in one transaction.

        A removal is carried out if the device's row still is what the proof was about; its number
        is the index of its record, which becomes `refused` where the row has changed. Returns the
        indexes of the removals that were carried out, or already had been. `dead` gives, by record
        index, the items to keep as dead letters. `done` names the (event id, chunk number) that
        are finished. A terminal row is never overwritten.
        """

    async def deliveries_of(
        self, user: UserRef, *, limit: int, since: float | None = None
    ) -> list[Record]:
        """A user's deliveries, newest first."""

    async def event(self, event_id: str) -> EventSummary | None:
        """One event with the state of its deliveries."""

    async def events(
        self, *, limit: int, status: str | None = None, before: float | None = None
    ) -> list[Event]:
        """Events, newest first, without their bodies."""

    async def items_of(self, event_id: str) -> list[Record]:
        """All journal rows of an event, by index."""

    async def dead(self, *, limit: int, event_id: str | None = None) -> list[DeadLetter]:
        """Dead letters, newest first."""

    async def drop_dead(self, ids: Sequence[int] | None) -> int:
        """Delete dead letters (None: all). Returns how many."""

    async def purge(self, *, before: float) -> int:
        """Delete events, deliveries and dead letters older than this. Returns how many rows.

        What still is queued stays. A store that keeps its journal by days deletes a day when all
        of it is older.
        """


# --- queue ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Depth:
    """How much waits: notifications, and since when the oldest has (epoch seconds)."""

    notifications: int
    oldest_at: float | None


class Queue(Protocol):
    """Chunks that wait for their turn, and the leases of those that are worked on."""

    async def accept(self, event: Event, chunks: Sequence[Chunk]) -> bool:
        """Make an event and its chunks durable in one step. False: the event id is known."""

    async def publish(self, chunks: Sequence[Chunk]) -> None:
        """Add chunks."""

    async def claim(
        self, *, limit: int, lease_s: float, now: float, skip_lanes: Sequence[str] = ()
    ) -> list[Claim]:
        """Lease due chunks until `now + lease_s`; an expired lease makes a chunk due again.

        Chunks that wait for one of `skip_lanes` are left alone until their deadline has passed.
        """

    async def extend(self, claims: Sequence[Claim], *, lease_s: float, now: float) -> set[int]:
        """Prolong leases. Returns the queue ids whose lease is lost."""

    async def settle(self, claim: Claim, leftovers: Sequence[Chunk]) -> bool:
        """Finish a chunk and add what it could not settle, in one step. False: lease was lost."""

    async def rescue(self) -> int:
        """End the leases of dead processes; only where this process is known to be the only one."""

    async def replay_dead(self, ids: Sequence[int] | None, *, now: float, max_age_s: float) -> int:
        """Queue dead letters again (None: all) with a new life. Returns how many."""

    async def replay_event(self, event: Event, chunks: Sequence[Chunk]) -> None:
        """Turn a quarantined event into an accepted one, with its chunks."""

    async def depth(self) -> Depth:
        """How much waits, leased chunks included."""


# --- lanes ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LaneRow:
    """A lane as the store knows it: what a person or the relay decided about it.

    `held` is "" (open), "operator", or "misconfigured"; `brake_at` is set while the prune brake
    is on. `rate` is the limit in force (pushes per second, 0 none), `errors` the share of failed
    attempts lately; both are written by the relay for people to read. `waiting` counts what is
    queued for the lane, or in memory.
    """

    app: str
    provider: str
    held: Literal["", "operator", "misconfigured"] = ""
    reason: str = ""
    hint: str = ""
    held_at: float | None = None
    brake_at: float | None = None
    held_back: int = 0
    rate: float = 0.0
    errors: float = 0.0
    waiting: int = 0
    seen_at: float | None = None


class Lanes(Protocol):
    """The lanes' state that outlives a process and can be changed from any of them."""

    async def all(self) -> list[LaneRow]:
        """Every lane that was ever seen."""

    async def hold(
        self,
        app: str,
        provider: str,
        *,
        by: Literal["operator", "misconfigured"],
        reason: str,
        hint: str = "",
        now: float,
    ) -> None:
        """Stop a lane. An operator's hold is not overwritten by the relay's own."""

    async def resume(self, app: str, provider: str, *, by: Literal["operator", "relay"]) -> bool:
        """Let a lane go. The relay cannot lift an operator's hold. False: nothing to lift."""

    async def trip_brake(self, app: str, provider: str, *, now: float) -> None:
        """Stop pruning for this lane until a person releases it."""

    async def hold_back(self, removals: Sequence[Removal]) -> None:
        """Keep removals that the brake stopped, to be carried out by the same proof later."""

    async def release(self, app: str, provider: str, *, now: float, discard: bool = False) -> int:
        """Release the brake and carry out what it held back, by the same proof; or `discard` it,
        for the proof came of a fault. Returns how many devices went."""

    async def report(self, rows: Sequence[LaneRow]) -> None:
        """Write `rate`, `errors`, `waiting` and `seen_at` of the lanes of this process."""


# --- keys -------------------------------------------------------------------------------------

SCOPES = ("devices:read", "devices:write", "deliveries:read", "notifications:write", "admin")
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

    async def add(self, key: ApiKey, digest: bytes) -> None:
        """Keep a new key."""

    async def find(self, digest: bytes) -> ApiKey | None:
        """The key with this hash, revoked or not."""

    async def all(self) -> list[ApiKey]:
        """Every key, newest first."""

    async def revoke(self, key_id: str, *, now: float) -> bool:
        """End a key at once. False: there is no such key in force."""


# --- replicas -----------------------------------------------------------------------------------

REPLICA_ALIVE_S = 15.0
"""Seconds after its last heartbeat that a replica counts as alive."""


class Replicas(Protocol):
    """Which processes share this store, by their heartbeats."""

    async def beat(self, replica: str, role: str, *, now: float) -> int:
        """Say that this process lives, and in which role. Returns how many with a relay do.

        Seen within `REPLICA_ALIVE_S` by the store's clock, not `now`, where there are several:
        their clocks need not agree.
        """

    async def leave(self, replica: str) -> None:
        """Take a process out, which ends."""


class Store(Protocol):
    """The database as a whole: its ports, its health, its end."""

    @property
    def registry(self) -> Registry:
        """Who has which device."""

    @property
    def journal(self) -> Journal:
        """What happened."""

    @property
    def lanes(self) -> Lanes:
        """The lanes' lasting state."""

    @property
    def keys(self) -> Keys:
        """API keys."""

    @property
    def replicas(self) -> Replicas:
        """Who else runs."""

    async def ping(self) -> None:
        """Raise `StoreUnavailable` unless the store can read and write now."""

    async def aclose(self) -> None:
        """Finish what was asked and let go."""
