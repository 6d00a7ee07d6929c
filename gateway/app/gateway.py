"""The life of a gateway: from an open database to a drained end, in any role."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from gateway import __version__
from gateway.app.beating import beating
from gateway.app.lanes import plan_lanes
from gateway.app.listeners import listen, ops_application, public_application
from gateway.app.process import Gateway
from gateway.app.storage import complete_events, open_store
from gateway.events import GatewayEvent, Lifecycle, Observer
from gateway.ports import Clock

if TYPE_CHECKING:
    from config.settings import Settings

__all__ = ["Gateway", "open_gateway"]


@asynccontextmanager
async def open_gateway(
    settings: Settings,
    *,
    log: Observer,
    on_failure: Callable[[BaseException], None],
    clock: Clock = time.time,
) -> AsyncIterator[Gateway]:
    """Run a gateway; at the end it drains: take nothing more, finish what is in flight, put back
    the rest, close.

    `on_failure` hears when a loop of the relay ends by a fault: the process should end then, for a
    supervisor to start it anew; leases and journal make that harmless. Raises ConfigurationError
    for credentials that cannot work, StoreUnavailable for a database that cannot be opened,
    OSError for an address that cannot be listened on.
    """
    with_relay = settings.server.role != "ingest"
    plans = plan_lanes(settings, clock=clock) if with_relay else []
    # What is entered last ends first: webhooks stop, the relay drains, metrics and health stay
    # up until it has.
    async with AsyncExitStack() as stack:
        heard = [log]

        def tell(event: GatewayEvent) -> None:
            heard[-1](event)

        stores = await stack.enter_async_context(open_store(settings, clock=clock, observer=tell))
        if stores.broker is not None:
            await stores.broker.start()
            await stack.enter_async_context(_running(complete_events(stores.broker, log)))
        if with_relay:
            stack.enter_context(stores.alone())
        else:
            replicas, role = stores.store.replicas, settings.server.role
            await stack.enter_async_context(beating(replicas, role, observer=tell, clock=clock))
        gateway = Gateway(settings, stores, log=log, on_failure=on_failure, clock=clock)
        heard.append(gateway.observe)
        gateway.observe(Lifecycle("starting", f"Inkpush {__version__}"))
        stack.callback(gateway.observe, Lifecycle("stopped"))
        stack.push_async_callback(gateway.authenticator.aclose)
        await stack.enter_async_context(_running(gateway.gauges.run()))
        ops = settings.ops
        gateway.ops_port = await listen(stack, ops_application(gateway), ops.host, ops.port)
        if gateway.relay is not None:
            stack.push_async_callback(gateway.relay.stop, settings.relay.drain_s)
            await gateway.relay.start(plans)
            await stack.enter_async_context(stores.waking(gateway.relay.wake))
        await stack.enter_async_context(_running(gateway.census.run()))
        if settings.server.role != "relay":
            server = settings.server
            application = public_application(gateway)
            gateway.public_port = await listen(stack, application, server.host, server.port)
        gateway.ready = True
        where = f"public {gateway.public_port}, ops {gateway.ops_port}"
        gateway.observe(Lifecycle("ready", where))
        try:
            yield gateway
        finally:
            gateway.draining = True
            gateway.observe(Lifecycle("draining"))


@asynccontextmanager
async def _running(loop: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.get_running_loop().create_task(loop)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
