"""What people have done, on every backend: written with its event, found by person and place, and
gone with either."""

from __future__ import annotations

from gateway.core.model import Event, UserRef
from gateway.core.suppressing import Done, words_with
from tests.kit.build import NOW
from tests.kit.stores import SECRET, Handle, eraser_of_handle

words = words_with(SECRET)
MARY = words("mary", None)
JOHN = words("john", "own-john")


def done(event_id: str = "msg_e", who: tuple[str, str] = MARY, path: str = "/a") -> Done:
    return Done(event_id, path, "learnink", *who, NOW - 9, 60.0, NOW)


def event(event_id: str = "msg_e", *rows: Done, received_at: float = NOW) -> Event:
    kept = tuple(row._replace(received_at=received_at) for row in rows)
    return Event(event_id, "user.course.completed", "ignored", received_at, body=b"{}", done=kept)


async def accept(handle: Handle, one: Event) -> bool:
    await handle.store.secret(SECRET)
    return await handle.queue.accept(one, ())


async def test_it_is_found_by_either_word_and_the_place(handle: Handle) -> None:
    mary, john = done(), done("msg_f", JOHN, "/b")
    assert await accept(handle, event("msg_e", mary))
    assert await accept(handle, event("msg_f", john))
    of = handle.store.suppressions.of
    assert list(await of([MARY[0]], ["/a"])) == [mary]
    assert list(await of([JOHN[0], MARY[0]], ["/a", "/b"])) == [mary, john]
    assert list(await of([JOHN[1]], ["/b"])) == [john]
    assert list(await of([MARY[0]], ["/b"])) == []
    assert list(await of(["", "x"], ["/a", "/b"])) == []
    assert list(await of([], [])) == []


async def test_a_repeat_adds_nothing(handle: Handle) -> None:
    assert await accept(handle, event("msg_e", done()))
    assert not await accept(handle, event("msg_e", done(path="/other")))
    assert [row.path for row in await handle.store.suppressions.recent(since=0.0)] == ["/a"]


async def test_the_latest_are_those_since_then_in_order(handle: Handle) -> None:
    for number in (2, 1, 3):
        name = f"msg_{number}"
        await accept(handle, event(name, done(name), received_at=NOW + number))
    found = await handle.store.suppressions.recent(since=NOW + 2)
    assert [row.event_id for row in found] == ["msg_2", "msg_3"]


async def test_an_erase_takes_it_and_nobody_elses(handle: Handle) -> None:
    await accept(handle, event("msg_e", done()))
    await accept(handle, event("msg_f", done("msg_f", JOHN)))
    await handle.registry.erase(UserRef(custom_id="own-john"), now=NOW + 5)
    assert [row.event_id for row in await handle.store.suppressions.recent(since=0.0)] == ["msg_e"]
    held = await handle.store.people.held(UserRef(user_id="mary"), [])
    assert list(held.done) == [("msg_e", "/a", NOW - 9)]
    await handle.registry.erase(UserRef(user_id="mary"), now=NOW + 5)
    assert list(await handle.store.suppressions.recent(since=0.0)) == []


async def test_what_was_done_after_an_erase_was_asked_outlives_it(handle: Handle) -> None:
    """Also what came before and was written late goes with it."""
    await handle.registry.erase(UserRef(user_id="mary"), now=NOW + 5)
    await accept(handle, event("msg_e", done()))
    await accept(handle, event("msg_f", done("msg_f"), received_at=NOW + 6))
    await eraser_of_handle(handle, now=NOW + 10).carry_on()
    standing = await handle.store.erasures.state(UserRef(user_id="mary"))
    assert standing is not None
    assert standing.done_at is not None
    assert [row.event_id for row in await handle.store.suppressions.recent(since=0.0)] == ["msg_f"]


async def test_the_same_id_as_the_other_kind_is_somebody_else(handle: Handle) -> None:
    await accept(handle, event("msg_e", done()))
    await handle.registry.erase(UserRef(custom_id="mary"), now=NOW + 5)
    assert len(await handle.store.suppressions.recent(since=0.0)) == 1


async def test_it_goes_with_its_event(handle: Handle) -> None:
    old = event("msg_old", done("msg_old"), received_at=NOW - 20 * 86_400)
    await accept(handle, old)
    await accept(handle, event("msg_e", done()))
    await handle.store.learning.chain(now=NOW, limit=9, salt=lambda: bytes(32))
    await handle.journal.purge(before=NOW - 10 * 86_400)
    assert [row.event_id for row in await handle.store.suppressions.recent(since=0.0)] == ["msg_e"]
