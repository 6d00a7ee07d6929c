"""GOAWAY in full flight: what lies below it is answered, what lies above goes again at once."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing

from providers.sandbox import Sandbox
from tests.kit.audience import androids, iphones, notifications_to
from tests.kit.figures import Figures
from tests.kit.gateway import Installation, eventually
from tests.kit.sender import event

HALF = 3_000
LATENCY_S = 0.15
"""What an answer takes, so that hundreds of pushes are in flight when a connection goes away."""
GOODBYES = 4
APART_S = 0.4
"""Long enough for a new connection to have answered."""

NO_WAIT_S = 9.0
"""Less than what a push waits for that is not known to be free: ten seconds at the least."""


async def test_a_goaway_in_full_flight_repeats_what_is_above_it_at_once_and_nothing_below(
    installation: Installation, sandbox: Sandbox, figures: Figures
) -> None:
    sandbox.latency_s = LATENCY_S
    audience = androids(range(HALF)) + iphones(range(HALF, 2 * HALF))
    await installation.register(audience)
    key = await installation.key()
    goodbyes = 0
    async with installation.serving() as gateway:
        await gateway.post("msg_away", event(notifications_to(audience)))
        await eventually("in full flight", lambda: len(sandbox.pushes) >= 200)
        began = time.monotonic()
        for _ in range(GOODBYES):
            goodbyes += sandbox.go_away()
            await asyncio.sleep(APART_S)
        assert await gateway.settled("msg_away", key) == {"delivered": len(audience)}
        took = time.monotonic() - began
        assert await gateway.terminate() == 0

    stats = sandbox.stats()
    assert goodbyes >= 2
    # the vendor saw each push once: what was below was not repeated, what was above was not lost
    assert (stats["accepted"], stats["largest_repeat"]) == (len(audience), 1)
    with closing(sqlite3.connect(installation.folder / "inkpush.db")) as journal:
        again = journal.execute("SELECT count(*) FROM deliveries WHERE attempts > 1").fetchone()[0]
    assert took < NO_WAIT_S
    opened = stats["connections_opened"]
    figures(
        f"{goodbyes} GOAWAYs on {opened} connections: {len(audience)} delivered, 0 twice, "
        f"{again} were above and went again; settled {took:.1f} s after the first"
    )
