"""Experiments beside a relay: which are in force, when they end, and what goes out afterwards.

Owns how a table of the configuration becomes an experiment, that a file which says otherwise than
what was fixed is refused, that an experiment ends when its time is over, when it left the file, or
when those who are held lose by it; and that the newest reminder held back goes out once its person
is let go. Any number of processes may do so at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from gateway.app.correcting import body_of, cut_by_body
from gateway.app.counting import LATE_S, Experiments, Running
from gateway.core.clocks import Clocks
from gateway.core.drawn import HeldBack, Kept, Stage, Tally
from gateway.core.effect import has_enough, so_far
from gateway.core.effect_standing import Heard, groups_of
from gateway.core.experiments import Experiment, changed, experiment_in
from gateway.core.learning import TypeCount
from gateway.core.model import Chunk, Event
from gateway.core.pace import Pace
from gateway.core.sources import LEARNINK, UNLIMITED, make_up_of
from gateway.errors import ConfigurationError, StoreUnavailable
from gateway.events import ExperimentEnded, NotificationsPosted, Observer, StoreFailed
from gateway.ingest.schema import NOTIFICATIONS_SENT
from gateway.relay.drawing import Begun, Drawing

if TYPE_CHECKING:
    from collections.abc import Callable

    from config.experiments import ExperimentSettings
    from config.settings import Settings
    from gateway.app.storage import Stores

OVER = "its time is over"
LEFT_THE_FILE = "the configuration does not name it any more"
#: so long after the last outcome was settled rows of people are kept, for what comes late
FORGET_S = LATE_S + 2 * 86_400.0
_AT_ONCE = 100


def experiment_of(asked: ExperimentSettings) -> Experiment:
    """A table of the configuration as an experiment."""
    return Experiment(
        id=asked.id,
        holdout=asked.holdout,
        sources=asked.sources,
        paths=asked.paths,
        never_paths=asked.never_paths,
        person=asked.person,
        window_h=asked.window_h,
        completed=asked.completed,
        began=asked.began,
        main=asked.main,
        settle_days=asked.settle_days,
        worth_points=asked.worth_points,
        make_up=asked.make_up,
    )


def ends_at(asked: ExperimentSettings, zone: str) -> float:
    """From when on nobody enters: the begin of that day."""
    return datetime.fromisoformat(asked.ends).replace(tzinfo=ZoneInfo(zone)).timestamp()


def misfits(settings: Settings, kept: Sequence[Kept]) -> list[str]:
    """What the configuration says otherwise than what was fixed of experiments that are begun."""
    fixed = {one.id: one for one in kept if one.stage is Stage.RUNNING}
    found = []
    for i, asked in enumerate(settings.experiments):
        begun = fixed.get(asked.id)
        names = changed(experiment_in(begun.terms), experiment_of(asked)) if begun else ()
        found += [
            f"experiments[{i}].{name}: is another than people entered {asked.id} by; end it "
            f"(inkpush experiments end {asked.id}) and begin another"
            for name in names
        ]
    return found


def outcome_types(settings: Settings) -> frozenset[str]:
    """The types of learning events that some experiment of the configuration counts."""
    return frozenset(kind for one in settings.experiments for kind in (*one.completed, *one.began))


def counted(stores: Stores, clocks: Clocks) -> Experiments:
    """The experiments whose days are to be counted. Of one that is counted for good, the rows of
    people are removed."""

    async def found() -> list[Running]:
        experiments, now = stores.store.experiments, clocks.wall()
        begun = [one for one in await experiments.all() if one.started_at]
        if not begun:
            return []
        heard = {one.type: one for one in await stores.store.learning.types()}
        running = []
        for one in begun:
            experiment = experiment_in(one.terms)
            last = min(one.ended_at or one.ends_at, one.ends_at)
            tally = await experiments.tally(one.id)
            if one.ended_at and now > last + experiment.window_s + experiment.settle_s + FORGET_S:
                if tally != Tally():
                    await experiments.forget(one.id)
                continue
            running.append(
                Running(
                    experiment.asked(ended=False),
                    experiment.person,
                    experiment.settle_s,
                    last if one.ended_at or last <= now else None,
                    {name: _heard(types, heard) for name, types in experiment.types.items()},
                    tally.left_out,
                    tally.also_got,
                )
            )
        return running

    return found


def _heard(types: Sequence[str], heard: Mapping[str, TypeCount]) -> Heard:
    there = [heard[one] for one in types if one in heard]
    return Heard(
        sum(one.events for one in there), sum(one.events - one.with_person for one in there)
    )


class Experimenter:
    """See the module. `drawing` asks for the relay; `wake` tells the one of this process that
    something is queued."""

    def __init__(
        self,
        stores: Stores,
        *,
        wake: Callable[[], None],
        observer: Observer,
        clocks: Clocks,
        pace: Pace,
    ) -> None:
        self._experiments = stores.store.experiments
        self._effects = stores.store.effects
        self._queue = stores.queue
        self.drawing = Drawing(stores.store.experiments, stores.secret)
        self._wake = wake
        self._observer = observer
        self._clocks = clocks
        self._pace = pace
        self._settings: Settings | None = None

    async def learn(self, settings: Settings) -> None:
        """Go by this configuration. Raises ConfigurationError, with nothing changed, if it says
        otherwise than what was fixed."""
        try:
            kept = await self._experiments.all()
        except StoreUnavailable:
            # the lot goes by what the store has fixed, which is read once the store is back
            self._settings = settings
            return
        if found := misfits(settings, kept):
            raise ConfigurationError(found)
        self._settings = settings
        self._tell(kept)

    async def run(self) -> None:
        """Look again and again, until cancelled; failures are waited out."""
        while True:
            await asyncio.sleep(self._pace.follow_s)
            try:
                await self.look()
            except StoreUnavailable as error:
                self._observer(StoreFailed("experiments", str(error)))

    async def look(self) -> None:
        """Learn what is in force, end what is over, and send what was held back."""
        kept = await self._experiments.all()
        self._tell(kept)
        if self._clocks.doubted():
            return
        now = self._clocks.wall()
        for one in kept:
            if one.stage is not Stage.ENDED and (why := await self._over(one, now)):
                await self._end(one, now, why)
        await self._make_up(now)

    # --- inside ---------------------------------------------------------------------------------

    def _tell(self, kept: Sequence[Kept]) -> None:
        """Tell the relay what is in force."""
        if self._settings is None:
            return
        named = {one.id for one in self._settings.experiments}
        begun = [
            Begun(experiment_in(one.terms), one.stage, one.key, one.ends_at)
            for one in kept
            if one.stage is not Stage.ENDED and one.id in named
        ]
        self.drawing.learn(begun, self._settings.privacy.measure)

    async def _over(self, one: Kept, now: float) -> str:
        """Why an experiment is to end now; "": it goes on."""
        assert self._settings is not None
        asked = {table.id: table for table in self._settings.experiments}.get(one.id)
        if asked is None:
            return LEFT_THE_FILE
        experiment = experiment_in(one.terms)
        last = one.ends_at + (experiment.window_s if one.stage is Stage.RUNNING else 0.0)
        if now >= last:
            return OVER
        if one.stage is Stage.RUNNING and await self._harms(experiment, asked.stop_points):
            return f"of 100 people who were held back, {asked.stop_points:g} fewer and more did it"
        return ""

    async def _harms(self, experiment: Experiment, stop_points: float) -> bool:
        """Whether even the cautious interval says that so many of 100 lose by being held."""
        groups = groups_of(await self._effects.entered_of(experiment.id), experiment.main)
        return has_enough(groups) and so_far(groups, experiment.planned).low * 100 > stop_points

    async def _end(self, one: Kept, now: float, why: str) -> None:
        if await self._experiments.end(one.id, at=now, reason=why):
            self._observer(ExperimentEnded(one.id, why))

    async def _make_up(self, now: float) -> None:
        """Send what was held back of people who are let go, at most so much at once."""
        due = await self._experiments.due(now=now, limit=_AT_ONCE)
        for held in due:
            event = make_up(held, now=now, max_age_s=self._max_age_s)
            chunks = chunks_of(event, chunk_items=self._pace.chunk_items)
            if await self._queue.accept(event, chunks):
                self._observer(NotificationsPosted(event.event_id, event.notifications, 0))
            await self._experiments.sent(held)
        if due:
            self._wake()

    @property
    def _max_age_s(self) -> float:
        assert self._settings is not None
        return self._settings.relay.max_age_s


def make_up(held: HeldBack, *, now: float, max_age_s: float) -> Event:
    """The event by which a reminder goes out that was held back. It is as fresh as one that comes
    now, and as old as it was for what says that it is done already."""
    item = held.item
    occurred_at = held.seen_at if item.occurred_at is None else item.occurred_at
    entry = {
        "title": item.title,
        "body": item.body,
        "path": item.path,
        "user_id": item.user_id,
        "custom_id": item.custom_id,
    }
    return Event(
        event_id=make_up_of(held.event_id, item.index),
        type=NOTIFICATIONS_SENT,
        status="accepted",
        received_at=now,
        occurred_at=occurred_at,
        notifications=1,
        chunks=1,
        body=body_of([entry], deadline=now + max_age_s),
        source=item.source or LEARNINK,
        limits=item.limits or UNLIMITED,
    )


def chunks_of(event: Event, *, chunk_items: int) -> list[Chunk]:
    """The chunks of a make-up, by its body alone."""
    _, chunks = cut_by_body(event, chunk_items=chunk_items, occurred_at=event.occurred_at)
    return chunks
