"""A vendor or token endpoint that cannot be reached shows in all places that people look at."""

from __future__ import annotations

import json
import shutil
import signal
import time
from pathlib import Path
from typing import Any

from tests.kit.audience import androids, iphones, notifications_to
from tests.kit.figures import Figures
from tests.kit.gateway import Installation, Process, eventually
from tests.kit.http2_peers import free_port
from tests.kit.sender import event

BEGAN = "lane failing: its vendor is not reached, or cannot serve"
ENDED = "lane works again: its vendor is reached"
PARTS = {f"demo/fcm/{part}" for part in ("android", "ios", "web")}


def write_account(source: Path, target: Path, **changes: str) -> None:
    """A copy of a service account's key with something else in it."""
    target.write_text(json.dumps(json.loads(source.read_text()) | changes))


async def not_well(gateway: Process) -> dict[str, Any]:
    ready = await gateway.ops("/readyz")
    assert ready.status == 200
    parts: dict[str, Any] = ready.json["parts"]
    assert ready.json["status"] == ("degraded" if parts else "ready")
    return parts


async def test_a_token_endpoint_that_is_away_is_told_in_all_places_until_it_is_back(
    installation: Installation, tmp_path: Path, figures: Figures
) -> None:
    account = tmp_path / "fcm.json"
    installation.configure(fcm={"credentials_file": str(account)})
    right = installation.sandbox.credentials.fcm_file
    write_account(Path(right), account, token_uri=f"https://127.0.0.1:{free_port()}/token")
    key = await installation.key()
    phones = androids(range(20)) + iphones(range(20, 40))
    await installation.register(phones)
    began = time.monotonic()
    async with installation.serving() as gateway:

        async def failing() -> bool:
            return set(await not_well(gateway)) == PARTS

        await eventually("all parts of FCM fail", failing)
        told_s = time.monotonic() - began
        parts = await not_well(gateway)
        android = parts["demo/fcm/android"]
        assert android["state"] == "failing"
        assert "token endpoint" in android["reason"]
        assert "token_uri" in android["hint"]
        assert android["since"].endswith("Z")

        listed = {
            "{app}/{provider}/{part}".format(**lane): lane
            for lane in (await installation.run("lanes", "list", "--json")).json["lanes"]
        }
        assert {name for name, lane in listed.items() if lane["state"] == "failing"} == PARTS
        assert listed["demo/fcm/android"]["reason"] == android["reason"]
        assert listed["demo/fcm/android"]["hint"] == android["hint"]
        assert listed["demo/apns/production"]["state"] == "open"
        lane = {"provider": "fcm", "app": "demo"}
        assert await gateway.metric("inkpush_lane_failing", **lane, part="android") == 1
        checked = await installation.run("check", "--online", "--json")
        found = {each["what"]: each["advice"] for each in checked.json["findings"]}
        # the very words that readyz has
        assert found[f"demo/fcm/android: {android['reason']}"] == android["hint"]

        await gateway.post("msg_1", event(notifications_to(phones)))

        async def apns_has_its_part() -> bool:
            states = (await gateway.event("msg_1", key))["deliveries"]
            return bool(states == {"delivered": 20, "pending": 20})

        await eventually("APNs is not held up", apns_has_its_part)
        shutil.copyfile(right, account)
        gateway.signal(signal.SIGHUP)
        assert await gateway.settled("msg_1", key) == {"delivered": 40}

        async def well() -> bool:
            return not await not_well(gateway)

        await eventually("all is well", well)
        assert await gateway.metric("inkpush_lane_failing", **lane, part="android") == 0
        assert await gateway.terminate() == 0
        (told,) = gateway.logged(BEGAN)
        assert {"/".join(part) for part in told["parts"]} == PARTS
        assert len(gateway.logged(ENDED)) == 1
    figures(
        f"{len(PARTS)} parts failing {told_s:.1f} s after the start, in readyz, lanes list, "
        "metrics and one log line; 20 APNs pushes meanwhile; 20 FCM pushes after the reload"
    )
