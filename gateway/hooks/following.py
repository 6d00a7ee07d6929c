"""What no transaction tells hooks: that devices have been silent, and what LearnInk told.

Owns how far each hook was followed. A device is told of once for each silence, when it has lasted
`devices.stale_after_days`; from when a hook is first asked for it on, not backwards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from gateway.core.hooks import SILENT, Happened, Hook, of_device
from gateway.hooks.posting import Process
from gateway.ports import HookRow, Hooks

_PAGE = 500
_DAY_S = 86_400.0


class Page(NamedTuple):
    """Some of what is followed, and the cursor behind it."""

    happened: Sequence[Happened]
    after: str


class Source(Protocol):
    """Something that is followed by a cursor: learning events, or the seals of their chain."""

    def is_wanted(self, hook: Hook) -> bool:
        """Whether a hook asks for any of it."""

    async def end(self) -> str:
        """The cursor behind all that is there."""

    async def page(self, hook: Hook, after: str) -> Page | None:
        """What is behind a cursor, in an order that never grows behind one; None: nothing."""


class Following:
    """Follows for those hooks that this process posts to. `stale_after_days` 0: nobody is ever
    called silent."""

    def __init__(
        self,
        hooks: Hooks,
        process: Process,
        *,
        stale_after_days: Callable[[], int],
        learnt: Source | None = None,
        sealed: Source | None = None,
    ) -> None:
        self._hooks = hooks
        self._name = process.name
        self._stale_after_days = stale_after_days
        self._learnt = learnt
        self._sealed = sealed
        self._clocks = process.clocks
        self._pace = process.pace

    async def follow(self) -> None:
        """Follow once, for each hook that asks for it and that no other process has."""
        rows = {row.id: row for row in await self._hooks.rows()}
        for hook in list(self._hooks.plan.hooks.values()):
            sources = (self._learnt, self._sealed)
            wanted = [one is not None and one.is_wanted(hook) for one in sources]
            if not (hook.wants(SILENT) or any(wanted)):
                continue
            now = self._clocks.wall()
            until = now + self._pace.hook_lease_s
            if not await self._hooks.lease(hook.id, self._name, now=now, until=until):
                continue
            row = rows.get(hook.id, HookRow(hook.id))
            if hook.wants(SILENT) and not self._clocks.doubted():
                await self._silence(hook, row)
            if self._learnt is not None and wanted[0]:
                await self._behind(hook, row.learnt, self._learnt, "learnt")
            if self._sealed is not None and wanted[1]:
                await self._behind(hook, row.sealed, self._sealed, "sealed")

    async def _silence(self, hook: Hook, row: HookRow) -> None:
        """Tell of devices whose silence became long enough since the last look."""
        days = self._stale_after_days()
        if not days:
            return
        now = self._clocks.wall()
        until, since = now - days * _DAY_S, row.silent_at
        if since is None:
            await self._hooks.mark(hook.id, silent_at=until)
            return
        if until < since + self._pace.hook_silent_s:
            return
        after = 0
        while found := await self._hooks.silent(after=after, since=since, until=until, limit=_PAGE):
            told = [
                of_device(SILENT, phone, state="active", reason="", at=now) for _, phone in found
            ]
            await self._hooks.mark(hook.id, happened=told)
            after = found[-1][0]
        await self._hooks.mark(hook.id, silent_at=until)

    async def _behind(self, hook: Hook, after: str, source: Source, what: str) -> None:
        """Tell of what is behind the hook's cursor. One that has none begins at the end."""
        if not after:
            await self._mark(hook, what, await source.end(), ())
            return
        while (page := await source.page(hook, after)) is not None:
            await self._mark(hook, what, page.after, page.happened)
            after = page.after

    async def _mark(self, hook: Hook, what: str, after: str, happened: Sequence[Happened]) -> None:
        if what == "learnt":
            await self._hooks.mark(hook.id, learnt=after, happened=happened)
        else:
            await self._hooks.mark(hook.id, sealed=after, happened=happened)
