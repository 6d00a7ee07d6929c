"""Asking Google for an access token: one signed request, and one short answer.

Owns the token endpoint, and what its refusals mean. Refuses to know when a token is due, and who
waits for it: that is `credentials`. google-auth signs; it does not speak, for it would read an
answer of any length, for any time.

Source: RFC 7523, and Google's "Using OAuth 2.0 for server to server applications".
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit

import google.auth.jwt
import google.oauth2.service_account

from providers.contract import Misconfigured, Trouble, Unavailable, read_date
from providers.fcm.dates import WITNESS
from providers.http2.dial import Dial, Origin, dial
from providers.http2.exchange import NEVER_SENT_S
from providers.http2.once import Answer, NoAnswer, NotUnderstood, post
from providers.http2.trouble import trouble_of
from providers.transport.proxies import DIRECT, Proxies
from providers.transport.trust import client_context
from providers.vendor import Clock, told_by
from providers.wording.between import PROXY_LOGIN
from providers.wording.body import parse_body

SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
USUAL_LIFE_S = 3600.0
LONGEST_LIFE_S = 86_400.0
OAUTH_TIMEOUT_S = 15.0
"""Seconds that a whole fetch may take, with all its tries."""

UNREACHABLE = "OAuthUnreachable"
UNAVAILABLE = "OAuthUnavailable"
FOREIGN = "OAuthForeign"
"""What answers at the token endpoint is not Google's."""

_AUDIENCE = "https://oauth2.googleapis.com/token"
"""google-auth names this one as audience, whatever `token_uri` the key file has."""

_TOKEN = re.compile(r"[\x21-\x7e]{1,4096}\Z")
"""Google's have up to 2 048 characters."""

_GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_GRANT_LIFE_S = 3600
_HEADERS = (("content-type", "application/x-www-form-urlencoded"), ("accept", "application/json"))
_OAUTH_ERRORS = frozenset(
    {
        "access_denied",
        "invalid_client",
        "invalid_grant",
        "invalid_request",
        "invalid_scope",
        "unauthorized_client",
        "unsupported_grant_type",
    }
)
_HINT = (
    "Google's token endpoint refuses the service account: check that it and its key still exist "
    "(Google Cloud console, IAM, Service accounts), that token_uri in credentials_file is right, "
    "and that this machine's clock is (NTP)."
)
_UNREACHABLE_HINT = (
    "Check this machine's way to the host of token_uri in credentials_file: DNS, firewall, and "
    "whether a proxy has to be set."
)
_FOREIGN_HINT = (
    "A proxy, a portal or a firewall answers in its place: let the host of token_uri in "
    "credentials_file through untouched, and check token_uri."
)
_LOGIN = "Check proxy in the configuration, its login, and that it lets the host of token_uri pass."

NO_ANSWER = Trouble("the token endpoint gives no answer in time", _UNREACHABLE_HINT)
AWAY = Trouble("the token endpoint cannot be reached", _UNREACHABLE_HINT)
_HANGS_UP = Trouble("the token endpoint hangs up before its answer ends", _UNREACHABLE_HINT)

NoToken = Misconfigured | Unavailable


@dataclass(frozen=True, slots=True)
class Grant:
    """A token, and for how many seconds from its request it is valid."""

    token: str = field(repr=False)
    life_s: float


class NotGranted(Exception):
    """The endpoint answered, and gave no token: the pushes that wait for it get this verdict.

    `why` has more for people than the verdict.
    """

    def __init__(self, verdict: NoToken, why: str = "") -> None:
        super().__init__(verdict.reason)
        self.verdict = verdict
        self.why = why

    @property
    def trouble(self) -> Trouble:
        """The same, for people."""
        why = f" ({self.why})" if self.why else ""
        match self.verdict:
            case Misconfigured(reason=reason, hint=hint):
                return Trouble(f"the token endpoint refuses the service account: {reason}", hint)
            case Unavailable(reason=reason) if reason == UNAVAILABLE:
                told = f"the token endpoint cannot serve now{why}"
                return Trouble(told, "Wait: Google mends that.")
            case Unavailable(reason=reason) if reason == PROXY_LOGIN:
                return Trouble(f"on the way to the token endpoint {PROXY_LOGIN}", _LOGIN)
            case _:
                told = f"what answers at the token endpoint is not Google's{why}"
                return Trouble(told, _FOREIGN_HINT)


