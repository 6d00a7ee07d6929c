"""What one relay dated while its time was wrong, put right on SQLite: by a table of clocks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gateway.core.agreement import Correction
from gateway.core.drawn import What
from gateway.core.erased import for_their_time
from gateway.core.model import Chunk, Item, UserRef, day_of
from gateway.core.receipts import Key, Kind, Told
from gateway.core.states import DeliveryState
from gateway.ports import Cancelling, ClockRow
from gateway.ports.starts import Start
from tests.kit.audience import Phone
from tests.kit.build import ALICE, NOW, item
from tests.kit.experiments import WINDOW_S, drawn, kept, word
from tests.kit.stores import BACKENDS, Handle, accept, record

OFF = pytest.mark.parametrize("off", [172_800.0, 3_600.0, -3_600.0, -NOW + 100.0])
DOUBT_S = 30.0
"""So long was the time wrong; something old came before, and something of then."""


@OFF
async def test_all_that_was_dated_in_doubt_is_dated_anew_and_nothing_else(
    off: float, tmp_path: Path
) -> None:
    async with BACKENDS["sqlite"].open(tmp_path, lambda: NOW) as handle:
        old = NOW - 7_000.0
        await accept(handle, "old", at=old)
        began = NOW + off
        await accept(handle, "new", at=began + 1)
        phone = Phone("fcm", 1, 1)
        await handle.registry.register(phone.registration(), proven=None, now=began + 2)
        correction = Correction(began, began + DOUBT_S, -off)
        await handle.store.times.redate(correction, now=NOW + DOUBT_S)
        claims = await handle.queue.claim(limit=9, lease_s=60.0, now=NOW + DOUBT_S)
        seen = {claim.chunk.event_id: claim.chunk for claim in claims}
        assert set(seen) == {"old", "new"}
        assert seen["old"].first_seen == old
        assert seen["new"].first_seen == pytest.approx(NOW + 1)
        for chunk in seen.values():
            assert chunk.deadline - chunk.first_seen == pytest.approx(86_400.0)
        (device,) = await handle.registry.devices_of(UserRef(**phone.user))
        assert device.last_seen_at == pytest.approx(NOW + 2)


async def waiting(handle: Handle, at: float) -> None:
    """A push failed then, and its vendor asked for a minute."""
    await accept(handle, "msg_1", at=NOW - 7_000.0)
    left = record("msg_1", state=DeliveryState.PENDING, at=at, next_at=at + 60.0)
    await handle.journal.record([left], [], [], [], {}, [])


async def dates_of_waiting(handle: Handle) -> tuple[float, float | None]:
    """When it failed, and until when it waits."""
    (left,) = await handle.journal.items_of("msg_1")
    return left.at, left.next_at


@OFF
async def test_what_waits_since_a_doubt_waits_as_long_as_its_vendor_asked(
    off: float, tmp_path: Path
) -> None:
    async with BACKENDS["sqlite"].open(tmp_path, lambda: NOW) as handle:
        await waiting(handle, at=NOW + off + 1.0)
        correction = Correction(NOW + off, NOW + off + DOUBT_S, -off)
        await handle.store.times.redate(correction, now=NOW + DOUBT_S)
        assert await dates_of_waiting(handle) == pytest.approx((NOW + 1.0, NOW + 61.0), abs=1e-3)


@OFF
async def test_what_waits_while_a_clock_goes_wrong_and_right_waits_as_long_as_before(
    off: float, tmp_path: Path
) -> None:
    """Nobody has confirmed the clock, so that it is followed both times."""
    async with BACKENDS["sqlite"].open(tmp_path, lambda: NOW) as handle:
        await waiting(handle, at=NOW + 1.0)
        wrong = Correction(NOW, NOW + 2.0, off)
        right = Correction(NOW + off, NOW + off + DOUBT_S, -off)
        await handle.store.times.redate(wrong, now=NOW + off + 2.0)
        await handle.store.times.redate(right, now=NOW + DOUBT_S)
        assert await dates_of_waiting(handle) == pytest.approx((NOW + 1.0, NOW + 61.0), abs=1e-3)


PHONE = Phone("fcm", 1, 1)
WHOSE = UserRef(**PHONE.user)


async def come_back(handle: Handle, began: float) -> None:
    """A user is erased by a wrong clock, and registers again: one notification came before, and
    another one afterwards."""
    theirs = [item(0, **PHONE.user)]
    await handle.registry.register(PHONE.registration(), proven=None, now=began + 1)
    await accept(handle, "before", theirs, at=began + 2)
    await handle.registry.erase(WHOSE, now=began + 3)
    await handle.registry.register(PHONE.registration(), proven=None, now=began + 4)
    await accept(handle, "after", theirs, at=began + 5)


async def reaches(handle: Handle, chunks: dict[str, Chunk]) -> dict[str, int]:
    """How many devices each event may go to."""
    return {
        event_id: sum(
            map(len, for_their_time(await handle.registry.targets(of(one)), one.first_seen))
        )
        for event_id, one in chunks.items()
    }


def of(chunk: Chunk) -> list[Item]:
    return [entry.item for entry in chunk.items]


@OFF
async def test_an_erase_in_doubt_stays_between_what_came_before_and_what_comes_after(
    off: float, tmp_path: Path
) -> None:
    async with BACKENDS["sqlite"].open(tmp_path, lambda: NOW) as handle:
        await come_back(handle, NOW + off)
        correction = Correction(NOW + off, NOW + off + DOUBT_S, -off)
        await handle.store.times.redate(correction, now=NOW + DOUBT_S)
        await accept(handle, "later", [item(0, **PHONE.user)], at=NOW + DOUBT_S + 1)
        chunks = await taken(handle, NOW + DOUBT_S + 2)
        assert await reaches(handle, chunks) == {"before": 0, "after": 1, "later": 1}
        erasure = await handle.store.erasures.state(WHOSE)
        assert erasure is not None
        assert erasure.asked_at == pytest.approx(NOW + 3)
        (device,) = await handle.registry.devices_of(WHOSE)
        assert device.registered_at == pytest.approx(NOW + 4)


@OFF
@pytest.mark.parametrize("what", ["erase", "logout"])
async def test_what_went_in_doubt_is_older_than_a_file_of_afterwards_and_no_other(
    off: float, what: str, tmp_path: Path
) -> None:
    async with BACKENDS["sqlite"].open(tmp_path, lambda: NOW) as handle:
        began = NOW + off
        await handle.registry.register(PHONE.registration(), proven=None, now=began + 1)
        if what == "erase":
            await handle.registry.erase(WHOSE, now=began + 3)
        else:
            await handle.registry.forget(PHONE.installation, proven=None, now=began + 3)
        correction = Correction(began, began + DOUBT_S, -off)
        await handle.store.times.redate(correction, now=NOW + DOUBT_S)
        for seen_at, newer in ((NOW + 2, (0,)), (NOW + 4, ())):
            line = replace(PHONE.registration(), seen_at=seen_at)
            done = await handle.registry.register_many([line], now=NOW + 60)
            assert done.newer == newer


async def tell_and_cancel(handle: Handle, event_id: str, at: float) -> None:
    """A phone opens a push, and then the push's event is cancelled."""
    await accept(handle, event_id, [item(0, **PHONE.user)], at=at)
    await handle.journal.record([record(event_id, at=at + 1, device_id=7)], [])
    key = Key(event_id, 0, 7, day_of(at), "granted")
    told = Told(key, Kind.OPENED, at + 2, 0.0, even=True)
    kept = await handle.store.receipts.keep([told], rule="opt_in")
    assert [one.refusal for one in kept] == [""]
    act = ALICE.does("events.cancel", event_id, at=at + 3)
    asked = Cancelling(at + 3, 86_400.0, None, act=act, correct=act)
    assert await handle.store.cancels.cancel(event_id, asked)


