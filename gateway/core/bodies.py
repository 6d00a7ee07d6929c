"""One budget for the bodies that are coming in, whoever sends them. Pure: the time is an argument.

Bytes are charged as they come. A quarter of the budget is for small bodies alone, so that large
ones cannot keep a phone's registration or a short webhook out. When a pool is full, the slowest
body that had its time is dropped; where none had, the newcomer is refused.
"""

from __future__ import annotations

from collections.abc import Callable

SMALL = 256 * 1024
"""Bytes of a body that counts as small."""
GRACE_S = 1.0
"""How long a body comes in before its pace is judged."""
SLOW = 64 * 1024
"""Bytes a second under which a body gives way to a newcomer."""


class Overloaded(Exception):
    """There is no room for another body."""


class TooSlow(Exception):
    """The body was the slowest, and its room was needed."""


class Body:
    """A body that comes in. `drop` is called when others need its room; it has none from then on.

    Made by `Bodies.begin`; whoever holds it calls `end`.
    """

    __slots__ = ("_bodies", "_pool", "began", "drop", "size")

    def __init__(
        self, bodies: Bodies, pool: _Pool, drop: Callable[[], None], *, now: float
    ) -> None:
        self._bodies = bodies
        self._pool: _Pool | None = pool
        self.began = now
        self.drop = drop
        self.size = 0

    def take(self, size: int, *, now: float) -> None:
        """Charge what came. Raises `TooSlow` or `Overloaded`, and then nothing is charged."""
        if self._pool is None:
            raise TooSlow
        if self.size + size > SMALL and self._pool is self._bodies.small:
            self._pool.remove(self)
            self._pool = self._bodies.large
            self._pool.add(self)
        try:
            self._pool.take(self, size, now)
        except Overloaded:
            self.end()
            raise

    def whole(self) -> None:
        """All of it is here: it keeps its room until `end`, and is no longer dropped."""
        if self._pool is not None:
            self._pool.coming.pop(self, None)

    def end(self) -> None:
        """Give its room back; again does nothing."""
        if self._pool is not None:
            self._pool.remove(self)
            self._pool = None

    def give_way(self) -> None:
        """Others need its room."""
        self.end()
        self.drop()

    def pace(self, now: float) -> float:
        """Bytes a second since it began."""
        return self.size / max(now - self.began, GRACE_S)


class _Pool:
    """Bodies that share a limit; `coming` are those that may be dropped, the oldest first."""

    def __init__(self, limit: Callable[[], int]) -> None:
        self._limit = limit
        self.used = 0
        self.coming: dict[Body, None] = {}

    def add(self, body: Body) -> None:
        self.used += body.size
        self.coming[body] = None

    def remove(self, body: Body) -> None:
        self.used -= body.size
        self.coming.pop(body, None)

    def take(self, body: Body, size: int, now: float) -> None:
        while self.used + size > self._limit():
            slowest = self._slowest(now)
            if slowest is None:
                raise Overloaded
            if slowest is body:
                body.end()
                raise TooSlow
            slowest.give_way()
        body.size += size
        self.used += size

    def make_room(self, size: int, now: float) -> None:
        """Have slow ones give way to the first part of a newcomer; `Overloaded` when that is not
        enough."""
        while self.used + size > self._limit():
            slowest = self._slowest(now)
            if slowest is None or slowest.pace(now) >= SLOW:
                raise Overloaded
            slowest.give_way()

    def _slowest(self, now: float) -> Body | None:
        judged = (body for body in self.coming if now - body.began >= GRACE_S)
        return min(judged, key=lambda body: body.pace(now), default=None)


class Bodies:
    """The budget: `limit` bytes in all, asked each time."""

    def __init__(self, limit: Callable[[], int]) -> None:
        self.small = _Pool(lambda: limit() // 4)
        self.large = _Pool(lambda: limit() - limit() // 4)

    @property
    def used(self) -> int:
        """Bytes that are charged."""
        return self.small.used + self.large.used

    def begin(self, length: int | None, drop: Callable[[], None], *, now: float) -> Body:
        """A body of this length (None: not known before its end) begins to come in. Raises
        `Overloaded` where there is no room even for its first part; none is reserved."""
        pool = self.small if length is None or length <= SMALL else self.large
        pool.make_room(min(length or 1, SMALL), now)
        body = Body(self, pool, drop, now=now)
        pool.add(body)
        return body
