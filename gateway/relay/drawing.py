"""Drawing lots: whose reminders an experiment holds back, asked once a chunk.

Owns whether anything is asked at all (`is_on`), and what becomes of each item of a chunk. Who may
enter and whom the lot holds is `core.lots`'; that what was drawn is on record with the deliveries
is `write`'s. While the time is doubted nobody enters, and nothing is held.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gateway.core.drawn import Drawn, Member, Met, Stage, What
from gateway.core.experiments import Experiment
from gateway.core.fanout import Known
from gateway.core.hashes import person_words
from gateway.core.lots import Standing, is_able, is_held, left_out, person_of, reason, until
from gateway.core.model import Chunk, Item, Target
from gateway.core.sources import LEARNINK
from gateway.ports import Experiments


@dataclass(frozen=True, slots=True)
class Begun:
    """An experiment in force. `ends_at` is from when on nobody enters."""

    experiment: Experiment
    stage: Stage
    key: bytes
    ends_at: float


class Lots(NamedTuple):
    """What became of a chunk: `reasons` of the items that are held back, by index, and the rows."""

    reasons: Mapping[int, str]
    rows: Sequence[Drawn]


NONE = Lots({}, ())


class Drawing:
    """Asks `experiments`; without it, nobody is ever held. `secret` makes the words of people."""

    def __init__(self, experiments: Experiments | None = None, secret: bytes = b"") -> None:
        self._experiments = experiments
        self._secret = secret
        self._begun: Sequence[Begun] = ()
        self._measure = ""
        self.is_on = False

    def learn(self, begun: Sequence[Begun], measure: str) -> None:
        """Which experiments are in force now, and `[privacy] measure`."""
        self._begun, self._measure = begun, measure
        self.is_on = bool(begun) and self._experiments is not None

    async def among(
        self,
        chunk: Chunk,
        targets: Sequence[Sequence[Target]],
        known: Known,
        *,
        done: Mapping[int, str],
        now: float,
    ) -> Lots:
        """Draw for the items of a chunk that begin now. `targets` are each item's devices, `known`
        is what the journal has of it, and `done` are the items that are not needed any more."""
        if not self.is_on or self._experiments is None:
            return NONE
        tried = {index for index, _ in known}
        fresh = [
            (entry.item, devices)
            for entry, devices in zip(chunk.items, targets, strict=True)
            if entry.remainders is None
            and entry.item.index not in tried
            and entry.item.index not in done
        ]
        if not fresh:
            return NONE
        words = {
            item.index: person_words(self._secret, item.user_id, item.custom_id)
            for item, _ in fresh
        }
        people = dict.fromkeys(word for pair in words.values() for word in pair if word)
        devices = dict.fromkeys(
            target.device_id
            for item, theirs in fresh
            if any(person_of(one.experiment, item) for one in self._begun)
            for target in theirs
        )
        met = await self._experiments.met(list(people), list(devices))
        turn = _Turn(self._begun, met, self._measure, chunk.first_seen, now)
        for item, theirs in fresh:
            turn.draw(chunk.event_id, item, theirs, words[item.index])
        return Lots(turn.reasons, turn.rows)


class _Turn:
    """The items of one chunk, one after the other."""

    def __init__(
        self, begun: Sequence[Begun], met: Met, measure: str, seen_at: float, now: float
    ) -> None:
        self._begun = begun
        self._met = met
        self._measure = measure
        self._seen_at = seen_at
        self._now = now
        self._dry = {one.experiment.id for one in begun if one.stage is Stage.DRY}
        #: by person, then by experiment
        self._members: dict[str, dict[str, Member]] = {}
        for one in met.members:
            self._members.setdefault(one.person, {})[one.experiment] = one
        self.reasons: dict[int, str] = {}
        self.rows: list[Drawn] = []

    def draw(
        self, event_id: str, item: Item, targets: Sequence[Target], words: tuple[str, str]
    ) -> None:
        """Find what becomes of an item."""
        for begun in self._begun:
            experiment = begun.experiment
            person = person_of(experiment, item)
            word = words[0 if experiment.person == "user_id" else 1]
            if person is None or not word:
                continue
            member = self._member(begun, word)
            if member is None:
                if self._now >= begun.ends_at:
                    continue
                member = self._enter(begun, event_id, item, targets, person, word)
            if member is not None and self._holds(begun, member):
                self._hold(begun, member, event_id, item)
                break
        else:
            self._note_others(event_id, item, words)

    def _enter(
        self,
        begun: Begun,
        event_id: str,
        item: Item,
        targets: Sequence[Target],
        person: str,
        word: str,
    ) -> Member | None:
        """Draw for somebody who is not in an experiment; None: they do not enter."""
        experiment, now = begun.experiment, self._now
        standing = Standing(
            targets,
            self._met.changed,
            is_exempt=word in self._met.exempt,
            held_until=self._held_until(experiment.id, word),
        )
        member = Member(experiment.id, word, False, now, until(experiment, now))
        row = self._row(What.LEFT_OUT, begun, member, event_id, item)
        row = row._replace(source=item.source or LEARNINK)
        if (why := left_out(item, standing, now=now, measure=self._measure)) is not None:
            self.rows.append(row._replace(reason=why))
            return None
        first = next(one for one in targets if is_able(one))
        platform = self._met.platforms.get(first.device_id, "")
        member = member._replace(held=is_held(experiment, person, begun.key))
        what = What.HELD if member.held else What.REMINDED
        self.rows.append(row._replace(what=what, app=first.app, platform=platform))
        self._members.setdefault(word, {})[experiment.id] = member
        return member

    def _member(self, begun: Begun, word: str) -> Member | None:
        return self._members.get(word, {}).get(begun.experiment.id)

    def _row(self, what: What, begun: Begun, member: Member, event_id: str, item: Item) -> Drawn:
        return Drawn(
            what,
            begun.stage,
            member.experiment,
            member.person,
            event_id,
            item,
            member.since,
            member.until,
            self._seen_at,
        )

    def _holds(self, begun: Begun, member: Member) -> bool:
        return begun.stage is Stage.RUNNING and member.held and self._now < member.until

    def _hold(self, begun: Begun, member: Member, event_id: str, item: Item) -> None:
        """The item is held back; it is kept if it may go out later."""
        self.reasons[item.index] = reason(begun.experiment.id, member.until)
        row = self._row(What.HELD, begun, member, event_id, item)
        self.rows.append(row._replace(keeps=begun.experiment.make_up))

    def _note_others(self, event_id: str, item: Item, words: tuple[str, str]) -> None:
        """Note of an item that goes out whom of the held it goes to."""
        for begun in self._begun:
            for word in words:
                member = self._member(begun, word)
                if member is not None and self._holds(begun, member):
                    self.rows.append(self._row(What.ALSO, begun, member, event_id, item))

    def _held_until(self, name: str, word: str) -> float:
        """When another experiment let somebody go that it held, last; 0: none did."""
        return max(
            (
                one.until
                for experiment, one in self._members.get(word, {}).items()
                if one.held and experiment != name and experiment not in self._dry
            ),
            default=0.0,
        )
