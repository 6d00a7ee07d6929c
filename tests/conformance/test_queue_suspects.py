"""What every queue promises of chunks that processes ended with: guilt is found alone, and no count
of claims is taken for it."""

from __future__ import annotations

import pytest

from gateway.core.model import Claim
from gateway.core.stored import OLDEST, Reading, write_items
from gateway.core.suspects import FORGOTTEN_S
from gateway.store.sqlite.store import SqliteStore
from tests.kit.build import NOW
from tests.kit.planting import GARBAGE, TOO_NEW, change, literal
from tests.kit.stores import Handle, accept, batch, die, leftover

MOST_ENDS = 10
"""So often a chunk may come beside others before every queue knows it for a suspect."""


async def claim(handle: Handle, now: float, **asked: list[str]) -> list[Claim]:
    """A claim beside others. A broker's queue gets to know by it what waits."""
    return await handle.queue.claim(limit=100, lease_s=handle.lease_s, now=now, **asked)


async def claim_suspect(handle: Handle, now: float, **asked: list[str]) -> Claim | None:
    assert await claim(handle, now, **asked) == []
    found = await handle.queue.claim_suspect(lease_s=handle.lease_s, now=now, **asked)
    assert await handle.queue.has_suspect(now=now, **asked) is False or found is not None
    return found


async def tried(handle: Handle, now: float) -> Claim:
    """The suspect that is tried now."""
    found = await claim_suspect(handle, now)
    assert found is not None
    return found


def lone_ends(tried: Claim) -> int:
    assert tried.trial is not None
    return tried.trial.lone_ends


async def suspected(handle: Handle, now: float = NOW) -> float:
    """Let processes end with all that is due, until all of it is suspected. Returns when."""
    for _ in range(MOST_ENDS):
        claims = await claim(handle, now)
        if not claims:
            assert await handle.queue.has_suspect(now=now)
            return now
        assert {one.trial for one in claims} == {None}
        now = await die(handle, now)
    raise AssertionError("it is claimed beside others for ever")


# --- who is one -----------------------------------------------------------------------------------


async def test_what_one_process_ended_with_comes_again_beside_others(handle: Handle) -> None:
    await accept(handle, "msg_1")
    await accept(handle, "msg_2")
    await claim(handle, NOW)
    now = await die(handle, NOW)
    assert not await handle.queue.has_suspect(now=now)
    again = await claim(handle, now)
    assert [(one.tries, one.trial) for one in again] == [(2, None), (2, None)]


async def test_what_process_after_process_ended_with_is_claimed_alone(handle: Handle) -> None:
    await accept(handle, "msg_1")
    await accept(handle, "msg_2")
    now = await suspected(handle)
    await accept(handle, "msg_new", at=now)
    (fresh,) = await claim(handle, now)
    assert fresh.chunk.event_id == "msg_new"
    first = await tried(handle, now)
    second = await tried(handle, now)
    assert {first.chunk.event_id, second.chunk.event_id} == {"msg_1", "msg_2"}
    assert (lone_ends(first), lone_ends(second)) == (0, 0)
    # both are under a lease
    assert await claim_suspect(handle, now) is None


async def test_a_settled_suspect_never_comes_again_and_what_it_left_is_new(handle: Handle) -> None:
    await accept(handle)
    now = await suspected(handle)
    left = leftover("msg_left", due_at=now)
    assert await handle.queue.settle(await tried(handle, now), [left])
    (fresh,) = await claim(handle, now)
    assert (fresh.chunk.event_id, fresh.trial, fresh.tries) == ("msg_left", None, 1)
    assert not await handle.queue.has_suspect(now=await die(handle, now))


# --- what counts ----------------------------------------------------------------------------------


async def test_only_ends_while_alone_count_and_the_fewest_go_first(handle: Handle) -> None:
    for number in range(3):
        await accept(handle, f"msg_{number}")
    now = await suspected(handle)
    counts = []
    names = []
    for _ in range(7):
        now = await die(handle, now)
        one = await tried(handle, now)
        counts.append(lone_ends(one))
        names.append(one.chunk.event_id)
    assert counts == [0, 0, 0, 1, 1, 1, 2]
    assert len(set(names[:3])) == len(set(names[3:6])) == 3


