"""What systemd hears: sd_notify(3)."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.app.pulse import pulse
from gateway.app.supervisor import Supervisor
from gateway.events import GatewayEvent, Lifecycle


class Listener:
    """Whoever listens at NOTIFY_SOCKET."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind("\0" + name[1:] if name.startswith("@") else name)

    def heard(self) -> list[str]:
        messages: list[str] = []
        while True:
            try:
                messages.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return messages

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["file", "abstract"])
def listener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Listener]:
    by_file = request.param == "file"
    made = Listener(str(tmp_path / "notify") if by_file else f"@inkpush-test-{os.getpid()}")
    yield made
    made.close()


def test_each_step_of_a_life_is_told(listener: Listener) -> None:
    supervisor = Supervisor({"NOTIFY_SOCKET": listener.name})
    supervisor.ready()
    supervisor.reloading()
    supervisor.ready()
    supervisor.moves()
    supervisor.stopping()
    ready, reloading, again, moves, stopping = listener.heard()
    assert (ready, again, moves, stopping) == ("READY=1", "READY=1", "WATCHDOG=1", "STOPPING=1")
    state, clock = reloading.split("\n")
    assert state == "RELOADING=1"
    assert clock.startswith("MONOTONIC_USEC=")
    assert int(clock.partition("=")[2]) > 0


def test_a_reload_that_ends_after_the_end_has_begun_does_not_take_it_back(
    listener: Listener,
) -> None:
    supervisor = Supervisor({"NOTIFY_SOCKET": listener.name})
    supervisor.stopping()
    supervisor.ready()
    assert listener.heard() == ["STOPPING=1"]


def test_where_nobody_asks_and_where_nobody_listens_nothing_fails(tmp_path: Path) -> None:
    for environment in ({}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": str(tmp_path / "nobody")}):
        Supervisor(environment).ready()


@pytest.mark.parametrize(
    ("usec", "pid", "expected"),
    [
        ("30000000", "", 30.0),
        ("30000000", "mine", 30.0),
        ("30000000", "1", 0.0),  # meant for another process
        ("", "", 0.0),
        ("soon", "", 0.0),
    ],
)
def test_the_watchdog_is_the_one_that_was_asked_of_this_process(
    usec: str, pid: str, expected: float
) -> None:
    pid = str(os.getpid()) if pid == "mine" else pid
    environment = {"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": usec, "WATCHDOG_PID": pid}
    assert Supervisor(environment).watchdog_s == expected


async def test_the_pulse_is_heard_while_all_moves_and_a_standstill_is_told_once(
    tmp_path: Path,
) -> None:
    listener = Listener(str(tmp_path / "notify"))
    supervisor = Supervisor({"NOTIFY_SOCKET": listener.name, "WATCHDOG_USEC": "1"})
    told: list[GatewayEvent] = []
    found, looks = "", 0

    def standstill() -> str:
        nonlocal looks
        looks += 1
        return found

    async def looked(times: int) -> None:
        until = looks + times
        while looks < until:  # noqa: ASYNC110  # the pulse sets no event
            await asyncio.sleep(0)

    beating = asyncio.create_task(pulse(standstill, supervisor, stall_s=30, observer=told.append))
    await looked(3)
    assert set(listener.heard()) == {"WATCHDOG=1"}
    found = "the writer has not moved"
    await looked(1)
    listener.heard()
    await looked(3)
    assert not listener.heard()
    found = ""
    await looked(3)
    assert "WATCHDOG=1" in listener.heard()
    beating.cancel()
    await asyncio.wait([beating])
    listener.close()
    assert told == [Lifecycle("stalled", "the writer has not moved"), Lifecycle("moves_again")]
