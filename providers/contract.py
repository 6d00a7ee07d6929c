"""The push vocabulary: what a push is, where it goes, and what a vendor can answer.

Owns the closed set of verdicts and the promise every transport keeps. A vendor's name is an open
`str`: `providers.vendor` says what belongs to one. Refuses to know sockets, clocks, vendors' codes
and the gateway: the tables that turn a vendor's answer into a verdict are
beside each vendor, and `gateway.core` decides what to do about a verdict.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any, ClassVar, Literal, Protocol, assert_never


class Platform(StrEnum):
    """The platform that the app runs on."""

    ANDROID = "android"
    IOS = "ios"
    WEB = "web"


class AddressKind(StrEnum):
    """How FCM knows the installation: it is moving from tokens to Firebase installation ids."""

    TOKEN = "token"  # noqa: S105  # a kind of address, not a password
    FID = "fid"


class Environment(StrEnum):
    """The APNs environment that issued a device token; FCM has only production."""

    PRODUCTION = "production"
    SANDBOX = "sandbox"

    @property
    def other(self) -> Environment:
        """The environment to try when this one does not know the token."""
        match self:
            case Environment.PRODUCTION:
                return Environment.SANDBOX
            case Environment.SANDBOX:
                return Environment.PRODUCTION
            case _:
                assert_never(self)


def address_hash(value: str) -> str:
    """Name an address in logs and answers without showing it: 12 hex digits of SHA-256."""
    return hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Address:
    """Where a push goes. `value` and `extra` are secret: `repr` and `str` show only a hash.

    `extra` holds what a vendor needs beside the value, as (name, text) pairs: the two keys of a
    Web Push subscription, for one. `value` alone is the address's identity, so renewed keys make
    no other device. Neither vendor of today has any; the first that does stores the pairs beside
    `address` in a column `address_extra` (a JSON object, "{}" by default).
    """

    value: str
    kind: AddressKind = AddressKind.TOKEN
    platform: Platform = Platform.ANDROID
    environment: Environment = Environment.PRODUCTION
    extra: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        return f"<Address {self.platform}/{self.kind} #{address_hash(self.value)}>"


@dataclass(frozen=True, slots=True)
class Message:
    """The content for one user, shared by the pushes to all of the user's devices.

    `path` is the place to open in the WebView, passed to the app unchanged as `data.path`.
    """

    event_id: str
    title: str
    body: str
    path: str | None

    def __repr__(self) -> str:
        return f"<Message of {self.event_id}>"


NO_DELIVERY = "00000000-0000-0000-0000-000000000000"
"""The delivery id of a check, which reaches nobody."""

LONGEST_WORD = "-" * 16
"""As long as a push's `word` may be; all its characters are plain ASCII."""


LONGEST_RECEIPT = "-" * 36
"""As long as a push's `receipt` may be; all its characters are plain ASCII."""


@dataclass(slots=True)
class Push:
    """One message to one address.

    `delivery_id`, a UUID in canonical lower case, is the same at every repeat.
    `collapse_id`, another one, is what the push replaces others by, at the vendor and on the phone:
    collapse key, tag and topic are made of it. "": the delivery id, so it replaces its own repeats.
    `has_key`: whether FCM is given a collapse key at all.
    `is_data`: the app shows FCM data messages by itself, and gets one where its platform lets it.
    `expires_at` is in epoch seconds: the vendor gets the remaining life as TTL or expiration.
    `start_by`, in the event loop's time, is when the first byte of its request must be written at
    the latest: later the address may be somebody else's, and the verdict is `NOT_STARTED`.
    `word` tells the app whose push it is, passed as `data.for`; "": it is a check, or nobody knows.
    `receipt` is what the app gives back when it tells what became of the push, passed as
    `data.receipt`; "": nobody asks. `mutable`: an iPhone has the app's extension look at it first.
    `context` belongs to the caller; a transport hands it back untouched.
    """

    delivery_id: str
    address: Address
    message: Message
    expires_at: float
    context: Any = None
    start_by: float = math.inf
    word: str = ""
    receipt: str = ""
    mutable: bool = False
    collapse_id: str = ""
    has_key: bool = True
    is_data: bool = False


# --- verdicts: the closed set of answers ------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Delivered:
    """The vendor took the push. `vendor_id` is the vendor's id for it."""

    label: ClassVar[str] = "delivered"
    vendor_id: str


