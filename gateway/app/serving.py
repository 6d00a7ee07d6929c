"""`inkpush serve`: signals, reload, and the exit status."""

from __future__ import annotations

import asyncio
import errno
import gc
import signal
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING

import uvloop

from gateway.app import descriptors
from gateway.app.clocks import SYSTEM
from gateway.app.gateway import Gateway, open_gateway
from gateway.errors import ConfigurationError, GatewayError
from gateway.events import Fault, Lifecycle
from gateway.observe import logs

if TYPE_CHECKING:
    from config.settings import Settings


def run(settings: Settings, reload: Callable[[], Settings]) -> int:
    """Run until a signal. Returns 0: drained; 1: a fault, or an address that is in use."""
    logs.configure(settings.log.level, settings.log.format)
    files = descriptors.raise_limit()
    return uvloop.run(_serve(settings, reload, files))


async def _serve(settings: Settings, reload: Callable[[], Settings], files: str) -> int:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    failures: list[BaseException] = []
    observer = logs.LogObserver(SYSTEM.monotonic)

    def failed(error: BaseException) -> None:
        failures.append(error)
        trace = "".join(traceback.format_tb(error.__traceback__))
        observer(Fault("relay", type(error).__name__, trace))
        ended.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    try:
        async with open_gateway(settings, log=observer, on_failure=failed) as gateway:
            reloads = _Reloads(gateway, reload)
            loop.add_signal_handler(signal.SIGHUP, reloads.ask)
            observer(Lifecycle("files", files))
            _collect_seldom()
            await ended.wait()
            loop.remove_signal_handler(signal.SIGHUP)
            await reloads.finish()
    except ConfigurationError:
        raise
    except (GatewayError, OSError) as error:
        observer(Lifecycle("failed", _in_words(error)))
        return 1
    return 1 if failures else 0


def _in_words(error: Exception) -> str:
    """What is wrong, without the number that the system has for it."""
    if not isinstance(error, OSError):
        return str(error)
    told = error.strerror or str(error)
    if error.errno == errno.EADDRINUSE:
        return f"{told}; does another inkpush run? server.port and ops.port name the addresses"
    return f"{error.filename}: {told}" if error.filename else told


def _collect_seldom() -> None:
    """Let the garbage collector run seldom, and never over objects that stay for good.

    No object of a push is part of a cycle, so reference counts free them all. Searching for cycles
    after every 700 allocations, which is the default, took 12 to 20 % of the CPU.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


class _Reloads:
    """One reload at a time; signals during a reload cause one more."""

    def __init__(self, gateway: Gateway, reload: Callable[[], Settings]) -> None:
        self._gateway = gateway
        self._reload = reload
        self._asked = False
        self._task: asyncio.Task[None] | None = None

    def ask(self) -> None:
        self._asked = True
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def finish(self) -> None:
        """Let a reload that is under way come to its end."""
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        while self._asked:
            self._asked = False
            try:
                settings = await asyncio.to_thread(self._reload)
                await self._gateway.reload(settings)
            except Exception as error:  # noqa: BLE001  # whatever is wrong, the old settings stay
                self._gateway.observe(Lifecycle("reload_refused", str(error)))
