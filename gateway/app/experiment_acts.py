"""What people do with experiments: plan, start, end, list.

Owns when one may start, and what is told of how it stands. The state is in the store, so this works
beside a running gateway, from any machine that reaches it; a relay follows within a second.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from gateway.app.experimenting import ends_at, experiment_of
from gateway.core.drawn import Kept, Stage, Tally
from gateway.core.effect import half_width, people_needed
from gateway.core.effect_cells import LEAST
from gateway.core.experiments import MOST_S, changed, experiment_in, text_of
from gateway.core.instants import to_iso
from gateway.errors import GatewayError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from config.experiments import ExperimentSettings
    from config.settings import Settings
    from gateway.app.storage import Stores
    from gateway.core.audit import Actor

KEY_BYTES = 32
PEOPLE = (300, 1_000, 3_000, 10_000, 30_000)
LIFTS = (3, 5, 10)
_DAY_S = 86_400.0


class NotNow(GatewayError):
    """The experiment may not be begun, or ended, as it stands."""


@dataclass(frozen=True, slots=True)
class Started:
    """What a start did: the experiment as it is kept now, and what the dry run before it noted.
    `changed` are the settings for which the dry run had to begin anew."""

    kept: Kept
    noted: Tally
    changed: tuple[str, ...] = ()


def named(settings: Settings, name: str) -> ExperimentSettings:
    """The experiment of this name in the configuration. Raises NotNow."""
    known = {one.id: one for one in settings.experiments}
    if name not in known:
        listed = ", ".join(known) or "none"
        raise NotNow(f"there is no [[experiments]] {name}; the configuration has {listed}")
    return known[name]


def planned(*, base: float, holdout: float) -> dict[str, Any]:
    """What experiments with this share held back can find, before anybody is."""
    return {
        "base": base,
        "holdout": holdout,
        "widths": [
            {
                "people": people,
                "held": round(people * holdout),
                "points": round(100 * half_width(people=people, base=base, holdout=holdout), 1),
            }
            for people in PEOPLE
        ],
        "needed": [
            {"points": lift, "people": people_needed(base=base, lift=lift / 100, holdout=holdout)}
            for lift in LIFTS
        ],
    }


async def start(
    stores: Stores, settings: Settings, name: str, *, actor: Actor, secret: Callable[[int], bytes]
) -> Started:
    """Begin the dry run of an experiment; or, once that is over, have people enter.

    Raises NotNow, with nothing changed, where it may not.
    """
    asked, now = named(settings, name), stores.clocks.wall()
    experiment = experiment_of(asked)
    last = ends_at(asked, settings.effect.zone)
    experiments = stores.store.experiments
    before = {one.id: one for one in await experiments.all()}.get(name)
    if last <= now:
        raise NotNow(f"{name} ends on {asked.ends}, which is over; give it a later day")
    if before is not None and before.stage is Stage.RUNNING:
        raise NotNow(f"{name} runs already, since {to_iso(before.started_at)}")
    if before is not None and before.stage is Stage.ENDED:
        raise NotNow(f"{name} has ended; give the next one another name")
    other = changed(experiment_in(before.terms), experiment) if before is not None else ()
    dry_s = asked.dry_run_days * _DAY_S
    if before is None or other:
        stage = Stage.DRY if dry_s else Stage.RUNNING
    elif now < before.dry_at + dry_s:
        raise NotNow(
            f"the dry run of {name} goes on until {to_iso(before.dry_at + dry_s)}; start it again "
            "then"
        )
    else:
        stage = Stage.RUNNING
    dry_at = now if before is None or other else before.dry_at
    if stage is Stage.RUNNING and last - now > MOST_S:
        raise NotNow(
            f"{name} would run until {asked.ends}; it may for {MOST_S / _DAY_S:.0f} days at most"
        )
    noted = Tally() if before is None else await experiments.tally(name)
    kept = Kept(
        id=name,
        stage=stage,
        terms=text_of(experiment),
        key=secret(KEY_BYTES),
        dry_at=dry_at,
        started_at=now if stage is Stage.RUNNING else 0.0,
        ends_at=last,
    )
    word = "dry run" if stage is Stage.DRY else "start"
    reasoned = replace(actor, reason=_why(asked, actor.reason))
    act = reasoned.does("experiments.start", f"{name}: {word}", at=now)
    if not await experiments.begin(kept, act=act):
        raise NotNow(f"{name} was begun or ended by somebody else just now")
    return Started(kept, noted, tuple(other))


async def stop(stores: Stores, name: str, *, actor: Actor) -> None:
    """End an experiment: nobody enters any more, and whoever is held is let go. Raises NotNow."""
    now = stores.clocks.wall()
    act = actor.does("experiments.end", name, at=now)
    reason = actor.reason or f"ended by {actor.who}"
    if not await stores.store.experiments.end(name, at=now, reason=reason, act=act):
        raise NotNow(f"{name} does not run; `inkpush experiments list` shows those that do")


async def listed(stores: Stores, settings: Settings) -> list[dict[str, Any]]:
    """Every experiment that the configuration names or that was begun, and how it stands. Counts of
    people are rounded down to twenties, so that none is about one person."""
    kept = {one.id: one for one in await stores.store.experiments.all()}
    asked = {one.id: one for one in settings.experiments}
    found = []
    for name in sorted({**kept, **asked}):
        one = kept.get(name)
        view: dict[str, Any] = {"experiment": name, "stage": "not begun"}
        if one is not None:
            tally = await stores.store.experiments.tally(name)
            view = {
                "experiment": name,
                "stage": one.stage.value,
                "dry_run_at": to_iso(one.dry_at),
                "started_at": to_iso(one.started_at) if one.started_at else None,
                "ends_at": to_iso(one.ends_at),
                "ended_at": to_iso(one.ended_at) if one.ended_at else None,
                "reason": one.reason,
                **counts(tally),
            }
        if name not in asked:
            view["note"] = "the configuration does not name it"
        elif one is not None and one.stage is Stage.RUNNING:
            other = changed(experiment_in(one.terms), experiment_of(asked[name]))
            if other:
                view["note"] = f"the configuration says otherwise: {', '.join(other)}"
        found.append(view)
    return found


def counts(tally: Tally) -> dict[str, Any]:
    """What is told of how many people there are."""
    return {
        "reminded": coarse(tally.reminded),
        "held": coarse(tally.held),
        "left_out": {why: coarse(count) for why, count in sorted(tally.left_out.items())},
        "also_got": coarse(tally.also_got),
    }


def coarse(count: int) -> int:
    """A count of people, down to twenties: 0 is fewer than 20."""
    return count // LEAST * LEAST


def _why(asked: ExperimentSettings, given: str) -> str:
    """Who allowed it and for what, for the audit table."""
    told: Sequence[str] = (f"approved by {asked.approved_by}: {asked.purpose}", given)
    return "; ".join(one for one in told if one)
