"""The phones of a sandbox of which somebody said more than that they are there.

Owns which address is which phone's, the way of a request to its `Handset`, and the memory of what
became of each push. An address that nobody spoke of is not here, and costs nothing: it is a phone
that is on and shows everything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from math import inf
from random import Random
from typing import Any

from providers.sandbox.handset import Fate, Handset, Kind, Outcome, Parcel, Service
from providers.sandbox.parcels import apns_parcel, fcm_parcel
from providers.sandbox.received import Draft, ReceivedPush

_SERVICES = {"android": Service.ANDROID, "ios": Service.APNS, "web": Service.WEB}


class BadPhone(ValueError):
    """What a phone is told cannot be."""


@dataclass(frozen=True, slots=True)
class PhoneChange:
    """What a phone is told; None leaves it as it is.

    `words` are those that answered its registration (none: nobody is logged in). `platform` is for
    an FCM address; without it the message decides.
    """

    platform: str | None = None
    notifications: str | None = None
    words: Collection[str] | None = None
    app: str | None = None
    state: str | None = None

    def __post_init__(self) -> None:
        for name, values in _VALUES.items():
            if getattr(self, name) not in (None, *values):
                raise BadPhone(f"{name} must be {' or '.join(values)}")
        if self.app == "open" and self.state == "off":
            raise BadPhone("a phone that is off has no app open")


_VALUES = {
    "platform": tuple(_SERVICES),
    "notifications": ("granted", "denied"),
    "app": ("open", "closed"),
    "state": ("on", "off"),
}


@dataclass(slots=True)
class Phone:
    """A phone, and what became of every push for it, in order."""

    handset: Handset[ReceivedPush]
    service: Service | None = None
    outcomes: list[Outcome[ReceivedPush]] = field(default_factory=list)

    def shown(self) -> list[ReceivedPush]:
        """What it shows, in the order in which it came."""
        return [outcome.parcel.push for outcome in self.handset.shade]

    def to_json(self, address: str, now: float) -> dict[str, Any]:
        """All there is to see of it."""
        handset = self.handset
        return {
            "address": address,
            "platform": next(
                (name for name, one in _SERVICES.items() if one is self.service), None
            ),
            "state": "on" if handset.is_on else "off",
            "notifications": "granted" if handset.is_granted else "denied",
            "app": "open" if handset.is_open else "closed",
            "for": None if handset.words is None else sorted(handset.words),
            "shown": [
                one.parcel.push.to_json() | {"shown_at": one.at, "is_theirs": one.is_theirs}
                for one in handset.shade
            ],
            "kept": [parcel.push.to_json() for parcel in handset.kept(now)],
            "told_of_discarded": handset.told_of_discarded,
            "fates": [
                {
                    "seq": one.parcel.push.seq,
                    "fate": one.fate.value,
                    "at": one.at,
                    "reached_app": one.reached_app,
                    "is_theirs": one.is_theirs,
                }
                for one in self.outcomes
            ],
        }


class Phonebook:
    """The phones by address. Lots decide what the vendors leave open, in every sandbox the same."""

    def __init__(self) -> None:
        self._lot = Random(0).randrange  # noqa: S311 - no secret
        self.phones: dict[str, Phone] = {}
        self.fates: Counter[Fate] = Counter()

    def meet(self, address: str, shown: Iterable[ReceivedPush]) -> Phone:
        """The phone with this address; `shown` is what it shows if nobody spoke of it before."""
        phone = self.phones.get(address)
        if phone is None:
            phone = self.phones[address] = Phone(Handset(self._lot))
            for push in shown:
                known = Parcel(push, Service.WEB, Kind.NOTIFICATION, inf, tag=push.collapse_id)
                phone.handset.take(known, push.at)
        return phone

    def deliver(self, phone: Phone, push: ReceivedPush, draft: Draft) -> None:
        """A vendor took a push for it."""
        raw = draft.raw or {}
        if push.provider == "apns":
            headers = {**push.headers, "collapse_id": push.collapse_id}
            parcel = apns_parcel(push, headers, raw, push.data, push.at)
        else:
            parcel = fcm_parcel(push, raw, push.at, phone.service)
        self._note(phone, phone.handset.take(parcel, push.at))

    def change(self, phone: Phone, change: PhoneChange, now: float) -> None:
        """Tell a phone all of this, as it were at once; what was kept comes last."""
        handset = phone.handset
        if change.app == "open" and not handset.is_on and change.state is None:
            raise BadPhone("a phone that is off has no app open")
        if change.platform is not None:
            phone.service = _SERVICES[change.platform]
        if change.notifications == "granted":
            handset.grant()
        elif change.notifications == "denied":
            handset.deny()
        if change.words is not None:
            handset.log_in(change.words)
        if change.app is not None:
            handset.is_open = change.app == "open"
        if change.state == "off":
            handset.turn_off()
        elif change.state == "on":
            self._note(phone, handset.turn_on(now))

    def reinstall(self, address: str, new: str, now: float) -> None:
        """The app went, and is there again with a new address. BadPhone: it cannot be."""
        phone = self.phones[address]
        if not phone.handset.is_on:
            raise BadPhone("a phone that is off cannot install anything")
        if new in self.phones:
            raise BadPhone("the new address is another phone's, or the same one")
        self._note(phone, phone.handset.reinstall(now))
        self.phones[new] = self.phones.pop(address)

    def clear(self) -> None:
        """Forget the pushes; the phones stay as they are."""
        self.fates.clear()
        for phone in self.phones.values():
            phone.handset.forget()
            phone.outcomes.clear()

    def _note(self, phone: Phone, outcomes: Iterable[Outcome[ReceivedPush]]) -> None:
        for outcome in outcomes:
            phone.outcomes.append(outcome)
            self.fates[outcome.fate] += 1
