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

from providers.contract import CredentialStatus, Trouble, Unavailable
from providers.errors import CredentialError
from providers.fcm import key_file
from providers.fcm.fetching import (
    AWAY,
    NO_ANSWER,
    OAUTH_TIMEOUT_S,
    SCOPE,
    UNAVAILABLE,
    UNREACHABLE,
    EndpointAway,
    Fetch,
    GoogleFetch,
    Grant,
    NotGranted,
    NoToken,
)
from providers.http2.exchange import NEVER_SENT_S
from providers.transport.proxies import DIRECT, Proxies

__all__ = ["AccessToken", "CredentialError", "FcmCredentials"]

RENEW_AT = 0.8
"""The part of its life after which a token is replaced: 48 of 60 minutes."""

USABLE_UNTIL_S = 30.0
"""A token this close to its end may end on the way: it is not used any more."""

HOLD_S = 5.0
"""How long a failure answers for the next ones: the token endpoint is not asked by every push."""

RETRY_RENEWAL_S = 30.0
JUST_FETCHED_S = 60.0


@dataclass(slots=True)
class AccessToken:
    """An OAuth token; times in epoch seconds. `worked`: FCM has taken it."""

    value: str = field(repr=False)
    fetched_at: float
    expires_at: float
    after_refusal: bool
    worked: bool = False


@dataclass(frozen=True, slots=True)
class _Failure:
    """A fetch that came to nothing at `at`: what pushes are told, and what people are."""

    at: float
    verdict: NoToken
    trouble: Trouble


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
        #: where tokens come from, for people
        self.token_uri = ""
        self._ask = fetch
        self._clock = clock
        self._token: AccessToken | None = None
        self._was_refused = False
        self._fetching: asyncio.Task[AccessToken | _Failure] | None = None
        self._failure: _Failure | None = None
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
        proxies: Proxies = DIRECT,
        fetch: Fetch | None = None,
    ) -> FcmCredentials:
        """Read a service account's JSON key; `ca_file` is trusted besides the system's authorities.

        `proxies` are asked to connect to the token endpoint. `fetch` asks for tokens in the
        endpoint's place.

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
            try:
                fetch = GoogleFetch(
                    account, info["token_uri"], ca_file=ca_file, proxies=proxies, clock=clock
                )
            except ValueError:
                problem = f"credentials_file {file}: token_uri is not a web address."
                raise CredentialError([problem]) from None
        made = cls(account, str(info["project_id"]), fetch, clock)
        made.token_uri = str(info["token_uri"])
        return made

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
        failure = None if insist or self._fetching is not None else self._failure
        if failure is not None and 0 <= self._clock() - failure.at < HOLD_S:
            return failure.verdict
        # Shielded: whoever stops waiting must not stop it for the others.
        fetched = await asyncio.shield(self._fetch())
        return fetched if isinstance(fetched, AccessToken) else fetched.verdict

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
        return self._failure.trouble

    async def aclose(self) -> None:
        """Stop renewing."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait([self._fetching])

    def _fetch(self) -> asyncio.Task[AccessToken | _Failure]:
        if self._fetching is None:
            self._fetching = asyncio.get_running_loop().create_task(self._fetch_once())
            self._fetching.add_done_callback(self._fetched)
        return self._fetching

    def _fetched(self, task: asyncio.Task[AccessToken | _Failure]) -> None:
        self._fetching = None
        if task.cancelled() or self._closed:
            return
        fetched = task.result()
        if isinstance(fetched, AccessToken):
            self._token, self._failure = fetched, None
            wait = (fetched.expires_at - self._clock()) * RENEW_AT
        else:
            self._failure = fetched
            wait = RETRY_RENEWAL_S
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(max(wait, 1.0), self._fetch)

    async def _fetch_once(self) -> AccessToken | _Failure:
        """Ask the token endpoint, a second time where it could not be reached or serve.

        Both tries together have `OAUTH_TIMEOUT_S`; what is not there by then is left behind.
        """
        after_refusal, self._was_refused = self._was_refused, False
        asked_at = self._clock()
        attempts = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(2),
            wait=tenacity.wait_random(0.2, 1.0),
            retry=tenacity.retry_if_exception(_may_pass),
            reraise=True,
        )
        try:
            async with asyncio.timeout(OAUTH_TIMEOUT_S):
                granted: Grant = await attempts(self._ask)
        except NotGranted as refused:
            return _Failure(self._clock(), refused.verdict, refused.trouble)
        except EndpointAway as away:
            return _Failure(self._clock(), _UNREACHED, away.trouble)
        except TimeoutError:
            return _Failure(self._clock(), _UNREACHED, NO_ANSWER)
        except Exception:  # noqa: BLE001 - whoever waits for a token gets a verdict, whatever it is
            return _Failure(self._clock(), _UNREACHED, AWAY)
        return AccessToken(granted.token, asked_at, asked_at + granted.life_s, after_refusal)


_UNREACHED = Unavailable.not_looked_at(UNREACHABLE, NEVER_SENT_S)


def _may_pass(error: BaseException) -> bool:
    """Whether asking once more at once is worth it."""
    if isinstance(error, NotGranted):
        return error.verdict.reason == UNAVAILABLE
    return isinstance(error, EndpointAway)
