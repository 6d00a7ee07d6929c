"""What heartbeats promise on every backend: a relay that beats is alive, and is told so."""

from __future__ import annotations

from gateway.core.stored import NEWEST
from tests.kit.build import NOW
from tests.kit.stores import Handle


async def test_a_relay_counts_itself_however_often_it_beats(handle: Handle) -> None:
    for later in range(3):
        assert await handle.store.replicas.beat("one", "all", now=NOW + later) == 1


async def test_who_leaves_may_come_back(handle: Handle) -> None:
    await handle.store.replicas.leave("one")
    assert await handle.store.replicas.beat("one", "relay", now=NOW) == 1
    await handle.store.replicas.leave("one")
    assert await handle.store.replicas.beat("two", "relay", now=NOW) == 1


async def test_two_handles_tell_the_same_heartbeat(handle: Handle, replica: Handle) -> None:
    await handle.store.replicas.beat("one", "all", now=NOW)
    assert await replica.store.replicas.beat("one", "all", now=NOW) == 1


async def test_one_that_is_alone_writes_the_newest_form(handle: Handle) -> None:
    await handle.store.replicas.look()
    assert handle.store.replicas.forms.writes == NEWEST
    await handle.store.replicas.beat("one", "all", now=NOW)
    assert handle.store.replicas.forms.writes == NEWEST
    assert handle.store.replicas.forms is handle.journal.forms
