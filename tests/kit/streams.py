"""JetStream streams of the tests' cluster: each folder, which is each test, has streams of its own.

Three replicas that elect their leaders take over a second: so several tests' streams are made at
once, and those of tests that have ended are removed meanwhile.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from gateway.app.ids import RANDOM
from gateway.errors import StoreUnavailable
from gateway.queue.nats import Broker, StreamSpec, servers_of
from gateway.queue.nats.link import ApiError, Link
from gateway.queue.nats.stream import ensure
from tests.kit.nats_cluster import running_cluster

MAX_BYTES = 64 * 1024**2
_AT_ONCE = 6
#: streams that nobody has open any more and that still are there, for who opens them again
_KEEP = 2


@dataclass(eq=False)
class _Place:
    """A folder's streams; `users` are the queues that are open on them."""

    folder: Path
    spec: StreamSpec
    users: int = 0


class Streams:
    """The streams of one cluster."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._spare: dict[float, list[StreamSpec]] = {}
        #: in the order in which they were first used
        self._places: list[_Place] = []

    @asynccontextmanager
    async def using(self, folder: Path, lease_s: float) -> AsyncIterator[StreamSpec]:
        """The folder's streams, which stay the folder's while they are in use."""
        place = next((one for one in self._places if one.folder == folder), None)
        if place is None:
            spare = self._spare.setdefault(lease_s, [])
            if not spare:
                spare += await self._make(lease_s)
            place = _Place(folder, spare.pop(0))
            self._places.append(place)
        place.users += 1
        try:
            yield place.spec
        finally:
            place.users -= 1

    async def _make(self, lease_s: float) -> list[StreamSpec]:
        """Make some, and remove what nobody uses any more."""
        made = [
            StreamSpec(f"streams-{next(self._numbers)}", max_bytes=MAX_BYTES, ack_wait_s=lease_s)
            for _ in range(_AT_ONCE)
        ]
        unused = [place for place in self._places if not place.users][:-_KEEP]
        self._places = [place for place in self._places if place not in unused]
        link = Link(Broker(servers_of(running_cluster().url)), new_id=RANDOM.new)
        try:
            async with asyncio.TaskGroup() as group:
                for spec in made:
                    group.create_task(ensure(link, spec))
                for place in unused:
                    for name in (place.spec.name, place.spec.dead, place.spec.tries):
                        group.create_task(_remove(link, name))
        finally:
            await link.aclose()
        return made


async def _remove(link: Link, name: str) -> None:
    with suppress(ApiError, StoreUnavailable):  # gone already, or in the way of nobody
        await link.api(f"STREAM.DELETE.{name}")


STREAMS = Streams()
"""Those of the cluster that all tests of this process share."""
