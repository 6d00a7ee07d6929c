"""What the sandbox is told to answer: one value per answer, the same for both vendors.

Owns the closed set of answers and their JSON form for the control API. Refuses to know how a
vendor words them: `fcm` and `apns` each render the same answer in their own dialect.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

Kind = Literal[
    "ok",
    "unregistered",
    "throttled",
    "unavailable",
    "internal",
    "bad_token",
    "apns_error",
    "status",
    "empty",
    "hang",
    "reset",
    "goaway",
    "drop",
    "stream_limit",
]
KINDS: tuple[str, ...] = get_args(Kind)

REFUSED_STREAM = 7
"""The HTTP/2 error code that promises: not processed, safe to repeat (RFC 9113, 8.7)."""


class BadAnswer(ValueError):
    """The JSON form of an answer cannot be read."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One scripted answer; build it with the constructors below.

    `code` is an HTTP status (`status`, `empty`, `apns_error`), an HTTP/2 error code (`reset`) or
    a number of streams (`stream_limit`). `delay_s` is waited before anything happens.
    `retry_after` is sent as it is, seconds or an HTTP date. `taken`: the push reaches the phone
    although its sender never learns it. `details` replaces the FCM error details.
    """

    kind: Kind = "ok"
    code: int = 0
    reason: str = ""
    timestamp_ms: int | None = None
    retry_after: float | str | None = None
    delay_s: float = 0.0
    scope: Literal["device", "project"] = "device"
    html: bool = False
    taken: bool = False
    process_current: bool = True
    details: tuple[Mapping[str, Any], ...] | None = None

    def __post_init__(self) -> None:
        if self.kind in ("status", "empty", "apns_error") and not 200 <= self.code <= 599:
            raise BadAnswer(f"an answer of kind {self.kind} needs a code from 200 to 599")

    @classmethod
    def ok(cls) -> Answer:
        """Take the push."""
        return cls()

    @classmethod
    def unregistered(cls, timestamp_ms: int | None = None) -> Answer:
        """Say that the address is dead: APNs 410 (since `timestamp_ms`, else now), FCM 404."""
        return cls("unregistered", timestamp_ms=timestamp_ms)

    @classmethod
    def throttled(
        cls,
        retry_after: float | str | None = None,
        scope: Literal["device", "project"] = "device",
    ) -> Answer:
        """Say 429, for this device or for everything its sender sends."""
        return cls("throttled", retry_after=retry_after, scope=scope)

    @classmethod
    def unavailable(cls, retry_after: float | str | None = None) -> Answer:
        """Say 503."""
        return cls("unavailable", retry_after=retry_after)

    @classmethod
    def internal(cls) -> Answer:
        """Say 500."""
        return cls("internal")

    @classmethod
    def bad_token(cls) -> Answer:
        """Say 400 for an address that was never one: BadDeviceToken, not a valid FCM token."""
        return cls("bad_token")

    @classmethod
    def apns_error(cls, code: int = 410, reason: str = "Unregistered") -> Answer:
        """Say what FCM says when Apple refused its push to an iPhone."""
        return cls("apns_error", code=code, reason=reason)

    @classmethod
    def status(
        cls,
        code: int,
        reason: str = "",
        *,
        html: bool = False,
        timestamp_ms: int | None = None,
        retry_after: float | str | None = None,
        details: Sequence[Mapping[str, Any]] | None = None,
    ) -> Answer:
        """Say any status: `reason` is APNs' reason or FCM's errorCode; `html` as a proxy would."""
        return cls(
            "status",
            code=code,
            reason=reason,
            html=html,
            timestamp_ms=timestamp_ms,
            retry_after=retry_after,
            details=None if details is None else tuple(details),
        )

    @classmethod
    def empty(cls, code: int) -> Answer:
        """Say a status without a body."""
        return cls("empty", code=code)

    @classmethod
    def slow(cls, seconds: float, then: Answer | None = None) -> Answer:
        """Wait, then give the answer `then` (default: take the push)."""
        return replace(then or cls(), delay_s=seconds)

    @classmethod
    def hang(cls, *, taken: bool = False) -> Answer:
        """Never answer; the stream stays open."""
        return cls("hang", taken=taken)

    @classmethod
    def reset(cls, code: int = REFUSED_STREAM, *, taken: bool = False) -> Answer:
        """End the stream with RST_STREAM and this error code."""
        return cls("reset", code=code, taken=taken)

    @classmethod
    def goaway(cls, process_current: bool = True, *, reason: str = "Shutdown") -> Answer:
        """Announce the end of the connection, and close it once earlier streams are answered.

        `last_stream_id` is this stream, which is then taken and answered, or the one before it.
        """
        return cls("goaway", process_current=process_current, reason=reason)

    @classmethod
    def drop(cls, *, taken: bool = False) -> Answer:
        """Cut the connection, with everything on it."""
        return cls("drop", taken=taken)

    @classmethod
    def set_stream_limit(cls, streams: int) -> Answer:
        """Announce a new SETTINGS_MAX_CONCURRENT_STREAMS, then take the push."""
        return cls("stream_limit", code=streams)

    @property
    def accepts(self) -> bool:
        """Whether the push reaches the phone."""
        return (
            self.taken
            or self.kind in ("ok", "stream_limit")
            or (self.kind == "goaway" and self.process_current)
            or (self.kind in ("status", "empty") and self.code == 200)
        )

    def to_json(self) -> dict[str, Any]:
        """The JSON form, without what is left at its default."""
        return {
            field.name: _plain(getattr(self, field.name))
            for field in fields(self)
            if field.name == "kind" or getattr(self, field.name) != field.default
        }

    @classmethod
    def from_json(cls, value: object) -> Answer:
        """Read the JSON form; a bare string is a kind. BadAnswer says what is wrong."""
        if isinstance(value, str):
            value = {"kind": value}
        if not isinstance(value, Mapping):
            raise BadAnswer("an answer is an object or the name of a kind")
        read = {_ALIASES.get(str(name), str(name)): item for name, item in value.items()}
        for name, item in read.items():
            if name not in _CHECKS:
                raise BadAnswer(f"an answer has no {name!r}; it has {', '.join(_CHECKS)}")
            wanted, accepts = _CHECKS[name]
            if not accepts(item):
                raise BadAnswer(f"{name} of an answer must be {wanted}")
        details = read.get("details")
        if details is not None:
            read["details"] = tuple(details)
        return cls(**read)


def _plain(value: object) -> object:
    return [dict(item) for item in value] if isinstance(value, tuple) else value


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_seconds(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def _is_bool(value: object) -> bool:
    return isinstance(value, bool)


_ALIASES = {"status": "code"}
"""The status of an answer is also understood under its everyday name."""

_CHECKS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "kind": ("one of " + ", ".join(KINDS), lambda value: value in KINDS),
    "code": ("a number, 0 or more", _is_int),
    "reason": ("a string", lambda value: isinstance(value, str)),
    "timestamp_ms": ("epoch milliseconds or null", lambda value: value is None or _is_int(value)),
    "retry_after": (
        "seconds, an HTTP date or null",
        lambda value: value is None or isinstance(value, str) or _is_seconds(value),
    ),
    "delay_s": ("seconds, 0 or more", _is_seconds),
    "scope": ("device or project", lambda value: value in ("device", "project")),
    "html": ("true or false", _is_bool),
    "taken": ("true or false", _is_bool),
    "process_current": ("true or false", _is_bool),
    "details": (
        "a list of objects or null",
        lambda value: (
            value is None
            or (isinstance(value, list) and all(isinstance(item, Mapping) for item in value))
        ),
    ),
}
