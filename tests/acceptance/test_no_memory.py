"""Memory that runs out while webhooks come in: 503 with Retry-After; later all are taken."""

from __future__ import annotations

import asyncio
import re
import resource
from pathlib import Path

import aiohttp
import pytest

from providers.sandbox import Sandbox
from tests.kit.audience import androids, notifications_to
from tests.kit.figures import Figures
from tests.kit.gateway import Installation, Reply, eventually
from tests.kit.sender import event

MIB = 1024 * 1024
ITEMS = 12_000
WEBHOOKS = 12


def size_of(pid: int) -> int:
    """Bytes of address space that a process has."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmSize:\s*(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1024


@pytest.mark.parametrize("more_mib", [0, 2, 16])
async def test_webhooks_without_memory_are_answered_503_and_taken_once_there_is_some(
    installation: Installation, sandbox: Sandbox, figures: Figures, more_mib: int
) -> None:
    audience = androids(range(20))
    await installation.register(audience)
    key = await installation.key()
    many = event(notifications_to(androids(range(ITEMS))))
    few = event(notifications_to(audience))
    told: list[str] = []
    async with installation.serving() as gateway:
        # libraries and threads that come with the first webhook are here
        await gateway.post("msg_first", few)
        await gateway.settled("msg_first", key)
        _, most = resource.prlimit(gateway.pid, resource.RLIMIT_AS)
        limit = size_of(gateway.pid) + more_mib * MIB
        resource.prlimit(gateway.pid, resource.RLIMIT_AS, (limit, most))

        async def post(number: int) -> Reply | None:
            try:
                return await gateway.post(f"msg_{number}", many)
            except (OSError, aiohttp.ClientError):
                return None  # not even the bytes that come in have room

        replies = await asyncio.gather(*map(post, range(WEBHOOKS)))
        resource.prlimit(gateway.pid, resource.RLIMIT_AS, (most, most))
        for reply in replies:
            if reply is None:
                told.append("none")
                continue
            told.append(str(reply.status))
            assert reply.status in (200, 503), reply.text
            if reply.status == 503:
                assert reply.headers["Retry-After"]
                assert reply.json["code"] in ("overloaded", "unavailable")
        assert not gateway.ended, gateway.lines[-5:]

        # a thread that ended for want of memory ends the process, which is well, too; here none did
        async def is_taken(number: int) -> bool:
            reply = await post(number)
            return reply is not None and reply.status == 200

        if not more_mib:
            assert "503" in told, "else nothing was tested"
        for number in range(WEBHOOKS):
            await eventually(f"msg_{number} is taken", lambda n=number: is_taken(n))
        assert (await gateway.ops("/healthz")).status == 200
        assert await gateway.terminate() == 0
    figures(f"{more_mib} MiB left: answers {', '.join(told)}; then all {WEBHOOKS} taken")
