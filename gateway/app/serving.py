"""`inkpush serve`: signals, reload, and the exit status."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import os
import signal
import threading
import traceback
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from gateway import signals
from gateway.app import descriptors
from gateway.app.clocks import SYSTEM
from gateway.app.gateway import Gateway, open_gateway
from gateway.app.loop import PatientLoop
from gateway.app.pulse import pulse
from gateway.app.supervisor import Supervisor
from gateway.errors import ConfigurationError, GatewayError, StoreEnded
from gateway.events import Fault, Lifecycle, Observer
from gateway.observe import logs
from gateway.tasks import end

if TYPE_CHECKING:
    from config.settings import Settings

_AT_ONCE = 3
"""Which of the same signals ends the process at once."""
_FAILED = 1
_RELOAD_S = 5.0
"""For how long an end waits for a reload that is under way."""

T = TypeVar("T")


def run(settings: Settings, reload: Callable[[], Settings]) -> int:
    """Run until a signal. Returns 0: drained, or stopped before it was ready; 1: a fault, or an
    address that is in use."""
    logs.configure(settings.log.level, settings.log.format)
    files = descriptors.raise_limit()
    with asyncio.Runner(loop_factory=PatientLoop) as runner:
        return runner.run(_serve(settings, reload, files))


async def _serve(settings: Settings, reload: Callable[[], Settings], files: str) -> int:
    observer = logs.LogObserver(SYSTEM.monotonic)
    supervisor = Supervisor(os.environ)
    orders = _Orders(observer)
    signals.listen(orders.take)
    failures: list[BaseException] = []
    beating: asyncio.Task[None] | None = None

    def failed(error: BaseException) -> None:
        if not failures:
            observer(_told(error))
        failures.append(error)
        orders.ended.set()

    try:
        async with open_gateway(settings, log=observer, on_failure=failed) as gateway:
            _stand_by(gateway)
            observer(Lifecycle("files", files))
            _collect_seldom()
            beating = asyncio.get_running_loop().create_task(
                pulse(
                    gateway.standstill,
                    supervisor,
                    stall_s=settings.ops.stall_s,
                    observer=observer,
                )
            )
            supervisor.ready()
            reloads = _Reloads(gateway, reload, supervisor)
            orders.ready(gateway.given_up, reloads.ask)
            await orders.ended.wait()
            supervisor.stopping()
            await reloads.finish()
    except asyncio.CancelledError:
        if not orders.ended.is_set():
            raise
        observer(Lifecycle("stopped", "a signal came before it was ready"))
    except ConfigurationError:
        raise
    except (GatewayError, OSError) as error:
        observer(Lifecycle("failed", _in_words(error)))
        return _FAILED
    finally:
        await end(beating)
    return _FAILED if failures else 0


def _stand_by(gateway: Gateway) -> None:
    """Have the gateway told of standstills."""
    loop = asyncio.get_running_loop()
    if isinstance(loop, PatientLoop):
        loop.patience.tell(gateway.stood_still)


def _told(error: BaseException) -> Fault:
    """The line that says why the process ends."""
    what, cause = "a loop of the gateway", error
    if isinstance(error, StoreEnded):
        what, cause = f"the database's thread {error.thread}", error.__cause__ or error
    trace = "".join(traceback.format_tb(cause.__traceback__))
    return Fault(f"{what} has ended, so the process ends", type(cause).__name__, trace)


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


async def _beside(work: Callable[[], T]) -> T:
    """Do it in a thread that nobody waits for when the process ends: what it reads may hang."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def tell(tell_it: Callable[[], None]) -> None:
        # it may be given up by now, and the loop with it
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(lambda: None if done.done() else tell_it())

    def run() -> None:
        try:
            result = work()
        except Exception as error:  # noqa: BLE001  # whatever it is, it is the caller's
            tell(partial(done.set_exception, error))
        else:
            tell(partial(done.set_result, result))

    threading.Thread(target=run, name="reload", daemon=True).start()
    return await done


class _Orders:
    """What the signals of this process come to. `ended` is set once it has to end.

    SIGTERM or SIGINT before it is ready stops the start; later the first begins the drain, a second
    shortens nothing, and a third of the same ends the process at once. SIGHUP waits until it is
    ready, and while it drains nobody reads settings any more.
    """

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._times: Counter[signal.Signals] = Counter()
        self._given_up: Callable[[], str] = lambda: "nothing"
        self._reload: Callable[[], None] | None = None
        self._hung_up = False
        self.ended = asyncio.Event()

    def ready(self, given_up: Callable[[], str], reload: Callable[[], None]) -> None:
        """The gateway is ready. `given_up` says what an end at once would give up."""
        self._given_up, self._reload = given_up, reload
        if self._hung_up:
            reload()

    def take(self, number: signal.Signals) -> None:
        """A signal: called in the main thread, between any two steps of it."""
        self._times[number] += 1
        if number != signal.SIGHUP and self._times[number] >= _AT_ONCE:
            self._end_at_once(number)
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._obey, number)

    def _obey(self, number: signal.Signals) -> None:
        if number == signal.SIGHUP:
            if self.ended.is_set():
                return
            self._hung_up = True
            if self._reload is not None:
                self._reload()
        elif self.ended.is_set():
            told = f"a second {number.name} shortens nothing; a third ends it at once"
            self._observer(Lifecycle("draining", told))
        else:
            self.ended.set()
            if self._reload is None and self._task is not None:
                self._task.cancel()

    def _end_at_once(self, number: signal.Signals) -> None:
        try:
            told = f"a third {number.name} ended it; given up: {self._given_up()}"
            self._observer(Lifecycle("given_up", told))
        finally:
            os._exit(_FAILED)


class _Reloads:
    """One reload at a time; signals during a reload cause one more."""

    def __init__(
        self, gateway: Gateway, reload: Callable[[], Settings], supervisor: Supervisor
    ) -> None:
        self._gateway = gateway
        self._reload = reload
        self._supervisor = supervisor
        self._asked = False
        self._task: asyncio.Task[None] | None = None

    def ask(self) -> None:
        self._asked = True
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def finish(self) -> None:
        """Let a reload that is under way come to its end, for some seconds: what it reads may lie
        on a disk that does not answer, and the drain waits for this."""
        if self._task is None:
            return
        await asyncio.wait([self._task], timeout=_RELOAD_S)
        if not self._task.done():
            self._task.cancel()
            self._gateway.observe(Lifecycle("reload_refused", "the process ends"))
            await asyncio.wait([self._task], timeout=_RELOAD_S)

    async def _run(self) -> None:
        while self._asked:
            self._asked = False
            self._supervisor.reloading()
            try:
                settings = await _beside(self._reload)
                await self._gateway.reload(settings)
            except Exception as error:  # noqa: BLE001  # whatever is wrong, the old settings stay
                self._gateway.observe(Lifecycle("reload_refused", str(error)))
            self._supervisor.ready()
