"""The nouns: event, item, chunk, device, delivery. Owns their identity; knows no storage.

Times are epoch seconds (float) unless a name ends in `_ms`. Types that are made for every push are
NamedTuples: a frozen dataclass sets its fields one by one, which takes five times as long.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from gateway.core.learnt import Learnt
from gateway.core.sources import LEARNINK, UNLIMITED, Limits
from gateway.core.states import DeliveryState, DeviceState
from providers.contract import Address, AddressKind, Environment, Platform, address_hash

CHUNK_SIZE = 256
"""Notifications in a chunk: one queue row or broker message carries this many, at most."""

EventStatus = Literal["accepting", "accepted", "ignored", "quarantined"]
"""`accepting`: its row is written, and not all of its chunks are known to be queued yet."""


class Item(NamedTuple):
    """One notification of an event; its identity is (event id, index).

    The fields with a default are carried along unchanged, by leftovers and dead letters too: the
    source of its event (None: LearnInk), the part of a lane that it waits for, the event's own
    time, in a correction the notification in whose place it comes (see `core.collapsing`; None: no
    other), and what its source might reach when the event came (None: anything).
    """

    index: int  # type: ignore[assignment]  # not the method of a tuple, which nobody needs
    title: str
    body: str
    path: str | None
    user_id: str | None
    custom_id: str | None
    source: str | None = None
    part: str | None = None
    occurred_at: float | None = None
    collapse_id: str | None = None
    limits: Limits | None = None


@dataclass(frozen=True, slots=True)
class Rejection:
    """An item that was rejected, and why, in words without its content."""

    index: int
    reason: str


@dataclass(frozen=True, slots=True)
class Event:
    """A webhook delivery, or a call to POST /v1/notifications, that was made durable.

    `occurred_at` is the event's own `timestamp` when it has a usable one. `body` is what was
    received, kept for the retention period so that it can be replayed; a batch is kept without
    phone numbers. `people` are ids that it names and the journal will not, so that an erase finds
    it; they are written with the event, and not read back; nor is `done`, what it says that
    somebody has done (rows of `core.suppressing.Done`), nor what a learning event has `learnt`.
    `source` is who sent it, and `limits` what that source's pushes might reach when it came.
    """

    event_id: str
    type: str
    status: EventStatus
    received_at: float
    occurred_at: float | None = None
    notifications: int = 0
    rejections: tuple[Rejection, ...] = ()
    chunks: int = 0
    reason: str = ""
    body: bytes = b""
    people: tuple[str, ...] = field(default=(), repr=False)
    source: str = LEARNINK
    limits: Limits = UNLIMITED
    done: tuple[tuple[Any, ...], ...] = field(default=(), repr=False)
    learnt: Learnt | None = None


class Remainder(NamedTuple):
    """A delivery that a chunk could not settle: its device, and the attempts so far.

    `flipped` is part of the stored form and not read any more: an earlier release meant the other
    environment than the registered one, which may have been corrected since.
    """

    device_id: int
    attempts: int = 0
    flipped: bool = False


class ChunkItem(NamedTuple):
    """An item in a chunk. `remainders` is None until it was fanned out for the first time."""

    item: Item
    remainders: tuple[Remainder, ...] | None = None


@dataclass(frozen=True, slots=True)
class Chunk:
    """The unit of work: at most 256 items of one event.

    `number` counts the original chunks of the event; leftovers keep the number of the chunk they
    came from. `day` is when the event was received (`day_of`); the journal keeps its deliveries by
    it. If all of the chunk waits for one lane, `lane` is that lane ("app/provider") and `part` the
    part of it, else both are "". `due_at` of a claimed leftover is its due time, or any later time
    up to the claim: see `core.fanout`.
    """

    event_id: str
    number: int
    first_seen: float
    deadline: float
    items: tuple[ChunkItem, ...]
    due_at: float = 0.0
    lane: str = ""
    part: str = ""
    day: int = 0

    def waits_for(self, names: Collection[str]) -> bool:
        """Whether it waits for one of these lanes ("app/provider") or parts of lanes."""
        return bool(self.lane) and (self.lane in names or f"{self.lane}/{self.part}" in names)


@dataclass(frozen=True, slots=True)
class Trial:
    """The record of a suspect, which is claimed alone: how many processes ended while it was tried
    before, and when it was claimed the last time (epoch seconds)."""

    lone_ends: int
    since: float


@dataclass(frozen=True, slots=True)
class Claim:
    """A chunk under a lease. `tries` counts its claims, this one included, since a process last
    survived it; `trial` is set when it is to be tried alone."""

    queue_id: int
    lease_id: str
    chunk: Chunk
    tries: int
    trial: Trial | None = None


@dataclass(frozen=True, slots=True)
class UserRef:
    """A user, by LearnInk's `user_id`, the customer's `custom_id`, or both.

    `either` builds one from a path segment that may be either id.
    """

    user_id: str | None = None
    custom_id: str | None = None

    @classmethod
    def either(cls, value: str) -> UserRef:
        return cls(user_id=value, custom_id=value)


@dataclass(frozen=True, slots=True)
class Profile:
    """What the app reports about itself; for people and filters, never for routing.

    `can` has words with a blank between them; "" says that this build can do nothing of it.
    """

    locale: str | None = None
    timezone: str | None = None
    app_version: str | None = None
    os_version: str | None = None
    device_model: str | None = None
    notifications: str | None = None
    measure: str | None = None
    can: str | None = None


@dataclass(frozen=True, slots=True)
class Registration:
    """The content of PUT /v1/devices/{installation_id}.

    `environment` None: the app does not say; a known address keeps its environment, a new one gets
    production. `seen_at` is for imports: when the app itself last confirmed the address, 0 if
    nobody knows. None: it does so now. `heard_at`, `user_changed_at` and `words` are for imports,
    too: see `Device`, and the words that answered the app then, one for each id, the `user_id`'s
    first; none if nobody knows. `ignored` names the fields that were left out.
    """

    installation_id: str
    app: str
    platform: Platform
    provider: str
    address: str = field(repr=False)
    user_id: str | None = None
    custom_id: str | None = None
    address_kind: AddressKind = AddressKind.TOKEN
    environment: Environment | None = None
    old_address: str | None = field(default=None, repr=False)
    seen_at: float | None = None
    heard_at: float = 0.0
    user_changed_at: float | None = None
    profile: Profile = Profile()
    words: tuple[str, ...] = field(default=(), repr=False)
    ignored: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Device:
    """A row of the registry.

    `registered_at` is when this address became this user's. `last_seen_at` is when the app last
    confirmed it, 0 if it never did (an import); proof of death must be newer than that. `heard_at`
    is when a receipt last came from it, 0 if none did: its app lives, whatever its address does.
    `user_changed_at` is when the phone last came from another user, None if no other is known.
    `words` are those of its ids, the `user_id`'s first: see `gateway.core.words`.
    """

    id: int
    installation_id: str
    app: str
    platform: Platform
    provider: str
    address: str = field(repr=False)
    address_kind: AddressKind
    environment: Environment
    user_id: str | None
    custom_id: str | None
    state: DeviceState
    state_reason: str
    registered_at: float
    last_seen_at: float
    profile: Profile
    user_changed_at: float | None = None
    words: tuple[str, ...] = field(default=(), repr=False)
    heard_at: float = 0.0

    @property
    def met_at(self) -> float:
        """When its app was last seen, by a registration or a receipt; 0 if it never was."""
        return max(self.last_seen_at, self.heard_at)

    @property
    def fresh_at(self) -> float:
        """From when on it may get stale, in whole seconds: when its app was last seen; or when it
        was imported, if nobody knows."""
        return float(int(self.met_at or self.registered_at))

    @property
    def address_hash(self) -> str:
        return address_hash(self.address)


STATED_USER_ID, STATED_CUSTOM_ID = 1, 2
"""Bits: which ids the latest registration of a device stated or proved. One that it carried over
from an earlier registration has none."""
DENIED, DATA_MESSAGES, MEASURED, NOT_MEASURED = 4, 8, 16, 32
"""Bits beside them: what its registrations said that matters for sending. Its person lets the app
show nothing; its app shows an FCM data message by itself; its person lets receipts be kept, or does
not."""


class Target(NamedTuple):
    """An active device as the relay needs it: where to send, and what its row looked like.

    `seen_at` is the time of the registration; a late answer is compared with it before anything is
    pruned. `stated` has the bits of the ids that contradict an item with another value, and of what
    the registration said; `user_word` and `custom_word` are the words of its ids. `fault` says why
    this version cannot send to the device, "" nearly always. `erased_at` is when its user was
    erased before they registered again, 0 nearly always. `met_at` is when its app was last seen, in
    whole seconds; below 0: it never was, and the device was imported so long after the epoch.
    """

    device_id: int
    app: str
    provider: str
    address: Address
    user_id: str | None
    custom_id: str | None
    seen_at: float
    stated: int = 0
    user_word: str | None = None
    custom_word: str | None = None
    fault: str = ""
    erased_at: float = 0.0
    met_at: float = 0.0

    @property
    def fresh_at(self) -> float:
        """The device's."""
        return abs(self.met_at)

    @property
    def is_denied(self) -> bool:
        """Whether its person lets the app show nothing."""
        return bool(self.stated & DENIED)

    @property
    def takes_data_messages(self) -> bool:
        """Whether its app shows an FCM data message by itself."""
        return bool(self.stated & DATA_MESSAGES)

    @property
    def measure(self) -> str | None:
        """Whether its person lets receipts be kept: `granted`, `denied`, or None."""
        if self.stated & MEASURED:
            return "granted"
        return "denied" if self.stated & NOT_MEASURED else None

    def word_for(self, item: Item) -> str:
        """The word of the id by which an item finds the device, `user_id` first."""
        is_user = item.user_id is not None and item.user_id == self.user_id
        return (self.user_word if is_user else self.custom_word) or ""


