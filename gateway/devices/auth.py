"""Who is calling, and may they: user tokens, API keys, scopes, limits per caller.

Owns the way from a request to a `Caller`. Whatever is sent, the answer is a caller or a problem
document of 401, 403, 429 or (published keys never seen) 503; it never says which part of a
credential was close to right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from multidict import MultiMapping

from gateway.core.audit import USER, Actor, key_holder
from gateway.core.clocks import Clocks
from gateway.core.model import UserRef
from gateway.devices.api_keys import KeyRing, looks_like_key
from gateway.devices.jwks import PAUSE_S, KeysUnavailable, RemoteKeys
from gateway.devices.limits import CallerLimits
from gateway.devices.public_keys import load_pem
from gateway.devices.tokens import BadToken, SubjectKind, TimeDoubted, TokenVerifier
from gateway.exchange import Request
from gateway.ports import ApiKey, Keys
from gateway.problems import RETRY_AFTER_S, Problem

USER_SCOPES = frozenset({"devices:read", "devices:write"})
"""What a user token allows, for its own user."""
WRONG_KEYS_PER_MINUTE = 120
"""Wrong API keys from one address. Over it, further ones are refused without a look, but for those
that were in force when they were last looked up: a neighbour's guesses lock no backend out."""
WRONG_LOGINS_PER_MINUTE = 10
"""Wrong keys at the console from one address: people type them."""
BAD_TOKENS_PER_MINUTE = 60_000
BAD_TOKENS_AT_ONCE = 2_000
"""User tokens that prove nothing, from one address. Thousands of phones share a carrier's address,
so that a token is always looked at; this bounds what that costs: 1 000 a second are about a tenth
of a core."""


@dataclass(frozen=True, slots=True)
class AuthRules:
    """Settings of authentication; see the section `auth` of the configuration."""

    jwt_secret: str = field(default="", repr=False)
    public_keys: tuple[str, ...] = ()
    jwks_url: str = ""
    issuer: str = ""
    audience: str = ""
    subject: SubjectKind = "custom_id"
    jwt_requests_per_minute: int = 600
    key_requests_per_minute: int = 60_000


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls. `proven` is what a user token proves; None: a backend that acts for everybody.

    `name` is "user" and the token's ids, or "key" and the key's id: for limits, never for logs.
    """

    name: str = field(repr=False)
    scopes: frozenset[str]
    proven: UserRef | None = field(default=None, repr=False)
    key: ApiKey | None = None

    @property
    def sources(self) -> Sequence[str]:
        """The sources whose events the caller may see; none: all."""
        return () if self.key is None else self.key.sources

    @property
    def types(self) -> Sequence[str]:
        """The types of events that the caller may see; none: all."""
        return () if self.key is None else self.key.types

    def may(self, scope: str) -> bool:
        """Whether the caller has this scope; `admin` has all, a limited key one at most."""
        if self.key is not None and self.key.is_limited:
            return self.key.grants(scope)
        return scope in self.scopes or "admin" in self.scopes

    def require(self, scope: str) -> None:
        """Raise a 403 unless the caller has this scope."""
        if not self.may(scope):
            raise Problem("forbidden", f"this needs an API key of scope {scope}")

    def actor(self, request: Request) -> Actor:
        """Who acts, for the audit table. Where a person's phone is stays with the person."""
        if self.key is None:
            return Actor(USER, "api")
        return Actor(key_holder(self.key.id, self.key.name), "api", request.remote)

    def acts_for(self, identifier: str) -> UserRef | None:
        """The user that a path names, or a 403 for a token that does not prove this id. None: the
        caller acts for all, and the id may be of either kind."""
        if self.proven is None:
            return None
        if identifier in (self.proven.user_id, self.proven.custom_id):
            return self.proven
        raise Problem("forbidden", "a user token acts for its own user alone")


