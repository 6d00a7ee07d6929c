"""Asking Google for an access token: google-auth, in a thread of its own.

Owns the token endpoint, and what its refusals mean. Refuses to know when a token is due, and who
waits for it: that is `credentials`.

Source: google-auth is blocking (its own transport waits up to 120 s), so it runs in a thread.
"""

from __future__ import annotations

import asyncio
import json
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

USUAL_LIFE_S = 3600.0
OAUTH_TIMEOUT_S = 10.0

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
        except google.auth.exceptions.RefreshError as error:
            raise NotGranted(_refusal(error)) from None  # it may quote the endpoint's answer
        except google.auth.exceptions.TransportError as error:
            raise EndpointAway from error

    def close(self) -> None:
        self._closed = True
        self._session.close()

    def _refresh(self) -> Grant:
        """Fetch a token; runs in a thread, which goes on when nobody waits for it any more."""
        answers: list[Any] = []

        def ask(*args: Any, **kwargs: Any) -> Any:
            answer = self._request(*args, **kwargs)
            answers.append(answer.data)
            return answer

        try:
            self._account.refresh(ask)
        finally:
            if self._closed:
                self._session.close()
        return Grant(str(self._account.token), _life_s(answers))


def _life_s(answers: list[Any]) -> float:
    """What the last answer said in `expires_in`. google-auth keeps a time of day of its own clock
    instead, which may be another one than the gateway's."""
    said = json.loads(answers[-1]).get("expires_in") if answers else None
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


def _refusal(error: google.auth.exceptions.RefreshError) -> NoToken:
    if error.retryable:
        return Unavailable.not_looked_at("OAuthUnavailable", NEVER_SENT_S)
    said = error.args[1] if len(error.args) > 1 else None
    code = said.get("error") if isinstance(said, dict) else None
    return Misconfigured(code if code in _OAUTH_ERRORS else "OAuthRefused", _HINT)
