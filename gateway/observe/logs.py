"""Log lines: JSON for machines, colours for a terminal; one line per batch, never per push.

Owns the wording and level of every event's line, and the way of all other logging (aiohttp,
asyncio, httpx, firebase, aioapns) through `foreign` and the same redaction. Lines go to standard
error, for the supervisor to keep.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Literal, TextIO, assert_never

import structlog

from gateway.core.clocks import MonotonicClock
from gateway.events import (
    AttemptsFinished,
    BrakeReleased,
    BrakeTripped,
    ChunkBuried,
    ClockCorrected,
    ClockDoubted,
    ConnectionRefused,
    DeliveriesSettled,
    DevicesRemoved,
    EventCancelled,
    ExperimentEnded,
    Fault,
    GatewayEvent,
    HookFailing,
    HookHeld,
    HookPosted,
    HooksBuried,
    IdsContradict,
    ItemsEnded,
    LaneHeld,
    LaneResumed,
    LaneThrottled,
    LearningSealed,
    Lifecycle,
    NotificationsPosted,
    PartsFailing,
    PartsReached,
    PutAside,
    ReceiptsTold,
    Refusal,
    RelaysCounted,
    SourceKnown,
    SourceUnknown,
    StoreFailed,
    WebhookAnswered,
)
from gateway.observe import foreign
from gateway.observe.redact import redact, redact_text

Format = Literal["auto", "json", "console"]
Level = Literal["debug", "info", "warning", "error"]
Said = tuple[Level, str]

#: libraries that tell of every request or frame at their info level, some with device tokens
_CHATTY = ("aioapns", "asyncio", "google", "h2", "hpack", "httpcore", "httpx", "urllib3")
#: one line per request, with the path; the gateway's own lines say what matters
_SILENT = "aiohttp.access"
#: of these many values only how many there are is worth a line
_MEASURED = frozenset({"seconds", "event_ages"})
#: what the reason says already
_IN_WORDS = frozenset({"undated"})


def configure(level: Level = "info", format: Format = "auto", stream: TextIO | None = None) -> None:  # noqa: A002 - the setting's own name
    """Send all logging of the process through redaction to `stream` (standard error).

    May be called again: the last call counts.
    """
    out = stream or sys.stderr
    as_json = format == "json" or (format == "auto" and not out.isatty())
    renderer: Any = (
        structlog.processors.JSONRenderer(default=str)
        if as_json
        else structlog.dev.ConsoleRenderer(colors=out.isatty(), sort_keys=False)
    )
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    handler = foreign.Handler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.PositionalArgumentsFormatter(), *shared],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                redact_line,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    logging.getLogger(_SILENT).disabled = True
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def redact_line(_logger: Any, _method: str, line: Mapping[str, Any]) -> dict[str, Any]:
    """Redact a line on its way out; the last thing before it is rendered."""
    return {
        name: redact_text(str(value)) if name == "event" else redact(value, name)
        for name, value in line.items()
    }


class LogObserver:
    """An Observer that writes a line for each event, at the level that fits it."""

    def __init__(self, monotonic: MonotonicClock) -> None:
        self._logger: Any = structlog.get_logger("inkpush")
        self._monotonic = monotonic
        #: of what strangers cause: when it may be told again, and how often it was not
        self._strangers: dict[str, tuple[float, int]] = {}

    def __call__(self, event: GatewayEvent) -> None:
        """Write the event's line, unless its level is not wanted."""
        level, text = say(event)
        if not self._logger.isEnabledFor(logging.getLevelName(level.upper())):
            return
        facts = _facts(event)
        if _by_strangers(event):
            now = self._monotonic()
            again, more = self._strangers.get(text, (now, 0))
            if now < again:
                self._strangers[text] = again, more + 1
                return
            self._strangers[text] = now + STRANGERS_S, 0
            if more:
                facts["more"] = more
        self._logger.log(logging.getLevelName(level.upper()), text, **facts)


def _by_strangers(event: GatewayEvent) -> bool:
    """Whether anybody can cause this, as often as they like."""
    match event:
        case WebhookAnswered(result):
            return result in _STRANGERS
        case _:
            return isinstance(event, ConnectionRefused)


_PLAIN = {
    NotificationsPosted: "own notifications accepted",
    EventCancelled: "event cancelled",
    RelaysCounted: "relays counted",
}


