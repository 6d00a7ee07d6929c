"""All that is held of one person, for themselves or for an administrator.

Owns who may ask, how often, and that every such answer is in the audit table. What is held, and how
it is shown, is `collect`'s, which the composition root injects.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from gateway.core.clocks import Clocks
from gateway.core.model import UserRef
from gateway.devices.auth import Authenticator
from gateway.devices.limits import CallerLimits
from gateway.exchange import Answer, Request, Route
from gateway.ports import Audit, Registry
from gateway.problems import Problem
from gateway.whose import by_of, find_user

Collect = Callable[[UserRef], Awaitable[Mapping[str, Any]]]
"""Finds all that is held of a person."""
EXPORTS_PER_HOUR = 5
"""How often a user token may ask in an hour: each time all that is kept is searched."""


class ExportRoutes:
    """`GET /v1/users/{id}` of the public listener."""

    def __init__(
        self,
        registry: Registry,
        audit: Audit,
        authenticator: Authenticator,
        collect: Collect,
        clocks: Clocks,
    ) -> None:
        self._registry = registry
        self._audit = audit
        self._authenticator = authenticator
        self._collect = collect
        self._clocks = clocks
        self._exports = CallerLimits(EXPORTS_PER_HOUR, monotonic=clocks.monotonic, window_s=3600.0)

    def routes(self) -> list[Route]:
        """What to add to the public listener."""
        return [Route("GET", "/v1/users/{id}", self.export_user)]

    async def export_user(self, request: Request) -> Answer:
        """All that is held of one person: their own token may ask, or a key of scope admin."""
        caller = await self._authenticator.caller(request)
        if caller.proven is None:
            caller.require("admin")
        by = by_of(request.query)
        user = caller.acts_for(request.path["id"]) or await find_user(
            self._registry, request.path["id"], by
        )
        if caller.proven is not None and (wait := self._exports.take(caller.name)):
            raise Problem("too_many_requests", retry_after=wait)
        act = caller.actor(request).does("users.export", at=self._clocks.wall(), about=user)
        # first: nothing is shown of which no row tells
        await self._audit.note(act)
        return Answer(200, dict(await self._collect(user)))
