"""PUT /v1/users/{id}/experiments: nothing more of a person's is held back, at once.

Owns what a request may say. Who may do so is decided by `authorize`, which the composition root
injects; that it was done is in the audit table.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from gateway.core.audit import Actor
from gateway.core.clocks import Clocks
from gateway.core.hashes import person_words
from gateway.core.model import UserRef
from gateway.exchange import Answer, Request, Route, read_object
from gateway.ops.people import people_of
from gateway.ports import Store
from gateway.problems import Problem
from gateway.whose import By, by_of, find_user

SCOPE = "ops"
MAX_BODY = 4_096
"""Bytes of a request."""


class Acting(Protocol):
    """Whoever asks."""

    def actor(self, request: Request) -> Actor:
        """Who acts, for the audit table."""


Authorize = Callable[[Request, str], Awaitable[Acting]]
"""Who asks; raises a `Problem` unless they have the scope."""


class ExperimentRoutes:
    """The route of the public listener. `secret` makes the words of people."""

    def __init__(
        self, store: Store, authorize: Authorize, *, secret: bytes, clocks: Clocks
    ) -> None:
        self._store = store
        self._authorize = authorize
        self._secret = secret
        self._clocks = clocks

    def routes(self) -> list[Route]:
        """What to add to the public listener."""
        return [Route("PUT", "/v1/users/{id}/experiments", self.exempt)]

    async def exempt(self, request: Request) -> Answer:
        """Exempt a person from all experiments, or take that back. Asked again, nothing changes."""
        acting = await self._authorize(request, SCOPE)
        document = await read_object(request, limit=MAX_BODY)
        errors = [
            {"field": name[:64], "message": "is not known; there is exempt"}
            for name in document
            if name != "exempt"
        ]
        is_exempt = document.get("exempt")
        if not isinstance(is_exempt, bool):
            errors.append({"field": "exempt", "message": "must be true or false"})
        if errors:
            raise Problem("invalid", errors=errors)
        await exempt_user(
            self._store,
            self._secret,
            request.path["id"],
            by_of(request.query),
            is_exempt=bool(is_exempt),
            at=self._clocks.wall(),
            actor=acting.actor(request),
        )
        return Answer(200, {"exempt": bool(is_exempt)})


async def exempt_user(
    store: Store,
    secret: bytes,
    named: str,
    by: By | None,
    *,
    is_exempt: bool,
    at: float,
    actor: Actor,
) -> UserRef:
    """Exempt a person by all ids that are known to be theirs. Raises what `find_user` raises."""
    user = await find_user(store.registry, named, by)
    people = people_of(user, await store.registry.devices_of(user))
    pairs = [person_words(secret, one.user_id, one.custom_id) for one in people]
    words = [word for word in dict.fromkeys(word for pair in pairs for word in pair) if word]
    thing = "exempt" if is_exempt else "not exempt"
    act = actor.does("experiments.exempt", thing, at=at, about=user)
    await store.experiments.exempt(words, is_exempt=is_exempt, at=at, act=act)
    return user
