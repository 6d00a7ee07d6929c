"""Pausing and resuming lanes, by the names that people write.

Owns what a name stands for: an app is all of its lanes, a lane all of its parts. The state is in
the store, so this works on a running gateway, from any machine that reaches the store.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.app.storage import Stores
from gateway.core.audit import Actor, names_of
from gateway.core.clocks import Wall
from gateway.core.model import lane_name
from gateway.errors import GatewayError
from gateway.ports import LaneRow, Standing
from providers.vendor import Vendors

if TYPE_CHECKING:
    from config.settings import Settings


class UnknownLane(GatewayError):
    """No lane or part has this name."""


@dataclass(frozen=True, slots=True)
class Place:
    """A part of a lane: what the store knows of the lane, and how the part stands.

    `lane_parts` are all parts of its lane.
    """

    row: LaneRow
    part: str
    standing: Standing
    lane_parts: tuple[str, ...]

    @property
    def lane(self) -> str:
        return lane_name(self.row.app, self.row.provider)

    @property
    def name(self) -> str:
        return f"{self.lane}/{self.part}"


async def places(settings: Settings, stores: Stores, vendors: Vendors, *, now: Wall) -> list[Place]:
    """Every part of the configured lanes, and of those that were ever seen."""
    rows = {(row.app, row.provider): row for row in await stores.lanes.all()}
    for app in settings.apps:
        for vendor in app.vendors:
            rows.setdefault((app.id, vendor), LaneRow(app.id, vendor))
    found = []
    for key in sorted(rows):
        row = rows[key]
        known = vendors.get(row.provider)
        parts = known.parts if known else tuple(part.part for part in row.parts)
        found += [Place(row, part, row.standing(part, now), parts) for part in parts]
    return found


def named(known: Sequence[Place], names: Sequence[str]) -> list[Place]:
    """The parts that these names stand for: APP, APP/PROVIDER or APP/PROVIDER/PART; none: all.

    A name may come as separate words. Raises UnknownLane.
    """
    lanes = {place.lane for place in known}
    if len(names) in (2, 3) and "/".join(names[:2]) in lanes:
        names = ["/".join(names)]
    for name in names:
        if not any(_stands_for(name, place) for place in known):
            listed = ", ".join(place.name for place in known) or "none: no app is configured"
            raise UnknownLane(f"there is no lane {name}; there are {listed}")
    return [place for place in known if not names or any(_stands_for(n, place) for n in names)]


async def pause(
    stores: Stores, chosen: Sequence[Place], *, reason: str, now: Wall, actor: Actor
) -> list[str]:
    """Pause parts; a whole lane at once, so that relays of any version obey. Without a reason the
    previous one stays. Returns the names of what is paused."""
    held = []
    for row, parts, whole in _by_lane(chosen):
        names = _names(row, parts, whole=whole)
        for part, name in zip([""] if whole else parts, names, strict=True):
            before = row if row.held == "operator" else row.part(part)
            kept = before.reason if before.held == "operator" else ""
            await stores.lanes.hold(
                row.app,
                row.provider,
                part,
                by="operator",
                reason=reason or kept,
                now=now,
                act=actor.does("lanes.pause", name, at=now),
            )
        held += names
    return held


async def resume(stores: Stores, chosen: Sequence[Place], *, now: Wall, actor: Actor) -> list[str]:
    """Resume parts. If their lane is paused as a whole, its other parts stay paused. Returns the
    names of what was paused, held, accused or quiet."""
    lifted = []
    for row, parts, whole in _by_lane(chosen):
        if not whole and row.held == "operator":
            every = _all_parts(chosen, row)
            lifted += await _resume_some(stores, row, parts, every, now=now, actor=actor)
            continue
        names = _names(row, parts, whole=whole)
        for part, name in zip([""] if whole else parts, names, strict=True):
            act = actor.does("lanes.resume", name, at=now)
            if await stores.lanes.resume(
                row.app, row.provider, part, by="operator", now=now, act=act
            ):
                lifted.append(name)
    return lifted


async def _resume_some(
    stores: Stores,
    row: LaneRow,
    parts: Sequence[str],
    all_parts: Sequence[str],
    *,
    now: Wall,
    actor: Actor,
) -> list[str]:
    """Resume some parts of a lane that is paused as a whole: pause the others one by one."""
    names = _names(row, parts, whole=False)
    act = actor.does("lanes.resume", names_of(names), at=now)
    await stores.lanes.resume(row.app, row.provider, "", by="operator", now=now, act=act)
    for part in all_parts:
        if part not in parts:
            await stores.lanes.hold(
                row.app, row.provider, part, by="operator", reason=row.reason, now=now
            )
    return names


def _stands_for(name: str, place: Place) -> bool:
    return name in (place.row.app, place.lane, place.name)


def _by_lane(chosen: Sequence[Place]) -> list[tuple[LaneRow, list[str], bool]]:
    """The chosen parts of each lane, and whether they are all it has."""
    groups: dict[str, list[Place]] = {}
    for place in chosen:
        groups.setdefault(place.lane, []).append(place)
    return [
        (group[0].row, [one.part for one in group], len(group) == len(group[0].lane_parts))
        for group in groups.values()
    ]


def _all_parts(chosen: Sequence[Place], row: LaneRow) -> tuple[str, ...]:
    return next(place.lane_parts for place in chosen if place.row is row)


def _names(row: LaneRow, parts: Sequence[str], *, whole: bool) -> list[str]:
    lane = lane_name(row.app, row.provider)
    return [lane] if whole else [f"{lane}/{part}" for part in parts]
