"""Signals before it is ready, while it drains and until it is gone; and what a supervisor hears."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import time
from pathlib import Path

import pytest

from providers.sandbox import Sandbox
from tests.kit.audience import androids, iphones, notifications_to
from tests.kit.figures import Figures
from tests.kit.gateway import INKPUSH, Installation, Process, eventually
from tests.kit.sender import event

MOMENTS = 20
HALF = 250
LATENCY_S = 0.3
"""What a vendor's answer takes, so that a drain has something to wait for."""


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler of its own for a signal."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = re.search(r"SigCgt:\s*(\w+)", status)
    return caught is not None and bool(int(caught[1], 16) >> (number - 1) & 1)


async def at_its_first_line(process: Process) -> float:
    """Wait for the first thing that the program does itself; returns after how many seconds."""
    began = time.monotonic()
    while not catches(process.pid, signal.SIGHUP):  # the kernel tells nobody
        assert not process.ended
        await asyncio.sleep(0.0005)
    return time.monotonic() - began


def told(process: Process, *wanted: str) -> list[str]:
    """The steps of a life that the log tells, of those that are wanted."""
    return [line["event"] for line in process.lines if line["event"] in wanted]


async def hang_up(process: Process, every_s: float) -> int:
    """SIGHUP again and again until the process is gone; returns how often."""
    times = 0
    while not process.ended:
        try:
            process.signal(signal.SIGHUP)
        except ProcessLookupError:
            break
        times += 1
        await asyncio.sleep(every_s)
    return times


