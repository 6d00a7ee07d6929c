"""What is true in the world, whatever the gateway believes: whose an address is, what was accepted.

Owns the facts that invariants are held against. Nothing here is asked by the gateway.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

_AT_ONCE = 3
"""How often in a row a push that the vendor never looked at may go again at once."""
POISON = "poison"
"""The title of a notification that ends the process which sends it."""


@dataclass(slots=True)
class Change:
    """An address got another owner, or none: asked for at one time, certain from another on."""

    asked_at: float
    owner: int | None
    answered_at: float | None = None


@dataclass(slots=True)
class AddressStory:
    """Everything true about one address. `dead_since`: the app was uninstalled then."""

    phone: int
    app: str
    provider: str
    part: str
    changes: list[Change] = field(default_factory=list)
    dead_since: float | None = None
    #: since when it was dead the last time, if it is alive again
    was_dead_since: float | None = None
    #: (when the vendor judged, since when it says the address is dead, or None)
    gone_said: list[tuple[float, float | None]] = field(default_factory=list)
    #: when the vendor called it suspect, where it belongs or everywhere
    suspect_said: list[float] = field(default_factory=list)
    #: whether another environment said that it does not know it
    is_strange: bool = False
    #: whether any environment may have said so, its own too
    is_lost: bool = False

    def revive(self) -> None:
        """The app is there, or there again."""
        if self.dead_since is not None:
            self.dead_since, self.was_dead_since = None, self.dead_since

    #: whether the registry has a row with it, and whether it had one before that went
    is_stored: bool = False
    was_dropped: bool = False
    #: its app gave up a request, which a process that stood still may carry out at any time
    is_disputed: bool = False

    def dispute(self) -> None:
        """Nobody can say any more whose it is for the gateway."""
        self.is_disputed = True

    def owners(self, since: float, until: float) -> set[int | None]:
        """Whose it may have been at some moment of this time."""
        possible = []
        for change in self.changes:
            if change.asked_at > until:
                continue
            ended = change.answered_at
            if ended is not None and any(
                later.asked_at > ended
                and later.answered_at is not None
                and later.answered_at <= since
                for later in self.changes
            ):
                continue
            possible.append(change.owner)
        return set(possible)

    def is_alone(self, change: Change) -> bool:
        """Whether nothing else was asked for about it while this change was on its way."""
        others = [other.answered_at for other in self.changes if other is not change]
        return all(at is not None and at < change.asked_at for at in others)

    @property
    def is_settled(self) -> bool:
        """Whether everybody who asked for a change was answered."""
        return all(change.answered_at is not None for change in self.changes)

    @property
    def confirmed_at(self) -> float:
        """When the app last asked to confirm it, of the requests that were answered."""
        answered = [one for one in self.changes if one.answered_at is not None]
        return max((one.asked_at for one in answered if one.owner is not None), default=0.0)


@dataclass(slots=True)
class Batch:
    """An event that LearnInk sends. `users` has the number of each item's user; `poison` is the
    index of an item that ends whoever sends it, or None."""

    event_id: str
    sent_at: float
    deadline: float
    users: Sequence[int]
    poison: int | None = None
    has_bad_item: bool = False
    #: until when one of its dead letters may live that was queued again
    second_life: float = 0.0
    accepted_at: float | None = None
    #: when its cancellation was asked for, and answered, the first time
    cancel_asked_at: float | None = None
    cancelled_at: float | None = None
    #: of a correction: what all of its items say
    text: str = ""

    def title(self, index: int) -> str:
        """What the notification of an item says."""
        if self.text:
            return self.text
        return POISON if index == self.poison else f"{self.event_id} {index}"


@dataclass(slots=True)
class DeliveryStory:
    """What happened to one delivery. A process is named with its life: "relay 0.2"."""

    event_id: str
    index: int
    device_id: int
    address: str
    user: int
    began_at: float
    #: when the chunk of its last push was begun: its device was looked up later
    begun_at: float = 0.0
    delivery_id: str = ""
    #: process -> when its last push of this delivery started, while it has no verdict
    in_flight: dict[str, float] = field(default_factory=dict)
    #: process -> where its last push of this delivery went, and when that one's chunk was begun
    went: dict[str, tuple[str, float]] = field(default_factory=dict)
    #: process -> when it heard that the vendor took it
    heard: dict[str, float] = field(default_factory=dict)
    #: failed attempts of which a living process heard
    spent: int = 0
    #: those of which a process heard that drained: it counts them until its lanes have stopped
    perhaps_spent: int = 0
    verdict: str = ""
    #: (who heard it, until when the vendor asked to wait)
    asked: tuple[str, float] = ("", 0.0)
    #: the reason of the last failed attempt, and until when its vendor asked to wait
    told: tuple[str, float] = ("", 0.0)
    #: when a row said that it waits for that, and until when; from then on every process knows
    recorded: tuple[float, float] = (0.0, 0.0)
    #: process -> how often in a row the vendor did not look at it
    unseen: Counter[str] = field(default_factory=Counter)
    #: where the push went whose address is dead, as the vendor says, and when its chunk was begun
    gone: tuple[str, float] = ("", 0.0)
    #: since when the vendor says so; None: it does not say
    gone_since: float | None = None
    #: the latest moment that any vendor's word or back-off lets it wait for
    may_wait_until: float = 0.0
    replayed: bool = False
    #: its device had another address, or another environment, when it was looked up again: the next
    #: push is the first to that one
    began_anew: bool = False

    def wait_until(self, at: float) -> None:
        """It may wait until then, or longer if it already may."""
        self.may_wait_until = max(self.may_wait_until, at)

    def unseen_wait(self, who: str, told: float) -> float:
        """How long to wait at least after a vendor did not look at it, once more."""
        self.unseen[who] += 1
        often = self.unseen[who] - _AT_ONCE
        return max(told, min(2.0**often, 30.0) / 2 if often > 0 else 0.0)

    def is_recorded(self, reason: str, now: float) -> None:
        """A row says that it waits, for this reason."""
        if reason == self.told[0] and now < self.told[1]:
            self.recorded = (now, self.told[1])


Key = tuple[str, int, int]
"""A delivery: event, index, device id."""

EPOCH = 1_800_000_000.0
"""The true wall time at which every history begins."""
MONOTONIC_BEGAN = 1000.0
"""What every monotonic clock shows then."""


class Truth:
    """All of it. `now` is the world's time, in seconds since the history began."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.batches: dict[str, Batch] = {}
        self.addresses: dict[str, AddressStory] = {}
        #: users whose erase was asked for and is not answered
        self.erasing: dict[int, None] = {}
        #: when the erase of a user was asked for and answered, the newest
        self.erased: dict[int, tuple[float, float]] = {}
        #: when each user's erase was last asked for
        self.erased_at: dict[int, float] = {}
        #: (phone, user) where somebody acted on the phone in that user's name: a process that stood
        #: still may do it when the phone is that user's
        self.thieves: dict[tuple[int, int], None] = {}
        #: events of which something stored was made unreadable: they may end as dead letters
        self.unreadable: dict[str, None] = {}
        #: devices whose row was made unreadable: their deliveries may end so, too
        self.spoilt_devices: dict[int, None] = {}

    @property
    def now(self) -> float:
        return self._now()

    @staticmethod
    def wall(at: float) -> float:
        """A time of the history as a true clock shows it (epoch seconds)."""
        return EPOCH + at
