"""Ids that contradict each other, and the words of ids, on every registry."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from gateway.core.model import UserRef
from tests.kit.build import NOW, item
from tests.kit.planting import change
from tests.kit.stores import WORDS, Handle, register, registration

Ids = tuple[str | None, str | None]
"""A `user_id` and a `custom_id`."""


@dataclass(frozen=True)
class Case:
    """Registrations of one phone, one after the other, and whether an item reaches it."""

    registered: list[Ids]
    item: Ids
    reached: bool


U, C, OTHER_U, OTHER_C = "u-mary", "c-mary", "u-bob", "c-bob"
CASES = {
    # what the latest registration said itself
    "both as stated": Case([(U, C)], (U, C), reached=True),
    "another custom_id was stated": Case([(U, OTHER_C)], (U, C), reached=False),
    "another user_id was stated": Case([(OTHER_U, C)], (U, C), reached=False),
    "no custom_id was ever stated": Case([(U, None)], (U, C), reached=True),
    "no user_id was ever stated": Case([(None, C)], (U, C), reached=True),
    # an item with one id never contradicts
    "the item has no custom_id": Case([(U, OTHER_C)], (U, None), reached=True),
    "the item has no user_id": Case([(OTHER_U, C)], (None, C), reached=True),
    # what was carried over finds the phone and never contradicts
    "another custom_id was carried over": Case([(U, OTHER_C), (U, None)], (U, C), reached=True),
    "another user_id was carried over": Case([(OTHER_U, C), (None, C)], (U, C), reached=True),
    "a carried custom_id finds it": Case([(U, C), (U, None)], (None, C), reached=True),
    "a carried user_id finds it": Case([(U, C), (None, C)], (U, None), reached=True),
    "found by a carried user_id, and the custom_id was stated": Case(
        [(U, C), (None, C), (None, C)], (U, OTHER_C), reached=False
    ),
    "found by a carried custom_id, and the user_id was stated": Case(
        [(U, C), (U, None)], (OTHER_U, C), reached=False
    ),
    # the latest word counts
    "stated again after it was carried over": Case(
        [(U, OTHER_C), (U, None), (U, OTHER_C)], (U, C), reached=False
    ),
    "corrected": Case([(U, OTHER_C), (U, C)], (U, C), reached=True),
    "carried over twice": Case([(U, OTHER_C), (U, None), (U, None)], (U, C), reached=True),
    # the same text is another id as the other kind
    "a user_id is no custom_id": Case([(U, "same")], (U, U), reached=False),
    "one text as both": Case([(U, U)], (U, U), reached=True),
}


async def found(handle: Handle, ids: Ids) -> tuple[list[int], list[int]]:
    """The devices that an item reaches, and those that were left out."""
    one = item(user_id=ids[0], custom_id=ids[1])
    answer = await handle.registry.targets([one])
    left_out = answer.contradicting.get(0, [])
    return [one.device_id for one in answer[0]], [one.device_id for one in left_out]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.parametrize("imported", [False, True], ids=["by the app", "by import"])
async def test_a_phone_whose_other_id_was_stated_otherwise_is_left_out(
    handle: Handle, case: Case, imported: bool
) -> None:
    for number, (user_id, custom_id) in enumerate(case.registered):
        # each with an address of its own: an import that says nothing new changes nothing
        asked = registration("phone", f"address-{number}", user_id=user_id, custom_id=custom_id)
        if imported:
            at = NOW + number
            await handle.registry.register_many([replace(asked, seen_at=at)], now=at)
        else:
            await handle.registry.register(asked, proven=None, now=NOW + number)
    (device,) = await handle.registry.installations("phone")
    mine = [device.id]
    assert await found(handle, case.item) == ((mine, []) if case.reached else ([], mine))


async def test_a_token_proves_the_ids_that_it_stands_for(handle: Handle) -> None:
    proven = UserRef(user_id=U, custom_id=C)
    asked = registration(user_id=U, custom_id=C)
    device = (await handle.registry.register(asked, proven=proven, now=NOW)).device
    assert await found(handle, (U, OTHER_C)) == ([], [device.id])
    assert await found(handle, (OTHER_U, C)) == ([], [device.id])


async def test_the_next_user_of_a_phone_is_held_to_nothing_of_the_former(handle: Handle) -> None:
    await register(handle, user_id=U, custom_id=C)
    device = await register(handle, user_id=OTHER_U)
    assert await found(handle, (OTHER_U, "c-any")) == ([device.id], [])
    assert await found(handle, (None, C)) == ([], [])


async def test_some_of_a_users_phones_are_left_out_and_the_others_are_not(handle: Handle) -> None:
    both = await register(handle, "a", "a", user_id=U, custom_id=C)
    other = await register(handle, "b", "b", user_id=U, custom_id=OTHER_C)
    by_custom = await register(handle, "c", "c", custom_id=C)
    stranger = await register(handle, "d", "d", user_id=OTHER_U, custom_id=C)
    reached, left_out = await found(handle, (U, C))
    assert sorted(reached) == [both.id, by_custom.id]
    assert sorted(left_out) == [other.id, stranger.id]


async def test_each_item_of_a_look_up_is_judged_by_its_own_ids(handle: Handle) -> None:
    device = await register(handle, user_id=U, custom_id=C)
    wanted: list[Ids] = [(U, OTHER_C), (U, C), (OTHER_U, C), (U, None), (OTHER_U, OTHER_C)]
    items = [item(n, user_id=user, custom_id=custom) for n, (user, custom) in enumerate(wanted)]
    answer = await handle.registry.targets(items)
    assert [[one.device_id for one in devices] for devices in answer] == [
        [],
        [device.id],
        [],
        [device.id],
        [],
    ]
    assert answer.contradicting.keys() == {0, 2}


# --- words ----------------------------------------------------------------------------------------


async def words_of(handle: Handle, ids: Ids) -> list[str]:
    one = item(user_id=ids[0], custom_id=ids[1])
    (targets,) = await handle.registry.targets([one])
    return [target.word_for(one) for target in targets]


async def test_a_push_has_the_word_of_the_id_by_which_its_phone_was_found(handle: Handle) -> None:
    device = await register(handle, user_id=U, custom_id=C)
    by_user, by_custom = device.words
    assert (by_user, by_custom) == (WORDS.of_user(U), WORDS.of_custom(C))
    assert await words_of(handle, (U, C)) == [by_user]
    assert await words_of(handle, (U, None)) == [by_user]
    assert await words_of(handle, (None, C)) == [by_custom]


async def test_a_phone_that_is_found_by_custom_id_alone_gets_that_word(handle: Handle) -> None:
    await register(handle, custom_id=C)
    assert await words_of(handle, (U, C)) == [WORDS.of_custom(C)]
    await register(handle, user_id=OTHER_U, custom_id=C)
    await register(handle, custom_id=C)  # the user_id is carried over, and is not the item's
    assert await words_of(handle, (U, C)) == [WORDS.of_custom(C)]


async def test_an_answer_has_the_words_of_the_ids_that_were_carried_over(handle: Handle) -> None:
    await register(handle, user_id=U, custom_id=C)
    again = await register(handle, custom_id=C)
    assert again.words == (WORDS.of_user(U), WORDS.of_custom(C))


async def test_the_former_users_word_is_not_among_the_next_ones(handle: Handle) -> None:
    former = await register(handle, user_id=U, custom_id=C)
    present = await register(handle, user_id=OTHER_U, custom_id=OTHER_C)
    assert not set(former.words) & set(present.words)
    assert await words_of(handle, (OTHER_U, OTHER_C)) == [present.words[0]]


async def test_an_import_makes_the_words_of_its_lines(handle: Handle) -> None:
    lines = [registration(f"p-{n}", f"a-{n}", user_id=f"u-{n}", seen_at=NOW) for n in range(30)]
    await handle.registry.register_many(lines, now=NOW)
    for n in (0, 29):
        assert await words_of(handle, (f"u-{n}", None)) == [WORDS.of_user(f"u-{n}")]


async def test_an_imported_phone_keeps_the_words_that_it_was_answered_until_it_registers(
    handle: Handle,
) -> None:
    """They are another gateway's: this one has another secret."""
    line = registration(user_id=U, custom_id=C, seen_at=NOW, words=("others-for-u", "others-for-c"))
    await handle.registry.register_many([line], now=NOW)
    assert await words_of(handle, (U, C)) == ["others-for-u"]
    assert await words_of(handle, (None, C)) == ["others-for-c"]

    without = registration("phone", "renewed", user_id=U, seen_at=NOW + 1)
    await handle.registry.register_many([without], now=NOW + 1)
    assert await words_of(handle, (U, C)) == ["others-for-u"]
    assert await words_of(handle, (None, C)) == ["others-for-c"]

    moved = registration("phone", "again", user_id=OTHER_U, seen_at=NOW + 2)
    await handle.registry.register_many([moved], now=NOW + 2)
    assert await words_of(handle, (OTHER_U, None)) == [WORDS.of_user(OTHER_U)]

    await handle.registry.register_many(
        [registration("phone", "back", user_id=U, seen_at=NOW + 3, words=("others-for-u",))],
        now=NOW + 3,
    )
    assert (await register(handle, "phone", "back", user_id=U)).words == (WORDS.of_user(U),)
    assert await words_of(handle, (U, None)) == [WORDS.of_user(U)]


async def test_a_row_of_before_has_its_words_all_the_same_and_contradicts_nobody(
    handle: Handle,
) -> None:
    device = await register(handle, user_id=U, custom_id=OTHER_C)
    await change(handle, "UPDATE devices SET stated = 0, user_word = NULL, custom_word = NULL")
    assert await found(handle, (U, C)) == ([device.id], [])
    assert await words_of(handle, (U, C)) == [WORDS.of_user(U)]
    assert await words_of(handle, (None, OTHER_C)) == [WORDS.of_custom(OTHER_C)]
