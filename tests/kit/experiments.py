"""People of experiments and what they did, as the rows of a store."""

from __future__ import annotations

from typing import Any

from gateway.core.drawn import Drawn, Kept, Stage, What
from gateway.core.hashes import person_word
from tests.kit.build import NOW, item
from tests.kit.stores import SECRET


def word(user: str) -> str:
    """The word under which a store keeps this `user_id`."""
    return person_word(SECRET, "user_id", user).hex()


def member(
    experiment: str,
    user: str,
    *,
    held: bool = False,
    since: float = NOW,
    app: str = "agent",
    platform: str = "android",
) -> str:
    """The statement that has somebody enter."""
    values = f"'{experiment}', '{word(user)}', {int(held)}, {since!r}, {since + 604_800!r}"
    return (
        "INSERT INTO experiment_members "
        "(experiment, person, held, since, until, app, platform, source) "
        f"VALUES ({values}, '{app}', '{platform}', 'learnink')"
    )


def outcome(user: str, kind: str, at: float, *, seq: int = 1, what: str = "") -> str:
    """The statement that has somebody do something."""
    return (
        "INSERT INTO learning_outcomes (person, type, occurred_at, seq, object) "
        f"VALUES ('{word(user)}', '{kind}', {at!r}, {seq}, '{what}')"
    )


WINDOW_S = 604_800.0


def kept(stage: Stage = Stage.RUNNING, experiment: str = "spring", **changed: Any) -> Kept:
    """An experiment that begins now, for two months."""
    values: dict[str, Any] = {
        "terms": '{"holdout": 0.1}',
        "key": b"k" * 32,
        "dry_at": NOW - 86_400.0,
        "started_at": NOW if stage is Stage.RUNNING else 0.0,
        "ends_at": NOW + 60 * 86_400.0,
    }
    return Kept(experiment, stage, **(values | changed))


def drawn(what: What = What.HELD, user: str = "mary", **changed: Any) -> Drawn:
    """What the lot made now of a reminder of somebody, in an experiment that runs."""
    values: dict[str, Any] = {
        "stage": Stage.RUNNING,
        "experiment": "spring",
        "person": word(user),
        "event_id": "msg_1",
        "item": item(0, user_id=user),
        "since": NOW,
        "seen_at": NOW,
        "app": "agent",
        "platform": "android",
        "source": "learnink",
        "reason": "no_device" if what is What.LEFT_OUT else "",
        "keeps": what is What.HELD,
    } | changed
    return Drawn(what, until=values.pop("until", values["since"] + WINDOW_S), **values)
