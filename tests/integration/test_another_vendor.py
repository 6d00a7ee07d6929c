"""A vendor is a folder and a line in a list: one that nobody knows is sent through, all the way."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest

from config.settings import Settings, SettingsError
from gateway.app.gateway import Gateway, open_gateway
from gateway.app.lanes import plan_lanes
from gateway.app.settings import load
from gateway.app.vendors import VENDORS
from gateway.errors import ConfigurationError
from providers.contract import address_hash
from tests.kit.gateway import JWT_SECRET, SECRET, eventually
from tests.kit.pigeon.loft import Loft, open_loft
from tests.kit.pigeon.vendor import VENDOR as PIGEON
from tests.kit.sender import event, signed

MORE_VENDORS = {**VENDORS, PIGEON.name: PIGEON}  # the one line


def settings_in(folder: Path, loft_url: str, *, whistle: str = "coo", app: str = "") -> Settings:
    (folder / "whistle").write_text(whistle)
    file = folder / "inkpush.toml"
    file.write_text(
        f"""
        [server]
        host = "127.0.0.1"
        port = 0
        [ops]
        port = 0
        [webhook]
        secrets = ["{SECRET}"]
        [auth]
        jwt_secret = "{JWT_SECRET}"
        [[apps]]
        id = "agent"
        [apps.pigeon]
        loft = "{loft_url}"
        whistle_file = "whistle"
        {app}
        """
    )
    return load(file, {}, MORE_VENDORS)


@dataclass
class Post:
    """A gateway that knows pigeons, and their loft."""

    gateway: Gateway
    http: aiohttp.ClientSession
    loft: Loft

    async def register(self, installation: str, user: str, **changes: str) -> tuple[int, Any]:
        token = jwt.encode({"sub": user, "exp": int(time.time()) + 600}, JWT_SECRET, "HS256")
        body = {"platform": "web", "provider": "pigeon", "address": "loft-0042", **changes}
        async with self.http.put(
            f"http://127.0.0.1:{self.gateway.public_port}/v1/devices/{installation}",
            json=body,
            headers={"Authorization": f"Bearer {token}"},
        ) as answer:
            return answer.status, await answer.json()

    async def send(self, event_id: str, *users: str) -> dict[str, int]:
        """Post a signed batch, and wait until it is settled: its deliveries by state."""
        items = [{"title": "Hi", "body": "Coo", "custom_id": user} for user in users]
        body = event(items)
        async with self.http.post(
            f"http://127.0.0.1:{self.gateway.public_port}/webhooks/learnink",
            data=body,
            headers=signed(event_id, body, SECRET),
        ) as answer:
            assert (await answer.json())["status"] == "accepted"
        journal = self.gateway.stores.journal

        async def settled() -> bool:
            summary = await journal.event(event_id)
            return summary is not None and summary.settled

        await eventually("the batch is settled", settled)
        summary = await journal.event(event_id)
        assert summary is not None
        return {state: count for state, count in summary.deliveries.items() if count}


@pytest.fixture
async def post(tmp_path: Path) -> AsyncIterator[Post]:
    failures: list[BaseException] = []
    async with open_loft() as loft:
        settings = settings_in(tmp_path, loft.url)
        async with (
            open_gateway(
                settings, MORE_VENDORS, log=lambda _: None, on_failure=failures.append
            ) as gateway,
            aiohttp.ClientSession() as http,
        ):
            yield Post(gateway, http, loft)
    assert failures == []


async def test_a_registration_a_webhook_a_push_and_a_line_in_the_journal(post: Post) -> None:
    status, device = await post.register("roof-1", "mary", address="LOFT-0042")

    assert (status, device["provider"], device["environment"]) == (201, "pigeon", None)
    assert device["address_hash"] == address_hash("loft-0042")
    assert await post.send("msg_1", "mary") == {"delivered": 1}
    assert post.loft.letters == [{"ring": "loft-0042", "title": "Hi", "body": "Coo"}]
    assert post.loft.whistles == {"coo"}
    (row,) = await post.gateway.stores.journal.items_of("msg_1")
    assert (row.provider, row.vendor_id) == ("pigeon", "bird 1")


async def test_its_own_proof_of_death_prunes_and_is_counted_by_its_own_reason(post: Post) -> None:
    await post.register("roof-1", "mary")
    post.loft.flown.add("loft-0042")

    assert await post.send("msg_1", "mary") == {"pruned": 1}
    shown = post.gateway.metrics.render()[0].decode()
    assert 'inkpush_pruned_total{app="agent",provider="pigeon",reason="Flown"} 1.0' in shown
    assert "UNREGISTERED" not in shown


async def test_it_says_itself_what_is_wrong_with_an_address(post: Post) -> None:
    status, problem = await post.register("roof-1", "mary", address="no-ring-at-all")

    assert status == 422
    assert problem["errors"] == [
        {"field": "address", "message": "must be a ring such as loft-0042"}
    ]


async def test_a_platform_that_it_does_not_reach_is_refused_without_its_doing(post: Post) -> None:
    status, problem = await post.register("roof-1", "mary", platform="ios")

    assert status == 422
    assert problem["errors"] == [{"field": "platform", "message": "must be web with pigeon"}]


async def test_a_vendor_that_is_in_no_list_is_named_with_those_that_are(post: Post) -> None:
    status, problem = await post.register("roof-1", "mary", provider="semaphore")

    assert status == 422
    assert problem["errors"] == [{"field": "provider", "message": "must be fcm or apns or pigeon"}]


def test_its_table_is_checked_like_any_other(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as refused:
        settings_in(tmp_path, "no place", app='nest = "high"')

    assert [line.partition(":")[0] for line in refused.value.problems] == [
        "apps[0].pigeon.loft",
        "apps[0].pigeon.nest",
    ]


def test_a_credential_that_cannot_work_is_told_by_the_name_of_its_setting(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, "http://127.0.0.1:1", whistle="")
    with pytest.raises(ConfigurationError) as refused:
        plan_lanes(settings, MORE_VENDORS)

    assert refused.value.problems == ["apps[0].pigeon.whistle_file: no tune is in it."]
