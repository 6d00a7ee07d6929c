"""The settings of APNs for one app: each with its unit, its default and why it is what it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, SecretStr, model_validator

from providers.settings import (
    NOTHING_KEPT,
    Count,
    Filled,
    OptionalHttpUrl,
    OptionalPath,
    ProxyUrl,
    Rate,
    Seconds,
    Transport,
    VendorSettings,
    empty_is_none,
)

MOST_S = 2_592_000
"""30 days: Apple names no longer time."""
Kept = Annotated[Annotated[int, Field(ge=0, le=MOST_S)] | None, BeforeValidator(empty_is_none)]
_ID_LENGTH = 10
_NAMED = re.compile(r"AuthKey_([A-Z0-9]{10})\.p8")


class ApnsSettings(VendorSettings):
    """Apple Push Notification service, for an app on iOS."""

    key_file: Path
    """Authentication key (`AuthKey_....p8`) from the Apple developer account, under "Keys"."""
    key_id: Filled
    """The key's id: 10 characters, also in the file's name."""
    team_id: Filled
    """The team's id: 10 characters, from the account's membership page."""
    topic: Filled
    """The app's bundle id."""
    endpoint: OptionalHttpUrl = ""
    """Where APNs production is; another value points at a stand-in. Empty: Apple's."""
    sandbox_endpoint: OptionalHttpUrl = ""
    """Where the APNs development environment is. Empty: Apple's."""
    sandbox_key_file: OptionalPath = None
    """Authentication key for the development environment, where `key_file` is for production alone:
    since 2025 Apple makes a key for one environment unless asked. Empty: `key_file` is for both."""
    sandbox_key_id: str = ""
    """The id of `sandbox_key_file`; both or none."""
    transport: Transport = "native"
    """`native` is Inkpush's own HTTP/2, made for many pushes; `sdk` sends through aioapns, at a
    fraction of the speed."""
    rate_per_s: Rate = 0
    """Pushes a second at most, 0 for no limit: Apple names none."""
    ramp_s: Rate = 60
    """Seconds from idle to the full rate, where there is one; never under 100 a second. 0: no
    ramp."""
    ca_file: OptionalPath = None
    """Certificates (PEM) trusted beside the system's, for a stand-in."""
    proxy: ProxyUrl = SecretStr("")
    """HTTP proxy that is asked to connect to APNs: `http://user:password@host:port`. Empty: what
    `HTTPS_PROXY` and `NO_PROXY` in the environment say."""
    max_connections: Count = 4
    """Connections to APNs at most: each carries about 1 000 pushes at once, and Apple asks for few
    that stay open."""
    timeout_s: Seconds = 15
    """Seconds until a request without an answer counts as failed."""
    sound: str = "default"
    """Sound that a push plays. Empty: none."""
    vendor_ttl_s: Kept = None
    """Seconds that Apple may keep a push for a phone that is off, from when Apple gets it; at most
    30 days. 0: it is tried once, and not kept. Empty: what is left of the push's life, which
    `relay.max_age_s` limits."""

    @model_validator(mode="after")
    def _two_keys_have_two_ids(self) -> ApnsSettings:
        """A key and its id go together."""
        if (self.sandbox_key_file is None) != (self.sandbox_key_id == ""):
            raise ValueError(
                "has one of sandbox_key_file and sandbox_key_id; expected both or none"
            )
        return self

    @property
    def kept_s(self) -> float:
        return self.vendor_ttl_s or 0.0

    def advice(self) -> Iterator[tuple[str, str]]:
        """Apple's ids have a fixed length; a stand-in's need not."""
        if self.vendor_ttl_s == 0:
            yield "vendor_ttl_s", NOTHING_KEPT
        for name in ("key_id", "team_id", "sandbox_key_id"):
            if len(getattr(self, name)) not in (_ID_LENGTH, 0):
                yield name, "Apple's have 10 characters; better look again"
        for prefix in ("", "sandbox_"):
            file = getattr(self, f"{prefix}key_file")
            named = _NAMED.fullmatch(file.name) if file is not None else None
            if named and named[1] != getattr(self, f"{prefix}key_id"):
                yield f"{prefix}key_id", "is not the one in the key file's name; better look again"
