"""One running process: its parts, its reports, and how it applies new settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from prometheus_client import CollectorRegistry

from gateway.app.chaining import Chainer
from gateway.app.counting import DayCounter, people_words
from gateway.app.doubts import standing
from gateway.app.erasing import eraser_of
from gateway.app.experimenting import counted, outcome_types
from gateway.app.gauges import Gauges, Probe
from gateway.app.hook_plans import plan_of
from gateway.app.hooking import hooking_of, ways_of
from gateway.app.lanes import asking_of
from gateway.app.learning import kept_s, rules_of
from gateway.app.relay import Relay
from gateway.app.sources import limits_of, names_of, suppressing, webhook_limits, word_with
from gateway.app.storage import Stores
from gateway.app.storing import Storing
from gateway.app.timekeeping import Timekeeper
from gateway.core.ids import Ids
from gateway.core.pace import Pace
from gateway.devices.auth import Authenticator, AuthRules
from gateway.events import (
    DeliveriesSettled,
    GatewayEvent,
    Lifecycle,
    NotificationsPosted,
    Observer,
    StoreFailed,
    WebhookAnswered,
)
from gateway.hooks.hooking import Hooking
from gateway.ingest.routes import WebhookLimits
from gateway.observe.metrics import Metrics
from gateway.ports import Doubt, Standing
from gateway.relay.device_counts import AudienceCounts, DeviceCounts
from providers.vendor import Vendors

if TYPE_CHECKING:
    from config.settings import Settings


class Gateway:
    """One running process. Made by `gateway.app.gateway.open_gateway`.

    `relay` is None in the role `ingest`. `settings` are those in force; a reload replaces them.
    `doubts` speak against the database being what it was, until a person has released the lanes.
    """

    def __init__(
        self,
        settings: Settings,
        vendors: Vendors,
        stores: Stores,
        *,
        log: Observer,
        on_failure: Callable[[BaseException], None],
        timekeeper: Timekeeper,
        ids: Ids,
        pace: Pace,
    ) -> None:
        self.settings = settings
        self.vendors = vendors
        self.stores = stores
        self.timekeeper = timekeeper
        self.clocks = clocks = timekeeper.clocks
        self.ids = ids
        self.pace = pace
        self.ready = False
        self.draining = False
        self.doubts: list[Doubt] = []
        self.public_port = 0
        self.ops_port = 0
        self._log = log
        self._limits = limits_of(settings, word_with(stores.secret))
        self._suppress = suppressing(settings, stores.secret)
        self._learning = rules_of(settings)
        self.metrics = Metrics(
            CollectorRegistry(),
            vendors,
            lanes_of(settings),
            sources=names_of(settings),
            now=clocks.wall(),
        )
        self.metrics.hooks.learn([one.id for one in settings.hooks])
        self.metrics.learning.tell_apart(settings.learning.types)
        self.authenticator = Authenticator(auth_rules(settings), stores.keys, clocks=clocks)
        self.device_counts = DeviceCounts(
            stores.registry,
            observer=self.observe,
            monotonic=clocks.monotonic,
            every_s=pace.device_counts_s,
        )
        self.audience = AudienceCounts(
            stores.registry,
            told=self.metrics.set_audience,
            observer=self.observe,
            clocks=clocks,
            every_s=pace.audience_s,
        )
        self.storing = Storing(stores.store.trial, every_s=pace.trial_s)
        self.eraser = eraser_of(
            stores, name=ids.process(), observer=self.observe, clocks=clocks, pace=pace
        )
        self.days = DayCounter(
            stores.store.effects,
            named=people_words(stores.secret),
            source=lambda: (asking_of(self.settings), ZoneInfo(self.settings.effect.zone)),
            experiments=counted(stores, clocks),
            observer=self.observe,
            clocks=clocks,
            pace=pace,
        )
        self.chainer = Chainer(
            stores.store.learning,
            secret=ids.secret,
            keep_s=lambda: kept_s(self.settings),
            outcomes=lambda: outcome_types(self.settings),
            observer=self.observe,
            clocks=clocks,
            pace=pace,
        )
        self.relay: Relay | None = None
        self.hooking: Hooking | None = None
        if settings.server.role != "ingest":
            self.relay = Relay(
                settings,
                vendors,
                stores,
                self.device_counts,
                observer=self.observe,
                clocks=clocks,
                ids=ids,
                pace=pace,
                failed=on_failure,
            )
            self.hooking = hooking_of(
                stores,
                lambda: self.settings,
                observer=self.observe,
                clocks=clocks,
                ids=ids,
                pace=pace,
                failed=on_failure,
            )
            timekeeper.listeners.append(self.relay.moved)
            timekeeper.paused.append(self.relay.stood_still)
        self.gauges = Gauges(
            stores,
            self.device_counts,
            self.metrics,
            self.relay.lanes if self.relay is not None else {},
            waiting=self._waiting,
            storing=self.storing,
            clock=clocks.wall,
            offset=lambda: timekeeper.offset,
            every_s=pace.depth_s,
        )

    def _waiting(self) -> dict[str, Standing]:
        """What waits for a person: sources that are not configured, a database in doubt."""
        if self.relay is None:
            return {}
        if not any(lane.braked for lane in self.relay.lanes.values()):
            self.doubts.clear()
        doubt = standing(self.doubts)
        waiting = dict(self.relay.reaching.waiting())
        return waiting if doubt is None else {**waiting, "store": doubt}

    def found(self, doubts: list[Doubt]) -> None:
        """These speak against the database. Its brakes are on in the store, so they are here."""
        self.doubts = doubts
        if doubts and self.relay is not None:
            for lane in self.relay.lanes.values():
                lane.brake_tripped()

    def observe(self, event: GatewayEvent) -> None:
        """Report an event to metrics and log."""
        match event:
            case WebhookAnswered(result="accepted") | NotificationsPosted():
                self.gauges.accepted(event.notifications)
            case StoreFailed(what="journal"):
                self.storing.refused("journal", event.error)
            case DeliveriesSettled():
                self.storing.stored("journal")
            case _:
                pass
        self.metrics(event)
        self._log(event)

    def wake(self) -> None:
        """Something was queued: wake the relay of this process, if there is one."""
        if self.relay is not None:
            self.relay.wake()

    def changed(self, device_ids: Sequence[int]) -> None:
        """Devices have another user or address, or are gone: tell the relay of this process."""
        if self.relay is not None:
            self.relay.changed(device_ids)

    def cancelled(self, event_id: str) -> None:
        """An event was cancelled: tell the relay of this process, if there is one."""
        if self.relay is not None:
            self.relay.cancelled(event_id)

    def webhook_limits(self, source: str) -> WebhookLimits | None:
        """How a source's webhooks are taken now; None: there is no such source."""
        return webhook_limits(self.settings, source, self._limits, self._learning, self._suppress)

    def standstill(self) -> str:
        """What has not moved for `ops.stall_s` although there is work for it; "": all moves."""
        return self.stores.threads.standstill(self.settings.ops.stall_s)

    def stood_still(self, seconds: float) -> None:
        """This process did not run for so long: what it holds is asked for anew before it sends."""
        self.observe(Lifecycle("stood_still", f"nothing ran here for about {seconds:.1f} s"))
        if self.relay is not None:
            self.relay.stood_still()

    def given_up(self) -> str:
        """What would be given up by an end at once, for people."""
        return "nothing" if self.relay is None else self.relay.given_up()

    def probes(self) -> dict[str, Probe]:
        """The probes of /readyz; while the gateway starts, one that reports the start."""
        probes = self.gauges.probes()
        if not self.ready:
            probes["start"] = _starting
        return probes

    async def reload(self, settings: Settings) -> None:
        """Apply new credentials, limits, apps and sources.

        Raises ConfigurationError, and changes nothing, when the new settings cannot work.
        Listeners, store and role stay as they were started.
        """
        for app, provider in lanes_of(settings):
            self.metrics.add_lane(app, provider)
        ways = ways_of(settings, self.clocks.wall)
        if self.relay is not None:
            await self.relay.reload(settings)
        await self.authenticator.reload(auth_rules(settings))
        for source in names_of(settings):
            self.metrics.add_source(source)
        self.metrics.hooks.learn([one.id for one in settings.hooks])
        self.metrics.learning.tell_apart(settings.learning.types)
        self.settings = settings
        if self.hooking is not None:
            await self.hooking.learn(ways)
        else:
            self.stores.store.hooks.learn(plan_of(settings))
        self._limits = limits_of(settings, word_with(self.stores.secret))
        self._suppress = suppressing(settings, self.stores.secret)
        self._learning = rules_of(settings)
        self.observe(Lifecycle("reloaded"))


async def _starting() -> str | None:
    return "the gateway is starting"


def auth_rules(settings: Settings) -> AuthRules:
    """The settings of authentication."""
    auth = settings.auth
    return AuthRules(
        jwt_secret=auth.jwt_secret.get_secret_value(),
        public_keys=auth.jwt_public_keys,
        jwks_url=auth.jwks_url,
        issuer=auth.issuer,
        audience=auth.expected_audience,
        subject=auth.subject,
        jwt_requests_per_minute=auth.jwt_requests_per_minute,
        key_requests_per_minute=auth.key_requests_per_minute,
    )


def lanes_of(settings: Settings) -> list[tuple[str, str]]:
    """Every (app, provider) the settings name."""
    return [(app.id, provider) for app in settings.apps for provider in app.vendors]
