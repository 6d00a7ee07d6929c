"""Why somebody did not get it: the pure function, over every state, reason and combination."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from gateway.core.attempts import Attempt, Failures
from gateway.core.fanout import CONTRADICTION, GONE, TOO_OLD
from gateway.core.model import Record
from gateway.core.seen import UNKNOWN
from gateway.core.sources import NO_APP, NO_TESTER
from gateway.core.states import DeliveryState, DeviceState, as_it_is
from gateway.core.why import (
    Known,
    Notification,
    Outcome,
    Part,
    Phone,
    Seen,
    Waits,
    why,
)
from gateway.core.why_words import CODES
from gateway.ops.whys import answer_view

NOW = 1_800_000_000.0
EVENT = "msg_1"
PHONE = Phone(
    7,
    "phone",
    "agent",
    "fcm",
    "android",
    DeviceState.ACTIVE,
    "",
    NOW - 9e6,
    NOW - 3600.0,
    "granted",
)
AT = NOW - 60.0
TIMES = ("2027-01-15T07:59:10.000Z", "2027-01-15T07:59:20.000Z", "2027-01-15T07:59:30.000Z")


def line(state: str = "delivered", reason: str = "", device_id: int = 7, **changed: Any) -> Record:
    values: dict[str, Any] = {
        "attempts": 1,
        "at": AT,
        "user_id": "mary",
        "app": "agent" if device_id else "",
        "provider": "fcm" if device_id else "",
        "reason": reason,
        **changed,
    }
    return Record(EVENT, 0, device_id, as_it_is(DeliveryState, state), **values)


def about(*outcomes: Outcome | Record, **changed: Any) -> Notification:
    told = tuple(one if isinstance(one, Outcome) else Outcome(one) for one in outcomes)
    given = Notification(EVENT, 0, "learnink", NOW - 120.0, NOW - 180.0, outcomes=told)
    return replace(given, **changed)


def known(
    notification: Notification | None = None,
    phones: Sequence[Phone] = (PHONE,),
    **changed: Any,
) -> Known:
    values: dict[str, Any] = {
        "now": NOW,
        "phones": phones,
        "notification": notification,
        "company": lambda provider: {"fcm": "Google", "apns": "Apple"}.get(provider, provider),
        "explain": lambda _provider, word: {"UNREGISTERED": "The app was removed."}.get(word, ""),
        "relay_at": NOW - 1.0,
    }
    return Known(**(values | changed))


TRIED = Failures(3, (Attempt(AT, "unavailable", "UNAVAILABLE"), Attempt(AT - 9, "throttled", "X")))
STOPPED = [Part("agent/fcm/android", state, "a reason") for state in ("held", "failing", "paused")]
DENIED = PHONE._replace(notifications="denied")
STALE = PHONE._replace(stale=True, last_seen_at=NOW - 9e6)
FRESH = PHONE._replace(device_id=8, installation_id="tablet")
PRUNED = PHONE._replace(state=DeviceState.PRUNED, state_reason="UNREGISTERED")
SUSPECT = PHONE._replace(state=DeviceState.QUARANTINED, state_reason="BadDeviceToken")
LATER = PHONE._replace(registered_at=NOW - 5.0)

#: what is known, the verdict's code, words of the sentence, what stands in the way
CASES: dict[str, tuple[Known, str, tuple[str, ...], set[str]]] = {
    "opened": (
        known(about(Outcome(line(), seen=Seen(*TIMES)))),
        "opened",
        ("opened", "on phone", "at 2027-01-15 07:59:30 UTC."),
        set(),
    ),
    "shown, and not opened": (
        known(about(Outcome(line(), seen=Seen(*TIMES[:2], None)))),
        "shown",
        ("It was shown on phone", "has not said that they opened it"),
        set(),
    ),
    "shown, and nobody knows more": (
        known(about(Outcome(line(), seen=Seen(*TIMES[:2], UNKNOWN)))),
        "shown",
        ("cannot be known",),
        set(),
    ),
    "arrived, and not shown": (
        known(about(Outcome(line(), seen=Seen(TIMES[0], None, None)))),
        "arrived",
        ("has not said that it showed it",),
        set(),
    ),
    "arrived, and nobody knows more": (
        known(about(Outcome(line(), seen=Seen(TIMES[0], UNKNOWN, None)))),
        "arrived",
        ("cannot be known",),
        set(),
    ),
    "by day for those who may know no more": (
        known(about(Outcome(line(), seen=Seen("2027-01-15", "2027-01-15", "2027-01-15")))),
        "opened",
        ("on 2027-01-15.",),
        set(),
    ),
    "taken by one that can tell": (
        known(about(Outcome(line(), seen=Seen(None, None, None)))),
        "taken",
        ("Google took it", "has not said that it arrived"),
        set(),
    ),
    "taken by one that can tell only that it was shown": (
        known(about(Outcome(line(), seen=Seen(UNKNOWN, None, None)))),
        "taken",
        ("has not said that it showed it",),
        set(),
    ),
    "taken by one that can tell only that it was opened, as on iOS": (
        known(about(Outcome(line(), seen=Seen(UNKNOWN, UNKNOWN, None)))),
        "taken",
        ("have not opened it as far as is known", "showed it cannot be known"),
        set(),
    ),
    "taken by one that cannot tell": (
        known(about(line())),
        "taken",
        ("Google took it", "cannot be known"),
        set(),
    ),
    "taken, and switched off": (known(about(line()), [DENIED]), "denied", ("off",), {"denied"}),
    "switched off, and opened all the same": (
        known(about(Outcome(line(), seen=Seen(*TIMES))), [DENIED]),
        "opened",
        (),
        {"denied"},
    ),
    "taken, and silent": (
        known(about(line()), [STALE]),
        "silent",
        ("nothing was heard",),
        {"silent"},
    ),
    "taken, and never seen": (
        known(about(line()), [STALE._replace(last_seen_at=0.0)]),
        "silent",
        ("ever",),
        {"silent"},
    ),
    "taken, and pruned since": (
        known(about(line()), [PRUNED]),
        "phone_gone",
        ("out of service since", "pruned", "UNREGISTERED"),
        {"pruned", "no_active_device"},
    ),
    "taken, and quarantined since": (
        known(about(line()), [SUSPECT]),
        "phone_gone",
        ("quarantined",),
        {"quarantined", "no_active_device"},
    ),
    "taken, and logged out since": (
        known(about(line()), []),
        "phone_gone",
        ("logged out",),
        {"no_device"},
    ),
    "in the queue": (
        known(about(), [PHONE]),
        "queue",
        ("waits in the queue", "2 minutes"),
        {"queue"},
    ),
    "in the queue, and nobody sends": (
        known(about(), relay_at=NOW - 500.0),
        "no_relay",
        ("no relay is running",),
        {"no_relay"},
    ),
    "in the queue, and nobody ever sent": (
        known(about(), relay_at=None),
        "no_relay",
        ("no relay is running",),
        {"no_relay"},
    ),
    "in the queue, and its source is not there": (
        known(about(source="staging"), knows_source=False),
        "unknown_source",
        ("source staging waits",),
        {"unknown_source"},
    ),
    "waiting, and its source is not there": (
        known(about(line("pending"), source="staging"), knows_source=False),
        "unknown_source",
        ("source staging waits",),
        {"unknown_source"},
    ),
    "taken, and its source is not there any more": (
        known(about(line(), source="staging"), knows_source=False),
        "taken",
        (),
        set(),
    ),
    "on its way to the queue": (
        known(about(status="accepting")),
        "queue",
        ("waits in the queue",),
        {"queue"},
    ),
    "waiting for its turn": (known(about(line("pending"))), "waiting", ("its turn",), set()),
    "waiting, and nobody sends": (
        known(about(line("pending")), relay_at=None),
        "no_relay",
        ("no relay",),
        {"no_relay"},
    ),
    "waiting for its next try": (
        known(about(Outcome(line("pending", "UNAVAILABLE", next_at=NOW + 60, attempts=3), TRIED))),
        "retrying",
        ("After 3 attempts", "due at 2027-01-15 08:01:00 UTC", "UNAVAILABLE"),
        set(),
    ),
    "held": (
        known(about(line("pending")), parts=STOPPED[:1]),
        "held",
        ("agent/fcm/android is held", "a reason"),
        {"held"},
    ),
    "failing": (
        known(about(Outcome(line("pending"), TRIED)), parts=STOPPED[1:2]),
        "failing",
        ("failing", "a reason"),
        {"failing"},
    ),
    "paused by a person": (
        known(about(line("pending")), parts=STOPPED[2:]),
        "paused",
        ("paused by a person",),
        {"paused"},
    ),
    "asked to be quiet": (
        known(about(line("pending")), parts=[Part("agent/fcm/android", "quiet", "busy")]),
        "quiet",
        ("quiet for a while", "busy"),
        {"quiet"},
    ),
    "asked to be quiet until a time": (
        known(
            about(line("pending")),
            parts=[Part("agent/fcm/android", "quiet", "busy", until=NOW + 50.0)],
        ),
        "quiet",
        ("quiet until 2027-01-15 08:00:50 UTC", "busy"),
        {"quiet"},
    ),
    "waiting while another part is held": (
        known(about(line("pending")), parts=[Part("agent/fcm/ios", "held", "no key")]),
        "waiting",
        ("its turn",),
        {"held"},
    ),
    "no phone": (
        known(about(line("no_device", device_id=0)), []),
        "no_device",
        ("No phone",),
        {"no_device"},
    ),
    "no phone in service": (
        known(about(line("no_device", device_id=0)), [SUSPECT]),
        "no_device",
        ("No phone was in service",),
        {"quarantined", "no_active_device"},
    ),
    "no phone then, one now": (
        known(about(line("no_device", device_id=0)), [LATER]),
        "registered_later",
        ("too late",),
        set(),
    ),
    "ids contradict": (
        known(about(line("no_device", CONTRADICTION, 0))),
        "ids_contradict",
        ("ids contradict",),
        {"ids_contradict"},
    ),
    "moved": (known(about(line("no_device", GONE))), "moved", ("another user",), set()),
    "erased before": (
        known(about(line("no_device", "erased", 0)), [], erased_at=AT),
        "erased",
        ("erased",),
        {"no_device"},
    ),
    "no tester": (
        known(about(line("no_device", NO_TESTER, 0))),
        "source_limits",
        ("test users alone",),
        set(),
    ),
    "no app": (known(about(line("no_device", NO_APP, 0))), "source_limits", ("may not",), set()),
    "too old": (known(about(line("expired", TOO_OLD, 0))), "expired", ("too old",), set()),
    "too old by its date": (
        known(about(line("expired", f"{TOO_OLD}: the event is dated 2025-11-06", 0))),
        "expired",
        ("dated 2025-11-06",),
        set(),
    ),
    "expired after tries": (
        known(about(Outcome(line("expired", "UNAVAILABLE"), TRIED))),
        "expired",
        ("Google had said UNAVAILABLE",),
        set(),
    ),
    "refused": (
        known(about(line("refused", "PayloadTooLarge"))),
        "refused",
        ("Google refused it for good", "PayloadTooLarge"),
        set(),
    ),
    "pruned": (
        known(about(line("pruned", "UNREGISTERED")), [PRUNED]),
        "pruned",
        ("no longer finds the app on the phone", "(UNREGISTERED): the app was removed"),
        {"pruned", "no_active_device"},
    ),
    "dead": (
        known(about(Outcome(line("dead", "UNAVAILABLE", attempts=12), TRIED))),
        "dead",
        ("given up", "12 attempts"),
        set(),
    ),
    "cancelled": (
        known(about(line("cancelled", "its event was cancelled"))),
        "cancelled",
        ("cancelled before it was sent",),
        set(),
    ),
    "cancelled, and an answer was lost": (
        known(about(line("cancelled", "its event was cancelled", vendor_id="?"))),
        "cancelled",
        ("cancelled before it was sent", "Google may have taken it"),
        set(),
    ),
    "moved, and an answer was lost": (
        known(about(line("no_device", GONE, vendor_id="?"))),
        "moved",
        ("Google may have taken it",),
        set(),
    ),
    "overtaken": (
        known(about(line("cancelled", "newer one sent"))),
        "overtaken",
        ("newer push",),
        set(),
    ),
    "superseded": (
        known(about(line("cancelled", "superseded by msg_9"))),
        "superseded",
        ("msg_9",),
        set(),
    ),
    "held out": (known(about(line("held_out"))), "held_out", ("experiment",), set()),
    "a later version's state": (
        known(about(line("teleported", "why"))),
        "ended",
        ("teleported", "why"),
        set(),
    ),
    "turned away": (
        known(about(rejected="title and body are both empty", index=None)),
        "rejected",
        ("turned away", "both empty"),
        set(),
    ),
    "not understood": (
        known(about(misread="no JSON", status="quarantined", index=None)),
        "not_understood",
        ("not understood", "no JSON"),
        set(),
    ),
    "nobody": (known(None, []), "unknown_person", ("Nothing is known",), {"no_device"}),
    "nothing came": (known(None), "nothing_came", ("No notification",), set()),
    "erased, and nothing came since": (
        known(None, [], erased_at=AT),
        "erased",
        ("was erased",),
        {"no_device"},
    ),
    "not looked through": (
        known(None, waits=Waits(500, 20, NOW - 99)),
        "not_looked_through",
        ("500 notifications of 20 events",),
        set(),
    ),
    "not looked through, nor counted": (
        known(None, waits=Waits(500, None, None)),
        "not_looked_through",
        ("500 notifications wait",),
        set(),
    ),
    "the queue is out of reach": (
        known(None, waits=Waits(None, None, None)),
        "not_looked_through",
        ("the queue could not be asked",),
        set(),
    ),
    "not looked through, and nobody sends": (
        known(None, waits=Waits(500, 20, NOW - 99), relay_at=None),
        "not_looked_through",
        (),
        {"no_relay"},
    ),
    "left out for a fresher phone": (
        known(about(line(device_id=8)), [FRESH, STALE]),
        "taken",
        (),
        {"stale"},
    ),
    "silent beside one that shows nothing": (
        known(about(line()), [STALE, FRESH._replace(notifications="denied")]),
        "silent",
        (),
        {"silent", "denied"},
    ),
    "silent beside a phone of another app": (
        known(about(line()), [STALE, FRESH._replace(app="other")]),
        "silent",
        (),
        {"silent"},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_verdict_is_right(name: str) -> None:
    given, code, words, in_the_way = CASES[name]
    answer = why(given)
    assert answer.code == code
    assert all(word in answer.verdict for word in words), answer.verdict
    assert {one.what for one in answer.in_the_way} == in_the_way


@pytest.mark.parametrize("name", CASES)
def test_a_verdict_is_one_sentence_and_each_hindrance_says_what_to_do(name: str) -> None:
    answer = why(CASES[name][0])
    assert answer.verdict[0].isupper()
    assert answer.verdict.endswith(".")
    assert ". " not in answer.verdict
    assert "2027-01-15T" not in answer.verdict
    assert "None" not in answer.verdict
    assert "()" not in answer.verdict
    assert all(one.text and one.do for one in answer.in_the_way)
    assert all(each.do in answer.next for each in answer.in_the_way)
    assert len(set(answer.next)) == len(answer.next)
    answer_view(answer)


def test_every_verdict_is_among_the_cases() -> None:
    assert {code for _, code, _, _ in CASES.values()} == set(CODES)


def test_the_chain_tells_what_happened_in_order_with_its_source_and_time() -> None:
    outcome = Outcome(line(attempts=4, vendor_id="projects/x/1"), TRIED, Seen(*TIMES))
    chain = why(known(about(outcome))).chain
    assert [one.link for one in chain] == [
        *("occurred", "received", "stored", "queued"),
        *("tried", "tried", "taken", "arrived", "shown", "opened"),
    ]
    assert [one.source for one in chain] == [
        *("LearnInk", "inkpush", "inkpush", "inkpush"),
        *("Google", "Google", "Google", "the phone", "the phone", "the phone"),
    ]
    times = [one.at or "" for one in chain]
    assert times == sorted(times)
    assert "1 earlier attempt failed" in chain[4].text
    assert "projects/x/1" in chain[6].text
    assert {one.installation_id for one in chain[4:]} == {"phone"}


def test_the_best_phone_speaks_and_each_has_its_links() -> None:
    best = Outcome(line(device_id=8), seen=Seen(*TIMES[:2], None))
    answer = why(known(about(line("dead"), best, line("pending", device_id=9)), [PHONE, FRESH]))
    assert answer.code == "shown"
    assert "on tablet" in answer.verdict
    ends = {(one.link, one.installation_id) for one in answer.chain[4:]}
    assert ends >= {("ended", "phone"), ("shown", "tablet"), ("waiting", None)}


def test_what_is_not_known_is_no_link() -> None:
    chain = why(known(about(line(), occurred_at=None))).chain
    assert [one.link for one in chain] == ["received", "stored", "queued", "taken"]
    assert why(known(None)).chain == ()


PHONES = [PHONE, DENIED, STALE, PRUNED, SUSPECT, PHONE._replace(notifications=None)]
STATES = [*(state.value for state in DeliveryState), "cancelled", "held_out", "unheard_of"]
REASONS = ["", GONE, CONTRADICTION, TOO_OLD, "erased", NO_APP, "newer one sent", "HTTP 500"]
SEEN = [Seen(), Seen(None, None, None), Seen(TIMES[0], None, UNKNOWN), Seen(*TIMES)]


def test_every_combination_has_an_answer() -> None:
    """Also those that cannot be: a page that fails tells less than one that is odd."""
    count = 0
    for state, reason, phone, seen, failures, parts, device_id in itertools.product(
        STATES, REASONS, PHONES, SEEN, (Failures(), TRIED), ([], STOPPED), (0, 7)
    ):
        outcome = Outcome(line(state, reason, device_id), failures, seen)
        answer = why(known(about(outcome), [phone], parts=parts))
        assert answer.code in CODES
        assert answer.verdict.endswith(".")
        assert answer_view(answer)["verdict"] == answer.verdict
        count += 1
    assert count > 5_000
