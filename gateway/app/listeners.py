"""The two HTTP listeners: the public one, and the one for operators."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from aiohttp import web

from gateway.app.cors import allow_origins
from gateway.app.skin import add_routes, problem_middleware
from gateway.devices.notifications import NotificationLimits, NotificationRoutes
from gateway.devices.routes import DeviceRoutes
from gateway.events import Fault
from gateway.ingest.routes import WebhookLimits, WebhookRoute
from gateway.ingest.signature import decode_key
from gateway.ops.console.pages import ConsoleRoutes, ConsoleSources
from gateway.ops.health import HealthRoutes
from gateway.ops.lookup import LookupRoutes
from gateway.ops.openapi import OpenApiRoutes

if TYPE_CHECKING:
    from config.settings import Settings
    from gateway.app.process import Gateway

#: how long open requests may take to end when a listener closes, in seconds
_CLOSE_S = 5.0
#: the longest header that is read: a malformed signature of this length is a 401 like any other
_MAX_HEADER = 64 * 1024
#: the largest body any route may read; each route has its own, lower limit
_MAX_BODY = 256 * 1024 * 1024


def public_application(gateway: Gateway) -> web.Application:
    """Webhooks, devices, notifications, deliveries."""
    stores, clocks = gateway.stores, gateway.clocks
    webhook = WebhookRoute(
        stores.queue,
        limits=lambda: webhook_limits(gateway.settings),
        backlog=lambda: gateway.gauges.backlog,
        wake=gateway.wake,
        observer=gateway.observe,
        clocks=clocks,
        chunk_items=gateway.pace.chunk_items,
    )
    devices = DeviceRoutes(
        stores.registry,
        gateway.authenticator,
        gateway.vendors,
        lambda: apps_of(gateway.settings),
        clocks.wall,
        changed=gateway.changed,
    )
    notifications = NotificationRoutes(
        stores.queue,
        gateway.authenticator,
        limits=lambda: notification_limits(gateway.settings),
        backlog=lambda: gateway.gauges.backlog,
        wake=gateway.wake,
        observer=gateway.observe,
        clock=clocks.wall,
        chunk_items=gateway.pace.chunk_items,
    )
    application = web.Application(
        middlewares=[problem_middleware(_tell(gateway))], client_max_size=_MAX_BODY
    )
    lookup = LookupRoutes(stores.journal, stores.registry, gateway.authenticator.authorize)
    for plain in (webhook, devices, notifications, lookup):
        add_routes(application, plain.routes())
    application.add_routes(OpenApiRoutes().routes())
    allow_origins(application, lambda: gateway.settings.server.allowed_origins)
    return application


def ops_application(gateway: Gateway) -> web.Application:
    """Metrics, health, console."""
    health = HealthRoutes(
        probes=gateway.probes,
        lanes=gateway.gauges.lane_states,
        draining=lambda: gateway.draining,
        render=gateway.metrics.render,
        refresh=gateway.gauges.refresh,
        monotonic=gateway.clocks.monotonic,
    )
    stores = gateway.stores
    sources = ConsoleSources(
        devices=lambda: gateway.device_counts.counts,
        registry=stores.registry,
        journal=stores.journal,
        lanes=stores.lanes,
        queue=stores.queue,
        keys=stores.keys,
        find_key=gateway.authenticator.find_key,
    )
    # The secret lives as long as the process: a restart asks for the key again.
    console = ConsoleRoutes(sources, secret=gateway.ids.secret(32), clock=gateway.clocks.wall)
    application = web.Application(middlewares=[problem_middleware(_tell(gateway))])
    application.add_routes([*health.routes(), *console.routes()])
    return application


async def listen(stack: AsyncExitStack, application: web.Application, host: str, port: int) -> int:
    """Listen until the stack ends. Returns the port, which the system chose if 0 was asked for."""
    runner = web.AppRunner(
        application,
        access_log=None,
        shutdown_timeout=_CLOSE_S,
        handle_signals=False,
        max_field_size=_MAX_HEADER,
    )
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    site = web.TCPSite(runner, host, port, backlog=1024)
    await site.start()
    bound: int = runner.addresses[0][1]
    return bound


def apps_of(settings: Settings) -> dict[str, frozenset[str]]:
    """The providers of each app."""
    return {app.id: frozenset(app.vendors) for app in settings.apps}


def webhook_limits(settings: Settings) -> WebhookLimits:
    """The settings of the webhook."""
    return WebhookLimits(
        keys=[decode_key(secret.get_secret_value()) for secret in settings.webhook.secrets],
        tolerance_s=settings.webhook.tolerance_s,
        max_body_bytes=settings.webhook.max_body_bytes,
        max_age_s=settings.relay.max_age_s,
        max_backlog=settings.relay.max_backlog,
    )


def notification_limits(settings: Settings) -> NotificationLimits:
    """The settings of POST /v1/notifications."""
    return NotificationLimits(
        max_age_s=settings.relay.max_age_s,
        max_backlog=settings.relay.max_backlog,
        max_body_bytes=settings.webhook.max_body_bytes,
    )


def _tell(gateway: Gateway) -> Callable[[BaseException], None]:
    def tell(error: BaseException) -> None:
        trace = "".join(traceback.format_tb(error.__traceback__))
        gateway.observe(Fault("request", type(error).__name__, trace))

    return tell
