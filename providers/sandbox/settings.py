"""The knobs of a running sandbox, one docstring each. Knows no vendor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from providers.sandbox.answers import Answer

Clock = Callable[[], float]
"""The time now, in epoch seconds."""


class BadSetting(ValueError):
    """There is no such setting, or it cannot have this value."""


@dataclass(slots=True)
class Settings:
    """What can be changed while the sandbox runs, from Python or with PUT /settings."""

    default_answer: Answer = field(default_factory=Answer.ok)
    """The answer for addresses without a script."""
    latency_s: float = 0.0
    """Added to every answer of both vendors."""
    oauth_status: int = 200
    """Anything but 200 makes the token endpoint fail with this status."""
    oauth_page: str = ""
    """Not empty: what the token endpoint says in place of JSON, as somebody in between would."""
    oauth_delay_s: float = 0.0
    """How long the token endpoint thinks."""
    oauth_expires_in: int = 3600
    """Life of the access tokens issued from now on, in seconds."""
    trust_apns_key: bool = True
    """False: the right key is answered with InvalidProviderToken, as if it had been revoked."""
    limit_token_updates: bool = False
    """True: a second provider token on one connection within 20 minutes is answered with 429."""
    stream_limit_before_auth: int = 1
    """Streams of a new APNs connection until its first authenticated answer."""
    stream_limit: int = 1000
    """Streams of a connection after that, and of FCM connections from the start."""
    receive_window: int = 16 * 1024 * 1024
    """Flow-control window of new connections, in bytes; under 65535 there is none."""
    push_cap: int = 0
    """How many pushes are kept at least, of the newest; 0 keeps all."""

    def change(self, changes: Mapping[str, Any]) -> None:
        """Apply all changes or none. BadSetting says what is wrong."""
        checked: dict[str, Any] = {}
        for name, value in changes.items():
            if name not in _NAMES:
                raise BadSetting(f"there is no setting {name!r}; there are {', '.join(_NAMES)}")
            checked[name] = _checked(name, value)
        for name, value in checked.items():
            setattr(self, name, value)

    def to_json(self) -> dict[str, Any]:
        """All settings in the form `change` takes."""
        values = {name: getattr(self, name) for name in _NAMES}
        return values | {"default_answer": self.default_answer.to_json()}


_NAMES = tuple(each.name for each in fields(Settings))


def _checked(name: str, value: object) -> object:
    if name == "default_answer":
        return Answer.from_json(value)
    if name in ("trust_apns_key", "limit_token_updates"):
        if not isinstance(value, bool):
            raise BadSetting(f"{name} must be true or false")
        return value
    if name == "oauth_page":
        if not isinstance(value, str):
            raise BadSetting(f"{name} must be a text")
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise BadSetting(f"{name} must be a number, 0 or more")
    if name.endswith("_s"):
        return float(value)
    if isinstance(value, float):
        raise BadSetting(f"{name} must be a whole number")
    return value
