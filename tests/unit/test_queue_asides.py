"""Putting a chunk aside stands in nobody's way, whatever goes wrong with it."""

from __future__ import annotations

from typing import Any, cast

import pytest

from gateway.core.stored import Forms, Reading
from gateway.errors import StoreUnavailable
from gateway.events import Fault, GatewayEvent, PutAside, StoreFailed
from gateway.ports import Aside, Held, HeldOf, Journal
from gateway.queue.asides import AGAIN_S, Asides
from tests.kit.build import NOW
from tests.kit.clocks import wall


class Scene:
    """A journal that fails as it is told, and what was done to the chunk."""

    def __init__(self, fails: BaseException | None = None, *, most: int = 1) -> None:
        self.forms = Forms(Reading(1, most))
        self.fails = fails
        self.events: list[GatewayEvent] = []
        self.done: list[Any] = []

    async def put_aside(
        self,
        aside: Aside,
        held: HeldOf,  # noqa: ARG002
        *,
        now: float,
        chunk_items: int,
    ) -> None:
        if self.fails is not None:
            raise self.fails
        self.done.append(("kept", aside.raw, now, chunk_items))

    async def take(self, form: int | None) -> None:
        async def held(_whole: bool) -> Held:
            return set()

        async def end() -> None:
            self.done.append("ended")

        async def leave(seconds: float) -> None:
            self.done.append(seconds)

        asides = Asides(
            cast(Journal, self),
            observer=self.events.append,
            clock=wall(lambda: NOW),
            chunk_items=3,
        )
        aside = Aside(7, "msg_1", 0, b"raw", form, "why")
        await asides.take(aside, held=held, end=end, leave=leave)


@pytest.mark.parametrize("form", [None, 0, 1, 2, 3])
async def test_a_chunk_ends_after_its_bytes_are_kept(form: int | None) -> None:
    scene = Scene()
    await scene.take(form)
    assert scene.done == [("kept", b"raw", NOW, 3), "ended"]
    assert scene.events == [PutAside("chunk", "msg_1", "why")]


@pytest.mark.parametrize(("form", "most", "left"), [(3, 3, True), (3, 4, True), (4, 3, False)])
async def test_it_is_left_to_a_replica_that_reads_it(form: int, most: int, left: bool) -> None:
    scene = Scene(most=most)
    await scene.take(form)
    assert (scene.done == [AGAIN_S]) == left


@pytest.mark.parametrize("form", [None, 0, 1, 2])
async def test_damage_is_no_matter_for_a_later_version(form: int | None) -> None:
    scene = Scene(most=9)
    await scene.take(form)
    assert scene.done[-1] == "ended"


async def test_a_store_that_fails_keeps_the_chunk_for_later() -> None:
    scene = Scene(StoreUnavailable("it is full"))
    await scene.take(None)
    assert scene.done == []
    assert scene.events == [StoreFailed("put a chunk aside", "it is full")]


async def test_a_row_that_nobody_foresaw_is_told_without_its_content() -> None:
    scene = Scene(ValueError("Mary"))
    await scene.take(None)
    assert scene.done == []
    assert scene.events == [Fault("put a chunk aside", "ValueError", "")]
