"""What the tables of all vendors share: the kinds of their values, and how they behave.

Owns what a value must look like, also for the gateway's own settings. Refuses to know vendors, and
where values come from. A message says what is wrong, then what is expected; whoever reads the file
puts the key before it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
)

NOTHING_KEPT = "is 0, so that a phone that is off gets nothing; better leave it out"
"""What is odd about a vendor that keeps nothing."""


class VendorSettings(BaseModel):
    """A vendor's table of one app: unchangeable, and without room for unknown keys.

    A vendor's own docstring says which apps it is for. Every field has one: unit, default and why.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, hide_input_in_errors=True
    )

    has_collapse_key: ClassVar[bool] = False
    """Whether the vendor has a key by which it replaces what it keeps, beside what phones show."""

    @property
    def kept_s(self) -> float:
        """How long the vendor is told to keep a push; 0: as long as the push lives, or not."""
        return 0.0

    def advice(self) -> Iterable[tuple[str, str]]:
        """What is allowed, yet likely a slip: the field, and what would be better."""
        return ()


def empty_is_none(value: Any) -> Any:
    """Let "" stand for "none", as it does for other optional settings."""
    return None if value == "" else value


def http_url(value: str) -> str:
    """Check an http(s) URL without query; a slash at its end is dropped."""
    try:
        parts = urlsplit(value)
        sound = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    else:
        sound = sound and not parts.query and not parts.fragment and not parts.username
    if not sound:
        raise ValueError("is not a valid URL; expected e.g. https://host or https://host:port")
    return value.rstrip("/")


def optional_http_url(value: str) -> str:
    """Check an http(s) URL that may be empty."""
    return http_url(value) if value else value


def proxy_url(value: SecretStr) -> SecretStr:
    """Check a proxy's address, which may hold a login."""
    text = value.get_secret_value()
    try:
        parts = urlsplit(text)
        sound = parts.scheme == "http" and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    else:
        sound = sound and parts.path in {"", "/"} and not parts.query and not parts.fragment
    if text and not sound:
        raise ValueError(
            "is not a proxy; expected http://host:port or http://user:password@host:port"
        )
    return value


Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Filled = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
HttpUrl = Annotated[str, AfterValidator(http_url)]
OptionalHttpUrl = Annotated[str, AfterValidator(optional_http_url)]
OptionalPath = Annotated[Path | None, BeforeValidator(empty_is_none)]
Transport = Literal["native", "sdk"]
ProxyUrl = Annotated[SecretStr, AfterValidator(proxy_url)]
