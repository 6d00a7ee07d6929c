"""What waits for a customer's own systems, and how each of them stands."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Literal, NamedTuple, Protocol, get_args

from gateway.core.audit import Act
from gateway.core.hooks import Happened, Phone, Plan

HookHolder = Literal["operator", "gone"]
"""Who holds a hook: a person, or an answer 410."""


class HookRow(NamedTuple):
    """How a hook stands: who holds it, what trouble it has and since when, how many failures in a
    row, until when it is left alone. `silent_at`: silence of before is told. `learnt` and `sealed`:
    how far learning events, and the seals of their chain, are followed."""

    id: str
    held: Literal["", "operator", "gone"] = ""
    reason: str = ""
    held_at: float | None = None
    trouble: str = ""
    trouble_at: float | None = None
    failures: int = 0
    quiet_until: float = 0.0
    silent_at: float | None = None
    learnt: str = ""
    sealed: str = ""


class HookBatch(NamedTuple):
    """Some events that go out together. `name` is the webhook-id, the same at every repeat;
    `tries` is how often it was posted before."""

    id: int
    hook: str
    name: str
    at: float
    size: int
    tries: int
    lines: bytes


class HookCount(NamedTuple):
    """What waits for a hook: how many events, since when the oldest; and how many are dead."""

    waiting: int = 0
    since: float | None = None
    dead: int = 0


class HookLetter(NamedTuple):
    """A batch that was given up."""

    id: int
    hook: str
    name: str
    at: float
    size: int
    tries: int
    reason: str
    died_at: float
    types: tuple[str, ...]


Again = Literal["deliveries", "receipts", "devices"]
"""What is kept beside the hooks' own rows, so that a hook can be told of it again."""
AGAIN: tuple[Again, ...] = get_args(Again)
Key = tuple[Any, ...]


class HookPage(NamedTuple):
    """Some of what happened, and the key behind it."""

    happened: Sequence[Happened]
    after: Key


class HookFailure(NamedTuple):
    """A post that failed: why, when the batch and the hook are tried again, and whether the answer
    was 410."""

    reason: str
    at: float
    due_at: float
    is_gone: bool = False


class Hooks(Protocol):
    """What waits for hooks, their dead letters, and how each hook stands.

    `plan` says which hooks there are. What happens is written in the transaction that makes it
    true: by the journal, the registry and the receipts, as the plan asks.
    """

    @property
    def plan(self) -> Plan:
        """Which hooks there are, and what they want."""

    def learn(self, plan: Plan) -> None:
        """Another configuration."""

    async def write(self, happened: Sequence[Happened]) -> int:
        """Write what no other port makes true; returns for how many hooks it was."""

    async def due(self, hook: str, *, now: float) -> bool:
        """Whether something may be posted now. Changes nothing."""

    async def take(
        self, hook: str, holder: str, *, now: float, until: float, name: str, busy: Collection[int]
    ) -> HookBatch | None:
        """The batch that is due, fixed under `name` if it was never posted before; None: there is
        none but those that are `busy`, or another process posts to this hook (until its lease
        ends).

        Who is named in a batch is remembered as told, and who was erased is not named.
        """

    async def lease(self, hook: str, holder: str, *, now: float, until: float) -> bool:
        """Be the one who works for a hook until then. False: another process is."""

    async def let_go(self, hook: str, holder: str) -> None:
        """Leave the hook to anybody."""

    async def taken(self, batch: HookBatch) -> None:
        """The hook took it."""

    async def failed(self, batch: HookBatch, failure: HookFailure) -> int:
        """The hook did not take it. Returns how many failures in a row that makes."""

    async def rows(self) -> list[HookRow]:
        """Every hook that was ever posted to, held or followed."""

    async def counts(self) -> dict[str, HookCount]:
        """What waits for each hook."""

    async def trim(self, hook: str, *, now: float) -> int:
        """Make dead letters of what is too old, and of the oldest of what is too much, by the plan.
        Returns how many events that are."""

    async def hold(
        self, hook: str, *, by: HookHolder, reason: str, now: float, act: Act | None = None
    ) -> None:
        """Stop a hook. What is for it waits."""

    async def resume(self, hook: str, *, act: Act | None = None) -> bool:
        """Let it go, and forget its failures. False: there was nothing to lift."""

    async def mark(
        self,
        hook: str,
        *,
        silent_at: float | None = None,
        learnt: str | None = None,
        sealed: str | None = None,
        happened: Sequence[Happened] = (),
    ) -> None:
        """Note how far a hook is followed, with what was found on the way there."""

    async def silent(
        self, *, after: int, since: float, until: float, limit: int
    ) -> list[tuple[int, Phone]]:
        """Active devices, by their numbers from behind one on, that were seen last between two
        times."""

    async def again(
        self, what: Again, hook: str, *, since: float, after: Key | None, now: float
    ) -> HookPage | None:
        """What a hook would be told again of what happened since, from behind a key on (None: from
        the first), as far as it is kept; None: there is no more."""

    async def dead(self, hook: str, *, limit: int) -> list[HookLetter]:
        """The dead letters of a hook, newest first."""

    async def replay_dead(
        self,
        hook: str,
        ids: Sequence[int] | None,
        *,
        now: float,
        since: float = 0.0,
        act: Act | None = None,
    ) -> int:
        """Let dead letters wait again, with a new life; those that died since then. Returns how
        many events that are."""

    async def drop_dead(
        self, hook: str, ids: Sequence[int] | None, *, act: Act | None = None
    ) -> int:
        """Delete dead letters. Returns how many events that were."""

    async def purge(self, *, before: float) -> int:
        """Delete dead letters of before, and what waited since before for hooks that nobody
        configured."""

    async def empty(self, words: Sequence[tuple[str, str, float]]) -> None:
        """Take people out of what waits who were erased: by the words of their ids, and until when
        what happened is meant."""