@OFF
async def test_what_phones_told_and_what_was_cancelled_in_doubt_is_dated_anew(
    off: float, tmp_path: Path
) -> None:
    async with BACKENDS["sqlite"].open(tmp_path, lambda: NOW) as handle:
        began, old = NOW + off, NOW - 7_000.0
        for event_id, at in (("old", old), ("new", began + 1)):
            await tell_and_cancel(handle, event_id, at)
        await handle.store.times.redate(Correction(began, began + DOUBT_S, -off), now=NOW + DOUBT_S)
        for event_id, at in (("old", old), ("new", NOW + 1)):
            found = await handle.store.receipts.of([record(event_id, device_id=7)])
            assert [row.at for row in found.rows] == [pytest.approx(at + 2)]
            cancelled = await handle.store.cancels.of(event_id)
            assert cancelled is not None
            assert cancelled.at == pytest.approx(at + 3)
            assert cancelled.deadline - cancelled.at == pytest.approx(86_400.0 - 3)


async def taken(handle: Handle, now: float) -> dict[str, Chunk]:
    claims = await handle.queue.claim(limit=9, lease_s=60.0, now=now)
    return {claim.chunk.event_id: claim.chunk for claim in claims}


@OFF
@pytest.mark.parametrize("put_back", [False, True], ids=["as it came", "put back by the drain"])
async def test_what_came_by_a_wrong_clock_before_a_restart_lives_from_when_the_time_is_known(
    off: float, put_back: bool, tmp_path: Path
) -> None:
    async with BACKENDS["sqlite"].open(tmp_path, lambda: NOW + off) as handle:
        old = NOW - 7_000.0
        await accept(handle, "old", at=old)
        await accept(handle, "new", at=NOW + off + 1)
        if put_back:
            assert "new" in await taken(handle, NOW + off + 2)
            await handle.queue.let_go()
        wrong = ClockRow("gone", NOW + off + 3, 0.0, "contradicted", since=NOW + off)
        now = NOW + 3_600.0
        await handle.store.times.recall(now=now, began=now - 30.0, wrong=[wrong])
        chunks = await taken(handle, now)
        assert chunks["old"].first_seen == old
        assert chunks["old"].deadline == pytest.approx(old + 86_400.0)
        assert now - 30.01 < chunks["new"].first_seen < now - 30.0
        assert chunks["new"].deadline == pytest.approx(now + 86_400.0)