class Authenticator:
    """Turns requests into callers. Call `aclose` at the end."""

    def __init__(self, rules: AuthRules, keys: Keys, *, clocks: Clocks) -> None:
        self._clocks = clocks
        self._ring = KeyRing(keys, clocks=clocks)
        self._wrong_keys = CallerLimits(WRONG_KEYS_PER_MINUTE, monotonic=clocks.monotonic)
        self._wrong_logins = CallerLimits(WRONG_LOGINS_PER_MINUTE, monotonic=clocks.monotonic)
        self._bad_tokens = CallerLimits(
            BAD_TOKENS_PER_MINUTE, burst=BAD_TOKENS_AT_ONCE, monotonic=clocks.monotonic
        )
        self._remote: RemoteKeys | None = None
        self._apply(rules)

    async def reload(self, rules: AuthRules) -> None:
        """Go on with other rules. Raises `ConfigurationError`, and then nothing has changed."""
        before = self._remote
        self._apply(rules)
        if before is not None and before is not self._remote:
            await before.aclose()

    async def aclose(self) -> None:
        """Let go of the connection to the key endpoint."""
        if self._remote is not None:
            await self._remote.aclose()

    async def log_in(self, text: str, remote: str) -> ApiKey | None:
        """The API key in force with this text; a revoked one is known for 5 s at most. Wrong ones
        are counted by where they come from ("": nowhere): over the limit a 429, without a look."""
        _refuse_over(self._wrong_logins, remote)
        key = await self._ring.find(text)
        if key is None:
            _count(self._wrong_logins, remote)
        return key

    async def authorize(self, request: Request, scope: str) -> Caller:
        """The caller, who has this scope; else a problem."""
        caller = await self.caller(request)
        caller.require(scope)
        return caller

    async def caller(self, request: Request) -> Caller:
        """The caller, or a problem: 401, 429, or 503 while no published key was ever seen."""
        credential = _credential(request.headers)
        wrong = self._wrong_keys if looks_like_key(credential) else self._bad_tokens
        if not self._ring.knows(credential):
            _refuse_over(wrong, request.remote)
        try:
            caller = await self._identify(credential)
        except BadToken as error:
            _count(wrong, request.remote)
            raise _unauthorized(str(error)) from error
        except TimeDoubted as error:
            raise Problem("clock_doubted", str(error), retry_after=RETRY_AFTER_S) from error
        except KeysUnavailable as error:
            detail = "the keys behind auth.jwks_url cannot be fetched"
            raise Problem("unavailable", detail, retry_after=PAUSE_S) from error
        limits = self._user_limits if caller.key is None else self._key_limits
        wait = limits.take(caller.name)
        if wait:
            raise Problem("too_many_requests", retry_after=wait)
        return caller

    async def _identify(self, credential: str) -> Caller:
        if not looks_like_key(credential):
            proven = await self._tokens.verify(credential)
            name = f"user\0{proven.user_id or ''}\0{proven.custom_id or ''}"
            return Caller(name, USER_SCOPES, proven=proven)
        key = await self._ring.find(credential)
        if key is None:
            raise BadToken("the API key is unknown, revoked or over")
        return Caller(f"key\0{key.id}", key.scopes, key=key)

    def _apply(self, rules: AuthRules) -> None:
        """Build everything first: bad rules must leave the old ones in force."""
        public_keys = load_pem(rules.public_keys)
        remote = self._remote_for(rules.jwks_url)
        self._tokens = TokenVerifier(
            secret=rules.jwt_secret,
            keys=public_keys,
            remote=remote,
            issuer=rules.issuer,
            audience=rules.audience,
            subject=rules.subject,
            clocks=self._clocks,
        )
        self._remote = remote
        self._user_limits = CallerLimits(
            rules.jwt_requests_per_minute, monotonic=self._clocks.monotonic
        )
        self._key_limits = CallerLimits(
            rules.key_requests_per_minute, monotonic=self._clocks.monotonic
        )

    def _remote_for(self, url: str) -> RemoteKeys | None:
        """The endpoint's keys, kept over a reload that does not move the endpoint."""
        if not url:
            return None
        remote = RemoteKeys(url, monotonic=self._clocks.monotonic, told=self._clocks.told)
        known = self._remote
        return known if known is not None and known.url == remote.url else remote


def _refuse_over(wrong: CallerLimits, remote: str) -> None:
    """A 429 for an address with too many wrong credentials."""
    wait = wrong.spent(remote) if remote else 0.0
    if wait:
        raise Problem("too_many_requests", retry_after=wait)


def _count(wrong: CallerLimits, remote: str) -> None:
    """Remember a wrong credential; a proxy's own address stands for too many to be counted."""
    if remote:
        wrong.take(remote)


def _credential(headers: MultiMapping[str]) -> str:
    for name in ("Authorization", "X-API-Key"):
        if len(headers.getall(name, [])) > 1:
            raise Problem("bad_request", f"there are two {name} headers")
    authorization = headers.get("Authorization")
    if authorization is None:
        key = headers.get("X-API-Key", "")
        if key and not looks_like_key(key):
            raise _unauthorized("X-API-Key holds no API key, which begins with ik_", given=False)
        if not key:
            raise _unauthorized("send a user token or an API key as a bearer token", given=False)
        return key
    scheme, _, credential = authorization.partition(" ")
    credential = credential.strip()
    if scheme.lower() != "bearer" or not credential:
        raise _unauthorized("send a user token or an API key as a bearer token", given=False)
    return credential


def _unauthorized(reason: str, *, given: bool = True) -> Problem:
    """RFC 6750, section 3: the error code is left out when no credential was sent."""
    challenge = 'Bearer realm="inkpush"' + (', error="invalid_token"' if given else "")
    return Problem("unauthorized", reason, headers={"WWW-Authenticate": challenge})
