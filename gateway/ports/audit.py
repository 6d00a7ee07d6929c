"""Who did what: the audit table."""

from __future__ import annotations

from typing import Protocol

from gateway.core.audit import Act, Row
from gateway.core.model import UserRef


class Audit(Protocol):
    """Who did what. Methods of other ports take the `act` that they carry out, and write its row in
    their own transaction; nothing is written where nothing was changed. None: nobody's act, or an
    app's on its own device. On SQLite, where no server has a clock, a command's row is dated after
    all that are there."""

    async def note(self, act: Act, *, count: int = 1) -> None:
        """Write a row by itself, of an act that changes nothing else in the store."""

    async def page(
        self,
        *,
        limit: int,
        since: float = 0.0,
        before: float | None = None,
        after: Row | None = None,
        who: str = "",
        what: str = "",
        user: UserRef | None = None,
        people: bool = False,
    ) -> list[Row]:
        """Rows, newest first, from `since` until `before`. `who` and `what` are parts of a text;
        `what` is looked for in the act and in its object. `user`: only about this person. `people`:
        without what backends do all day. `after`: the last row of the page before this one."""

    async def purge(self, *, before: float, routine_before: float) -> int:
        """Delete rows older than this; those of routine acts have a time of their own. Returns how
        many."""