class EndpointAway(Exception):
    """The endpoint could not be reached: asking once more is worth it."""

    def __init__(self, trouble: Trouble = AWAY) -> None:
        super().__init__(trouble.reason)
        self.trouble = trouble


class Fetch(Protocol):
    """Fetches a token each time it is called. Whoever waits may stop: it ends with the wait."""

    async def __call__(self) -> Grant:
        """Fetch one. Raises NotGranted and EndpointAway."""


class GoogleFetch:
    """A `Fetch` with a service account's key.

    Raises ValueError where `token_uri` is not a web address, else CredentialError. `clock` says
    what time a request is signed with, and learns from the answer.
    """

    def __init__(
        self,
        account: google.oauth2.service_account.Credentials,
        token_uri: str,
        *,
        ca_file: str = "",
        proxies: Proxies = DIRECT,
        clock: Clock = time.time,
        dial: Dial = dial,
    ) -> None:
        self._account = account
        parts = urlsplit(token_uri)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("token_uri is not a web address")
        context = client_context(ca_file, alpn=("http/1.1",))
        self._origin = Origin.of(token_uri, context, proxies.to(token_uri))
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._clock = clock
        self._told = told_by(clock)
        self._dial = dial

    async def __call__(self) -> Grant:
        form = urlencode({"grant_type": _GRANT_TYPE, "assertion": self._assertion()}).encode()
        try:
            asked_at = time.monotonic()
            answer = await post(self._origin, self._target, _HEADERS, form, dial=self._dial)
        except NotUnderstood as error:
            foreign = Unavailable.not_looked_at(FOREIGN, NEVER_SENT_S)
            raise NotGranted(foreign, str(error)) from None
        except NoAnswer as error:
            raise EndpointAway(_HANGS_UP) from error
        except OSError as error:
            why = trouble_of(error, self._origin.host, setting="token_uri in credentials_file")
            raise EndpointAway(Trouble(f"{AWAY.reason}: {why.reason}", why.hint)) from error
        if (at := read_date(answer.date)) is not None:
            self._told(WITNESS, at, at + 1.0 + time.monotonic() - asked_at)
        return read_grant(answer)

    def _assertion(self) -> str:
        now = int(self._clock())
        claims = {
            "iss": self._account.service_account_email,
            "scope": SCOPE,
            "aud": _AUDIENCE,
            "iat": now,
            "exp": now + _GRANT_LIFE_S,
        }
        signed: bytes = google.auth.jwt.encode(self._account.signer, claims)
        return signed.decode("ascii")


def read_grant(answer: Answer) -> Grant:
    """The token in an answer. Raises NotGranted.

    Only an error of OAuth's (RFC 6749, 5.2) is about the account; anything else may be said by a
    proxy or a portal.
    """
    status, said = answer.status, parse_body(answer.body)
    token, life_s = said.get("access_token"), _life_s(said)
    if (
        200 <= status < 300
        and isinstance(token, str)
        and _TOKEN.match(token)
        and life_s is not None
    ):
        return Grant(token, life_s)
    code = said.get("error")
    if isinstance(code, str) and code in _OAUTH_ERRORS:
        raise NotGranted(Misconfigured(code, _HINT))
    if status == 407:
        raise NotGranted(Unavailable.not_looked_at(PROXY_LOGIN, NEVER_SENT_S))
    if "error" in said:
        raise NotGranted(Unavailable.not_looked_at(UNAVAILABLE, NEVER_SENT_S), f"HTTP {status}")
    raise NotGranted(Unavailable.not_looked_at(FOREIGN, NEVER_SENT_S), _oddity(status, said))


def _life_s(said: Mapping[str, Any]) -> float | None:
    """What `expires_in` says, in seconds; None where that is no number."""
    value = said.get("expires_in", USUAL_LIFE_S)
    try:
        life_s = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return None if math.isnan(life_s) else min(life_s, LONGEST_LIFE_S)


def _oddity(status: int, said: Mapping[str, Any]) -> str:
    """What is odd about an answer without a token; nothing of it is repeated."""
    if 300 <= status < 400:
        return f"HTTP {status}, a redirect, which is not followed"
    if not said:
        return f"HTTP {status} without JSON"
    if "access_token" in said and 200 <= status < 300:
        return f"HTTP {status} with a token that is none"
    return f"HTTP {status} without a token"