@OFF
async def test_what_is_leased_when_the_time_is_known_is_claimed_anew(
    off: float, tmp_path: Path
) -> None:
    async with BACKENDS["sqlite"].open(tmp_path, lambda: NOW) as handle:
        await accept(handle, "new", at=NOW + off + 1)
        assert set(await taken(handle, max(NOW, NOW + off) + 2)) == {"new"}
        wrong = ClockRow("gone", NOW + off + 3, 0.0, "contradicted", since=NOW + off)
        await handle.store.times.recall(now=NOW, began=NOW - 30.0, wrong=[wrong])
        chunk = (await taken(handle, NOW))["new"]
        assert NOW - 30.01 < chunk.first_seen < NOW - 30.0
        assert chunk.deadline == pytest.approx(NOW + 86_400.0)


@OFF
@pytest.mark.parametrize("killed", [False, True])
async def test_who_might_start_by_a_wrong_clock_keeps_nobody_waiting_once_the_time_is_known(
    off: float, killed: bool, tmp_path: Path
) -> None:
    async with BACKENDS["sqlite"].open(tmp_path, lambda: NOW) as handle:
        began = NOW + off
        await accept(handle, "new", at=began + 1)
        start = Start(1, "a key", "new", began + 1, "here")
        ask, latest = handle.store.starts.ask, began + 60.0
        assert await ask([start], now=began + 2, latest=latest, for_s=5.0) == ["may"]
        if killed:
            await recall(handle, off)
            now = AGREED
        else:
            now = NOW + DOUBT_S
            await handle.store.times.redate(Correction(began, began + DOUBT_S, -off), now=now)
        again = start._replace(holder="there")
        assert await ask([again], now=now + 5.0, latest=now + 60.0, for_s=5.0) == ["may"]


# --- a process that was killed before its time was put right --------------------------------------

BEGAN = NOW + 100.0
"""When the next process began; its time is agreed on a while later."""
AGREED = BEGAN + 30.0


