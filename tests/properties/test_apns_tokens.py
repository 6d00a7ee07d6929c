"""Whoever starts when, a key's token is the same everywhere, and a team's tokens change seldom."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.apns.credentials import ApnsCredentials

MINUTE = 60
LEAST_APART_S = 20 * MINUTE
OLDEST_S = 58 * MINUTE
KEYS = {"AAAAAAAAAA": ec.generate_private_key(ec.SECP256R1())}
KEYS["BBBBBBBBBB"] = ec.generate_private_key(ec.SECP256R1())
APPS = ("agent", "supervisor")


@dataclass
class Relay:
    """A process with two apps, which starts anew once; it is its own clock."""

    starts_at: float
    restarts_at: float
    every_s: float
    now: float = 0.0

    def __call__(self) -> float:
        return self.now

    def shown(self, key_of: dict[str, str], until: float) -> list[tuple[float, str, str]]:
        """When it shows which token of which key to APNs: it pushes at intervals."""
        shows: list[tuple[float, str, str]] = []
        held: dict[str, ApnsCredentials] = {}
        self.now = self.starts_at
        while self.now < until:
            if self.now - self.every_s < self.restarts_at <= self.now:
                held = {}
            for app in APPS:
                key_id = key_of[app]
                # each app and each life has read the key by itself
                if app not in held:
                    held[app] = ApnsCredentials(KEYS[key_id], key_id, "TEAM", self)
                    held[app].is_second = sorted(set(key_of.values())).index(key_id) % 2 == 1
                shows.append((self.now, key_id, held[app].header()))
            self.now += self.every_s
        return shows


relays = st.lists(
    st.builds(
        Relay,
        starts_at=st.floats(1_762_000_000, 1_762_010_000),
        restarts_at=st.floats(1_762_000_000, 1_762_020_000),
        every_s=st.floats(30, 300),
    ),
    min_size=10,
    max_size=10,
)


def iat(header: str) -> int:
    token = header.removeprefix("bearer ")
    return int(jwt.decode(token, options={"verify_signature": False})["iat"])


@settings(deadline=None, max_examples=60)
@given(fleet=relays, keys=st.sampled_from([("AAAAAAAAAA",) * 2, ("AAAAAAAAAA", "BBBBBBBBBB")]))
def test_ten_relays_and_two_apps_change_a_teams_token_once_in_twenty_minutes_at_most(
    fleet: list[Relay], keys: tuple[str, str]
) -> None:
    key_of = dict(zip(APPS, keys, strict=True))
    shows = sorted(show for relay in fleet for show in relay.shown(key_of, 1_762_025_000))
    in_force: dict[str, str] = {}
    changes: list[float] = []
    for at, key_id, header in shows:
        assert 0 <= at - iat(header) < OLDEST_S
        before = in_force.setdefault(key_id, header)
        if header != before:
            assert iat(header) > iat(before), "an old token came back"
            in_force[key_id] = header
            changes.append(at)
    assert all(later - earlier >= LEAST_APART_S for earlier, later in pairwise(changes))


@settings(deadline=None, max_examples=60)
@given(
    moments=st.lists(st.floats(1_762_000_000, 1_762_025_000), min_size=2, max_size=20),
    is_second=st.booleans(),
)
def test_a_token_depends_on_key_and_clock_alone(moments: list[float], *, is_second: bool) -> None:
    """Whatever a process has shown before, also while its clock jumps to and fro."""
    relay = Relay(0.0, 0.0, 0.0)
    wandering = ApnsCredentials(KEYS["AAAAAAAAAA"], "AAAAAAAAAA", "TEAM", relay)
    wandering.is_second = is_second
    for moment in moments:
        relay.now = moment
        fresh = ApnsCredentials(KEYS["AAAAAAAAAA"], "AAAAAAAAAA", "TEAM", relay)
        fresh.is_second = is_second
        near_a_change = min(abs(moment - iat(one.header())) for one in (fresh, wandering)) <= 60
        assert wandering.header() == fresh.header() or near_a_change
