"""Who gets in, over HTTP: credentials, published keys, revoked keys, limits."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from gateway.devices.auth import BAD_TOKENS_AT_ONCE, WRONG_KEYS_PER_MINUTE, AuthRules
from gateway.devices.jwks import FRESH_S, PAUSE_S
from gateway.errors import ConfigurationError
from gateway.problems import Problem
from tests.kit.handlers import JWT_SECRET, request_of, user_token
from tests.kit.public import Answer, PublicListener, public_listener

KEYS = {name: rsa.generate_private_key(public_exponent=65537, key_size=2048) for name in "ab"}
MINE = "/v1/users/mary/devices"


@pytest.fixture
async def public(tmp_path: Path) -> AsyncIterator[PublicListener]:
    async with public_listener(tmp_path) as listener:
        yield listener


@dataclass
class KeyServer:
    """The customer's JWKS endpoint, which a test may change, break or hold."""

    published: list[str] = field(default_factory=lambda: ["a"])
    asked: int = 0
    respond: Callable[[], web.Response] | None = None
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""

    async def handle(self, _request: web.Request) -> web.Response:
        self.asked += 1
        self.reached.set()
        await self.gate.wait()
        if self.respond is not None:
            return self.respond()
        return web.json_response({"keys": [self.jwk(name) for name in self.published]})

    async def elsewhere(self, _request: web.Request) -> web.Response:
        return web.Response(body=key_set("b"))

    @staticmethod
    def jwk(name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(RSAAlgorithm.to_jwk(KEYS[name].public_key()))
        return found | {"kid": name, "alg": "RS256", "use": "sig"}


def key_set(name: str) -> bytes:
    return json.dumps({"keys": [KeyServer.jwk(name)]}).encode()


@asynccontextmanager
async def key_server() -> AsyncIterator[KeyServer]:
    keys = KeyServer()
    keys.gate.set()
    app = web.Application()
    app.add_routes([web.get("/jwks", keys.handle), web.get("/elsewhere", keys.elsewhere)])
    async with TestServer(app) as server:
        keys.url = str(server.make_url("/jwks"))
        yield keys


@pytest.fixture
async def keys() -> AsyncIterator[KeyServer]:
    async with key_server() as server:
        yield server


@pytest.fixture
async def published(tmp_path: Path, keys: KeyServer) -> AsyncIterator[PublicListener]:
    async with public_listener(tmp_path, rules=AuthRules(jwks_url=keys.url)) as listener:
        yield listener


def signed_by(name: str, *, kid: str | None = None, **claims: Any) -> str:
    headers = {"kid": name if kid is None else kid}
    claims = {"sub": "mary"} | claims
    return jwt.encode(claims, KEYS[name], algorithm="RS256", headers=headers)


def without_kid(name: str) -> str:
    return jwt.encode({"sub": "mary"}, KEYS[name], algorithm="RS256")


async def look(public: PublicListener, token: str | None, **headers: str) -> Answer:
    return await public.call("GET", MINE, token=token, headers=headers)


async def test_published_keys_are_asked_for_with_their_query(
    tmp_path: Path, keys: KeyServer
) -> None:
    asked: list[str] = []
    app = web.Application()

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.raw_path)
        return web.Response(body=key_set("a"))

    app.add_routes([web.get("/keys", answer)])
    async with TestServer(app) as server:
        url = f"http://127.0.0.1:{server.port}/keys?p=B2C_1_signin&next=%2Fa%20b"
        async with public_listener(tmp_path, rules=AuthRules(jwks_url=url)) as public:
            assert (await look(public, signed_by("a"))).status == 200
    assert asked == ["/keys?p=B2C_1_signin&next=%2Fa%20b"]


