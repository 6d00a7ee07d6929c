"""The settings of FCM for one app: each with its unit, its default and why it is what it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from providers.settings import (
    NOTHING_KEPT,
    Count,
    HttpUrl,
    OptionalPath,
    ProxyUrl,
    Rate,
    Seconds,
    Transport,
    VendorSettings,
    empty_is_none,
)

MOST_S = 2_419_200
"""Four weeks: the most that FCM takes."""
Kept = Annotated[Annotated[int, Field(ge=0, le=MOST_S)] | None, BeforeValidator(empty_is_none)]
_LABEL = re.compile(r"[a-zA-Z0-9-_.~%]{0,50}")


def _label(value: str) -> str:
    """Check an analytics label, as FCM does; it may be empty."""
    if not _LABEL.fullmatch(value):
        raise ValueError(
            "is not a label that FCM takes; expected at most 50 of A-Z, a-z, 0-9, - _ . ~ %"
        )
    return value


class FcmSettings(VendorSettings):
    """Firebase Cloud Messaging, for an app on Android, on the web, or on iOS through Firebase."""

    has_collapse_key: ClassVar[bool] = True

    credentials_file: Path
    """Service-account JSON of the Firebase project, from its console under "Service accounts"."""
    project_id: str = ""
    """Firebase project. Empty: the one in the credentials."""
    endpoint: HttpUrl = "https://fcm.googleapis.com"
    """Where FCM is; another value points at a stand-in."""
    transport: Transport = "native"
    """`native` is Inkpush's own HTTP/2, made for many pushes; `sdk` sends through firebase-admin,
    at a fraction of the speed."""
    rate_per_s: Rate = 9_000
    """Pushes a second at most, 0 for no limit. Under a project's default quota of 600 000 a
    minute."""
    ramp_s: Rate = 60
    """Seconds from idle to the full rate, as Firebase asks for; never under 100 a second, so that
    a small batch is not held back. 0: no ramp."""
    ca_file: OptionalPath = None
    """Certificates (PEM) trusted beside the system's, for a stand-in."""
    proxy: ProxyUrl = SecretStr("")
    """HTTP proxy that is asked to connect to FCM and to the token endpoint:
    `http://user:password@host:port`. Empty: what `HTTPS_PROXY` and `NO_PROXY` in the environment
    say."""
    max_connections: Count = 20
    """Connections to FCM at most: its front ends allow about 100 pushes at once on each, and at
    200 ms a push the default quota takes 1 800."""
    timeout_s: Seconds = 15
    """Seconds until a request without an answer counts as failed."""
    android_channel_id: str = ""
    """Android notification channel. Empty: the app's default channel."""
    vendor_ttl_s: Kept = None
    """Seconds that FCM may keep a push for a phone that is off, from when FCM gets it; at most four
    weeks. 0: now or never. Empty: what is left of the push's life, which `relay.max_age_s`
    limits."""
    bandwidth_constrained_ok: bool = False
    """Whether Android may get pushes while its network is short of bandwidth, as by satellite;
    Google: "only ... when the app has been tested" for it."""
    restricted_satellite_ok: bool = False
    """Whether Android may get pushes while it is on a restricted satellite network; Google: only
    for apps that have been tested for it."""
    analytics_label: Annotated[str, AfterValidator(_label)] = ""
    """Label by which Google's reports tell this app's pushes from others of the project: at most 50
    of A-Z, a-z, 0-9, `-_.~%`. Empty: none."""

    @property
    def kept_s(self) -> float:
        return self.vendor_ttl_s or 0.0

    def advice(self) -> Iterator[tuple[str, str]]:
        """What FCM lets be, and costs pushes."""
        if self.vendor_ttl_s == 0:
            yield "vendor_ttl_s", NOTHING_KEPT
