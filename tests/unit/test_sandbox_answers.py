"""The answers a sandbox can be told to give, and the scripts that hold them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from providers.sandbox import Answer
from providers.sandbox.answers import KINDS, BadAnswer
from providers.sandbox.scripts import Scripts
from providers.sandbox.settings import BadSetting, Settings

OK = Answer.ok()
GONE = Answer.unregistered()

EXAMPLES = (
    OK,
    Answer.unregistered(1_700_000_000_000),
    Answer.throttled(5, scope="project"),
    Answer.throttled("Wed, 21 Oct 2026 07:28:00 GMT"),
    Answer.unavailable(1.5),
    Answer.internal(),
    Answer.bad_token(),
    Answer.apns_error(),
    Answer.status(502, html=True),
    Answer.status(400, "INVALID_ARGUMENT", details=[{"@type": "x"}]),
    Answer.empty(500),
    Answer.slow(0.5, then=Answer.internal()),
    Answer.hang(taken=True),
    Answer.reset(2),
    Answer.goaway(process_current=False),
    Answer.drop(),
    Answer.set_stream_limit(3),
)


@pytest.mark.parametrize("answer", EXAMPLES, ids=lambda answer: answer.kind)
def test_an_answer_survives_the_way_through_json(answer: Answer) -> None:
    assert Answer.from_json(json.loads(json.dumps(answer.to_json()))) == answer


def test_the_examples_show_every_kind() -> None:
    assert {answer.kind for answer in EXAMPLES} == set(KINDS)


def test_a_kind_alone_is_an_answer() -> None:
    assert Answer.from_json("hang") == Answer.hang()


def test_the_code_of_an_answer_is_also_called_status() -> None:
    assert Answer.from_json({"kind": "status", "status": 418}) == Answer.status(418)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (7, "an answer is an object"),
        ({"kind": "explode"}, "kind of an answer must be one of ok"),
        ("explode", "kind of an answer must be one of ok"),
        ({"king": "ok"}, "an answer has no 'king'"),
        ({"delay_s": -1}, "delay_s of an answer must be seconds"),
        ({"delay_s": True}, "delay_s of an answer must be seconds"),
        ({"retry_after": []}, "retry_after of an answer must be seconds"),
        ({"timestamp_ms": 1.5}, "timestamp_ms of an answer must be epoch milliseconds"),
        ({"details": [1]}, "details of an answer must be a list of objects"),
        ({"scope": "galaxy"}, "scope of an answer must be device or project"),
        ({"kind": "status"}, "needs a code from 200 to 599"),
        ({"kind": "empty", "code": 99}, "needs a code from 200 to 599"),
    ],
)
def test_a_bad_answer_is_refused_in_words(value: Any, words: str) -> None:
    with pytest.raises(BadAnswer, match=words):
        Answer.from_json(value)


@pytest.mark.parametrize(
    ("answer", "accepts"),
    [
        (OK, True),
        (Answer.slow(1), True),
        (Answer.goaway(), True),
        (Answer.set_stream_limit(1), True),
        (Answer.drop(taken=True), True),
        (Answer.status(200), True),
        (Answer.drop(), False),
        (Answer.goaway(process_current=False), False),
        (Answer.internal(), False),
        (Answer.slow(1, then=GONE), False),
    ],
)
def test_a_phone_gets_exactly_what_was_taken(answer: Answer, accepts: bool) -> None:
    assert answer.accepts is accepts


def taken(scripts: Scripts, address: str, times: int) -> list[Answer]:
    return [scripts.next(address, GONE) for _ in range(times)]


def test_the_last_answer_of_a_script_repeats() -> None:
    scripts = Scripts()
    scripts.write("a", [OK, Answer.internal()], repeat_last=True)
    assert taken(scripts, "a", 3) == [OK, Answer.internal(), Answer.internal()]


def test_a_script_that_does_not_repeat_leaves_ok_behind() -> None:
    scripts = Scripts()
    scripts.write("a", [Answer.internal()], repeat_last=False)
    assert taken(scripts, "a", 3) == [Answer.internal(), OK, OK]


def test_an_address_without_a_script_gets_the_default() -> None:
    scripts = Scripts()
    scripts.write("a", [OK], repeat_last=True)
    assert taken(scripts, "b", 1) == [GONE]


def test_an_empty_script_takes_the_old_one_away() -> None:
    scripts = Scripts()
    scripts.write("a", [OK], repeat_last=True)
    scripts.write("a", [], repeat_last=True)
    assert taken(scripts, "a", 1) == [GONE]


def test_a_look_ahead_takes_nothing() -> None:
    scripts = Scripts()
    scripts.write("a", [Answer.internal()], repeat_last=False)
    assert [scripts.peek("a", GONE) for _ in range(2)] == [Answer.internal()] * 2
    assert taken(scripts, "a", 1) == [Answer.internal()]
    assert scripts.peek("a", GONE) == OK


def test_an_apns_token_is_the_same_in_either_case() -> None:
    scripts = Scripts()
    scripts.write("AB" * 32, [Answer.internal()], repeat_last=True)
    assert taken(scripts, "ab" * 32, 1) == [Answer.internal()]


def test_settings_change_all_together_or_not_at_all() -> None:
    settings = Settings()
    with pytest.raises(BadSetting, match="trust_apns_key must be true or false"):
        settings.change({"latency_s": 2, "trust_apns_key": "no"})
    assert settings == Settings()
    settings.change({"latency_s": 2, "default_answer": {"kind": "internal"}, "stream_limit": 5})
    assert settings == Settings(latency_s=2.0, default_answer=Answer.internal(), stream_limit=5)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"speed": 1}, "there is no setting 'speed'"),
        ({"latency_s": -1}, "latency_s must be a number, 0 or more"),
        ({"stream_limit": 1.5}, "stream_limit must be a whole number"),
        ({"oauth_status": True}, "oauth_status must be a number"),
    ],
)
def test_a_bad_setting_is_refused_in_words(change: dict[str, Any], words: str) -> None:
    with pytest.raises(BadSetting, match=words):
        Settings().change(change)


def test_settings_can_be_read_back_in() -> None:
    settings = Settings(latency_s=0.5, default_answer=Answer.throttled(3))
    copy = Settings()
    copy.change(settings.to_json())
    assert copy == settings