@pytest.mark.parametrize(
    "headers",
    [{"Authorization": "Bearer bad"}, {"X-API-Key": "bad"}],
)
async def test_who_mistypes_an_api_key_hears_how_one_begins(
    public: PublicListener, headers: dict[str, str]
) -> None:
    answer = await public.call("GET", MINE, headers=headers)
    assert (answer.status, "ik_" in answer.json["detail"]) == (401, True)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Basic bWFyeTpwdw=="},
        {"Authorization": "mary"},
        {"X-API-Key": ""},
        {"X-API-Key": "mary"},
    ],
)
async def test_no_credential_is_a_401_with_a_plain_challenge(
    public: PublicListener, headers: dict[str, str]
) -> None:
    answer = await look(public, None, **headers)
    assert (answer.status, answer.code) == (401, "unauthorized")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="inkpush"'


@pytest.mark.parametrize(
    "credential",
    [
        "x",
        "a.b.c",
        "ik_",
        "ik_00000000_" + "a" * 43,
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiJtYXJ5In0.",
        "\u00e9.\u00e9.\u00e9",
        "x" * 8_050,
    ],
)
async def test_a_bad_credential_is_a_401_that_says_so(
    public: PublicListener, credential: str
) -> None:
    answer = await look(public, credential)
    assert (answer.status, answer.code) == (401, "unauthorized")
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
    assert credential not in str(answer.json)


async def test_a_token_no_header_line_can_hold_is_not_a_500(public: PublicListener) -> None:
    assert (await look(public, "x" * 20_000)).status == 401
    assert (await look(public, "x" * 70_000)).status == 400


async def test_the_scheme_is_read_in_any_case(public: PublicListener) -> None:
    answer = await look(public, None, Authorization=f"bEARER  {user_token('mary')}")
    assert answer.status == 200


async def test_a_key_may_come_in_its_own_header(public: PublicListener) -> None:
    key = await public.key("devices:read")
    assert (await look(public, None, **{"X-API-Key": key})).status == 200
    # two credentials: the standard header decides
    assert (await look(public, "rubbish", **{"X-API-Key": key})).status == 401


async def test_an_expired_token_ends_at_its_leeway(public: PublicListener) -> None:
    token = user_token("mary", exp=int(public.clock.now) + 60)
    assert (await look(public, token)).status == 200
    public.clock.now += 60 + 31
    answer = await look(public, token)
    assert (answer.status, answer.json["detail"]) == (401, "the token has expired: `exp` is past")


async def test_a_revoked_key_ends_within_five_seconds(public: PublicListener) -> None:
    text = await public.key("devices:read")
    assert (await look(public, text)).status == 200
    (key,) = await public.store.keys.all()
    assert await public.store.keys.revoke(key.id, now=public.clock())
    public.clock.now += 5
    assert (await look(public, text)).status == 401


async def test_a_user_over_the_limit_waits_and_others_do_not(tmp_path: Path) -> None:
    rules = AuthRules(jwt_secret=JWT_SECRET, jwt_requests_per_minute=3, key_requests_per_minute=2)
    async with public_listener(tmp_path, rules=rules) as public:
        mary = user_token("mary")
        statuses = [(await look(public, mary)).status for _ in range(4)]
        assert statuses == [200, 200, 200, 429]
        answer = await look(public, user_token("mary", jti="another token of the same user"))
        assert (answer.code, answer.headers["Retry-After"]) == ("too_many_requests", "20")
        assert (await look(public, user_token("john"))).status == 403  # his own bucket
        public.clock.now += 20
        assert (await look(public, mary)).status == 200

        one, other = await public.key("devices:read"), await public.key("devices:read")
        assert [(await look(public, one)).status for _ in range(3)] == [200, 200, 429]
        assert (await look(public, other)).status == 200


async def test_wrong_keys_are_counted_by_address_and_then_refused_without_a_look(
    public: PublicListener,
) -> None:
    known, other = await public.key("devices:read"), await public.key("devices:read")
    assert (await look(public, known)).status == 200
    answers = [await look(public, "ik_wrong") for _ in range(WRONG_KEYS_PER_MINUTE + 1)]
    assert [answer.status for answer in answers] == [401] * WRONG_KEYS_PER_MINUTE + [429]
    assert int(answers[-1].headers["Retry-After"]) >= 1
    # even one that is right, for nobody looks; but not one that was right before, and no phone
    assert (await look(public, other)).status == 429
    assert (await look(public, known)).status == 200
    assert (await look(public, user_token("mary"))).status == 200
    public.clock.now += 1
    assert (await look(public, other)).status == 200


