"""The life of a gateway: from opening the database to the end of the drain, in any role."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from gateway import __version__
from gateway.app.beating import beating
from gateway.app.dates import ask_dates, hosts_of
from gateway.app.descriptors import OPS_CONNECTIONS
from gateway.app.doubts import doubting, keeping_notes
from gateway.app.hooking import posting
from gateway.app.ids import RANDOM
from gateway.app.lanes import plan_lanes
from gateway.app.listeners import listen, ops_application, public_application
from gateway.app.process import Gateway
from gateway.app.storage import complete_events, open_store
from gateway.app.timekeeping import Timekeeper
from gateway.app.vendors import VENDORS
from gateway.core.ids import Ids
from gateway.core.pace import Pace
from gateway.events import GatewayEvent, Lifecycle, Observer
from gateway.ports.replicas import look
from gateway.tasks import end
from providers.vendor import Vendors

if TYPE_CHECKING:
    from config.settings import Settings

__all__ = ["Gateway", "open_gateway"]


@asynccontextmanager
async def open_gateway(
    settings: Settings,
    vendors: Vendors = VENDORS,
    *,
    log: Observer,
    on_failure: Callable[[BaseException], None],
    timekeeper: Timekeeper | None = None,
    ids: Ids = RANDOM,
    pace: Pace = Pace(),
) -> AsyncIterator[Gateway]:
    """Run a gateway; at the end it drains: it takes nothing more, finishes what is in flight, puts
    back the rest, and closes.

    `vendors` are those that the settings were read with. `on_failure` is called when a fault ends a
    loop of the gateway, or a thread of the database. The process should end then, so that a
    supervisor starts it anew; leases and journal make that harmless. Raises ConfigurationError
    for credentials that cannot work, StoreUnavailable for a database that cannot be opened,
    OSError for an address that cannot be listened on.
    """
    timekeeper = timekeeper or Timekeeper()
    clocks = timekeeper.clocks
    with_relay = settings.server.role != "ingest"
    plans = plan_lanes(settings, vendors, clock=clocks.wall) if with_relay else []
    # Entered last, closed first: webhooks stop, the relay drains, metrics and health stay
    # up until it has.
    async with AsyncExitStack() as stack:
        heard = [log]

        def tell(event: GatewayEvent) -> None:
            heard[-1](event)

        stores = await stack.enter_async_context(
            open_store(settings, relay=with_relay, clocks=clocks, ids=ids, pace=pace, observer=tell)
        )
        stores.threads.on_end(on_failure)
        if stores.broker is not None:
            await stores.broker.start()
            completing = complete_events(stores.broker, log, every_s=pace.complete_s)
            await stack.enter_async_context(_running(completing, on_failure))
        if not with_relay:
            beats = beating(
                stores.store.replicas,
                name=ids.process(),
                role=settings.server.role,
                observer=tell,
                clocks=clocks,
                every_s=pace.beat_s,
            )
            await stack.enter_async_context(beats)
        gateway = Gateway(
            settings,
            vendors,
            stores,
            log=log,
            on_failure=on_failure,
            timekeeper=timekeeper,
            ids=ids,
            pace=pace,
        )
        heard.append(gateway.observe)
        gateway.observe(Lifecycle("starting", f"Inkpush {__version__}"))
        await look(stores.store.replicas, clocks=clocks)
        stack.callback(gateway.observe, Lifecycle("stopped"))
        stack.push_async_callback(gateway.authenticator.aclose)
        beside = [gateway.gauges.run(), gateway.storing.run()]
        if stores.guarding is not None:
            beside.append(stores.guarding(pace.schema_s))
        for loop in beside:
            await stack.enter_async_context(_running(loop, on_failure))
        gateway.ops_port = await listen(
            stack,
            ops_application(gateway),
            settings.ops.host,
            settings.ops.port,
            observer=gateway.observe,
            most=OPS_CONNECTIONS,
        )
        stack.push_async_callback(timekeeper.stop)
        await timekeeper.start(
            stores.store.times,
            ids.process(),
            ask=partial(ask_dates, hosts_of(settings, plans), timekeeper.told),
            observer=gateway.observe,
            failed=on_failure,
        )
        if gateway.relay is not None:
            await stack.enter_async_context(
                doubting(
                    stores,
                    plans,
                    clocks=clocks,
                    before=timekeeper.newest,
                    observer=gateway.observe,
                    found=gateway.found,
                    failed=on_failure,
                )
            )
            await stack.enter_async_context(
                keeping_notes(stores, gateway.observe, every_s=pace.note_s)
            )
            stack.push_async_callback(gateway.relay.stop, settings.relay.drain_s)
            await gateway.relay.start(plans)
            await stack.enter_async_context(stores.waking(gateway.relay.wake))
        await stack.enter_async_context(posting(gateway.hooking, settings, clocks.wall))
        for loop in (
            gateway.device_counts.run(),
            gateway.audience.run(),
            gateway.eraser.run(),
            gateway.days.run(),
            gateway.chainer.run(),
        ):
            await stack.enter_async_context(_running(loop, on_failure))
        if settings.server.role != "relay":
            server = settings.server
            gateway.public_port = await listen(
                stack,
                public_application(gateway),
                server.host,
                server.port,
                observer=gateway.observe,
            )
        gateway.ready = True
        gateway.observe(Lifecycle("ready", f"public {gateway.public_port}, ops {gateway.ops_port}"))
        try:
            yield gateway
        finally:
            gateway.draining = True
            gateway.observe(Lifecycle("draining"))


@asynccontextmanager
async def _running(
    loop: Coroutine[Any, Any, None], failed: Callable[[BaseException], None]
) -> AsyncIterator[None]:
    def look_at(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            failed(error)

    task = asyncio.get_running_loop().create_task(loop)
    task.add_done_callback(look_at)
    try:
        yield
    finally:
        await end(task)