def say(event: GatewayEvent) -> Said:
    """How bad an event is, and what to call it."""
    match event:
        case WebhookAnswered(result):
            return _WEBHOOK_LEVELS.get(result, "info"), f"webhook {result}"
        case NotificationsPosted() | EventCancelled() | RelaysCounted():
            return "info", _PLAIN[type(event)]
        case AttemptsFinished():
            return "debug", "attempts finished"
        case DeliveriesSettled() | ReceiptsTold():
            told = isinstance(event, ReceiptsTold)
            return "debug", "receipts told" if told else "deliveries settled"
        case ItemsEnded(result):
            return "debug", f"notifications ended: {result}"
        case IdsContradict():
            return "warning", "ids contradict: devices left out"
        case DevicesRemoved(state=state):
            return "info", f"devices {state}"
        case (
            LaneHeld()
            | LaneResumed()
            | PartsFailing()
            | PartsReached()
            | BrakeTripped()
            | BrakeReleased()
            | LaneThrottled()
        ):
            return _say_of_lane(event)
        case HookPosted() | HookHeld() | HookFailing() | HooksBuried():
            return _say_of_hook(event)
        case ChunkBuried():
            return "error", "chunk given up: no process could finish it"
        case PutAside(what):
            return "error", f"unreadable {what} put aside: see `inkpush dead list`"
        case SourceUnknown():
            return "error", "events wait: the configuration does not name their source"
        case SourceKnown():
            return "info", "events go on: the configuration names their source"
        case ClockDoubted() | ClockCorrected():
            return _say_of_clock(event)
        case Fault(what=what):
            return "error", f"unforeseen failure: {what}"
        case ConnectionRefused(reason):
            return _REFUSALS[reason]
        case StoreFailed() | LearningSealed() | ExperimentEnded():
            return _say_of_store(event)
        case Lifecycle(phase):
            return _PHASE_LEVELS.get(phase, "info"), phase.replace("_", " ")
        case _:
            assert_never(event)


def _say_of_hook(event: HookPosted | HookHeld | HookFailing | HooksBuried) -> Said:
    match event:
        case HookPosted(outcome=outcome):
            return "debug", f"hook {outcome}"
        case HookHeld():
            return "error", "hook held: it answered 410"
        case HookFailing(reason=reason):
            return ("warning", "hook failing") if reason else ("info", "hook works again")
        case HooksBuried():
            return "error", "events became dead letters of a hook: see `inkpush dead list --hook`"


def _say_of_store(event: StoreFailed | LearningSealed | ExperimentEnded) -> Said:
    if isinstance(event, StoreFailed):
        return "error", "store failed"
    if isinstance(event, ExperimentEnded):
        return "warning", "experiment ended"
    return "info", "learning events sealed"


def _say_of_clock(event: ClockDoubted | ClockCorrected) -> Said:
    if isinstance(event, ClockDoubted):
        return _DOUBTS[event.doubt]
    return "warning", "the gateway's time was moved"


def _say_of_lane(
    event: LaneHeld
    | LaneResumed
    | PartsFailing
    | PartsReached
    | BrakeTripped
    | BrakeReleased
    | LaneThrottled,
) -> Said:
    match event:
        case LaneHeld(held="operator"):
            return "warning", "lane paused by an operator"
        case LaneHeld():
            return "error", "lane held: the vendor rejects its configuration"
        case LaneResumed():
            return "info", "lane resumed"
        case PartsFailing():
            return "error", "lane failing: its vendor is not reached, or cannot serve"
        case PartsReached():
            return "info", "lane works again: its vendor is reached"
        case BrakeTripped():
            return "error", "prune brake tripped: release it with `inkpush lanes release`"
        case BrakeReleased():
            return "warning", "prune brake released"
        case LaneThrottled(reason="rate limit"):
            return "debug", "lane at its own rate limit"
        case LaneThrottled():
            return "info", "lane throttled"
        case _:
            assert_never(event)


_PHASE_LEVELS: dict[str, Level] = {
    "reload_refused": "error",
    "failed": "error",
    "given_up": "error",
    "stalled": "error",
    "stood_still": "warning",
    "database_doubted": "error",
    "relay_unknown": "warning",
}
_DOUBTS: dict[str, Said] = {
    "": ("info", "the time is agreed on"),
    "unconfirmed": ("info", "nobody has confirmed this machine's clock yet"),
    "stepped": (
        "error",
        "this machine's clock was moved: the time is doubted",
    ),
    "contradicted": ("error", "this machine's clock is contradicted: the time is doubted"),
}
#: anybody can cause these, as many as they like: one line of each in so many seconds tells enough
_STRANGERS = frozenset({"unauthorized", "too_large", "too_slow", "overloaded"})
STRANGERS_S = 10.0
_REFUSALS: dict[Refusal, Said] = {
    "full": ("error", "connection refused: all that this process may have are in use"),
    "displaced": ("warning", "connection ended: the longest silent one, to make room"),
    "silent": ("info", "connection ended: nothing was asked in time"),
    "slow": ("warning", "connection ended: its header did not come in time"),
    "malformed": ("warning", "connection ended: what came is no HTTP"),
}
_WEBHOOK_LEVELS: dict[str, Level] = {
    "quarantined": "warning",
    "unauthorized": "warning",
    "too_large": "warning",
    "too_slow": "warning",
    "overloaded": "error",
    "unavailable": "error",
}


def _facts(event: GatewayEvent) -> dict[str, Any]:
    """The event's fields for its line; empty ones and long measurements are left out."""
    facts: dict[str, Any] = {}
    for item in fields(event):
        if item.name in _IN_WORDS:
            continue
        value = getattr(event, item.name)
        if isinstance(event, WebhookAnswered) and item.name == "seconds":
            value = round(value, 4)
        elif item.name in _MEASURED and not isinstance(value, int | float):
            continue
        if value not in ("", {}, ()):
            facts[item.name] = dict(value) if isinstance(value, Mapping) else value
    return facts