async def recall(handle: Handle, *offs: float) -> None:
    """The next process knows what time it is, after some whose clocks were so far off."""
    wrong = [
        ClockRow("", NOW + off)
        if off > 0
        else ClockRow(f"gone {place}", NOW + off + 9, since=NOW + off)
        for place, off in enumerate(offs)
    ]
    wrong = [row._replace(doubt="contradicted") for row in wrong]
    await handle.store.times.recall(now=AGREED, began=BEGAN, wrong=wrong)


@OFF
async def test_what_phones_told_a_killed_process_is_dated_before_the_next_one(
    off: float, tmp_path: Path
) -> None:
    async with BACKENDS["sqlite"].open(tmp_path, lambda: NOW) as handle:
        await tell_and_cancel(handle, "new", NOW + off + 1)
        await recall(handle, off)
        found = await handle.store.receipts.of([record("new", device_id=7)])
        cancelled = await handle.store.cancels.of("new")
        assert cancelled is not None
        (opened,) = found.rows
        assert opened.at == pytest.approx(BEGAN)
        assert opened.at < cancelled.at < BEGAN
        assert cancelled.deadline == pytest.approx(AGREED + 86_400.0 - 3)


@OFF
async def test_an_erase_of_a_killed_process_stays_between_what_came_before_and_after(
    off: float, tmp_path: Path
) -> None:
    async with BACKENDS["sqlite"].open(tmp_path, lambda: NOW) as handle:
        theirs = [item(0, **PHONE.user)]
        await accept(handle, "old", theirs, at=NOW + min(off, 0.0) - 7.0)
        await come_back(handle, NOW + off)
        await accept(handle, "later", theirs, at=BEGAN)  # by the next process, and so dated right
        await recall(handle, off)
        chunks = await taken(handle, AGREED)
        reached = await reaches(handle, chunks)
        assert reached == {"old": 0, "before": 0, "after": 1, "later": 1}
        assert chunks["after"].deadline == pytest.approx(AGREED + 86_400.0)
        old = NOW + min(off, 0.0) - 7.0
        assert (chunks["old"].first_seen, chunks["later"].first_seen) == (old, BEGAN)
        erasure = await handle.store.erasures.state(WHOSE)
        assert erasure is not None
        (device,) = await handle.registry.devices_of(WHOSE)
        after = await handle.journal.event("after")
        assert after is not None
        assert after.event.received_at == chunks["after"].first_seen
        dates = [chunks["before"].first_seen, erasure.asked_at, device.registered_at]
        dates += [chunks["after"].first_seen, BEGAN]
        assert dates == sorted(set(dates))
        assert dates[0] == pytest.approx(BEGAN, abs=0.01)


@OFF
@pytest.mark.parametrize("what", ["erase", "logout"])
async def test_what_went_by_a_killed_process_is_older_than_a_file_of_afterwards_and_no_other(
    off: float, what: str, tmp_path: Path
) -> None:
    async with BACKENDS["sqlite"].open(tmp_path, lambda: NOW) as handle:
        began = NOW + off
        await handle.registry.register(PHONE.registration(), proven=None, now=began + 1)
        if what == "erase":
            await handle.registry.erase(WHOSE, now=began + 3)
        else:
            await handle.registry.forget(PHONE.installation, proven=None, now=began + 3)
        await recall(handle, off)
        for seen_at, newer in ((NOW + 2, (0,)), (BEGAN, ())):
            line = replace(PHONE.registration(), seen_at=seen_at)
            done = await handle.registry.register_many([line], now=AGREED)
            assert done.newer == newer


@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize("off", [-3_600.0, -NOW + 100.0])
async def test_nothing_of_before_an_erase_is_sent_though_the_clock_was_behind_the_newest_event(
    off: float, killed: bool, tmp_path: Path
) -> None:
    """An erase is never dated before the newest event. So what came after it then, by a clock that
    was behind, cannot be told from what came before."""
    async with BACKENDS["sqlite"].open(tmp_path, lambda: NOW) as handle:
        await accept(handle, "old", at=NOW - 7.0)
        await come_back(handle, NOW + off)
        if killed:
            await recall(handle, off)
        else:
            correction = Correction(NOW + off, NOW + off + DOUBT_S, -off)
            await handle.store.times.redate(correction, now=AGREED)
        await accept(handle, "later", [item(0, **PHONE.user)], at=AGREED + 1)
        again = PHONE.registration()  # the app's next start, which asks for the erase's date
        await handle.registry.register(again, proven=None, now=AGREED + 2)
        reached = await reaches(handle, await taken(handle, AGREED + 3))
        assert (reached["before"], reached["later"]) == (0, 1)


