"""Experiments: who may enter one, whom the lot holds, and until when. Pure.

Owns eligibility, which is decided before the lot and by the same code for both groups, and the lot
itself. People enter once, by the id that the reminder carries; nothing is asked of the registry
but what their devices are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Literal, NamedTuple

from gateway.core.experiments import Experiment
from gateway.core.model import Item, Target
from gateway.core.sources import LEARNINK
from gateway.core.suppressing import fits

LeftOut = Literal["no_device", "shared", "exempt", "not_measured", "only_users", "held_lately"]
"""Why a person does not enter, in the order in which it is asked."""

SHARED_S = 90 * 86_400.0
"""A phone that had another user this lately shows one person's reminder to the other."""
LATELY_S = 28 * 86_400.0
"""So long after another experiment held somebody out, that one may still show."""
_WHOLE = 2**64
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip


class Standing(NamedTuple):
    """What is known of a person before the lot. `targets` are their devices, without stale ones;
    `user_changed_at` is when each of them came from another user (None: from none that is known),
    by its number; `held_until` is when the last hold by another experiment ended, 0 if none did."""

    targets: Sequence[Target]
    user_changed_at: Mapping[int, float | None]
    is_exempt: bool = False
    held_until: float = 0.0


def person_of(experiment: Experiment, item: Item) -> str | None:
    """Whom an item is a reminder for, in this experiment; None: it is none of it. An item without a
    path is none, nor is a correction: what it corrects is on the phone."""
    path = item.path
    if not path or item.collapse_id is not None:
        return None
    if (item.source or LEARNINK) not in experiment.sources:
        return None
    if not any(fits(one, path) for one in experiment.paths):
        return None
    if any(fits(one, path) for one in experiment.never_paths):
        return None
    return item.user_id if experiment.person == "user_id" else item.custom_id


def left_out(item: Item, standing: Standing, *, now: float, measure: str) -> LeftOut | None:
    """Why a person does not enter; None: they do. `measure` is `[privacy] measure`."""
    if not any(is_able(one) for one in standing.targets):
        return "no_device"
    changes = (standing.user_changed_at.get(one.device_id) for one in standing.targets)
    if any(at is not None and at > now - SHARED_S for at in changes):
        return "shared"
    if standing.is_exempt:
        return "exempt"
    said = {one.measure for one in standing.targets}
    if "denied" in said or (measure == "opt_in" and "granted" not in said):
        return "not_measured"
    if item.limits is not None and item.limits.users is not None:
        return "only_users"
    if standing.held_until and standing.held_until > now - LATELY_S:
        return "held_lately"
    return None


def is_able(target: Target) -> bool:
    """Whether a device may show something, as far as is known."""
    return not target.is_denied and not target.fault


def is_held(experiment: Experiment, person: str, key: bytes) -> bool:
    """Whether the lot holds a person: the same on every replica, and known to nobody without the
    key, which is made for this experiment alone."""
    text = experiment.id.encode() + b"\0" + person.encode("utf-8", "surrogatepass")
    drawn = int.from_bytes(blake2b(text, key=key, digest_size=8).digest())
    return drawn < experiment.holdout * _WHOLE


def until(experiment: Experiment, since: float) -> float:
    """Until when somebody who entered then is held, and never longer."""
    return since + experiment.window_s


def reason(experiment_id: str, held_until: float) -> str:
    """The reason of a delivery that is held out."""
    day = datetime.fromtimestamp(held_until, UTC)
    return f"held back by experiment {experiment_id} until {day.day} {_MONTHS[day.month - 1]}"
