"""Drawing scenes: faults that show only with the phones and the events that meet them.

Owns the mixture of what single faults of `drawing` leave to luck: a fault, who is touched by it,
and when notifications come. A scene may set sizes, so that its edge is near.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from random import Random
from typing import Any, NamedTuple

from tests.simulation.people import Phone, phones
from tests.simulation.plan import Act, Sizes

Where = tuple[str, str]
"""A vendor and a part of its lanes."""

_ANDROID: Where = ("fcm", "android")
_PRODUCTION: Where = ("apns", "production")
_READY_S = 0.6
"""When phones register: after those that `drawing` registers."""


class _Scene:
    """The acts of one scene, and what they are made from."""

    def __init__(self, lots: Random, sizes: Sizes, name: str) -> None:
        self.lots = lots
        self.sizes = sizes
        self.acts: list[Act] = []
        self._name = name
        self._events = 0

    def add(self, at: float, do: str, **args: Any) -> None:
        self.acts.append(Act(round(at, 4), do, args))

    def at(self, low: float, high: float) -> float:
        return self.lots.uniform(low, high)

    def registered(self, provider: str, part: str | None = None) -> list[Phone]:
        """The phones of a vendor, or of one of its parts: all of them register."""
        chosen = [
            phone
            for phone in phones(2 * self.sizes.users)
            if phone.provider == provider and part in (None, phone.part)
        ]
        for phone in chosen:
            self.add(_READY_S, "register", phone=phone.number, user=self.owner(phone))
        return chosen

    def owner(self, phone: Phone) -> int:
        return phone.number % self.sizes.users

    def events(self, ats: Iterable[float], to: list[Phone]) -> None:
        """An event at each of these times, for the owners of these phones."""
        users = list(dict.fromkeys(map(self.owner, to)))
        for at in ats:
            self._events += 1
            self.add(at, "batch", event=f"{self._name}_{self._events}", users=users)


def _wave(scene: _Scene) -> None:
    """Many phones lose the app at once; their devices were counted before."""
    gone = scene.registered(scene.lots.choice(("fcm", "fcm", "apns")))
    at = scene.at(11.0, 13.0)
    for phone in gone:
        scene.add(at, "uninstall", phone=phone.number)
    scene.events((at + 0.2, at + 0.4, at + 3.0), gone)


def _late_news(scene: _Scene) -> None:
    """Phones that had lost the app have it again, and the vendor still says since when not."""
    back = scene.registered("apns")
    at = scene.at(1.5, 3.0)
    scene.add(at, "mood", verdict="gone_before", provider="apns", seconds=8.0)
    for phone in back:
        scene.add(at, "uninstall", phone=phone.number)
        scene.add(at + 1.0, "register", phone=phone.number, user=scene.owner(phone))
    scene.events((at + 2.5, at + 5.0), back)


def _wrong_key(scene: _Scene) -> None:
    """A vendor takes nothing of a part for a while, and then all of it."""
    provider, part = scene.lots.choice((_ANDROID, _PRODUCTION))
    to, seconds = scene.registered(provider, part), round(scene.at(2.0, 8.0), 1)
    rejected = "misconfigured_part"
    scene.add(0.9, "mood", verdict=rejected, provider=provider, part=part, seconds=seconds)
    scene.events((1.0, 0.9 + seconds / 2, 1.5 + seconds), to)


def _new_key(scene: _Scene) -> None:
    """A key is replaced while pushes are on their way under the old one, which is rejected."""
    provider, part = scene.lots.choice((_ANDROID, _PRODUCTION))
    to = scene.registered(provider, part)
    rejected = "misconfigured_part"
    scene.add(0.9, "mood", verdict=rejected, provider=provider, part=part, seconds=1.0)
    scene.events((1.0, 6.0), to)
    for relay in range(scene.sizes.relays):
        scene.add(scene.at(1.5, 2.3), "reload", relay=relay)


def _two_accused(scene: _Scene) -> None:
    """The vendor rejects two phones of a part, whose pushes come first, and takes all others."""
    provider, part = scene.lots.choice((_ANDROID, _PRODUCTION))
    first, second, *others = scene.registered(provider, part)
    for phone in (first, second):
        seconds = scene.lots.choice((10.0, None))
        accused = "misconfigured_target"
        scene.add(0.9, "mood", verdict=accused, phone=phone.number, seconds=seconds)
    scene.events((1.0,), [first])
    scene.events((1.1,), [second])
    scene.events((2.5, 4.0, 6.0), [first, second, *others])


def _outage(scene: _Scene) -> None:
    """There is no way to a vendor for longer than a part may be silent."""
    provider, part = scene.lots.choice((_ANDROID, _PRODUCTION, ("fcm", None)))
    to, at = scene.registered(provider, part), scene.at(1.0, 3.0)
    mood: dict[str, Any] = {"verdict": scene.lots.choice(("not_looked_at", "silence"))}
    if part is not None:
        mood["part"] = part
    scene.add(at, "mood", provider=provider, seconds=14.0, **mood)
    scene.events((at + 0.1, at + 3.0, at + 6.0, at + 15.0), to)


def _quiet_lane(scene: _Scene) -> None:
    """A vendor asks a lane for a long silence, and a person resumes it."""
    provider = scene.lots.choice(("fcm", "apns"))
    to, at = scene.registered(provider), scene.at(1.0, 3.0)
    throttled = {"verdict": "throttled_lane", "retry_after": 600.0}
    scene.add(at, "mood", provider=provider, seconds=0.6, **throttled)
    scene.events((at + 0.1, at + 7.0), to)
    scene.add(at + 4.0, "hold", provider=provider, seconds=0.3)


def _long_pause(scene: _Scene) -> None:
    """A person pauses a lane while notifications come."""
    provider = scene.lots.choice(("fcm", "apns"))
    to, at = scene.registered(provider), scene.at(1.0, 2.0)
    scene.add(at, "hold", provider=provider, seconds=9.0)
    scene.events((at + 1.0, at + 6.0, at + 7.0, at + 8.0), to)


def _other_environment(scene: _Scene) -> None:
    """Phones are registered for the environment that does not know them."""
    strangers = scene.registered("apns")
    for phone in strangers:
        other = "sandbox" if phone.part == "production" else "production"
        user = scene.owner(phone)
        scene.add(_READY_S + 0.1, "register", phone=phone.number, user=user, environment=other)
    scene.events((1.5, 6.0, 10.0), strangers)


def _unknown_token(scene: _Scene) -> None:
    """No environment knows the address of a phone."""
    lost = scene.lots.choice(scene.registered("apns"))
    scene.add(2.0, "mood", verdict="unknown_token", phone=lost.number, seconds=6.0)
    scene.events((2.5, 4.0), [lost])


def _doomed(scene: _Scene) -> None:
    """Of many notifications for a phone some hear that its address is dead, some that it is odd."""
    doomed = scene.lots.choice(scene.registered("fcm"))
    scene.add(2.0, "mood", verdict="gone_or_refused", phone=doomed.number, seconds=8.0)
    scene.events([2.5 + number * 0.01 for number in range(6)], [doomed])


def _ill(scene: _Scene) -> None:
    """A vendor cannot serve, for longer than a delivery is tried."""
    provider = scene.lots.choice(("fcm", "apns"))
    verdict = scene.lots.choice(("unavailable", "unknown", "silence"))
    to = scene.registered(provider)
    scene.add(0.9, "mood", verdict=verdict, provider=provider, seconds=None)
    scene.events((1.0, 2.0), to)


def _throttled_phone(scene: _Scene) -> None:
    """A vendor asks for silence, for one phone alone."""
    to = scene.registered(scene.lots.choice(("fcm", "apns")))
    throttled = {"verdict": "throttled_device", "retry_after": 600.0}
    scene.add(0.9, "mood", phone=to[0].number, seconds=None, **throttled)
    scene.events((1.0,), to[:1])
    scene.events((3.0, 5.0), to)


def _rejections(scene: _Scene) -> None:
    """Now and then a push is rejected; see `rejected_share`."""
    to = scene.registered("fcm")
    scene.events((2.0, 3.0, 5.0, 7.0), to)


class _Kind(NamedTuple):
    """A kind of scene: the share of the histories that play it, its acts, and its sizes."""

    share: float
    play: Callable[[_Scene], None]
    needs: Mapping[str, Any] = {}


_KINDS = {
    "wave": _Kind(
        0.02, _wave, {"users": 12, "brake_share": 0.3, "brake_min_devices": 1, "faults_end_s": 20.0}
    ),
    "late_news": _Kind(0.02, _late_news),
    "wrong_key": _Kind(0.03, _wrong_key, {"max_age_s": 300.0}),
    "new_key": _Kind(0.02, _new_key, {"vendor_s": (0.4, 2.0)}),
    "two_accused": _Kind(0.02, _two_accused, {"users": 6, "chunk_items": 6}),
    "outage": _Kind(0.02, _outage, {"silent_s": 5.0, "faults_end_s": 20.0}),
    "quiet_lane": _Kind(0.02, _quiet_lane, {"max_age_s": 300.0}),
    "long_pause": _Kind(0.02, _long_pause),
    "other_environment": _Kind(0.03, _other_environment),
    "unknown_token": _Kind(0.02, _unknown_token),
    "doomed": _Kind(0.02, _doomed, {"chunk_items": 2, "claim_chunks": 1}),
    "ill": _Kind(0.02, _ill, {"max_attempts": 2, "max_age_s": 300.0}),
    "throttled_phone": _Kind(0.02, _throttled_phone, {"max_age_s": 300.0}),
    "rejections": _Kind(0.03, _rejections),
}
SCENES = {name: kind.share for name, kind in _KINDS.items()}
"""The share of the histories in which each scene is played."""


def scene_sizes(sizes: Sizes, on: set[str]) -> Sizes:
    """The sizes of a history in which these faults are on."""
    for name, kind in _KINDS.items():
        if name in on:
            sizes = replace(sizes, **kind.needs)
    return sizes


def rejected_share(lots: Random) -> dict[str, float]:
    """The noise of the scene of rejections: some part of the pushes, each a fault of its own."""
    return {lots.choice(("misconfigured_part", "misconfigured_target")): lots.choice((0.05, 0.15))}


def scene(lots: Random, sizes: Sizes, name: str) -> list[Act]:
    """The acts of a scene."""
    played = _Scene(lots, sizes, name)
    _KINDS[name].play(played)
    return played.acts