class Found(list[list[Target]]):
    """The answer to a look-up: the devices of each item's user, one list per item.

    `contradicting`: the devices that have one id of the item and, stated, another value of its
    other id, by the item's place. They are left out of the lists.
    """

    def __init__(self) -> None:
        super().__init__()
        self.contradicting: dict[int, list[Target]] = {}


MAYBE_TAKEN = "?"
"""The `vendor_id` of a delivery that its vendor may have taken: an answer did not come."""


class Record(NamedTuple):
    """A line of the journal: how a delivery stands. `device_id` 0: the item reached no device.

    `day` is its chunk's. `vendor_id` is the vendor's id for it, or `MAYBE_TAKEN`. The fields are in
    the order of the table's columns.
    """

    event_id: str
    index: int  # type: ignore[assignment]  # as above
    device_id: int
    state: DeliveryState
    attempts: int
    at: float
    user_id: str | None = None
    custom_id: str | None = None
    app: str = ""
    provider: str = ""
    address_hash: str = ""
    reason: str = ""
    vendor_id: str = ""
    next_at: float | None = None
    day: int = 0


@dataclass(frozen=True, slots=True)
class Removal:
    """An order to take a device out of service, if its row still is what the proof was about.

    `record` is the index of the journal record that becomes `refused` when the row has changed.
    """

    device_id: int
    address: str = field(repr=False)
    seen_at: float
    app: str
    provider: str
    to: Literal[DeviceState.PRUNED, DeviceState.QUARANTINED]
    reason: str


def day_of(received_at: float) -> int:
    """The day of a time, in UTC: 0 is 1970-01-01."""
    return int(received_at // 86_400)


def delivery_id(event_id: str, index: int, device_id: int) -> str:
    """Name a delivery: the same name-based UUID at every repeat, replica and restart."""
    return named(f"{event_id}\0{index}\0{device_id}")


def named(text: str) -> str:
    """The name-based UUID of a text."""
    digits = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    # version 5 and the variant of RFC 4122, written where `uuid.UUID` would put them
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-5{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def lane_name(app: str, provider: str) -> str:
    """Name a lane: "app/provider"."""
    return f"{app}/{provider}"
