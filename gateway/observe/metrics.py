"""The metrics: every name and bucket of Inkpush, and nothing else knows them.

Label values come from closed sets, so the number of series is known from the settings: an unknown
value counts as "other". Every child exists at zero from the start, so that `rate()` and alerts
see the first step. The registry is passed in; the process's global one is never used.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import assert_never, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder

from gateway import __version__
from gateway.core.sources import LEARNINK
from gateway.core.states import DeviceState
from gateway.events import (
    AttemptsFinished,
    BrakeReleased,
    BrakeTripped,
    ChunkBuried,
    ClockCorrected,
    ClockDoubted,
    ConnectionRefused,
    DeliveriesSettled,
    DevicesRemoved,
    EventCancelled,
    ExperimentEnded,
    Fault,
    GatewayEvent,
    HookFailing,
    HookHeld,
    HookPosted,
    HooksBuried,
    IdsContradict,
    ItemsEnded,
    LaneHeld,
    LaneResumed,
    LaneThrottled,
    LearningSealed,
    Lifecycle,
    NotificationsPosted,
    PartsFailing,
    PartsReached,
    PutAside,
    ReceiptsTold,
    Refusal,
    RelaysCounted,
    SourceKnown,
    SourceUnknown,
    StoreFailed,
    Unread,
    WebhookAnswered,
)
from gateway.observe import histogram
from gateway.observe.audience import MUTED_LABELS, SEEN_LABELS, AudienceGauges
from gateway.observe.children import Children
from gateway.observe.hooks import LABELS as HOOK_LABELS
from gateway.observe.hooks import HookMetrics
from gateway.observe.labels import (
    NOTIFICATION_RESULTS,
    ODDITIES,
    OTHER,
    OUTCOMES,
    VERDICTS,
    WEBHOOK_RESULTS,
    closed,
)
from gateway.observe.learning import LearningCounts
from gateway.observe.parts import PartGauges
from gateway.observe.receipts import LABELS, ReceiptCounts
from gateway.ports import Audience, Depth, LaneRow
from providers.contract import CredentialStatus
from providers.vendor import Vendors


class Metrics:
    """Listens to what happens, takes what the process measures, and renders both.

    An Observer: call it with an event. Lanes are (app, provider), each provider one of `vendors`;
    `sources` are those with an address. `add_lane` and `add_source` make the children of one that a
    reload brought.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        vendors: Vendors,
        lanes: Iterable[tuple[str, str]],
        *,
        sources: Iterable[str] = (LEARNINK,),
        now: float,
    ) -> None:
        self._registry = registry
        self._vendors = vendors
        self._lanes: dict[tuple[str, str], None] = {}
        self._children = Children()
        self._webhook_events = self._counter(
            "webhook_events", "Webhook requests answered, by result and source.", "result", "source"
        )
        self._oddities = self._counter(
            "webhook_oddities",
            "Webhooks and notifications that are taken and not as they should be, by kind.",
            "kind",
        )
        oldest = "Seconds that the oldest event has waited for a hook; 0 when none waits."
        self.hooks = HookMetrics(
            self._counter("hook_deliveries", "Posts to hooks; `dead` counts events.", *HOOK_LABELS),
            self._gauge("hook_waiting", "Events that wait for a hook.", "hook"),
            self._gauge("hook_oldest_seconds", oldest, "hook"),
        )
        self._webhook_ack = Histogram(
            "inkpush_webhook_ack_seconds",
            "Seconds from a webhook's arrival to its answer.",
            buckets=histogram.ACK_BUCKETS,
            registry=registry,
        )
        self._refused = self._counter(
            "refused_connections", "Connections that a listener ended, by reason.", "reason"
        )
        self._notifications = self._counter(
            "notifications", "Notifications taken, rejected, or ended without a push.", "result"
        )
        self._deliveries = self._lane_counter(
            "deliveries", "Deliveries that reached a terminal state.", "outcome"
        )
        self._attempts = self._lane_counter(
            "attempts", "Answers of vendors, by verdict.", "verdict"
        )
        self._send = histogram.BatchHistogram(
            "inkpush_send_seconds",
            "Seconds from handing a push to the transport to its verdict.",
            "provider",
            vendors,
            buckets=histogram.SEND_BUCKETS,
            created=now,
            registry=registry,
        )
        self._event_to_provider = histogram.BatchHistogram(
            "inkpush_event_to_provider_seconds",
            "Seconds from an event's receipt to the vendor's acceptance of a push.",
            "provider",
            vendors,
            buckets=histogram.AGE_BUCKETS,
            created=now,
            registry=registry,
        )
        waits = "Seconds that the oldest waiting notification has waited; 0 when none waits."
        ahead = "How far the gateway's time is ahead of this machine's clock; 0 where they agree."
        self._queue_depth = self._gauge("queue_depth", "Notifications that wait or are worked on.")
        self._queue_oldest = self._gauge("queue_oldest_seconds", waits)
        self._clock_offset = self._gauge("clock_offset_seconds", ahead)
        self._inflight = self._gauge("inflight", "Pushes that wait for their verdict.", "provider")
        self._unreadable = self._counter(
            "unreadable", "Stored rows that this version could not read and put aside.", "what"
        )
        self._connections = self._lane_gauge("connections", "Open connections to the vendor.")
        self._rate_limit = self._lane_gauge(
            "rate_limit_per_second", "The rate limit in force; 0 when there is none."
        )
        self._throttled = self._lane_counter(
            "throttled_seconds", "Seconds a lane was told, or had, to wait."
        )
        held = "1 while this part of the lane is held."
        fails = "1 while nothing of this part reaches its vendor, or the vendor cannot serve."
        self._parts = PartGauges(
            self._lane_gauge("lane_paused", held, "part", "reason"),
            self._lane_gauge("lane_failing", fails, "part"),
        )
        self._devices = self._lane_gauge("devices", "Registered devices, by state.", "state")
        muted = "Active devices that let the app show no notifications."
        seen = "Active devices that were seen within this time."
        self._audience = AudienceGauges(
            Gauge("inkpush_devices_muted", muted, MUTED_LABELS, registry=registry),
            Gauge("inkpush_devices_seen", seen, SEEN_LABELS, registry=registry),
        )
        self._pruned = self._lane_counter(
            "pruned", "Devices taken out of service on the vendor's proof.", "reason"
        )
        told = self._counter("receipts", "What phones told of pushes for the first time.", *LABELS)
        self._receipts = ReceiptCounts(told)
        self._brake = self._lane_gauge(
            "prune_brake_active", "1 while pruning is stopped until a person releases it."
        )
        self._expiry = self._lane_gauge(
            "credential_expiry_timestamp_seconds",
            "When the vendor credential in use expires; 0 when unknown.",
        )
        self._last_success = self._lane_gauge(
            "credential_last_success_timestamp_seconds",
            "When the vendor last accepted the credential; 0 before the first time.",
        )
        what = "1, with the version as label."
        build = Gauge("inkpush_build_info", what, ["version"], registry=registry)
        build.labels(__version__).set(1)
        self._make_children(lanes)
        self._sources: list[str] = []
        for source in sources:
            self.add_source(source)
        self.learning = LearningCounts(registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"inkpush_{name}", text, labels, registry=self._registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"inkpush_{name}", text, labels, registry=self._registry)

    def _lane_counter(self, name: str, text: str, *label: str) -> Counter:
        return self._counter(name, text, "provider", "app", *label)

    def _lane_gauge(self, name: str, text: str, *label: str) -> Gauge:
        labels = ["provider", "app", *label]
        return Gauge(f"inkpush_{name}", text, labels, registry=self._registry)

    def _make_children(self, lanes: Iterable[tuple[str, str]]) -> None:
        for kind in ODDITIES:
            self._oddities.labels(kind)
        for reason in get_args(Refusal):
            self._refused.labels(reason)
        for result in NOTIFICATION_RESULTS:
            self._notifications.labels(result)
        for what in get_args(Unread):
            self._unreadable.labels(what)
        for name in self._vendors:
            self._inflight.labels(name)
        for app, provider in lanes:
            self.add_lane(app, provider)

    def add_lane(self, app: str, provider: str) -> None:
        """Make the children of a lane, at zero; a lane that has them keeps what it counted."""
        if (app, provider) in self._lanes:
            return
        self._lanes[app, provider] = None
        alone: tuple[Counter | Gauge, ...] = (
            self._connections,
            self._rate_limit,
            self._throttled,
            self._brake,
            self._expiry,
            self._last_success,
        )
        for metric in alone:
            metric.labels(provider, app)
        sets: tuple[tuple[Counter | Gauge, Sequence[str]], ...] = (
            (self._deliveries, OUTCOMES),
            (self._attempts, VERDICTS),
            (self._devices, tuple(DeviceState)),
            (self._pruned, self._prune_reasons(provider)),
        )
        for metric, values in sets:
            for value in values:
                metric.labels(provider, app, value)
        self._receipts.add_app(app)
        self._audience.add_app(app)
        self._parts.add_lane(app, provider, self._vendors[provider].parts)

    def add_source(self, source: str) -> None:
        """Make the children of a source, at zero; one that has them keeps what it counted."""
        if source not in self._sources:
            self._sources.append(source)
        for result in WEBHOOK_RESULTS:
            self._webhook_events.labels(result, source)

    # --- what happens --------------------------------------------------------------------------

    def __call__(self, event: GatewayEvent) -> None:  # a case a kind
        """Count an event."""
        match event:
            case WebhookAnswered():
                self._webhook(event)
            case NotificationsPosted():
                self._accepted(event.notifications, event.rejected)
            case AttemptsFinished(app, provider, verdicts, seconds):
                self._children.count(self._attempts, provider, app, verdicts, VERDICTS)
                self._send.observe(provider, seconds)
            case DeliveriesSettled(app, provider, outcomes, ages):
                self._children.count(self._deliveries, provider, app, outcomes, OUTCOMES)
                self._event_to_provider.observe(provider, ages)
            case ItemsEnded(result, count):
                self._notifications.labels(closed(result, NOTIFICATION_RESULTS)).inc(count)
            case IdsContradict(count=count):
                self._oddities.labels("ids").inc(count)
            case DevicesRemoved(app, provider, DeviceState.PRUNED, by_reason):
                reasons = self._prune_reasons(provider)
                self._children.count(self._pruned, provider, app, by_reason, reasons)
            case LaneHeld(app, provider, part, held):
                self._parts.set_paused(app, provider, part, held)
            case LaneResumed(app, provider, part):
                self._parts.set_paused(app, provider, part, "")
            case PartsFailing(parts=parts) | PartsReached(parts=parts):
                self._parts.set_failing(parts, failing=isinstance(event, PartsFailing))
            case BrakeTripped(app, provider) | BrakeReleased(app, provider):
                self._brake.labels(provider, app).set(isinstance(event, BrakeTripped))
            case LaneThrottled(app, provider, seconds):
                self._throttled.labels(provider, app).inc(max(0.0, seconds))
            case PutAside(what, count=count):
                self._unreadable.labels(what).inc(count)
            case HookPosted() | HookHeld() | HookFailing() | HooksBuried():
                self.hooks(event)
            case ReceiptsTold(counts):
                self._receipts.count(counts)
            case ConnectionRefused(reason):
                self._refused.labels(reason).inc()
            case SourceUnknown() | SourceKnown() | ClockDoubted() | ClockCorrected():
                pass  # the same
            case DevicesRemoved() | RelaysCounted() | EventCancelled() | ChunkBuried():
                pass  # other series show what came of it
            case StoreFailed() | LearningSealed() | ExperimentEnded() | Fault() | Lifecycle():
                pass  # /readyz and the log tell of them
            case _:
                assert_never(event)

    def _prune_reasons(self, provider: str) -> Sequence[str]:
        return (*self._vendors[provider].prune_reasons, OTHER)

    def _webhook(self, event: WebhookAnswered) -> None:
        labels = (closed(event.result, WEBHOOK_RESULTS), closed(event.source, self._sources))
        self._webhook_events.labels(*labels).inc()
        self._webhook_ack.observe(event.seconds)
        if event.undated:
            self._oddities.labels("timestamp").inc()
        self.learning.count(event)
        if event.result == "accepted":
            self._accepted(event.notifications, event.rejected)

    def _accepted(self, notifications: int, rejected: int) -> None:
        self._notifications.labels("accepted").inc(notifications)
        self._notifications.labels("rejected").inc(rejected)

    # --- what is measured ----------------------------------------------------------------------

    def set_queue(self, depth: Depth, *, now: float) -> None:
        """Take how much waits."""
        self._queue_depth.set(depth.notifications)
        self._queue_oldest.set(max(0.0, now - (depth.oldest_at or now)))

    def set_clock(self, offset: float) -> None:
        """Take how far the gateway's time is ahead of the machine's clock."""
        self._clock_offset.set(offset)

    def set_devices(self, counts: Mapping[tuple[str, str, str], int]) -> None:
        """Take the registry's count by (provider, app, state); what is not named is 0."""
        for app, provider in self._lanes:
            for state in DeviceState:
                found = counts.get((provider, app, state), 0)
                self._devices.labels(provider, app, state).set(found)

    def set_audience(self, audience: Audience) -> None:
        """Take who is muted, and who was seen when; what is not named is 0."""
        self._audience.set(audience)

    def set_inflight(self, by_provider: Mapping[str, int]) -> None:
        """Take how many pushes wait for their verdict; a provider that is not named has none."""
        for provider in self._vendors:
            self._inflight.labels(provider).set(by_provider.get(provider, 0))

    def set_lane(
        self,
        app: str,
        provider: str,
        *,
        connections: int,
        rate_per_s: float,
        credential: CredentialStatus,
    ) -> None:
        """Take what a lane of this process shows; `rate_per_s` 0 means no limit."""
        self._connections.labels(provider, app).set(connections)
        self._rate_limit.labels(provider, app).set(rate_per_s)
        self._expiry.labels(provider, app).set(credential.expires_at or 0)
        self._last_success.labels(provider, app).set(credential.last_success_at or 0)

    def set_failing(self, failing: Collection[tuple[str, str, str]]) -> None:
        """Take which (app, provider, part) fail in this process; all others do not."""
        self._parts.set_all_failing(failing)

    def set_lane_rows(self, rows: Sequence[LaneRow]) -> None:
        """Take the lanes' state from the store, where any process may have changed it."""
        for row in rows:
            if (row.app, row.provider) in self._lanes:
                for part in self._vendors[row.provider].parts:
                    held = row.held or row.part(part).held
                    self._parts.set_paused(row.app, row.provider, part, held)
                self._brake.labels(row.provider, row.app).set(row.brake_at is not None)

    # --- what is shown -------------------------------------------------------------------------

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """Render all metrics: as OpenMetrics where an Accept header names it, else in Prometheus'
        own format. Returns the body and its content type."""
        # the header itself is not passed on: what callers write there makes the library raise
        name = "application/openmetrics-text"
        encode, content_type = choose_encoder(name if name in accept else "")
        return encode(self._registry), content_type