async def test_who_was_erased_by_a_clock_behind_the_newest_event_is_not_brought_back(
    tmp_path: Path,
) -> None:
    async with BACKENDS["sqlite"].open(tmp_path, lambda: NOW) as handle:
        await accept(handle, "old", at=NOW - 7.0)
        await handle.registry.register(PHONE.registration(), proven=None, now=NOW - 3_599.0)
        await handle.registry.erase(WHOSE, now=NOW - 3_597.0)
        await recall(handle, -3_600.0)
        line = replace(PHONE.registration(), seen_at=NOW + 2)
        assert (await handle.registry.register_many([line], now=AGREED)).newer == (0,)


async def test_nothing_of_before_an_erase_is_sent_though_newer_events_were_of_the_future(
    tmp_path: Path,
) -> None:
    """The process that is right had not learned that, when it was asked to erase."""
    async with BACKENDS["sqlite"].open(tmp_path, lambda: NOW) as handle:
        theirs = [item(0, **PHONE.user)]
        await accept(handle, "ahead", at=NOW + 172_800.0)
        await accept(handle, "before", theirs, at=BEGAN + 1)
        await handle.registry.erase(WHOSE, now=BEGAN + 2)
        await handle.registry.register(PHONE.registration(), proven=None, now=BEGAN + 3)
        await recall(handle, 172_800.0)
        await accept(handle, "later", theirs, at=AGREED + 1)
        reached = await reaches(handle, await taken(handle, AGREED + 2))
        assert (reached["before"], reached["later"]) == (0, 1)


@pytest.mark.parametrize(
    "offs", [(3_600.0, 172_800.0), (-172_800.0, -3_600.0), (-3_600.0, 3_600.0)]
)
async def test_what_two_killed_processes_dated_keeps_its_order(
    offs: tuple[float, float], tmp_path: Path
) -> None:
    async with BACKENDS["sqlite"].open(tmp_path, lambda: NOW) as handle:
        theirs = [item(0, **PHONE.user)]
        first, second = (NOW + off for off in offs)
        await accept(handle, "before", theirs, at=first + 1)
        await handle.registry.erase(WHOSE, now=first + 2)
        await handle.registry.register(PHONE.registration(), proven=None, now=second + 1)
        await accept(handle, "between", theirs, at=second + 2)
        await recall(handle, *offs)
        chunks = await taken(handle, AGREED)
        assert await reaches(handle, chunks) == {"before": 0, "between": 1}
        assert chunks["before"].first_seen < chunks["between"].first_seen


async def test_who_was_never_erased_was_not_by_a_clock_that_began_at_zero(tmp_path: Path) -> None:
    async with BACKENDS["sqlite"].open(tmp_path, lambda: NOW) as handle:
        await handle.registry.register(PHONE.registration(), proven=None, now=5.0)
        await accept(handle, "old", [item(0, **PHONE.user)], at=NOW - 7.0)
        await accept(handle, "new", [item(0, **PHONE.user)], at=6.0)
        await recall(handle, -NOW)
        assert await reaches(handle, await taken(handle, AGREED)) == {"old": 1, "new": 1}


@OFF
async def test_what_came_after_an_erase_stays_though_its_dates_were_put_right_meanwhile(
    off: float, tmp_path: Path
) -> None:
    """The job had taken the erase with its wrong date, and goes on."""
    async with BACKENDS["sqlite"].open(tmp_path, lambda: NOW) as handle:
        await come_back(handle, NOW + off)
        erasures = handle.store.erasures
        (asked,) = await erasures.take("here", now=AGREED, until=AGREED + 60)
        await recall(handle, off)
        await accept(handle, "later", [item(0, **PHONE.user)], at=AGREED)
        for event_id in ("before", "after", "later"):
            await erasures.erase(event_id, asked, now=AGREED, follow=False)
        chunks = await taken(handle, AGREED)
        named = {name: of(chunk)[0].user_id is not None for name, chunk in chunks.items()}
        assert named == {"before": False, "after": True, "later": True}


