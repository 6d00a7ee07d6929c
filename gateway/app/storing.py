"""Whether this process can store, as it was seen: the last failure counts.

A small row may still fit where a webhook does not: on a full disk, over a line that loses large
packets. So a health check that writes one proves little. Owns what failed and has not succeeded
since, and the trial that ends it where nothing else comes: a row of 1 MiB, written and deleted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

from gateway.errors import StoreUnavailable

T = TypeVar("T")


class Storing:
    """What could not be stored lately, by kind. `trial` writes and deletes a large row."""

    def __init__(self, trial: Callable[[], Awaitable[None]], *, every_s: float) -> None:
        self._trial = trial
        self._every_s = every_s
        self._failures: dict[str, str] = {}
        self._failed = asyncio.Event()

    @property
    def failure(self) -> str | None:
        """Why something could not be stored, which could not be since; None: all is well."""
        return next(reversed(self._failures.values()), None)

    def refused(self, kind: str, reason: str) -> None:
        """Something of this kind could not be stored."""
        self._failures.pop(kind, None)
        self._failures[kind] = reason
        self._failed.set()

    def stored(self, kind: str) -> None:
        """Something of this kind was stored."""
        if self._failures:
            self._failures.pop(kind, None)

    async def run(self) -> None:
        """While something failed last, try from time to time; until cancelled."""
        while True:
            await self._failed.wait()
            self._failed.clear()
            while self._failures:
                await asyncio.sleep(self._every_s)
                await self._try()

    def watched(self, port: T, kind: str, *methods: str) -> T:
        """The same port; whether these of its methods store is seen here."""
        return cast("T", _Watched(port, self, kind, frozenset(methods)))

    async def _try(self) -> None:
        before = dict(self._failures)
        try:
            await self._trial()
        except StoreUnavailable as error:
            self.refused("trial", str(error))
        else:
            # what failed meanwhile is newer than this success
            for kind, reason in [*before.items(), ("trial", self._failures.get("trial"))]:
                if self._failures.get(kind) is reason:
                    self._failures.pop(kind, None)


class _Watched:
    """A port whose methods tell what came of them."""

    def __init__(self, port: Any, storing: Storing, kind: str, methods: frozenset[str]) -> None:
        self._port = port
        self._storing = storing
        self._kind = kind
        self._methods = methods

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        if name not in self._methods:
            return found

        async def watched(*args: Any, **kwargs: Any) -> Any:
            try:
                result = await found(*args, **kwargs)
            except StoreUnavailable as error:
                self._storing.refused(self._kind, str(error))
                raise
            self._storing.stored(self._kind)
            return result

        return watched