@dataclass(frozen=True, slots=True)
class TokenGone:
    """The vendor proved that the address is dead. `since_ms` (epoch ms, APNs 410): since when."""

    label: ClassVar[str] = "token_gone"
    reason: str
    since_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Throttled:
    """Too many pushes, to one device or from the whole lane. `retry_after` in seconds, if given."""

    label: ClassVar[str] = "throttled"
    reason: str
    scope: Literal["device", "lane"]
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Unavailable:
    """No answer, or one that says try later.

    `outcome_known` is true if the vendor certainly did not take the push; false if it may have.
    `retry_after` in seconds, if given. `later_floor_s` is the shortest wait, in seconds, that the
    vendor asks for from a delivery's second attempt on. `looked_at`: see `not_looked_at`.
    """

    label: ClassVar[str] = "unavailable"
    reason: str
    outcome_known: bool
    retry_after: float | None = None
    looked_at: bool = True
    later_floor_s: float = 0.0

    @property
    def is_answer(self) -> bool:
        """Whether this is the vendor's own answer: neither silence, nor something in between."""
        return self.looked_at and self.outcome_known

    @classmethod
    def not_looked_at(cls, reason: str, retry_after: float = 0.0) -> Unavailable:
        """The push certainly did not reach the vendor's application.

        It was not sent, or its connection, stream or credential was refused. The failure says
        nothing about the push itself, so it may go again in `retry_after` seconds; 0 means at once.
        """
        return cls(reason, outcome_known=True, retry_after=retry_after, looked_at=False)


NOT_STARTED = Unavailable.not_looked_at("NotStarted")
"""The push was not started by its `start_by`. Nothing is wrong with it, or with the vendor."""


@dataclass(frozen=True, slots=True)
class Refused:
    """This push will never be taken.

    `fault` says why: the `message` (ours to mend), the `address` (suspect, yet not proven dead),
    or perhaps the `environment` (APNs: the token may belong to the other one).
    """

    label: ClassVar[str] = "refused"
    reason: str
    fault: Literal["message", "address", "environment"] = "message"


@dataclass(frozen=True, slots=True)
class Misconfigured:
    """The vendor rejects the configuration, not the push. `hint` says what to do.

    `about` is "part" if key, project or topic are wrong, so that no push of the part can succeed;
    "target" if the fault may concern this target only.
    """

    label: ClassVar[str] = "misconfigured"
    reason: str
    hint: str
    about: Literal["part", "target"] = "part"


Verdict = Delivered | TokenGone | Throttled | Unavailable | Refused | Misconfigured

VERDICT_LABELS: tuple[str, ...] = (
    Delivered.label,
    TokenGone.label,
    Throttled.label,
    Unavailable.label,
    Refused.label,
    Misconfigured.label,
)


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a vendor is not reached, for people: `reason`, and in `hint` what to do. No secrets."""

    reason: str
    hint: str


@dataclass(frozen=True, slots=True)
class CredentialStatus:
    """When the vendor credential in use expires and when it last worked (epoch seconds)."""

    expires_at: float | None = None
    last_success_at: float | None = None


Settle = Callable[[Sequence[tuple[Push, Verdict]]], None]
"""Takes the verdicts of pushes, on the event loop, in batches of any size."""


class PushProvider(Protocol):
    """A transport to one vendor for one app. The vendor's parts are named as its rules say.

    Promise: every push handed to `send` gets exactly one verdict through `settle`, within the
    transport's own deadline, whatever the vendor or the network does. A transport never starts a
    push after its `start_by`, never retries what may have been taken, and never lets an exception
    out of `send`.
    """

    burst: int
    """How many pushes are best handed over at once: enough to share what a hand-over costs, few
    enough to leave the event loop to others soon."""

    def free(self, part: str) -> int:
        """How many pushes of a part `send` will take right now; 0 while it is full."""

    @property
    def in_flight(self) -> int:
        """How many pushes wait for their verdict."""

    @property
    def connections(self) -> int:
        """How many connections to the vendor are open."""

    @property
    def credential(self) -> CredentialStatus:
        """The state of the credential in use."""

    async def start(self) -> None:
        """Get ready to send. A credential the vendor rejects is a verdict later, not an error."""

    def send(self, pushes: Sequence[Push], settle: Settle) -> None:
        """Start sending; at most `free` pushes. Returns at once; must run on the event loop."""

    def trouble(self, part: str) -> Trouble | None:
        """Why there is no connection or credential for this part now; None when nothing is known
        to stand in the way."""

    async def reach(self, part: str) -> Trouble | None:
        """Have a connection and a credential for this part, and send nothing. Says what stands in
        the way, within the transport's own limits of time."""

    async def check(self, part: str) -> Misconfigured | Unavailable | None:
        """Ask the vendor whether it accepts what this part sends with; nobody gets anything."""

    async def aclose(self) -> None:
        """Give what is in flight a verdict, then close connections."""


def read_date(text: str | None) -> float | None:
    """The time (epoch seconds) in a `Date` header, in whole seconds; None where there is none."""
    try:
        date = parsedate_to_datetime(text or "")
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def date_in(headers: Mapping[str, str]) -> float | None:
    """The time (epoch seconds) at which an answer was given; None: it does not say so, or a cache
    gave it, and its `Date` is of an earlier one. `headers` are of any case."""
    age = headers.get("Age", "0").strip()
    return read_date(headers.get("Date")) if age.strip("0") == "" else None
