"""What hooks follow in the chain of learning events: the events themselves, and its seals.

Owns what each says to a hook. A cursor is a number of the chain, which never grows behind one that
was read.
"""

from __future__ import annotations

from gateway.core.clocks import WallClock
from gateway.core.hooks import LEARNT, SEALED, Happened, Hook
from gateway.core.instants import to_iso
from gateway.core.learning import HOUR_S, LearningEvent, Seal, Wanted
from gateway.hooks.following import Page
from gateway.ports import Learning

_PAGE = 500
_ALL = "*"
_NONE = "0"


class LearntEvents:
    """LearnInk's events that are no pushes, as `learnink.` and their type."""

    def __init__(self, learning: Learning, now: WallClock) -> None:
        self._learning = learning
        self._now = now

    def is_wanted(self, hook: Hook) -> bool:
        return bool(_types_of(hook))

    async def end(self) -> str:
        return str((await self._learning.head()).number)

    async def page(self, hook: Hook, after: str) -> Page | None:
        wanted = Wanted(types=_types_of(hook))
        found = await self._learning.page(wanted, after=int(after), limit=_PAGE)
        if str(found.after) == after:
            return None
        now = self._now()
        told = [_learnt(one, now, bodies=hook.bodies) for one in found.events]
        return Page(told, str(found.after))


class Seals:
    """The seals of the chain, so that its heads are kept elsewhere."""

    def __init__(self, learning: Learning, now: WallClock) -> None:
        self._learning = learning
        self._now = now

    def is_wanted(self, hook: Hook) -> bool:
        return hook.wants(SEALED)

    async def end(self) -> str:
        seals = await self._learning.seals()
        return str(seals[-1].last) if seals else _NONE

    async def page(self, hook: Hook, after: str) -> Page | None:  # noqa: ARG002 - all hear the same
        behind = [one for one in await self._learning.seals() if one.last > int(after)][:_PAGE]
        if not behind:
            return None
        now = self._now()
        return Page([_sealed(one, now) for one in behind], str(behind[-1].last))


def _types_of(hook: Hook) -> tuple[str, ...]:
    """The types of learning events that a hook asks for, with their trailing `*`."""
    found = []
    for one in hook.events:
        if one.startswith(LEARNT):
            found.append(one.removeprefix(LEARNT))
        elif one.endswith(_ALL) and LEARNT.startswith(one[:-1]):
            found.append(_ALL)
    return tuple(found)


def _learnt(event: LearningEvent, now: float, *, bodies: bool) -> Happened:
    facts = {
        "source": event.source,
        "event_id": event.event_id,
        "object": event.object,
        "received_at": to_iso(event.received_at),
        "late": event.is_late(),
    }
    return Happened(
        LEARNT + event.type,
        event.at,
        (event.event_id,),
        event.user_id,
        event.custom_id,
        facts,
        body=event.body if bodies else b"",
        known_at=now,
    )


def _sealed(seal: Seal, now: float) -> Happened:
    facts = {"number": seal.last, "events": seal.events, "head": seal.head.hex()}
    ended = (seal.hour + 1) * float(HOUR_S)
    return Happened(SEALED, ended, (seal.last,), None, None, facts, known_at=now)