async def test_sighups_from_the_first_line_to_the_last_end_nothing(
    installation: Installation, sandbox: Sandbox, figures: Figures
) -> None:
    sandbox.latency_s = LATENCY_S
    sandbox.settings.stream_limit = 50
    installation.configure(fcm={"rate_per_s": 0, "max_connections": 1}, apns={"max_connections": 1})
    audience = androids(range(HALF)) + iphones(range(HALF, 2 * HALF))
    await installation.register(audience)
    key = await installation.key()
    gateway = await installation.start()
    try:
        first = await at_its_first_line(gateway)
        hanging_up = asyncio.create_task(hang_up(gateway, every_s=0.01))
        await gateway.ready()
        await gateway.post("msg_hup", event(notifications_to(audience)))
        await eventually("in the middle", lambda: len(sandbox.pushes) >= HALF // 2)
        began = time.monotonic()
        assert await gateway.terminate() == 0
        drained_s = time.monotonic() - began
        times = await hanging_up
    finally:
        await gateway.close()
    assert times > MOMENTS
    assert gateway.logged("reloaded")
    assert told(gateway, "ready", "draining", "stopped") == ["ready", "draining", "stopped"]
    async with installation.serving() as gateway:
        assert await gateway.settled("msg_hup", key) == {"delivered": len(audience)}
        assert await gateway.terminate() == 0
    stats = sandbox.stats()
    assert (stats["accepted"], stats["largest_repeat"]) == (len(audience), 1)
    figures(
        f"{times} SIGHUPs: alive, drained in {drained_s:.1f} s, none twice; from exec to its own "
        f"first line {first * 1000:.0f} ms"
    )


async def test_one_sighup_at_each_of_twenty_moments(
    installation: Installation, figures: Figures
) -> None:
    """Half of them between its first line and `ready`, half between SIGTERM and its end."""
    async with installation.serving() as gateway:
        began = time.monotonic()
        assert await gateway.terminate() == 0
        drain_s = time.monotonic() - began
    gateway = await installation.start()
    first = [await at_its_first_line(gateway)]
    began = time.monotonic()
    await gateway.ready()
    start_s = time.monotonic() - began
    await gateway.close()
    for number in range(MOMENTS // 2):
        share = number / (MOMENTS // 2 - 1)
        gateway = await installation.start()
        try:
            first.append(await at_its_first_line(gateway))
            await asyncio.sleep(share * start_s)
            gateway.signal(signal.SIGHUP)
            await gateway.ready()
            await eventually("carried out", lambda g=gateway: bool(g.logged("reloaded")))
            gateway.signal(signal.SIGTERM)
            await asyncio.sleep(share * drain_s)
            if not gateway.ended:
                gateway.signal(signal.SIGHUP)
            async with asyncio.timeout(60):
                assert await gateway.process.wait() == 0, f"moment {number}"
        finally:
            await gateway.close()
        assert told(gateway, "ready", "draining", "stopped") == ["ready", "draining", "stopped"]
    figures(
        f"{MOMENTS} moments over {start_s:.2f} s of start and {drain_s:.2f} s of drain: alive; "
        f"from exec to its own first line {min(first) * 1000:.0f} to {max(first) * 1000:.0f} ms"
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda one: one.name)
async def test_a_signal_before_it_is_ready_ends_it_cleanly(
    installation: Installation, number: signal.Signals
) -> None:
    for moment in range(6):
        gateway = await installation.start()
        try:
            await at_its_first_line(gateway)
            await asyncio.sleep(0.15 * moment)
            gateway.signal(number)
            async with asyncio.timeout(60):
                assert await gateway.process.wait() == 0
        finally:
            await gateway.close()
        assert gateway.lines[-1]["event"] == "stopped"
    async with installation.serving() as gateway:
        assert await gateway.terminate() == 0


async def test_a_second_sigterm_shortens_nothing_and_a_third_ends_at_once(
    installation: Installation, sandbox: Sandbox
) -> None:
    sandbox.latency_s = 2.0
    sandbox.settings.stream_limit = 50
    installation.configure(fcm={"rate_per_s": 0, "max_connections": 1}, apns={"max_connections": 1})
    audience = androids(range(HALF)) + iphones(range(HALF, 2 * HALF))
    await installation.register(audience)
    key = await installation.key()

    async def signalled(gateway: Process, times: int) -> int:
        for number in range(times):
            seen = len(gateway.lines)
            gateway.signal(signal.SIGTERM)
            if number < 2:
                await eventually("it is told", lambda seen=seen: len(gateway.lines) > seen)
        async with asyncio.timeout(60):
            return await gateway.process.wait()

    async with installation.serving() as gateway:
        await gateway.post("msg_term", event(notifications_to(audience)))
        await eventually("in flight", lambda: len(sandbox.pushes) >= 50)
        assert await signalled(gateway, 2) == 0
    assert told(gateway, "draining", "stopped") == ["draining", "draining", "stopped"]
    delivered = sandbox.stats()["accepted"]
    assert delivered >= 50

    async with installation.serving() as gateway:
        seen = len(sandbox.pushes)
        await eventually("in flight", lambda: len(sandbox.pushes) >= seen + 50)
        assert await signalled(gateway, 3) == 1
        (line,) = gateway.logged("given up")
    assert re.search(r"[1-9]\d* pushes in flight", line["detail"])
    assert "chunks" in line["detail"]
    sandbox.latency_s = 0.0
    async with installation.serving() as gateway:
        assert await gateway.settled("msg_term", key) == {"delivered": len(audience)}


class Systemd:
    """Whoever listens at NOTIFY_SOCKET."""

    def __init__(self, address: str) -> None:
        self.heard: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(address)
        asyncio.get_running_loop().add_reader(self._socket, self._hear)

    def _hear(self) -> None:
        self.heard.append(self._socket.recv(4096).decode())

    def times(self, what: str) -> int:
        return sum(what in one for one in self.heard)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()


async def test_systemd_hears_of_every_step(installation: Installation) -> None:
    systemd = Systemd(f"\0inkpush-{os.getpid()}")
    environment = {"NOTIFY_SOCKET": f"@inkpush-{os.getpid()}", "WATCHDOG_USEC": "400000"}
    try:
        async with installation.serving(environment) as gateway:
            await eventually("ready", lambda: systemd.times("READY=1") == 1)
            await eventually("watchdog", lambda: systemd.times("WATCHDOG=1") > 3)
            gateway.signal(signal.SIGHUP)
            await eventually("reloaded", lambda: systemd.times("READY=1") == 2)
            assert await gateway.terminate() == 0
    finally:
        systemd.close()
    steps = [one.partition("=")[0] for one in systemd.heard if one != "WATCHDOG=1"]
    assert steps == ["READY", "RELOADING", "READY", "STOPPING"]


#: whoever runs the tests may ignore SIGHUP themselves, and what they start inherits that
HEARS_ITS_TERMINAL = ("env", "--default-signal=HUP")


@pytest.mark.parametrize(
    ("before", "status"), [(HEARS_ITS_TERMINAL, 1), (("nohup",), 0)], ids=["alone", "nohup"]
)
async def test_a_command_is_stopped_by_its_terminals_end_unless_it_is_to_outlive_it(
    installation: Installation, before: tuple[str, ...], status: int
) -> None:
    """As by Ctrl-C: what was half done is undone, and it says so."""
    started = await asyncio.create_subprocess_exec(
        *before,
        *(INKPUSH, "devices", "import", "-", "--config", installation.config),
        cwd=installation.folder,
        stdin=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    await eventually("it has begun", (installation.folder / "inkpush.db").exists)
    started.send_signal(signal.SIGHUP)
    await asyncio.sleep(0.2)
    async with asyncio.timeout(60):
        _, err = await started.communicate(b"")
    assert started.returncode == status, err
    assert (b"Stopped." in err) == (status == 1)


async def test_a_server_of_the_command_line_ends_cleanly_with_its_terminal(
    installation: Installation,
) -> None:
    started = await asyncio.create_subprocess_exec(
        *HEARS_ITS_TERMINAL,
        *(INKPUSH, "sandbox"),
        *("--fcm-port=0", "--apns-port=0", "--apns-sandbox-port=0", "--control-port=0"),
        cwd=installation.folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert started.stdout is not None
    try:
        assert await started.stdout.readline(), "it tells where it listens"
        started.send_signal(signal.SIGHUP)
        async with asyncio.timeout(60):
            _, err = await started.communicate()
        assert (started.returncode, err) == (0, b"")
    finally:
        if started.returncode is None:
            started.kill()
            await started.wait()
