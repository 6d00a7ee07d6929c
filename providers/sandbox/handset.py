"""One phone: what its push service keeps for it while it is off, and what it then shows to whom.

Owns the rules of both, by the vendors' own words (quoted in deploy/docs/phones.md). Pure: the
time and the lots that vendors leave open are handed in, and nothing is read or written. Refuses to
know requests: `parcels` makes a `Parcel` of one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

KEPT_KEYS = 4
"""Collapse keys that FCM keeps for a phone, "with no determining factor on which"."""
KEPT_UNCOLLAPSED = 100
"""Messages without a collapse key that FCM keeps for a phone; one more, and all are discarded."""

P = TypeVar("P")
Lot = Callable[[int], int]
"""Which of so many, counted from 0, where a vendor says that nothing decides it."""


class Service(StrEnum):
    """Whose rules hold while a phone is off."""

    ANDROID = "android"
    APNS = "apns"
    WEB = "web"


class Kind(StrEnum):
    """What a push asks the phone to do."""

    NOTIFICATION = "notification"
    """The system shows it; the app sees it first only if it is open."""
    MUTABLE = "mutable"
    """The system shows it once a part of the app has looked at it (APNs' mutable-content)."""
    DATA = "data"
    """The app gets it, and shows what it holds."""
    BACKGROUND = "background"
    """The app gets it. There is nothing to show."""


class Fate(StrEnum):
    """What became of a push that a vendor took."""

    KEPT = "kept"
    """The phone is off: the vendor keeps it."""
    LOST = "lost"
    """The phone is off, and the sender asked that it is not kept."""
    REPLACED = "replaced"
    """A newer one took its place while the vendor kept it."""
    DISCARDED = "discarded"
    """The vendor kept too many, or the app that it was for is gone."""
    EXPIRED = "expired"
    """Its time was over before it could reach the phone."""
    SHOWN = "shown"
    """The phone showed it."""
    MUTED = "muted"
    """It reached the phone, whose owner does not want notifications of this app."""
    DROPPED = "dropped"
    """The app looked first: it is for nobody who is logged in."""
    UNSEEN = "unseen"
    """It reached the app, and holds nothing to show."""


@dataclass(frozen=True, slots=True)
class Parcel(Generic[P]):
    """A push as its vendor took it; `push` is what the caller knows it by.

    `until` is when its time is over (epoch seconds); `is_kept` False: now or never. `app` is the
    bundle id. `collapse_key` is FCM's key or the topic of the web. `tag` is what it replaces on the
    phone, and `word` says for whom it is.
    """

    push: P
    service: Service
    kind: Kind
    until: float
    is_kept: bool = True
    app: str = ""
    collapse_key: str = ""
    tag: str = ""
    word: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome(Generic[P]):
    """A push's fate at a time (epoch seconds). `reached_app`: code of the app ran, so that it could
    say that the push was received. `is_theirs`: it is for who is logged in; None: nobody knows."""

    parcel: Parcel[P]
    fate: Fate
    at: float
    reached_app: bool = False
    is_theirs: bool | None = None


class Handset(Generic[P]):
    """A phone that is on, allows notifications, and on which nobody was logged in or out yet.

    Every change takes the time and returns what became of pushes by it, in order. A phone asks no
    clock: times must not go back.
    """

    def __init__(self, lot: Lot) -> None:
        self._lot = lot
        self.is_on = True
        self.is_granted = True
        #: whether the app is open: then it sees every push first
        self.is_open = False
        #: the words of who is logged in; None: the app looks at nobody's
        self.words: frozenset[str] | None = None
        #: how often FCM told the app that it discarded all it had kept
        self.told_of_discarded = 0
        self._owes_word = False
        self._kept: dict[Hashable, Parcel[P]] = {}
        self._shade: dict[Hashable, Outcome[P]] = {}
        self._count = 0

    # --- what there is to see -------------------------------------------------------------------

    @property
    def shade(self) -> list[Outcome[P]]:
        """What the phone shows, in the order in which it came."""
        return list(self._shade.values())

    def kept(self, now: float) -> list[Parcel[P]]:
        """What its vendor keeps for it, oldest first."""
        return [parcel for parcel in self._kept.values() if parcel.until > now]

    # --- what happens to it ---------------------------------------------------------------------

    def take(self, parcel: Parcel[P], now: float) -> list[Outcome[P]]:
        """A vendor took a push for it."""
        if parcel.is_kept and parcel.until <= now:
            return [Outcome(parcel, Fate.EXPIRED, now)]
        if self.is_on:
            return [self._arrive(parcel, now)]
        if not parcel.is_kept:
            return [Outcome(parcel, Fate.LOST, now)]
        return self._keep(parcel, now)

    def turn_off(self) -> None:
        """It is off, or where there is no network; the app is not open any more."""
        self.is_on = self.is_open = False

    def turn_on(self, now: float) -> list[Outcome[P]]:
        """It is on again: what was kept for it comes, in the order in which it was sent."""
        self.is_on = True
        outcomes = self._expire(now)
        kept, self._kept = list(self._kept.values()), {}
        self.told_of_discarded += self._owes_word
        self._owes_word = False
        return [*outcomes, *(self._arrive(parcel, now) for parcel in kept)]

    def deny(self) -> None:
        """Its owner forbids the app to notify: what it shows goes away, and nothing comes."""
        self.is_granted = False
        self._shade.clear()

    def grant(self) -> None:
        """Its owner allows the app to notify."""
        self.is_granted = True

    def log_in(self, words: Collection[str]) -> None:
        """The app drops from now on what is for none of these words, where it may look first. No
        words: nobody is logged in. What the phone shows already stays."""
        self.words = frozenset(words)

    def reinstall(self, now: float) -> list[Outcome[P]]:
        """The app went and is there again, as new: nothing is shown, and nobody is logged in."""
        self._shade.clear()
        self.is_open = False
        if self.words is not None:
            self.words = frozenset()
        gone, self._kept = [*self._expire(now), *self._discard(list(self._kept), now)], {}
        self._owes_word = False
        return gone

    def forget(self) -> None:
        """Nothing was ever sent to it."""
        self._shade.clear()
        self._kept.clear()
        self.told_of_discarded = 0
        self._owes_word = False

    # --- at the vendor's ------------------------------------------------------------------------

    def _keep(self, parcel: Parcel[P], now: float) -> list[Outcome[P]]:
        outcomes = self._expire(now)
        self._count += 1
        shared = _slot(parcel)
        slot = (parcel.service, self._count) if shared is None else shared
        former = self._kept.pop(slot, None)
        if former is not None:
            outcomes.append(Outcome(former, Fate.REPLACED, now))
        self._kept[slot] = parcel
        outcomes.append(Outcome(parcel, Fate.KEPT, now))
        if parcel.service is Service.ANDROID:
            outcomes += self._within_limits(now)
        return outcomes

    def _within_limits(self, now: float) -> list[Outcome[P]]:
        """What FCM discards because it keeps too much for an Android phone."""
        slots = [slot for slot, kept in self._kept.items() if kept.service is Service.ANDROID]
        keys = [slot for slot in slots if _slot(self._kept[slot]) is not None]
        if len(slots) - len(keys) > KEPT_UNCOLLAPSED:
            self._owes_word = True
            return self._discard(slots, now)
        if len(keys) > KEPT_KEYS:
            return self._discard([keys[self._lot(len(keys))]], now)
        return []

    def _discard(self, slots: Iterable[Hashable], now: float) -> list[Outcome[P]]:
        return [Outcome(self._kept.pop(slot), Fate.DISCARDED, now) for slot in slots]

    def _expire(self, now: float) -> list[Outcome[P]]:
        overdue = [slot for slot, parcel in self._kept.items() if parcel.until <= now]
        return [Outcome(self._kept.pop(slot), Fate.EXPIRED, now) for slot in overdue]

    # --- on the phone ---------------------------------------------------------------------------

    def _arrive(self, parcel: Parcel[P], now: float) -> Outcome[P]:
        is_theirs = None if self.words is None else parcel.word in self.words
        reached = self.is_open or parcel.kind in (Kind.DATA, Kind.BACKGROUND)
        # iOS asks a notification service extension only about what will be shown
        reached = reached or (parcel.kind is Kind.MUTABLE and self.is_granted)
        if parcel.kind is Kind.BACKGROUND:
            fate = Fate.UNSEEN
        elif reached and is_theirs is False:
            fate = Fate.DROPPED
        elif not self.is_granted:
            fate = Fate.MUTED
        else:
            fate = Fate.SHOWN
        outcome = Outcome(parcel, fate, now, reached, is_theirs)
        if fate is Fate.SHOWN:
            self._count += 1
            tag: Hashable = parcel.tag or self._count
            self._shade.pop(tag, None)
            self._shade[tag] = outcome
        return outcome


def _slot(parcel: Parcel[P]) -> Hashable | None:
    """What a push shares its place at the vendor's with; None: it has one of its own."""
    match parcel.service:
        case Service.APNS:
            return (parcel.service, parcel.app)
        case Service.WEB:
            return (parcel.service, parcel.collapse_key) if parcel.collapse_key else None
        case Service.ANDROID:
            # the package name stands for the key of every notification message
            if parcel.kind is Kind.NOTIFICATION:
                return (parcel.service, parcel.kind)
            return (parcel.service, "key", parcel.collapse_key) if parcel.collapse_key else None
