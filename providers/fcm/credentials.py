"""The access token of FCM: fetched with a service account's key, ahead of time.

Owns the key file and the one token that all requests share. Refuses to know messages. A token that
cannot be had is a verdict, not an error: the pushes that wait for it get it as theirs. How one is
asked for is `fetching`'s matter.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import google.auth.exceptions
import google.oauth2.service_account
import tenacity

from providers.contract import CredentialStatus, Misconfigured, Trouble, Unavailable
from providers.errors import CredentialError
from providers.fcm import fetching, key_file
from providers.fcm.fetching import EndpointAway, Fetch, GoogleFetch, Grant, NotGranted, NoToken
from providers.http2.exchange import NEVER_SENT_S
from providers.wording import between

__all__ = ["AccessToken", "CredentialError", "FcmCredentials"]

SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
RENEW_AT = 0.8
"""The part of its life after which a token is replaced: 48 of 60 minutes."""

USABLE_UNTIL_S = 30.0
"""A token this close to its end may end on the way: it is not used any more."""

HOLD_S = 5.0
"""How long a failure answers for the next ones: the token endpoint is not asked by every push."""

RETRY_RENEWAL_S = 30.0
JUST_FETCHED_S = 60.0


_UNREACHABLE_HINT = (
    "Check this machine's way to the host of token_uri in credentials_file: DNS, firewall, and "
    "whether a proxy has to be set."
)
_FOREIGN_HINT = (
    "A proxy, a portal or a firewall answers in its place: let the host of token_uri in "
    "credentials_file through untouched, and check token_uri."
)
_LOGIN = "Check proxy in the configuration, its login, and that it lets the host of token_uri pass."
NO_TOKEN_IN_TIME = Trouble("the token endpoint gives no answer in time", _UNREACHABLE_HINT)


@dataclass(slots=True)
class AccessToken:
    """An OAuth token; times in epoch seconds. `worked`: FCM has taken it."""

    value: str = field(repr=False)
    fetched_at: float
    expires_at: float
    after_refusal: bool
    worked: bool = False


class FcmCredentials:
    """A service account and its access token. `clock`: epoch seconds."""

    def __init__(
        self,
        account: google.oauth2.service_account.Credentials,
        project_id: str,
        fetch: Fetch,
        clock: Callable[[], float],
    ) -> None:
        self.account = account
        self.project_id = project_id
        self._ask = fetch
        self._clock = clock
        self._token: AccessToken | None = None
        self._was_refused = False
        self._fetching: asyncio.Task[AccessToken | NoToken] | None = None
        self._failure: tuple[float, NoToken] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._last_success_at: float | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<FcmCredentials project_id={self.project_id}>"

    @classmethod
    def load(
        cls,
        file: str | Path,
        *,
        clock: Callable[[], float],
        ca_file: str = "",
        proxy: str = "",
        fetch: Fetch | None = None,
    ) -> FcmCredentials:
        """Read a service account's JSON key; `ca_file` is trusted besides the system's authorities.

        `proxy` is used for the token endpoint; "": the one that the environment names, if any.
        `fetch` asks for tokens in place of google-auth.

        Raises CredentialError with everything that is wrong at once.
        """
        info = key_file.read(Path(file))
        try:
            account = google.oauth2.service_account.Credentials.from_service_account_info(
                info, scopes=[SCOPE]
            )
        except (ValueError, TypeError, google.auth.exceptions.GoogleAuthError):
            # the cause may quote the key
            raise CredentialError(
                [f"credentials_file {file}: private_key is not a PEM key; download a new one."]
            ) from None
        if fetch is None:
            fetch = GoogleFetch(account, ca_file=ca_file, proxy=proxy)
        return cls(account, str(info["project_id"]), fetch, clock)

    @property
    def token_uri(self) -> str:
        """Where tokens are fetched."""
        return str(self.account._token_uri)  # noqa: SLF001 - google-auth has no other name for it

    @property
    def held(self) -> AccessToken | None:
        """The token in force, if there is one."""
        token = self._token
        if token is None:
            return None
        life = token.expires_at - token.fetched_at
        margin = min(USABLE_UNTIL_S, life * (1 - RENEW_AT))
        return token if self._clock() < token.expires_at - margin else None

    async def token(self, *, insist: bool = False) -> AccessToken | NoToken:
        """The token in force, fetched first where there is none; one fetch serves all who wait.

        Shortly after a failure its verdict comes back at once, unless the caller insists.
        """
        if (token := self.held) is not None:
            return token
        if self._failure is not None and self._fetching is None and not insist:
            failed_at, failure = self._failure
            if 0 <= self._clock() - failed_at < HOLD_S:
                return failure
        # Shielded: whoever stops waiting must not stop it for the others.
        return await asyncio.shield(self._fetch())

    def warm_up(self) -> None:
        """Begin to fetch a token, and keep one in hand until `aclose`; may be called again then."""
        self._closed = False
        if self.held is None:
            self._fetch()

    def accepted(self, token: AccessToken) -> None:
        """FCM took this token."""
        token.worked = True
        self._last_success_at = self._clock()

    def refused(self, token: AccessToken) -> bool:
        """FCM answered 401 to this token. True: another one will be fetched, and may do better.

        False: it was fetched just now and never worked, so neither would the next.
        """
        if token is not self._token:
            return True
        self._token = None
        young = token.after_refusal or self._clock() - token.fetched_at < JUST_FETCHED_S
        self._was_refused = token.worked or not young
        return self._was_refused

    @property
    def status(self) -> CredentialStatus:
        """Until when the token in hand is valid, and when FCM last took one."""
        expires_at = self._token.expires_at if self._token else None
        return CredentialStatus(expires_at, self._last_success_at)

    @property
    def trouble(self) -> Trouble | None:
        """Why there is no token; None while there is one, or none was asked for."""
        if self._failure is None or self.held is not None:
            return None
        match self._failure[1]:
            case Misconfigured(reason=reason, hint=hint):
                return Trouble(f"the token endpoint refuses the service account: {reason}", hint)
            case Unavailable(reason=fetching.UNAVAILABLE):
                return Trouble("the token endpoint cannot serve now", "Wait: Google mends that.")
            case Unavailable(reason=fetching.FOREIGN):
                return Trouble("what answers at the token endpoint is not Google's", _FOREIGN_HINT)
            case Unavailable(reason=between.PROXY_LOGIN):
                return Trouble(f"on the way to the token endpoint {between.PROXY_LOGIN}", _LOGIN)
            case Unavailable():
                return Trouble("the token endpoint cannot be reached", _UNREACHABLE_HINT)

    async def aclose(self) -> None:
        """Stop renewing."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait([self._fetching])
        self._ask.close()

    def _fetch(self) -> asyncio.Task[AccessToken | NoToken]:
        if self._fetching is None:
            self._fetching = asyncio.get_running_loop().create_task(self._fetch_once())
            self._fetching.add_done_callback(self._fetched)
        return self._fetching

    def _fetched(self, task: asyncio.Task[AccessToken | NoToken]) -> None:
        self._fetching = None
        if task.cancelled() or self._closed:
            return
        match task.result():
            case AccessToken() as token:
                self._token, self._failure = token, None
                wait = (token.expires_at - self._clock()) * RENEW_AT
            case failure:
                self._failure = (self._clock(), failure)
                wait = RETRY_RENEWAL_S
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(max(wait, 1.0), self._fetch)

    async def _fetch_once(self) -> AccessToken | NoToken:
        """Ask the token endpoint, a second time where it could not be reached."""
        after_refusal, self._was_refused = self._was_refused, False
        asked_at = self._clock()
        attempts = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(2),
            wait=tenacity.wait_random(0.2, 1.0),
            retry=tenacity.retry_if_exception_type(EndpointAway),
            reraise=True,
        )
        try:
            granted: Grant = await attempts(self._ask)
        except NotGranted as refused:
            return refused.verdict
        except Exception:  # noqa: BLE001 - google-auth lets KeyError and others out on odd answers
            return Unavailable.not_looked_at(fetching.UNREACHABLE, NEVER_SENT_S)
        return AccessToken(granted.token, asked_at, asked_at + granted.life_s, after_refusal)