async def test_the_time_of_the_last_claim_comes_with_a_trial(handle: Handle) -> None:
    await accept(handle)
    now = await suspected(handle)
    await tried(handle, now + 5)
    again = await tried(handle, await die(handle, now + 5))
    assert again.trial is not None
    assert again.trial.since == now + 5


async def test_lone_ends_are_forgotten_an_hour_after_the_last_trial(handle: Handle) -> None:
    await accept(handle)
    now = began = await suspected(handle)
    for _ in range(3):
        await tried(handle, now)
        began, now = now, await die(handle, now)
    assert lone_ends(await tried(handle, began + FORGOTTEN_S)) == 3
    began = began + FORGOTTEN_S
    await die(handle, began)
    assert lone_ends(await tried(handle, began + FORGOTTEN_S + 1)) == 0


async def test_an_absolved_chunk_starts_anew(handle: Handle) -> None:
    await accept(handle)
    now = await suspected(handle)
    for _ in range(3):
        held = await tried(handle, now)
        now = await die(handle, now)
    held = await tried(handle, now)
    assert lone_ends(held) == 3
    await handle.queue.absolve(held)
    assert await claim(handle, now) == []
    assert not await handle.queue.has_suspect(now=now)
    now = await die(handle, now)
    (again,) = await claim(handle, now)
    assert again.trial is None
    now = await suspected(handle, await die(handle, now))
    assert lone_ends(await tried(handle, now)) == 0


async def test_who_has_lost_a_chunk_absolves_it_of_nothing(handle: Handle, replica: Handle) -> None:
    await accept(handle)
    now = await suspected(handle)
    lost = await tried(handle, now)
    now = await die(handle, now)
    await tried(replica, now)
    await handle.queue.absolve(lost)
    now = await die(replica, now)
    assert lone_ends(await tried(handle, now)) == 2


async def test_a_process_that_prolongs_lives_on(handle: Handle) -> None:
    """However often it then is the power that fails: between two prolongations once at most."""
    await accept(handle)
    now = NOW
    for _ in range(MOST_ENDS):
        (held,) = await claim(handle, now)
        assert held.trial is None
        assert await handle.queue.extend([held], lease_s=handle.lease_s, now=now) == set()
        now = await die(handle, now)


async def test_a_prolonged_lease_does_not_end_a_trial(handle: Handle) -> None:
    await accept(handle)
    now = await suspected(handle)
    held = await tried(handle, now)
    assert await handle.queue.extend([held], lease_s=handle.lease_s, now=now) == set()
    assert lone_ends(await tried(handle, await die(handle, now))) == 1


async def test_a_trial_that_was_given_back_in_order_counts_for_nothing(handle: Handle) -> None:
    await accept(handle)
    now = await suspected(handle)
    await tried(handle, now)
    now = await die(handle, now)
    assert lone_ends(await tried(handle, now)) == 1
    await handle.queue.let_go()
    assert lone_ends(await tried(handle, now)) == 1


async def test_what_was_given_back_in_order_is_never_suspected(handle: Handle) -> None:
    await accept(handle)
    for _ in range(MOST_ENDS):
        (held,) = await claim(handle, NOW)
        assert held.trial is None
        await handle.queue.let_go()
    assert not await handle.queue.has_suspect(now=NOW)


# --- lanes, due times, replicas -------------------------------------------------------------------


async def test_a_suspect_waits_while_its_lane_is_closed_until_it_is_too_old(
    handle: Handle,
) -> None:
    life = 100_000.0
    await handle.queue.publish([leftover(lane="agent/apns", deadline=NOW + life)])
    now = await suspected(handle)
    closed = ["agent/apns"]
    assert await claim(handle, now, skip_lanes=closed) == []
    assert not await handle.queue.has_suspect(now=now, skip_lanes=closed)
    assert await claim_suspect(handle, now, skip_lanes=closed) is None
    late = await claim_suspect(handle, NOW + life, skip_lanes=closed)
    assert late is not None


