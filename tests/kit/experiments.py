"""People of experiments and what they did, as the rows of a store."""

from __future__ import annotations

from gateway.core.hashes import person_word
from tests.kit.build import NOW
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
