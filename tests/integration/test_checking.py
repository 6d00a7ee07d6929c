"""What `inkpush check` says of the settings of push services, beyond that they can be read."""

from __future__ import annotations

import pytest

from config.settings import Settings
from gateway.app.checking import examine
from gateway.app.vendors import VENDORS
from tests.kit.relay_rig import RelayRig


def with_keys(
    settings: Settings, *key_ids: str, team_ids: dict[str, str] | None = None
) -> Settings:
    """An app for each key of one team, or of its own."""
    (app,) = settings.apps
    apps = []
    for number, key_id in enumerate(key_ids):
        team_id = (team_ids or {}).get(key_id, "TEAM000001")
        apns = app.vendors["apns"].model_copy(update={"key_id": key_id, "team_id": team_id})
        apps.append(app.model_copy(update={"id": f"app-{number}", "apns": apns}))
    return settings.model_copy(update={"apps": tuple(apps)})


async def warnings(settings: Settings) -> list[str]:
    return [one.what for one in await examine(settings, VENDORS, online=False) if one.level != "ok"]


@pytest.mark.parametrize(
    ("key_ids", "warned"),
    [
        (["AAAAAAAAA1"], []),
        (["AAAAAAAAA1", "AAAAAAAAA2"], []),
        (["AAAAAAAAA2", "AAAAAAAAA1", "AAAAAAAAA2"], []),
        (["AAAAAAAAA3", "AAAAAAAAA1", "AAAAAAAAA2"], ["apps[0].apns.key_id"]),
    ],
)
async def test_a_third_key_of_a_team_is_warned_of(
    rig: RelayRig, key_ids: list[str], warned: list[str]
) -> None:
    settings = with_keys(rig.settings(), *key_ids)

    told = [text for text in await warnings(settings) if "keys of team" in text]

    assert [text.partition(":")[0] for text in told] == warned


async def test_keys_of_other_teams_do_not_count(rig: RelayRig) -> None:
    keys = ["AAAAAAAAA1", "AAAAAAAAA2", "AAAAAAAAA3"]
    settings = with_keys(rig.settings(), *keys, team_ids={"AAAAAAAAA3": "TEAM000002"})

    assert [text for text in await warnings(settings) if "keys of team" in text] == []
