"""Log lines: right level, one shape, and nothing in them that must not be there."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any, get_args

import pytest
import structlog

from gateway.app.clocks import SYSTEM
from gateway.events import (
    AttemptsFinished,
    BrakeTripped,
    GatewayEvent,
    LaneHeld,
    Lifecycle,
    WebhookAnswered,
)
from gateway.observe.logs import STRANGERS_S, Format, Level, LogObserver, configure, say
from gateway.observe.redact import MASK, redact, redact_text
from tests.kit.clocks import monotonic
from tests.unit.test_metrics import EXAMPLES

PLANTED = "PLANTED-TEXT"
APNS_TOKEN = "9f" * 32
FCM_TOKEN = "cGFzc3dvcmQ5Zm9y:APA91b" + "Hx_9-" * 27
FID = "dXwR2Kq9Tz-0bV_eLm4PsA"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIzYzIxNDMifQ.SflKxwRJSMeKKF2QT4fwpM"
SECRETS = {
    "an APNs token": APNS_TOKEN,
    "an upper-case APNs token": APNS_TOKEN.upper(),
    "an FCM token": FCM_TOKEN,
    "a Firebase installation id": FID,
    "a JWT": JWT,
    "a signing secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "an API key": "ik_0a1b2c3d_Hk3-x_9QmVt7",
    "a Google access token": "ya29.c.c0AYnqXliQwz-8",
    "a webhook signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    "a phone number": "+254705408079",
    "a private key": "-----BEGIN PRIVATE KEY-----\nMIGTAgEAMBMG\n-----END PRIVATE KEY-----",
    "the start of a private key": "-----BEGIN EC PRIVATE KEY-----\nMIGTAgEAMBMG",
}
HARMLESS = [
    "msg_2Lh9KRb0pzN4LePd3XiA4v12Axj",
    "3c2143e4-3e8e-478a-bf0b-9dc6e284fa33",
    "le2bB6Fi4CMgrIOIqMCJryZb9PR2",
    "#a1b2c3d4e5f6",
    "2025-11-06T09:58:58.233+0000",
    "http://127.0.0.1:8080/v1/devices",
    "com.acme.agent.notifications.extension",
    "TooManyProviderTokenUpdates",
    "google.api_core.exceptions.ServiceUnavailable: 503",
]


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("aiohttp.access").disabled = False
    structlog.reset_defaults()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def lines_of(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


# --- redaction ---------------------------------------------------------------------------------


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS.keys())
@pytest.mark.parametrize("around", ["{}", "to {}, it says", "'{}'", "/3/device/{}", "token={}"])
def test_what_looks_like_a_secret_is_masked_wherever_it_stands(secret: str, around: str) -> None:
    masked = redact_text(around.format(secret))
    assert secret not in masked
    assert secret[8:] not in masked
    assert MASK in masked


@pytest.mark.parametrize("text", HARMLESS)
def test_what_people_need_to_read_stays(text: str) -> None:
    assert redact_text(f"at {text}.") == f"at {text}."


@pytest.mark.parametrize(
    "name",
    ["token", "Authorization", "phone_number", "title", "body", "old_address", "jwt_secret", "key"],
)
@pytest.mark.parametrize("value", ["short", 5, ["a"], {"x": 1}])
def test_what_a_name_gives_away_is_masked_whole(name: str, value: Any) -> None:
    assert redact({name: value}) == {name: MASK}


def test_nested_values_and_keys_are_walked() -> None:
    found = redact({"a": [{"b": f"x {APNS_TOKEN}"}], FCM_TOKEN: (JWT, 1), "n": None, "o": b"abc"})
    assert found == {"a": [{"b": f"x {MASK}"}], MASK: [MASK, 1], "n": None, "o": "[3 bytes]"}


@pytest.mark.parametrize("format_", get_args(Format))
@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS.keys())
def test_no_library_gets_a_secret_past_the_redaction(format_: Format, secret: str) -> None:
    stream = io.StringIO()
    configure("debug", format_, stream)
    logger = logging.getLogger("aioapns")
    logger.warning("rejected %s", secret)
    logger.warning("rejected too %d", 1, extra={"token": secret})
    try:
        int(f"no such device {secret}")
    except ValueError:
        logger.exception("failed")
    structlog.get_logger("any").error(f"said {secret}", thing={"inner": [secret]})
    assert stream.getvalue().count("rejected") == 2
    assert secret.splitlines()[-1] not in stream.getvalue()


def _fail(text: str, cause: Exception | None = None) -> None:
    raise ValueError(text) from cause


def _planted(how: str) -> None:
    text = f"Hi Mary! {PLANTED}"
    logger = logging.getLogger("some.library")
    match how:
        case "argument":
            logger.error("no such header: %r", text)
        case "formatted":
            logger.error("no such header: " + text)  # noqa: G003  # as some do
        case "stack":
            logger.warning(text, stack_info=True, extra={"header": text})
        case "debug":
            logger.debug(text)
        case _:
            try:
                _fail(text, KeyError(text) if how == "chain" else None)
            except ValueError:
                logger.exception("handling %s", text)


@pytest.mark.parametrize("format_", get_args(Format))
@pytest.mark.parametrize("how", ["argument", "formatted", "exception", "chain", "stack", "debug"])
def test_no_library_quotes_input_into_the_log(format_: Format, how: str) -> None:
    """A title has no shape that redaction could know."""
    stream = io.StringIO()
    configure("debug", format_, stream)
    _planted(how)
    said = stream.getvalue()
    assert PLANTED not in said
    assert "Mary" not in said
    assert "some.library" in said
    assert "test_logs.py:" in said


def test_a_librarys_line_says_what_kind_of_thing_went_wrong() -> None:
    stream = io.StringIO()
    configure("info", "json", stream)
    _planted("exception")
    (line,) = lines_of(stream)
    assert line["event"].startswith("handling %s [test_logs.py:")
    assert "ValueError at " in line["event"]
    assert line["level"] == "error"


def test_a_library_cannot_flood_the_log() -> None:
    stream = io.StringIO()
    configure("info", "json", stream)
    for _ in range(1_000):
        _planted("argument")
    _planted("formatted")
    assert len(lines_of(stream)) == 2


# --- lines -------------------------------------------------------------------------------------


def test_a_webhook_is_one_line_with_its_facts() -> None:
    stream = io.StringIO()
    configure("info", "json", stream)
    LogObserver(SYSTEM.monotonic)(
        WebhookAnswered("accepted", 0.01234567, "msg_1", notifications=3, rejected=1)
    )
    (line,) = lines_of(stream)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "webhook accepted",
        "level": "info",
        "logger": "inkpush",
        "result": "accepted",
        "seconds": 0.0123,
        "event_id": "msg_1",
        "notifications": 3,
        "rejected": 1,
        "source": "learnink",
    }


def test_attempts_are_told_only_when_debugging_and_without_their_measurements() -> None:
    event = AttemptsFinished("agent", "fcm", {"delivered": 500}, [0.1] * 500)
    for level, expected in (("info", 0), ("debug", 1)):
        stream = io.StringIO()
        configure(level, "json", stream)  # type: ignore[arg-type] # from the table above
        LogObserver(SYSTEM.monotonic)(event)
        lines = lines_of(stream)
        assert len(lines) == expected
        assert all("seconds" not in line for line in lines)


@pytest.mark.parametrize(
    ("event", "level"),
    [
        (WebhookAnswered("unauthorized", 0.0), "warning"),
        (WebhookAnswered("unavailable", 0.0), "error"),
        (
            LaneHeld(
                "agent", "apns", "production", "misconfigured", "InvalidProviderToken", "check"
            ),
            "error",
        ),
        (LaneHeld("agent", "apns", "production", "operator", "", ""), "warning"),
        (BrakeTripped("agent", "fcm", 90, 1000), "error"),
        (Lifecycle("ready"), "info"),
        (Lifecycle("reload_refused"), "error"),
    ],
)
def test_what_needs_a_person_is_loud(event: GatewayEvent, level: Level) -> None:
    assert say(event)[0] == level


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: type(event).__name__)
@pytest.mark.parametrize("format_", ["json", "console"])
def test_every_event_has_a_line(event: GatewayEvent, format_: Format) -> None:
    stream = io.StringIO()
    configure("debug", format_, stream)
    LogObserver(SYSTEM.monotonic)(event)
    assert say(event)[1] in stream.getvalue()


def test_a_terminal_gets_words_and_a_pipe_gets_json() -> None:
    terminal, pipe = Terminal(), io.StringIO()
    for stream in (terminal, pipe):
        configure("info", "auto", stream)
        LogObserver(SYSTEM.monotonic)(Lifecycle("ready"))
    assert "ready" in terminal.getvalue()
    assert not terminal.getvalue().startswith("{")
    assert lines_of(pipe)[0]["event"] == "ready"


def test_requests_are_not_logged_one_by_one() -> None:
    stream = io.StringIO()
    configure("debug", "json", stream)
    logging.getLogger("aiohttp.access").info("GET /v1/users/%s", "x")
    logging.getLogger("httpx").info("HTTP Request: POST https://fcm.googleapis.com")
    assert stream.getvalue() == ""


def test_configuring_again_replaces_what_was() -> None:
    first, second = io.StringIO(), io.StringIO()
    configure("info", "json", first)
    configure("info", "json", second)
    logging.getLogger("any").warning("once")
    assert first.getvalue() == ""
    assert len(lines_of(second)) == 1


def test_strangers_cannot_flood_the_log() -> None:
    now = [0.0]
    stream = io.StringIO()
    configure("info", "json", stream)
    observe = LogObserver(monotonic(lambda: now[0]))
    for _ in range(50):
        observe(WebhookAnswered("unauthorized", 0.0, reason="no signature matches"))
    now[0] = STRANGERS_S
    observe(WebhookAnswered("unauthorized", 0.0, reason="no signature matches"))
    first, second = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert "more" not in first
    assert second["more"] == 49
