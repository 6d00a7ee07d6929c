"""Phones of the sandbox that are off, shared, denied or reinstalled, by the vendors' own doors."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from providers.sandbox import Answer
from tests.kit.sandbox_rig import ALERT, TOKEN, SandboxRig, sandbox_rig

ANDROID = "android-phone-1:APA91b"
NEW = "android-phone-2:APA91b"
DAY = 86_400.0


@pytest.fixture
async def rig() -> AsyncIterator[SandboxRig]:
    async with sandbox_rig() as rig:
        yield rig


async def tell(rig: SandboxRig, address: str, **told: Any) -> dict[str, Any]:
    response = await rig.http.put(f"{rig.sandbox.control_url}/phones/{address}", json=told)
    assert response.status_code == 200, response.text
    return dict(response.json())


async def look(rig: SandboxRig, address: str) -> dict[str, Any]:
    response = await rig.http.get(f"{rig.sandbox.control_url}/phones/{address}")
    return dict(response.json())


async def reinstall(rig: SandboxRig, address: str, new: str) -> httpx.Response:
    url = f"{rig.sandbox.control_url}/phones/{address}/reinstall"
    return await rig.http.post(url, json={"address": new})


def titles(pushes: list[dict[str, Any]]) -> list[str]:
    return [push["title"] for push in pushes]


def note(title: str, address: str = ANDROID, **android: Any) -> dict[str, Any]:
    return {"token": address, "notification": {"title": title}, "android": android}


def data(title: str, **android: Any) -> dict[str, Any]:
    return {"token": ANDROID, "data": {"title": title}, "android": android}


async def test_an_android_phone_wakes_after_three_days(rig: SandboxRig) -> None:
    await tell(rig, ANDROID, state="off")
    messages = [
        note("1", collapse_key="a", ttl="345600s"),
        note("2", collapse_key="b", ttl="345600s"),
        data("3", ttl="345600s"),
        data("4", collapse_key="c", ttl="345600s"),
        data("5", collapse_key="c", ttl="345600s"),
        data("6", ttl="3600s"),
        data("7", ttl="0s"),
    ]
    for message in messages:
        assert (await rig.fcm(message)).status_code == 200
    asleep = await look(rig, ANDROID)
    assert (asleep["state"], asleep["shown"], titles(asleep["kept"])) == (
        "off",
        [],
        ["2", "3", "5", "6"],
    )
    rig.clock.ahead_s += 3 * DAY
    awake = await tell(rig, ANDROID, state="on")
    assert (titles(awake["shown"]), awake["kept"]) == (["2", "3", "5"], [])
    assert [push.title for push in rig.sandbox.phone(ANDROID)] == ["2", "3", "5"]
    assert {(one["seq"], one["fate"]) for one in awake["fates"] if one["fate"] != "kept"} == {
        (1, "replaced"),
        (2, "shown"),
        (3, "shown"),
        (4, "replaced"),
        (5, "shown"),
        (6, "expired"),
        (7, "lost"),
    }


async def test_an_iphone_wakes_to_the_newest(rig: SandboxRig) -> None:
    await rig.apns(apns_collapse_id="seen before it was off")
    await tell(rig, TOKEN.upper(), state="off")
    for name in ("a", "b"):
        await rig.apns(apns_collapse_id=name, apns_expiration=str(int(rig.clock() + 9 * DAY)))
    await rig.apns(apns_collapse_id="c", apns_expiration="0")
    rig.clock.ahead_s += 3 * DAY
    awake = await tell(rig, TOKEN, state="on")
    assert [push["collapse_id"] for push in awake["shown"]] == ["seen before it was off", "b"]
    assert rig.sandbox.stats()["accepted"] == 4


async def test_a_shared_phone_shows_what_its_app_cannot_look_at_first(rig: SandboxRig) -> None:
    await tell(rig, TOKEN, **{"for": ["bob"]})
    for mutable in (0, 1):
        aps = ALERT["aps"] | {"mutable-content": mutable}
        await rig.apns(TOKEN, {"aps": aps, "data": {"for": "mary"}})
    [shown] = (await look(rig, TOKEN))["shown"]
    assert (shown["seq"], shown["is_theirs"]) == (1, False)
    assert rig.sandbox.stats()["dropped"] == 1
    assert rig.sandbox.stats()["fates"] == {"shown": 1, "dropped": 1}


async def test_a_denied_phone_shows_nothing_and_its_vendor_takes_all(rig: SandboxRig) -> None:
    await rig.fcm(note("before"))
    denied = await tell(rig, ANDROID, notifications="denied")
    assert denied["shown"] == []
    assert (await rig.fcm(data("meanwhile"))).status_code == 200
    granted = await tell(rig, ANDROID, notifications="granted")
    assert granted["shown"] == []
    [fate] = granted["fates"]
    assert (fate["fate"], fate["reached_app"]) == ("muted", True)


async def test_a_reinstalled_app_has_a_new_address(rig: SandboxRig) -> None:
    await rig.fcm(note("before"))
    fresh = (await reinstall(rig, ANDROID, NEW)).json()
    assert (fresh["address"], fresh["shown"]) == (NEW, [])
    gone = await rig.fcm(note("to the old one"))
    assert gone.status_code == 404
    assert gone.json()["error"]["details"][0]["errorCode"] == "UNREGISTERED"
    assert (await rig.fcm(note("to the new one", NEW))).status_code == 200
    assert titles((await look(rig, NEW))["shown"]) == ["to the new one"]
    assert titles((await look(rig, ANDROID))["shown"]) == []
    for new, words in ((ANDROID, "is dead"), (NEW, "the same one")):
        answer = await reinstall(rig, NEW, new)
        assert (answer.status_code, words in answer.json()["error"]) == (400, True)
    rig.sandbox.clear_scripts()
    assert (await rig.fcm(note("still dead"))).status_code == 404
    rig.sandbox.script(ANDROID, Answer.ok())
    assert (await rig.fcm(note("as the script says"))).status_code == 200


async def test_apns_says_since_when_an_address_is_dead(rig: SandboxRig) -> None:
    before = int(rig.clock() * 1000)
    assert (await reinstall(rig, TOKEN, "cd" * 32)).status_code == 200
    rig.clock.ahead_s += 60
    gone = await rig.apns()
    assert (gone.status_code, gone.json()["reason"]) == (410, "Unregistered")
    assert before <= gone.json()["timestamp"] <= before + 30_000


async def test_a_phone_that_is_off_does_nothing(rig: SandboxRig) -> None:
    await tell(rig, ANDROID, state="off")
    assert (await reinstall(rig, ANDROID, NEW)).status_code == 400
    url = f"{rig.sandbox.control_url}/phones/{ANDROID}"
    assert (await rig.http.put(url, json={"app": "open"})).status_code == 400
    assert (await look(rig, ANDROID))["state"] == "off"
    assert (await tell(rig, ANDROID, state="on", app="open"))["app"] == "open"


async def test_all_phones_that_were_told_anything_are_listed(rig: SandboxRig) -> None:
    await rig.apns("cd" * 32)  # nobody spoke of this one
    await tell(rig, ANDROID, platform="ios")
    await tell(rig, TOKEN, state="off")
    phones = (await rig.http.get(f"{rig.sandbox.control_url}/phones")).json()["phones"]
    assert [(one["address"], one["platform"], one["state"]) for one in phones] == [
        (ANDROID, "ios", "on"),
        (TOKEN, None, "off"),
    ]
    unspoken = await look(rig, "cd" * 32)
    assert (unspoken["state"], len(unspoken["shown"]), unspoken["fates"]) == ("on", 1, [])
    assert rig.sandbox.phones_spoken_of() == [ANDROID, TOKEN]


async def test_forgetting_the_pushes_leaves_the_phones(rig: SandboxRig) -> None:
    await tell(rig, ANDROID, state="off")
    await rig.fcm(note("kept"))
    rig.sandbox.clear_pushes()
    asleep = await look(rig, ANDROID)
    assert (asleep["state"], asleep["kept"], asleep["fates"]) == ("off", [], [])