# --- experiments ----------------------------------------------------------------------------------


async def draw(handle: Handle, experiment: str, at: float) -> None:
    """One begins then, somebody is held, another one left out and a third exempt; it ends."""
    kept_then = kept(experiment=experiment, dry_at=at, started_at=at + 1)
    assert await handle.store.experiments.begin(kept_then)
    rows = [
        drawn(What.HELD, "held", experiment=experiment, since=at + 2, seen_at=at + 1.5),
        drawn(What.LEFT_OUT, "left-out", experiment=experiment, since=at + 2.5),
    ]
    await handle.journal.record([], [], drawn=rows)
    await handle.store.experiments.exempt([word(experiment)], is_exempt=True, at=at + 3)


async def dates_of(handle: Handle, experiment: str) -> dict[str, float]:
    """What is dated, and until when somebody is held."""
    (one,) = [one for one in await handle.store.experiments.all() if one.id == experiment]
    held = await handle.store.people.held(UserRef("held"), [])
    left_out = await handle.store.people.held(UserRef("left-out"), [])
    exempt = await handle.store.people.held(UserRef(experiment), [])
    ((since, until),) = [row[2:4] for row in held.members if row[0] == experiment]
    (reminder,) = [one for one in held.reminders if one.experiment == experiment]
    (away,) = [row[2] for row in left_out.left_out if row[0] == experiment]
    assert exempt.exempt_since is not None
    return {
        "dry_at": one.dry_at,
        "started_at": one.started_at,
        "seen_at": reminder.seen_at,
        "since": since,
        "left out": away,
        "exempt": exempt.exempt_since,
        "ended_at": one.ended_at,
        "until": until,
    }


def drawn_at(at: float, *, ended_at: float = 0.0) -> dict[str, float]:
    """The same of what was drawn then."""
    dates = {"dry_at": at, "started_at": at + 1, "seen_at": at + 1.5, "since": at + 2}
    dates |= {"left out": at + 2.5, "exempt": at + 3}
    return {**dates, "ended_at": ended_at, "until": ended_at or at + 2 + WINDOW_S}


@OFF
@pytest.mark.parametrize("ends", [False, True])
async def test_who_is_held_since_a_doubt_is_held_for_as_long(
    off: float, ends: bool, tmp_path: Path
) -> None:
    async with BACKENDS["sqlite"].open(tmp_path, lambda: NOW) as handle:
        began, old = NOW + off, NOW - 7_000.0
        await draw(handle, "old", old)
        await draw(handle, "new", began)
        if ends:
            await handle.store.experiments.end("new", at=began + 4, reason="enough")
        await handle.store.times.redate(Correction(began, began + DOUBT_S, -off), now=NOW + DOUBT_S)
        assert await dates_of(handle, "old") == drawn_at(old)
        ended_at = NOW + 4 if ends else 0.0
        found = await dates_of(handle, "new")
        assert found == pytest.approx(drawn_at(NOW, ended_at=ended_at), abs=1e-3)
        (one,) = [one for one in await handle.store.experiments.all() if one.id == "new"]
        assert one.ends_at == kept().ends_at


@OFF
async def test_who_is_held_by_a_killed_process_is_held_for_as_long_from_the_next_one_on(
    off: float, tmp_path: Path
) -> None:
    async with BACKENDS["sqlite"].open(tmp_path, lambda: NOW) as handle:
        old = NOW + min(off, 0.0) - 700_000.0
        await draw(handle, "old", old)
        await draw(handle, "new", NOW + off)
        await recall(handle, off)
        assert await dates_of(handle, "old") == drawn_at(old)
        found = await dates_of(handle, "new")
        assert found.pop("ended_at") == 0.0
        assert found.pop("until") - found["since"] == pytest.approx(WINDOW_S, abs=1e-3)
        assert list(found.values()) == sorted(found.values())
        assert {round(at, 3) for at in found.values()} == {BEGAN}