PROXY = "127.0.0.1"


@pytest.mark.parametrize(
    ("proxies", "headers", "refused"),
    [
        ((), {}, True),
        ((), {"X-Forwarded-For": "203.0.113.{number}"}, True),  # believed from nobody
        ((PROXY,), {}, False),
        ((PROXY,), {"X-Forwarded-For": "203.0.113.9"}, True),
        ((PROXY,), {"X-Forwarded-For": "203.0.113.{number}"}, False),
        ((PROXY,), {"X-Forwarded-For": "2001:db8::{number}"}, True),
        ((PROXY,), {"X-Forwarded-For": "2001:db8:0:{number}::1"}, False),
        ((PROXY,), {"X-Forwarded-For": "rubbish, 127.0.0.1"}, False),
        (("10.0.0.0/8",), {}, True),
    ],
)
async def test_whose_wrong_keys_are_counted_together(
    tmp_path: Path, proxies: tuple[str, ...], headers: dict[str, str], refused: bool
) -> None:
    async with public_listener(tmp_path, proxies=proxies) as public:
        statuses = set()
        for number in range(WRONG_KEYS_PER_MINUTE + 2):
            given = {name: value.format(number=number) for name, value in headers.items()}
            statuses.add((await look(public, "ik_wrong", **given)).status)
    assert statuses == ({401, 429} if refused else {401})


async def test_a_user_token_is_looked_at_however_many_bad_ones_came(
    public: PublicListener,
) -> None:
    for _ in range(WRONG_KEYS_PER_MINUTE * 3):
        assert (await look(public, "rubbish")).status == 401
    assert (await look(public, user_token("mary"))).status == 200


async def test_what_bad_tokens_may_cost_is_bounded(public: PublicListener) -> None:
    """At some thousand at once; a second lets in a thousand more."""
    authenticator = public.authenticator
    request = request_of(headers={"Authorization": "Bearer rubbish"}, remote="203.0.113.9")
    codes = []
    for _ in range(BAD_TOKENS_AT_ONCE + 1):
        with pytest.raises(Problem) as problem:
            await authenticator.caller(request)
        codes.append(problem.value.code)
    assert codes == ["unauthorized"] * BAD_TOKENS_AT_ONCE + ["too_many_requests"]
    good = {"Authorization": f"Bearer {user_token('mary')}"}
    elsewhere = request_of(headers=good, remote="203.0.113.10")
    assert (await authenticator.caller(elsewhere)).key is None
    public.clock.now += 1
    assert (await authenticator.caller(request_of(headers=good, remote="203.0.113.9"))).key is None


async def test_published_keys_are_fetched_once_for_all_who_wait(
    published: PublicListener, keys: KeyServer
) -> None:
    keys.gate.clear()
    asking = [asyncio.create_task(look(published, signed_by("a"))) for _ in range(10)]
    await asyncio.wait_for(keys.reached.wait(), 10)
    keys.gate.set()
    assert {answer.status for answer in await asyncio.gather(*asking)} == {200}
    assert (await look(published, without_kid("a"))).status == 200
    assert keys.asked == 1


async def test_a_caller_who_hangs_up_does_not_take_the_fetch_along(
    published: PublicListener, keys: KeyServer
) -> None:
    keys.gate.clear()
    gone = asyncio.create_task(look(published, signed_by("a")))
    await asyncio.wait_for(keys.reached.wait(), 10)
    stays = asyncio.create_task(look(published, signed_by("a")))
    gone.cancel()
    await asyncio.wait([gone])
    keys.gate.set()
    assert (await stays).status == 200
    assert keys.asked == 1


