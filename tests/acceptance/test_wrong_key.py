"""A wrong APNs key: the lane waits and says what to do, the other one goes on, nothing is lost."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

from providers.sandbox import Sandbox
from tests.kit.audience import androids, iphones, notifications_to
from tests.kit.figures import Figures
from tests.kit.gateway import Installation, Process, eventually
from tests.kit.sender import event

ADVICE = "check that key_file, key_id and team_id belong together"
PHONES = 300


async def paused(gateway: Process, reason: str = "misconfigured") -> float:
    return await gateway.metric("inkpush_lane_paused", provider="apns", app="demo", reason=reason)


async def test_a_wrong_apns_key_pauses_its_lane_alone_until_the_right_one_is_loaded(
    installation: Installation, sandbox: Sandbox, tmp_path: Path, figures: Figures
) -> None:
    files = sandbox.credentials
    key_file = tmp_path / "AuthKey.p8"
    shutil.copyfile(files.wrong_apns_key_file, key_file)
    installation.configure(apns={"key_file": str(key_file)})
    android, iphone = androids(range(PHONES)), iphones(range(PHONES, 2 * PHONES))
    await installation.register(android + iphone)
    key = await installation.key()

    async with installation.serving() as gateway:
        await gateway.post("msg_key", event(notifications_to(android + iphone)))

        async def android_has_it_and_apns_is_paused() -> bool:
            states = (await gateway.event("msg_key", key))["deliveries"]
            return states == {"delivered": PHONES, "pending": PHONES} and await paused(gateway) == 1

        await eventually("FCM goes on, APNs waits", android_has_it_and_apns_is_paused)
        ready = await gateway.ops("/readyz")
        assert (ready.status, ready.json["status"]) == (200, "degraded")
        ((part, told),) = ready.json["parts"].items()
        assert (part, told["state"]) == ("demo/apns/production", "held")
        assert told["reason"] == "InvalidProviderToken"
        assert ADVICE in told["hint"]
        checked = await installation.run("check", "--online", "--json")
        assert checked.status == 1
        findings = {each["what"]: each for each in checked.json["findings"]}
        wrong = findings["demo/apns/production: InvalidProviderToken"]
        assert wrong["level"] == "error"
        assert ADVICE in wrong["advice"]
        assert await gateway.metric("inkpush_pruned_total") == 0
        asked = sandbox.stats()["by_status"]["apns"]["403"]

        shutil.copyfile(files.apns_key_file, key_file)
        gateway.signal(signal.SIGHUP)
        assert await gateway.settled("msg_key", key) == {"delivered": 2 * PHONES}
        assert await paused(gateway) == 0
        await eventually("ready again", gateway.is_ready)
        checked = await installation.run("check", "--online")
        assert checked.status == 0, checked.out + checked.err
        assert await gateway.terminate() == 0
    assert len(await installation.installations("active")) == 2 * PHONES
    stats = sandbox.stats()
    assert stats["largest_repeat"] == 1
    figures(
        f"{PHONES} FCM pushes delivered while APNs was paused after {asked} refusals; 0 pruned; "
        f"after key and SIGHUP {stats['by_status']['apns']['200']} APNs pushes delivered"
    )
