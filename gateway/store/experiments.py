"""Experiments, and what the lot made of reminders, as rows for both engines. Pure.

Owns which rows are kept of what was drawn: nothing of a stage that is over, but for a reminder that
was held back and is to go out; and nobody is held for longer than their experiment is on, or once
they are exempt.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from gateway.core.drawn import Drawn, HeldBack, Kept, Member, Stage, Tally, What
from gateway.core.erased import Erased
from gateway.core.hashes import person_words
from gateway.core.model import ChunkItem, Item
from gateway.core.states import as_it_is
from gateway.core.stored import Unreadable, read_items, write_items

Row = tuple[Any, ...]
Place = tuple[str, str]
"""A person of an experiment: (its id, their word)."""

BEFORE_ALL = (float("-inf"), "", "")
"""The key before that of every reminder that is due: (until, experiment, person)."""


class Standing(NamedTuple):
    """How an experiment stands while rows of it are written; `ended_at` is 0 until it ends."""

    stage: str
    ended_at: float


class Rows(NamedTuple):
    """Rows in the order of their keys, none twice: new members, the newest that is held back of
    each person, who is let go and when, who is left out, and who got something else."""

    members: Sequence[Row]
    held: Sequence[Row]
    let_go: Sequence[Row]
    left_out: Sequence[Row]
    also: Sequence[Row]


def named(drawn: Sequence[Drawn], erased: Erased | None) -> Sequence[Drawn]:
    """What of it may be kept: its person was not erased since."""
    if erased is None:
        return drawn
    return [
        one
        for one in drawn
        if not erased.has(one.event_id, one.item.index, one.item.user_id, one.item.custom_id)
    ]


def words_held(drawn: Iterable[Drawn], secret: bytes) -> list[str]:
    """The words of those of whom something is held back: they may be exempt by now."""
    held = (one for one in drawn if one.what is What.HELD)
    return sorted({word for one in held for word in _words(one, secret)})


def rows_of(
    drawn: Iterable[Drawn],
    standings: Mapping[str, Standing],
    exempt: Mapping[str, float],
    secret: bytes,
) -> Rows:
    """Work out what is written. `exempt` says since when those of `words_held` are."""
    members: dict[Place, Row] = {}
    held: dict[Place, Row] = {}
    let_go: dict[Place, float] = {}
    left_out: dict[Place, Row] = {}
    also: dict[Place, Row] = {}
    for one in sorted(drawn, key=lambda one: one.since):
        place = (one.experiment, one.person)
        standing = standings.get(one.experiment)
        is_on = standing is not None and standing.stage == one.stage.value
        if one.what is What.LEFT_OUT and is_on:
            left_out.setdefault(place, (*place, one.reason, one.since))
        if one.what is What.ALSO and is_on:
            also.setdefault(place, place)
        if one.what not in (What.REMINDED, What.HELD):
            continue
        is_held, until = one.what is What.HELD, one.until
        if is_held:
            ends = [exempt[word] for word in _words(one, secret) if word in exempt]
            if standing is not None and standing.stage == Stage.ENDED.value:
                ends.append(standing.ended_at)
            if ends:
                until = let_go[place] = min(*ends, let_go.get(place, until), until)
        if is_on:
            cell = (one.app, one.platform, one.source)
            members.setdefault(place, (*place, int(is_held), one.since, until, *cell))
        # its delivery ends as held out, so it must go out one day, whatever became of the rest
        if is_held and one.keeps and one.stage is Stage.RUNNING:
            row = _held_row(one, secret)
            held[place] = max(held.get(place, row), row, key=_newest)
    gone = [(*place, at) for place, at in sorted(let_go.items())]
    by_key = [[rows[place] for place in sorted(rows)] for rows in (members, held, left_out, also)]
    return Rows(by_key[0], by_key[1], gone, by_key[2], by_key[3])


def experiment_row(kept: Kept) -> Row:
    """A row of experiments, in the order of its columns."""
    return (
        kept.id,
        kept.stage.value,
        kept.terms,
        kept.key,
        kept.dry_at,
        kept.started_at,
        kept.ends_at,
        kept.ended_at,
        kept.reason,
    )


def kept_of(row: Sequence[Any]) -> Kept:
    """An experiment, as it is read."""
    return Kept(row[0], as_it_is(Stage, row[1]), *row[2:])


def member_of(row: Sequence[Any]) -> Member:
    """A member, as it is read."""
    experiment, person, held, since, until = row
    return Member(experiment, person, bool(held), since, until)


def held_of(row: Sequence[Any]) -> HeldBack | None:
    """A reminder that is held back; None: this version cannot read its content."""
    experiment, person, event_id, _, seen_at, until, content = row
    try:
        (entry,) = read_items(content)
    except (Unreadable, ValueError):
        return None
    return HeldBack(experiment, person, event_id, entry.item, seen_at, until)


def reminder_of(row: Sequence[Any]) -> HeldBack:
    """The same for people to see; one that cannot be read has no content."""
    experiment, person, event_id, index, seen_at, until, _ = row
    nothing = Item(index, "", "", None, None, None)
    return held_of(row) or HeldBack(experiment, person, event_id, nothing, seen_at, until)


def after(row: Sequence[Any]) -> tuple[float, str, str]:
    """The key of a row that is due, behind which the next ones come."""
    return (row[5], row[0], row[1])


def tally_of(counts: Sequence[Any], left_out: Iterable[Sequence[Any]]) -> Tally:
    """How many people one has, as they are counted."""
    reminded, held, also_got, waiting = counts
    return Tally(reminded, held, {row[0]: row[1] for row in left_out}, also_got, waiting)


# --- inside ---------------------------------------------------------------------------------------


def _words(one: Drawn, secret: bytes) -> list[str]:
    """All words by which its person may be known."""
    both = person_words(secret, one.item.user_id, one.item.custom_id)
    return [word for word in dict.fromkeys((one.person, *both)) if word]


def _held_row(one: Drawn, secret: bytes) -> Row:
    content = write_items([ChunkItem(one.item)])
    both = person_words(secret, one.item.user_id, one.item.custom_id)
    place = (one.experiment, one.person, one.event_id, one.item.index)
    return (*place, one.seen_at, content, *both)


def _newest(row: Row) -> Row:
    return (row[4], row[2], row[3])
