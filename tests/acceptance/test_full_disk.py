"""A disk that fills up in the middle of a batch, and has room again later."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from providers.sandbox import Sandbox
from tests.kit.audience import androids, iphones, notifications_to
from tests.kit.figures import Figures
from tests.kit.gateway import Installation, Process, eventually
from tests.kit.journal_file import delivery_states
from tests.kit.sender import event
from tests.kit.small_disk import Disk, SizeLimit, small_file_system

HALF = 1_000
STREAMS = 100
"""Pushes in flight to each vendor."""
ARRIVED = 300
"""Pushes that have arrived when the disk fills up."""


@pytest.fixture(params=["file system", "size limit"])
def disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    if request.param == "size limit":
        yield SizeLimit(folder)
        return
    with small_file_system(folder) as mounted:
        if mounted is None:
            pytest.skip("mounting a file system is not allowed here")
        yield mounted


async def test_a_full_disk_stops_webhooks_and_pushes_until_there_is_room(
    installation: Installation, sandbox: Sandbox, disk: Disk, figures: Figures
) -> None:
    sandbox.settings.stream_limit = STREAMS
    installation.configure(
        store={"url": f"sqlite:///{disk.folder / 'inkpush.db'}"},
        fcm={"rate_per_s": 0, "max_connections": 1},
        apns={"max_connections": 1},
    )
    audience = androids(range(HALF)) + iphones(range(HALF, 2 * HALF))
    await installation.register(audience)
    key = await installation.key()
    body = event(notifications_to(audience))
    async with installation.serving() as gateway:
        await gateway.post("msg_full", body)
        await eventually("in the middle", lambda: len(sandbox.pushes) >= ARRIVED)
        disk.fill(gateway.pid)
        at_full = len(sandbox.pushes)
        await failures(gateway, 1)
        refused = await gateway.post("msg_later", body)
        assert refused.status == 503
        assert int(refused.headers["Retry-After"]) > 0
        ready = await gateway.ops("/readyz")
        if ready.status == 503:  # what readyz writes itself may still fit
            assert ready.json["parts"]["store"]["state"] == "failing"

        async def nothing_in_flight() -> bool:
            return await gateway.metric("inkpush_inflight") == 0

        await eventually("what was in flight is answered", nothing_in_flight)
        stopped = len(sandbox.pushes)
        await failures(gateway, len(gateway.logged("store")) + 2)
        assert len(sandbox.pushes) == stopped, "a push was started that could not be journaled"

        disk.make_room(gateway.pid)
        assert await gateway.settled("msg_full", key) == {"delivered": len(audience)}
        assert (await gateway.post("msg_later", body)).json["status"] == "accepted"
        assert await gateway.settled("msg_later", key) == {"delivered": len(audience)}
        await eventually("ready again", gateway.is_ready)
        assert await gateway.terminate() == 0
    stats = sandbox.stats()
    assert (stats["accepted"], stats["largest_repeat"]) == (2 * len(audience), 1)
    figures(
        f"full after {at_full} pushes, {stopped - at_full} more arrived until the relay stopped; "
        f"webhook 503, Retry-After {refused.headers['Retry-After']}; "
        f"with room again {stats['accepted']} of {2 * len(audience)} delivered, none twice"
    )


async def test_a_gateway_killed_on_a_full_disk_repeats_only_what_it_could_not_journal(
    installation: Installation, sandbox: Sandbox, tmp_path: Path, figures: Figures
) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    with small_file_system(folder) as disk:
        if disk is None:
            pytest.skip("mounting a file system is not allowed here")
        database = folder / "inkpush.db"
        sandbox.settings.stream_limit = STREAMS
        installation.configure(
            store={"url": f"sqlite:///{database}"},
            fcm={"rate_per_s": 0, "max_connections": 1},
            apns={"max_connections": 1},
        )
        audience = androids(range(HALF)) + iphones(range(HALF, 2 * HALF))
        await installation.register(audience)
        key = await installation.key()
        async with installation.serving() as gateway:
            await gateway.post("msg_full", event(notifications_to(audience)))
            await eventually("in the middle", lambda: len(sandbox.pushes) >= ARRIVED)
            disk.fill(gateway.pid)
            await failures(gateway, 1)
            await gateway.kill()
        states = delivery_states(database, "msg_full")
        journaled = sum(state == "delivered" for state in states.values())
        unknown = len(sandbox.pushes) - journaled

        gateway = await installation.start()
        await eventually("it gives up", lambda: gateway.ended)
        await gateway.close()
        assert gateway.process.returncode == 1
        assert "Traceback" not in str(gateway.lines)
        (line,) = gateway.logged("failed")
        disk.make_room(gateway.pid)
        async with installation.serving() as gateway:
            assert await gateway.settled("msg_full", key) == {"delivered": len(audience)}
            assert await gateway.terminate() == 0
    repeats = sandbox.stats()["accepted"] - len(audience)
    assert repeats <= unknown
    assert {len(sandbox.phone(phone.address)) for phone in audience} == {1}
    figures(
        f"killed with {unknown} pushes taken that no disk could hold; a start on the full disk: "
        f"exit status 1, {line['detail']!r}; with room {len(audience)} delivered, "
        f"{repeats} repeated under the same id, every phone shows one"
    )


async def failures(gateway: Process, count: int) -> None:
    """Wait until the gateway has told so often that the store does not answer."""
    await eventually("the store fails", lambda: len(gateway.logged("store")) >= count)
