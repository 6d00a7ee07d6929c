"""How API keys look and end, and how callers are counted."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace

import pytest

from gateway.core.audit import Act
from gateway.core.clocks import Clocks
from gateway.core.model import UserRef
from gateway.devices.api_keys import CACHE_S, KeyRing, key_digest, new_key
from gateway.devices.auth import Authenticator, AuthRules, Caller
from gateway.devices.jwks import check_jwks_url
from gateway.devices.limits import CallerLimits
from gateway.errors import ConfigurationError
from gateway.ports import SCOPES, ApiKey
from gateway.problems import Problem
from tests.kit.clocks import monotonic, wall


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class KeyTable:
    """The port, as far as the ring uses it; counts how often it is asked."""

    def __init__(self) -> None:
        self.rows: dict[bytes, ApiKey] = {}
        self.asked = 0

    async def add(self, key: ApiKey, digest: bytes, **_act: Act | None) -> None:
        self.rows[digest] = key

    async def find(self, digest: bytes) -> ApiKey | None:
        self.asked += 1
        return self.rows.get(digest)

    async def all(self) -> list[ApiKey]:
        return list(self.rows.values())

    async def revoke(self, key_id: str, *, now: float, **_act: Act | None) -> bool:
        for digest, key in self.rows.items():
            if key.id == key_id:
                self.rows[digest] = replace(key, revoked_at=now)
        return True


def test_a_new_key_has_the_documented_form_and_the_store_gets_only_its_hash() -> None:
    key, text = new_key("ci", ["devices:read"], now=5.0, random=lambda size: b"\xff" * size)
    assert re.fullmatch(r"ik_[0-9a-f]{8}_[A-Za-z0-9_-]{43}", text)
    assert key == ApiKey("ffffffff", "ci", frozenset({"devices:read"}), 5.0)
    assert key_digest(text) == hashlib.sha256(text.encode()).digest()
    assert text.rpartition("_")[2] not in repr(key)


@pytest.mark.parametrize("scopes", [[], ["devices"], ["devices:read", "root"], [""]])
def test_a_key_needs_known_scopes(scopes: list[str]) -> None:
    with pytest.raises(ValueError, match="scopes"):
        new_key("ci", scopes, now=0.0, random=bytes)


async def test_a_revoked_key_ends_within_the_cache_time() -> None:
    clock, table = Clock(), KeyTable()
    ring = KeyRing(table, clocks=Clocks(wall(clock), monotonic(clock)))
    key, text = new_key("ci", ["admin"], now=0.0, random=lambda size: b"\1" * size)
    assert await ring.find(text) is None
    await table.add(key, key_digest(text))
    assert await ring.find(text) == key  # the miss before was not remembered
    await table.revoke(key.id, now=clock.now)
    clock.now += CACHE_S - 0.1
    assert await ring.find(text) == key
    clock.now += 0.1
    assert await ring.find(text) is None


async def test_a_key_ends_at_its_time_also_one_that_was_found_just_now() -> None:
    clock, table = Clock(), KeyTable()
    ring = KeyRing(table, clocks=Clocks(wall(clock), monotonic(clock)))
    key, text = new_key(
        "ci", ["admin"], now=0.0, random=lambda size: b"\1" * size, expires_at=clock.now + 1
    )
    await table.add(key, key_digest(text))
    assert await ring.find(text) == key
    clock.now += 0.5
    assert await ring.find(text) == key
    clock.now += 0.5
    assert await ring.find(text) is None


@pytest.mark.parametrize(
    ("scopes", "sources", "types"),
    [
        (["admin"], ["staging"], []),
        (["events:read", "deliveries:read"], [], ["user.*"]),
        (["events:read"], ["two words"], []),
        (["events:read"], [], ["user.*.completed"]),
        (["events:read"], [], [""]),
    ],
)
def test_limits_go_with_the_one_scope_that_knows_them(
    scopes: list[str], sources: list[str], types: list[str]
) -> None:
    with pytest.raises(ValueError, match=r"scope|source|type"):
        new_key("ci", scopes, now=0.0, random=bytes, sources=sources, types=types)


def test_a_key_with_limits_has_one_scope_whatever_is_written_of_it() -> None:
    every = frozenset(SCOPES)
    for sources, types in ((("staging",), ()), ((), ("user.*",)), ((), ("",))):
        key = ApiKey("a", "", every, 0.0, sources=sources, types=types)
        caller = Caller("key\0a", every, key=key)
        assert [one for one in SCOPES if caller.may(one)] == ["events:read"]
        assert [one for one in SCOPES if key.grants(one)] == ["events:read"]


async def test_a_clock_set_back_does_not_prolong_a_revoked_key() -> None:
    time_of_day, passed, table = Clock(), Clock(), KeyTable()
    clocks = Clocks(wall(time_of_day), monotonic(passed))
    authenticator = Authenticator(AuthRules(jwt_secret="s" * 32), table, clocks=clocks)
    key, text = new_key("ci", ["admin"], now=0.0, random=lambda size: b"\2" * size)
    await table.add(key, key_digest(text))
    assert await authenticator.log_in(text, "") == key
    await table.revoke(key.id, now=time_of_day.now)
    time_of_day.now -= 3_600
    passed.now += CACHE_S
    assert await authenticator.log_in(text, "") is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ik_",
        "ik_00000000_",
        "ik_0000000g_" + "a" * 43,
        "ik_00000000_" + "a" * 44,
        "ik_" + "\u0660" * 8 + "_" + "a" * 43,
    ],
)
async def test_what_is_no_key_is_not_even_looked_up(text: str) -> None:
    table = KeyTable()
    assert await KeyRing(table, clocks=Clocks(wall(Clock()), monotonic(Clock()))).find(text) is None
    assert table.asked == 0


async def test_a_key_in_use_is_looked_up_once_in_a_while() -> None:
    clock, table = Clock(), KeyTable()
    ring = KeyRing(table, clocks=Clocks(wall(clock), monotonic(clock)))
    key, text = new_key("ci", ["admin"], now=0.0, random=lambda size: b"\3" * size)
    await table.add(key, key_digest(text))
    for _ in range(100):
        assert await ring.find(text) == key
    assert table.asked == 1


def test_a_caller_may_burst_a_minutes_worth_and_then_waits() -> None:
    clock = Clock()
    limits = CallerLimits(60, monotonic=monotonic(clock))
    assert [limits.take("a") for _ in range(60)] == [0.0] * 60
    assert limits.take("a") == pytest.approx(1.0)
    assert limits.take("b") == 0.0
    clock.now += 1.0
    assert limits.take("a") == 0.0
    assert limits.take("a") > 0


def test_a_refused_request_costs_nothing_and_a_clock_set_back_neither() -> None:
    clock = Clock()
    limits = CallerLimits(1, monotonic=monotonic(clock))
    limits.take("a")
    assert limits.take("a") == pytest.approx(60.0)
    assert limits.take("a") == pytest.approx(60.0)
    clock.now -= 500
    assert limits.take("a") == pytest.approx(60.0)
    clock.now += 60
    assert limits.take("a") == 0.0


def test_no_limit_is_no_memory() -> None:
    limits = CallerLimits(0, monotonic=monotonic(Clock()))
    assert [limits.take(str(n)) for n in range(100)] == [0.0] * 100
    assert len(limits) == 0


def test_memory_is_bounded_and_the_quietest_caller_goes_first() -> None:
    limits = CallerLimits(1, monotonic=monotonic(Clock()), max_callers=2)
    limits.take("a")
    limits.take("b")
    assert limits.take("a") > 0
    limits.take("c")
    assert len(limits) == 2
    assert limits.take("a") > 0
    assert limits.take("b") == 0.0


def test_a_caller_shows_no_ids_and_rules_show_no_secret() -> None:
    caller = Caller("user\0u1\0mary", frozenset(), proven=UserRef("u1", "mary"))
    assert "mary" not in repr(caller)
    assert "hush" not in repr(AuthRules(jwt_secret="hush"))


def test_admin_has_every_scope_and_others_have_their_own() -> None:
    Caller("key\0a", frozenset({"admin"})).require("devices:write")
    Caller("key\0a", frozenset({"devices:read"})).require("devices:read")
    with pytest.raises(Problem) as caught:
        Caller("key\0a", frozenset({"devices:read"})).require("devices:write")
    assert caught.value.code == "forbidden"


@pytest.mark.parametrize(
    "url",
    ["https://id.acme.com/jwks", "http://127.0.0.1:81/k", "http://[::1]/k", "http://localhost/k"],
)
def test_keys_come_over_tls_or_from_this_machine(url: str) -> None:
    assert str(check_jwks_url(url)) == url


@pytest.mark.parametrize(
    "url",
    [
        "http://id.acme.com/jwks",
        "ftp://127.0.0.1/k",
        "file:///etc/passwd",
        "https://",
        "x",
        "http://localhost.evil.com/",
        "http://127.0.0.1.evil.com/",
        "http://[::1",
        "https://a:b:c/",
    ],
)
def test_any_other_address_of_keys_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigurationError, match="jwks_url"):
        check_jwks_url(url)
