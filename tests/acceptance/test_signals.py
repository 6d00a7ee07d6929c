"""SIGTERM drains, SIGHUP reloads; neither loses or repeats a push in the middle of a batch."""

from __future__ import annotations

import asyncio
import os
import signal
import time

from providers.apns.credentials import PERIOD_S
from providers.sandbox import Sandbox
from tests.kit.audience import androids, iphones, notifications_to
from tests.kit.figures import Figures
from tests.kit.gateway import Installation, eventually
from tests.kit.journal_file import delivery_states
from tests.kit.sender import event

HALF = 1_000
LATENCY_S = 0.1
"""What a vendor's answer takes, so that a signal finds pushes in flight."""
STREAMS = 100
"""Pushes in flight to each vendor: few enough that a signal finds some that wait."""


async def test_sigterm_in_the_middle_of_a_batch_finishes_what_is_in_flight(
    installation: Installation, sandbox: Sandbox, figures: Figures
) -> None:
    sandbox.latency_s = LATENCY_S
    sandbox.settings.stream_limit = STREAMS
    installation.configure(fcm={"rate_per_s": 0, "max_connections": 1}, apns={"max_connections": 1})
    audience = androids(range(HALF)) + iphones(range(HALF, 2 * HALF))
    await installation.register(audience)
    key = await installation.key()
    stops: list[str] = []
    for wanted in (150, 250, 350):
        seen = len(sandbox.pushes)
        async with installation.serving() as gateway:
            if not stops:
                await gateway.post("msg_term", event(notifications_to(audience)))
            await eventually(
                "in the middle", lambda most=seen + wanted: len(sandbox.pushes) >= most
            )
            began = time.monotonic()
            assert await gateway.terminate() == 0
            took = time.monotonic() - began
        states = delivery_states(installation.folder / "inkpush.db", "msg_term")
        delivered = sum(state == "delivered" for state in states.values())
        assert delivered == len(sandbox.pushes) < len(audience)
        stops.append(f"{delivered} delivered, {took:.1f} s to end")
    async with installation.serving() as gateway:
        assert await gateway.settled("msg_term", key) == {"delivered": len(audience)}
        assert await gateway.terminate() == 0
    stats = sandbox.stats()
    assert (stats["accepted"], stats["largest_repeat"]) == (len(audience), 1)
    figures(f"exit status 0 three times ({'; '.join(stops)}); then all {len(audience)}, none twice")


async def test_sighup_in_the_middle_of_a_batch_changes_the_limits_and_loses_nothing(
    installation: Installation, sandbox: Sandbox, figures: Figures
) -> None:
    sandbox.latency_s = LATENCY_S
    audience = androids(range(HALF)) + iphones(range(HALF, 2 * HALF))
    await installation.register(audience)
    key = await installation.key()
    async with installation.serving() as gateway:
        await gateway.post("msg_hup", event(notifications_to(audience)))
        for number in range(1, 4):
            await eventually(
                "in the middle", lambda wanted=number * 200: len(sandbox.pushes) >= wanted
            )
            rate = 10_000 * number
            installation.configure(fcm={"rate_per_s": rate, "ramp_s": 0})
            gateway.signal(signal.SIGHUP)
            await eventually(
                "reloaded", lambda wanted=number: len(gateway.logged("reloaded")) >= wanted
            )
            limit = await gateway.metric("inkpush_rate_limit_per_second", provider="fcm")
            assert limit == rate
        assert await gateway.settled("msg_hup", key) == {"delivered": len(audience)}
        assert await gateway.terminate() == 0
    stats = sandbox.stats()
    assert (stats["accepted"], stats["largest_repeat"]) == (len(audience), 1)
    figures(f"3 reloads during {len(audience)} pushes: all delivered, none twice")


async def test_an_end_does_not_wait_for_a_reload_that_hangs(
    installation: Installation, figures: Figures
) -> None:
    async with installation.serving() as gateway:
        # a file on a disk that does not answer, as far as whoever reads it can tell
        installation.config.unlink()
        os.mkfifo(installation.config)
        gateway.signal(signal.SIGHUP)
        await asyncio.sleep(1)
        began = time.monotonic()
        assert await gateway.terminate() == 0
        took = time.monotonic() - began
        assert gateway.logged("reload")[-1]["phase"] == "reload_refused"
    assert took < 30
    figures(f"exit status 0 after {took:.1f} s")


async def test_a_broken_file_is_refused_at_sighup_and_the_old_one_stays(
    installation: Installation, sandbox: Sandbox, figures: Figures
) -> None:
    audience = androids(range(5)) + iphones(range(5, 10))
    await installation.register(audience)
    key = await installation.key()
    good = installation.config.read_text()
    wrong = installation.folder / "wrong.p8"
    wrong.write_text("no key")
    broken = {
        "no TOML": "[[[",
        "an unknown key": good + '\n[surprise]\nkey = "value"\n',
        "a key that cannot be read": good.replace(
            str(sandbox.credentials.apns_key_file), str(wrong)
        ),
    }
    told: list[str] = []
    async with installation.serving() as gateway:
        for number, (what, text) in enumerate(broken.items(), 1):
            installation.config.write_text(text)
            gateway.signal(signal.SIGHUP)
            await eventually(
                f"{what} is refused",
                lambda wanted=number: len(gateway.logged("reload")) >= wanted,
            )
            line = gateway.logged("reload")[-1]
            assert line["phase"] == "reload_refused", line
            told.append(f"{what}: {line['detail'].splitlines()[0]}")
            event_id = f"msg_{number}"
            await gateway.post(event_id, event(notifications_to(audience)))
            assert await gateway.settled(event_id, key) == {"delivered": len(audience)}
        assert await gateway.is_ready()
        assert await gateway.terminate() == 0
    figures(" | ".join(told))


async def test_sighups_with_an_unchanged_file_make_no_token_and_no_connection(
    installation: Installation, sandbox: Sandbox, figures: Figures
) -> None:
    audience = androids(range(20)) + iphones(range(20, 40))
    await installation.register(audience)
    key = await installation.key()
    async with installation.serving() as gateway:
        await gateway.post("msg_0", event(notifications_to(audience)))
        assert await gateway.settled("msg_0", key) == {"delivered": len(audience)}
        before = sandbox.stats()
        began = time.time()
        for number in range(1, 6):
            gateway.signal(signal.SIGHUP)
            await eventually(
                "reloaded", lambda wanted=number: len(gateway.logged("reloaded")) >= wanted
            )
            await gateway.post(f"msg_{number}", event(notifications_to(audience)))
            assert await gateway.settled(f"msg_{number}", key) == {"delivered": len(audience)}
        after = sandbox.stats()
    assert after["connections_opened"] == before["connections_opened"]
    assert after["oauth_calls"] == before["oauth_calls"] == 1
    # no new token but by the clock
    by_clock = int(time.time() // PERIOD_S) - int(began // PERIOD_S)
    assert after["distinct_jwts"] - before["distinct_jwts"] <= by_clock
    figures("5 reloads of an unchanged file: the same connections, no new token")