async def test_a_new_key_is_found_when_a_token_names_it_and_strangers_cannot_force_fetches(
    published: PublicListener, keys: KeyServer
) -> None:
    assert (await look(published, signed_by("a"))).status == 200
    keys.published = ["a", "b"]
    for kid in ("x1", "x2", "../jwks", "b"):
        assert (await look(published, signed_by("b", kid=kid))).status == 401
    assert keys.asked == 1
    published.clock.now += PAUSE_S
    assert (await look(published, signed_by("b"))).status == 200
    assert (await look(published, signed_by("a"))).status == 200
    assert keys.asked == 2


async def test_a_key_that_is_no_longer_published_ends_with_the_hour(
    published: PublicListener, keys: KeyServer
) -> None:
    assert (await look(published, signed_by("a"))).status == 200
    keys.published = ["b"]
    published.clock.now += FRESH_S - 1
    assert (await look(published, signed_by("a"))).status == 200
    published.clock.now += 1
    assert (await look(published, signed_by("a"))).status == 401


@pytest.mark.parametrize(
    "broken",
    [
        lambda: web.Response(status=500),
        lambda: web.Response(text="<html>"),
        lambda: web.json_response({"error": "x"}),
        lambda: web.Response(body=key_set("b") + b" " * 300_000),
        lambda: web.Response(status=302, headers={"Location": "/elsewhere"}),
        lambda: web.Response(body=b"[" * 100_000),
    ],
)
async def test_old_keys_serve_while_the_endpoint_is_away(
    published: PublicListener, keys: KeyServer, broken: Callable[[], web.Response]
) -> None:
    assert (await look(published, signed_by("a"))).status == 200
    keys.respond = broken
    published.clock.now += FRESH_S
    assert (await look(published, signed_by("a"))).status == 200
    keys.respond, keys.published = None, ["b"]
    published.clock.now += PAUSE_S
    assert (await look(published, signed_by("b"))).status == 200
    assert (await look(published, signed_by("a"))).status == 401


async def test_without_any_key_the_answer_is_try_later(
    published: PublicListener, keys: KeyServer
) -> None:
    keys.respond = lambda: web.Response(status=500)
    answer = await look(published, signed_by("a"))
    assert (answer.status, answer.code) == (503, "unavailable")
    assert int(answer.headers["Retry-After"]) >= 1
    # what never needs a published key gets its answer
    key = await published.key("devices:read")
    assert (await look(published, key)).status == 200
    assert (await look(published, "rubbish")).status == 401


async def test_a_symmetric_key_that_is_published_proves_nothing(
    published: PublicListener, keys: KeyServer
) -> None:
    keys.respond = lambda: web.json_response(
        {"keys": [{"kty": "oct", "kid": "s", "k": "c2VjcmV0", "alg": "HS256"}, keys.jwk("a")]}
    )
    forged = jwt.encode({"sub": "mary"}, "secret".ljust(32, "\0"), headers={"kid": "s"})
    assert (await look(published, forged)).status == 401
    assert (await look(published, signed_by("a"))).status == 200


async def test_a_reload_changes_the_rules_and_a_bad_one_does_not(
    public: PublicListener, keys: KeyServer
) -> None:
    by_secret, by_key = user_token("mary"), signed_by("a")
    assert [(await look(public, t)).status for t in (by_secret, by_key)] == [200, 401]
    await public.authenticator.reload(AuthRules(jwks_url=keys.url))
    assert [(await look(public, t)).status for t in (by_secret, by_key)] == [401, 200]
    for bad in (AuthRules(jwks_url="http://evil.example/"), AuthRules(public_keys=("rubbish",))):
        with pytest.raises(ConfigurationError):
            await public.authenticator.reload(bad)
    assert (await look(public, by_key)).status == 200
    await public.authenticator.reload(AuthRules(jwks_url=keys.url, issuer="acme"))
    assert (await look(public, by_key)).status == 401
    assert (await look(public, signed_by("a", iss="acme"))).status == 200
    assert keys.asked == 1  # the endpoint did not move: its keys were kept
