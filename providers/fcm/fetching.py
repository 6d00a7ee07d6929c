"""Asking Google for an access token: google-auth, in a thread of its own.

Owns the token endpoint, and what its refusals mean. Refuses to know when a token is due, and who
waits for it: that is `credentials`.

Source: google-auth is blocking (its own transport waits up to 120 s), so it runs in a thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import google.auth.exceptions
import google.auth.transport.requests
import google.oauth2.service_account
import requests

from providers.contract import Misconfigured, Unavailable
from providers.http2.exchange import NEVER_SENT_S
from providers.transport.trust import client_context
from providers.wording.between import PROXY_LOGIN
from providers.wording.body import parse_body

USUAL_LIFE_S = 3600.0
OAUTH_TIMEOUT_S = 10.0

UNREACHABLE = "OAuthUnreachable"
UNAVAILABLE = "OAuthUnavailable"
FOREIGN = "OAuthForeign"
"""What answers at the token endpoint is not Google's."""

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

NoToken = Misconfigured | Unavailable


@dataclass(frozen=True, slots=True)
class Grant:
    """A token, and for how many seconds from its request it is valid."""

    token: str = field(repr=False)
    life_s: float


class NotGranted(Exception):
    """The endpoint answered, and gave no token: the pushes that wait for it get this verdict."""

    def __init__(self, verdict: NoToken) -> None:
        super().__init__(verdict.reason)
        self.verdict = verdict


class EndpointAway(Exception):
    """The endpoint could not be reached: asking once more is worth it."""


class Fetch(Protocol):
    """Fetches a token each time it is called."""

    async def __call__(self) -> Grant:
        """Fetch one. Raises NotGranted and EndpointAway."""

    def close(self) -> None:
        """Let go of connections; a later call makes new ones."""


class GoogleFetch:
    """A `Fetch` with a service account's key. `proxy`: "" for the one the environment names."""

    def __init__(
        self,
        account: google.oauth2.service_account.Credentials,
        *,
        ca_file: str = "",
        proxy: str = "",
    ) -> None:
        self._account = account
        self._session = requests.Session()
        self._session.max_redirects = 0  # the signed assertion is for token_uri alone
        self._session.mount("https://", _Adapter(ca_file))
        if proxy:
            self._session.proxies = {"http": proxy, "https": proxy}
            self._session.trust_env = False  # what the environment names would go first
        # google-auth would wait for two minutes
        self._request = partial(
            google.auth.transport.requests.Request(self._session), timeout=OAUTH_TIMEOUT_S
        )
        self._closed = False

    async def __call__(self) -> Grant:
        self._closed = False
        try:
            return await asyncio.to_thread(self._refresh)
        except google.auth.exceptions.TransportError as error:
            raise EndpointAway from error

    def close(self) -> None:
        self._closed = True
        self._session.close()

    def _refresh(self) -> Grant:
        """Fetch a token; runs in a thread, which goes on when nobody waits for it any more."""
        status, body = 0, b""  # not the answer itself: an error would keep its connection open

        def ask(*args: Any, **kwargs: Any) -> Any:
            nonlocal status, body
            answer = self._request(*args, **kwargs)
            status, body = answer.status, answer.data
            return answer

        try:
            self._account.refresh(ask)
        except google.auth.exceptions.TransportError:
            raise
        except Exception:  # noqa: BLE001 - it lets KeyError and others out on odd answers
            # the error may quote the answer
            raise NotGranted(_refusal(status, parse_body(body))) from None
        finally:
            if self._closed:
                self._session.close()
        return Grant(str(self._account.token), _life_s(parse_body(body)))


def _life_s(answer: Mapping[str, Any]) -> float:
    """What the answer said in `expires_in`. google-auth keeps a time of day of its own clock
    instead, which may be another one than the gateway's."""
    said = answer.get("expires_in")
    return USUAL_LIFE_S if said is None else float(said)


class _Adapter(requests.adapters.HTTPAdapter):
    """Connections that trust one more authority; `verify=` of requests would replace the others."""

    def __init__(self, ca_file: str) -> None:
        self._context = client_context(ca_file)
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._context, **kwargs)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        return super().proxy_manager_for(proxy, ssl_context=self._context, **kwargs)


def _refusal(status: int, answer: Mapping[str, Any]) -> NoToken:
    """What an answer without a token means. Only an error of OAuth's (RFC 6749, 5.2) is about the
    account; anything else may be said by a proxy or a portal."""
    code = answer.get("error")
    if isinstance(code, str) and code in _OAUTH_ERRORS:
        return Misconfigured(code, _HINT)
    if status == 407:
        return Unavailable.not_looked_at(PROXY_LOGIN, NEVER_SENT_S)
    reason = UNAVAILABLE if "error" in answer else FOREIGN
    return Unavailable.not_looked_at(reason, NEVER_SENT_S)
