"""All hooks of a process: how they start, reload and end together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from gateway.core.hooks import Plan
from gateway.errors import StoreUnavailable
from gateway.events import StoreFailed
from gateway.hooks.following import Following
from gateway.hooks.posting import Posting, Process, Way
from gateway.ports import Hooks
from gateway.tasks import end


class Hooking:
    """Posts to every hook, each by itself. `failed` is called when a fault ends a loop; `keep_s` is
    for how long dead letters are kept. Without hooks nothing runs."""

    def __init__(
        self,
        hooks: Hooks,
        following: Following,
        process: Process,
        *,
        keep_s: float,
        failed: Callable[[BaseException], None],
    ) -> None:
        self._hooks = hooks
        self._following = following
        self._process = process
        self._keep_s = keep_s
        self._observer = process.observer
        self._clocks = process.clocks
        self._pace = process.pace
        self._failed = failed
        self._postings: dict[str, tuple[Posting, asyncio.Task[None]]] = {}
        self._duties: list[asyncio.Task[None]] = []

    async def learn(self, ways: Sequence[Way]) -> None:
        """Post to these from now on: only what changed is begun anew."""
        self._hooks.learn(Plan([way.hook for way in ways]))
        wanted = {way.hook.id: way for way in ways}
        for hook in [one for one in self._postings if one not in wanted]:
            await self._stop(hook)
        for hook, way in wanted.items():
            known = self._postings.get(hook)
            if known is None:
                self._postings[hook] = self._start(way)
            else:
                await known[0].renew(way)
        if wanted and not self._duties:
            self._duties = [
                self._run(self._every(self._pace.hook_follow_s, self._following.follow)),
                self._run(self._every(self._pace.purge_s, self._purge)),
            ]

    async def aclose(self) -> None:
        """End all of them."""
        for duty in self._duties:
            await end(duty)
        await asyncio.gather(*(self._stop(hook) for hook in list(self._postings)))

    # --- inside -------------------------------------------------------------------------------

    def _start(self, way: Way) -> tuple[Posting, asyncio.Task[None]]:
        posting = Posting(way, self._hooks, self._process)
        return posting, self._run(posting.run())

    async def _stop(self, hook: str) -> None:
        posting, task = self._postings.pop(hook)
        await end(task)
        await posting.aclose()

    async def _purge(self) -> None:
        """Delete what is kept no longer: nothing while the time is doubted."""
        if not self._clocks.doubted():
            await self._hooks.purge(before=self._clocks.wall() - self._keep_s)

    async def _every(self, seconds: float, duty: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            try:
                await duty()
            except StoreUnavailable as error:
                self._observer(StoreFailed("hooks", str(error)))
            await asyncio.sleep(seconds)

    def _run(self, loop: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(loop)
        task.add_done_callback(self._look_at)
        return task

    def _look_at(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed(error)