async def test_a_suspect_waits_while_its_part_is_closed(handle: Handle) -> None:
    await handle.queue.publish([leftover(lane="agent/fcm", part="ios", deadline=NOW + 100_000)])
    now = await suspected(handle)
    assert not await handle.queue.has_suspect(now=now, skip_lanes=["agent/fcm/ios"])
    assert await claim_suspect(handle, now, skip_lanes=["agent/fcm/ios"]) is None
    assert await claim_suspect(handle, now, skip_lanes=["agent/fcm/android"]) is not None


async def test_replicas_never_try_the_same_chunk(handle: Handle, replica: Handle) -> None:
    for number in range(4):
        await accept(handle, f"msg_{number}")
    now = await suspected(handle)
    both = [await tried(handle, now), *[await claim_suspect(replica, now)]]
    rest = [await claim_suspect(each, now) for each in (handle, replica) for _ in range(4)]
    names = [one.chunk.event_id for one in [*both, *rest] if one is not None]
    assert sorted(names) == [f"msg_{number}" for number in range(4)]


@pytest.mark.needs("rescue")
async def test_a_trial_whose_process_was_found_dead_at_the_next_start_counts(
    handle: Handle,
) -> None:
    await accept(handle)
    now = await suspected(handle)
    await tried(handle, now)
    assert await handle.queue.rescue() == 1
    # its time is the test's
    assert lone_ends(await tried(handle, now)) == 1


# --- what cannot be read --------------------------------------------------------------------------


@pytest.mark.needs("erases the queue")
async def test_a_suspect_that_cannot_be_read_is_put_aside_and_the_next_one_is_tried(
    handle: Handle,
) -> None:
    for number in range(3):
        await accept(handle, f"msg_{number}")
    now = await suspected(handle)
    await spoil(handle, "msg_0", GARBAGE)
    names = [(await tried(handle, now)).chunk.event_id for _ in range(2)]
    assert sorted(names) == ["msg_1", "msg_2"]
    assert await claim_suspect(handle, now) is None
    (letter,) = await handle.journal.dead(limit=9)
    assert (letter.event_id, letter.raw) == ("msg_0", GARBAGE)
    assert letter.reason.startswith("unreadable: ")


@pytest.mark.needs("erases the queue")
async def test_a_suspect_that_a_living_replica_reads_is_left_to_it_and_was_not_tried(
    handle: Handle,
) -> None:
    await accept(handle)
    now = await suspected(handle)
    kept = await spoil(handle, "msg_1", TOO_NEW)
    handle.journal.forms.learn(Reading(OLDEST, 3))
    for _ in range(3):
        assert await claim_suspect(handle, now) is None
        now = await die(handle, now)
    assert await handle.journal.dead(limit=9) == []
    await spoil(handle, "msg_1", kept)
    assert lone_ends(await tried(handle, now)) == 0


async def test_a_past_that_is_no_past_ends_no_process(handle: Handle) -> None:
    await accept(handle, "msg_0")
    await accept(handle, "msg_1")
    now = await suspected(handle)
    if isinstance(handle.store, SqliteStore):  # the other engine keeps numbers alone in there
        await change(handle, "UPDATE queue SET lone_ends = 'x' WHERE event_id = 'msg_0'")
    names = [(await tried(handle, now)).chunk.event_id for _ in range(2)]
    assert sorted(names) == ["msg_0", "msg_1"]


async def spoil(handle: Handle, event_id: str, items: bytes) -> bytes:
    """Put these bytes where a queued chunk's items are. Returns those, in the form now written."""
    await change(
        handle,
        f"UPDATE queue SET items = {literal(handle, items)} WHERE event_id = '{event_id}'",  # ours
    )
    return write_items(batch(event_id)[1][0].items, handle.journal.forms.writes)
