"""The two HTTP listeners: the public one, and the one for operators."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING

from aiohttp import web

from gateway.app.cors import allow_origins
from gateway.app.descriptors import connections
from gateway.app.door import HEAD_S, REQUEST_S, Door, DoorRunner
from gateway.app.holdings import SEARCH_S, collect
from gateway.app.lanes import asking_of, longest_kept_s
from gateway.app.people import whys_of
from gateway.app.sites import open_sites
from gateway.app.skin import OVERLOADED, Intake, add_routes, problem_middleware, remote, unread
from gateway.app.vendors import taken_by
from gateway.core.bodies import Bodies
from gateway.core.learning import SALT_BYTES
from gateway.core.receipts import ReceiptWords
from gateway.core.remote import Network, networks
from gateway.devices.cancelling import CancelRoutes
from gateway.devices.exports import ExportRoutes
from gateway.devices.notifications import NotificationLimits, NotificationRoutes
from gateway.devices.receipts import ReceiptBook, ReceiptRoutes
from gateway.devices.routes import DeviceRoutes, DeviceRules
from gateway.events import Fault, Observer
from gateway.ingest.routes import WebhookRoute
from gateway.ops.console.pages import ConsoleRoutes, ConsoleSources
from gateway.ops.experiments import ExperimentRoutes
from gateway.ops.health import HealthRoutes
from gateway.ops.learning import LearningRoutes
from gateway.ops.lookup import LookupRoutes
from gateway.ops.openapi import OpenApiRoutes
from gateway.ops.waiting import WaitingLookup
from gateway.ports import Journal

if TYPE_CHECKING:
    from config.settings import Settings
    from gateway.app.process import Gateway

#: how long open requests may take to end when a listener closes, in seconds
_CLOSE_S = 5.0
#: the largest body any route may read; each route has its own, lower limit
_MAX_BODY = 256 * 1024 * 1024
_MIB = 1024 * 1024


def public_application(gateway: Gateway) -> web.Application:
    """Webhooks, devices, notifications and their end, deliveries."""
    stores, clocks, watched = gateway.stores, gateway.clocks, gateway.storing.watched
    queue = watched(stores.queue, "event", "accept")
    webhook = WebhookRoute(
        queue,
        limits=gateway.webhook_limits,
        backlog=lambda: gateway.gauges.backlog,
        known=partial(_is_known, stores.journal),
        salt=partial(gateway.ids.secret, SALT_BYTES),
        wake=gateway.wake,
        observer=gateway.observe,
        clocks=clocks,
        chunk_items=gateway.pace.chunk_items,
    )
    book = ReceiptBook(
        watched(stores.store.receipts, "receipt", "keep"),
        ReceiptWords(stores.secret),
        rule=lambda: gateway.settings.privacy.measure,
        observer=gateway.observe,
        clocks=clocks,
    )
    devices = DeviceRoutes(
        watched(stores.registry, "registration", "register", "forget", "erase"),
        stores.store.erasures,
        gateway.authenticator,
        DeviceRules(
            gateway.vendors,
            lambda: apps_of(gateway.settings),
            lambda: gateway.settings.devices.stale_after_days,
        ),
        clocks,
        receipts=book,
        changed=gateway.changed,
        erasing=gateway.eraser.wake,
    )
    notifications = NotificationRoutes(
        queue,
        stores.journal,
        gateway.authenticator,
        limits=lambda: notification_limits(gateway.settings),
        backlog=lambda: gateway.gauges.backlog,
        wake=gateway.wake,
        observer=gateway.observe,
        clocks=clocks,
        chunk_items=gateway.pace.chunk_items,
    )
    application = web.Application(
        middlewares=[problem_middleware(_tell(gateway))], client_max_size=_MAX_BODY
    )
    cancelling = CancelRoutes(
        watched(stores.store.cancels, "cancellation", "cancel"),
        stores.queue,
        gateway.authenticator,
        max_age_s=lambda: gateway.settings.relay.max_age_s,
        kept_s=lambda: longest_kept_s(gateway.settings),
        cancelled=gateway.cancelled,
        observer=gateway.observe,
        clocks=clocks,
    )
    waiting = WaitingLookup(stores.store.people, stores.queue)
    lookup = LookupRoutes(
        stores.store,
        gateway.authenticator.authorize,
        waiting=waiting,
        whys=whys_of(stores, waiting, lambda: gateway.settings, gateway.vendors, clocks),
        clocks=clocks,
        asking=lambda: asking_of(gateway.settings),
    )
    learning = LearningRoutes(
        stores.store,
        gateway.authenticator.authorize,
        late_after_s=lambda: gateway.settings.learning.late_after_s,
        clocks=clocks,
    )
    experiments = ExperimentRoutes(
        stores.store, gateway.authenticator.authorize, secret=stores.secret, clocks=clocks
    )
    exports = ExportRoutes(
        stores.registry,
        stores.audit,
        gateway.authenticator,
        lambda user: collect(
            stores,
            user,
            asking=asking_of(gateway.settings),
            vendors=gateway.vendors,
            search_s=SEARCH_S,
        ),
        clocks,
    )
    intake = Intake(
        Bodies(lambda: gateway.settings.server.max_body_memory_mib * _MIB),
        proxies=lambda: _proxies(gateway),
        monotonic=clocks.monotonic,
    )
    receipts = ReceiptRoutes(book, clocks=clocks)
    for plain in (
        webhook,
        devices,
        receipts,
        notifications,
        cancelling,
        lookup,
        learning,
        experiments,
        exports,
    ):
        add_routes(application, plain.routes(), intake)
    application.add_routes(OpenApiRoutes().routes())
    allow_origins(application, lambda: gateway.settings.server.allowed_origins)
    return application


def ops_application(gateway: Gateway) -> web.Application:
    """Metrics, health, console."""
    health = HealthRoutes(
        probes=gateway.probes,
        lanes=gateway.gauges.lane_states,
        clock=lambda: gateway.timekeeper.standing,
        draining=lambda: gateway.draining,
        standstill=gateway.standstill,
        render=gateway.metrics.render,
        refresh=gateway.gauges.refresh,
        monotonic=gateway.clocks.monotonic,
    )
    stores = gateway.stores
    sources = ConsoleSources(
        devices=lambda: gateway.device_counts.counts,
        registry=stores.registry,
        journal=stores.journal,
        receipts=stores.store.receipts,
        asking=lambda: asking_of(gateway.settings),
        taken_by=taken_by,
        lanes=stores.lanes,
        queue=stores.queue,
        keys=stores.keys,
        audit=stores.audit,
        log_in=gateway.authenticator.log_in,
        remote=lambda request: remote(request, _proxies(gateway)),
    )
    # The secret lives as long as the process: a restart asks for the key again.
    console = ConsoleRoutes(sources, secret=gateway.ids.secret(32), clock=gateway.clocks.wall)
    application = web.Application(middlewares=[problem_middleware(_tell(gateway))])
    application.add_routes([*health.routes(), *console.routes()])
    return application


async def listen(
    stack: AsyncExitStack,
    application: web.Application,
    host: str,
    port: int,
    *,
    observer: Observer,
    most: int | None = None,
    head_s: float = HEAD_S,
    request_s: float = REQUEST_S,
) -> int:
    """Listen until the stack ends. Returns the port, which the system chose if 0 was asked for.

    `most` connections may be open at once: else what strangers may have of this process's files.
    """

    def door(behind: web.Application) -> Door:
        return Door(
            behind,
            unread=unread,
            overloaded=OVERLOADED,
            most=most or connections(),
            observer=observer,
            head_s=head_s,
            request_s=request_s,
        )

    runner = DoorRunner(application, door, shutdown_timeout=_CLOSE_S)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    return await open_sites(runner, host, port)


def apps_of(settings: Settings) -> dict[str, frozenset[str]]:
    """The providers of each app."""
    return {app.id: frozenset(app.vendors) for app in settings.apps}


def notification_limits(settings: Settings) -> NotificationLimits:
    """The settings of POST /v1/notifications."""
    return NotificationLimits(
        max_age_s=settings.relay.max_age_s,
        max_backlog=settings.relay.max_backlog,
        max_body_bytes=settings.webhook.max_body_bytes,
    )


async def _is_known(journal: Journal, event_id: str) -> bool:
    return await journal.event(event_id) is not None


def _proxies(gateway: Gateway) -> Sequence[Network]:
    return networks(gateway.settings.server.trusted_proxies)


def _tell(gateway: Gateway) -> Callable[[BaseException], None]:
    def tell(error: BaseException) -> None:
        trace = "".join(traceback.format_tb(error.__traceback__))
        gateway.observe(Fault("request", type(error).__name__, trace))

    return tell
