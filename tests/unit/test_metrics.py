"""Metrics: names and labels as the contract says, all at zero, and each event counted right."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text

import gateway.observe
import providers
from gateway import __version__
from gateway.app.vendors import VENDORS
from gateway.core.clocks import Wall
from gateway.core.states import DeliveryState
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
    RelaysCounted,
    SourceKnown,
    SourceUnknown,
    StoreFailed,
    WebhookAnswered,
)
from gateway.observe.hooks import OUTCOMES as OUTCOMES_OF_HOOKS
from gateway.observe.metrics import Metrics
from gateway.ports import Audience, Depth, HookCount, LaneRow
from providers.contract import VERDICT_LABELS, CredentialStatus
from providers.vendor import Vendor

LANE = {"app": "agent", "provider": "fcm"}
OTHER_LANE = {"app": "agent", "provider": "apns"}
EXAMPLES: list[GatewayEvent] = [
    WebhookAnswered("accepted", 0.02, "msg_1", notifications=3, rejected=1),
    NotificationsPosted("ntf_1", notifications=2, rejected=1),
    EventCancelled("ntf_1", cancelled=2, taken=1),
    AttemptsFinished("agent", "fcm", {"delivered": 2, "throttled": 1}, [0.1, 0.2, 0.3]),
    DeliveriesSettled("agent", "fcm", {"delivered": 2, "pruned": 1}, [0.5, 1.5]),
    ItemsEnded("no_device", 4),
    ReceiptsTold([("agent", "android", "opened", 2), ("gone", "", "received", 1)]),
    IdsContradict("msg_1", 3),
    DevicesRemoved("agent", "fcm", "pruned", {"UNREGISTERED": 2, "something new": 1}),
    LaneHeld("agent", "fcm", "android", "misconfigured", "PERMISSION_DENIED", "grant the role"),
    LaneResumed("agent", "fcm", "android"),
    PartsFailing([("agent", "fcm", "android")], "no connection", "check the firewall"),
    PartsReached([("agent", "fcm", "android")]),
    BrakeTripped("agent", "fcm", 60, 1000),
    BrakeReleased("agent", "fcm"),
    RelaysCounted(3),
    LaneThrottled("agent", "fcm", 12.5, "QUOTA_EXCEEDED"),
    ChunkBuried("msg_1", 0, 5),
    PutAside("chunk", "msg_1", "it says no version"),
    SourceUnknown("staging", "name it"),
    SourceKnown("staging"),
    ClockDoubted("stepped", "the database", ""),
    ClockCorrected(-3600.0, 0.0, "the database"),
    ConnectionRefused("slow"),
    HookPosted("crm", "taken", 7),
    HookHeld("crm", "it answered 410"),
    HookFailing("crm", "it answered 500"),
    HooksBuried("crm", 3),
    LearningSealed(0, 2, 2, "00"),
    ExperimentEnded("spring", "its time is over"),
    StoreFailed("claim", "database is locked"),
    Lifecycle("ready"),
    Fault("request", "KeyError", "trace"),
]
#: contract.md section 6; the type is Prometheus'
CONTRACT = {
    "webhook_events_total": {"result", "source"},
    "webhook_oddities_total": {"kind"},
    "webhook_ack_seconds": set(),
    "refused_connections_total": {"reason"},
    "notifications_total": {"result"},
    "deliveries_total": {"provider", "app", "outcome"},
    "attempts_total": {"provider", "app", "verdict"},
    "send_seconds": {"provider"},
    "event_to_provider_seconds": {"provider"},
    "queue_depth": set(),
    "clock_offset_seconds": set(),
    "queue_oldest_seconds": set(),
    "inflight": {"provider"},
    "connections": {"provider", "app"},
    "rate_limit_per_second": {"provider", "app"},
    "unreadable_total": {"what"},
    "throttled_seconds_total": {"provider", "app"},
    "lane_paused": {"provider", "app", "part", "reason"},
    "lane_failing": {"provider", "app", "part"},
    "devices": {"provider", "app", "state"},
    "devices_muted": {"app", "platform"},
    "devices_seen": {"app", "within"},
    "hook_deliveries_total": {"hook", "outcome"},
    "hook_waiting": {"hook"},
    "hook_oldest_seconds": {"hook"},
    "receipts_total": {"app", "platform", "kind"},
    "learning_events_total": {"type"},
    "pruned_total": {"provider", "app", "reason"},
    "prune_brake_active": {"provider", "app"},
    "credential_expiry_timestamp_seconds": {"provider", "app"},
    "credential_last_success_timestamp_seconds": {"provider", "app"},
    "build_info": {"version"},
}


class Meter:
    """The metrics with a registry to look into."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        lanes = [("agent", "fcm"), ("agent", "apns")]
        self.metrics = Metrics(self.registry, VENDORS, lanes, now=0.0)
        self.metrics.hooks.learn(["crm"])

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"inkpush_{name}", labels)

    def samples(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in self.registry.collect()
            for sample in family.samples
            if not sample.name.endswith("_created")
        }


@pytest.fixture
def meter() -> Meter:
    return Meter()


def test_there_is_an_example_of_every_event() -> None:
    assert {type(event) for event in EXAMPLES} == set(get_args(GatewayEvent))


def test_names_and_labels_are_those_of_the_contract(meter: Meter) -> None:
    found: dict[str, set[str]] = {}
    for family in meter.registry.collect():
        name = family.name + ("_total" if family.type == "counter" else "")
        for sample in family.samples:
            found.setdefault(name.removeprefix("inkpush_"), set()).update(
                set(sample.labels) - {"le"}
            )
    assert found == CONTRACT


def test_every_child_exists_at_zero(meter: Meter) -> None:
    samples = meter.samples()
    nonzero = {name for (name, _), value in samples.items() if value}
    assert nonzero == {"inkpush_build_info"}
    assert meter.value("build_info", version=__version__) == 1
    for verdict in VERDICT_LABELS:
        assert meter.value("attempts_total", **LANE, verdict=verdict) == 0
    for outcome in set(DeliveryState) - {DeliveryState.PENDING, DeliveryState.NO_DEVICE}:
        assert meter.value("deliveries_total", **OTHER_LANE, outcome=outcome) == 0


def test_no_event_makes_a_series_that_was_not_there(meter: Meter) -> None:
    before = set(meter.samples())
    for event in EXAMPLES:
        meter.metrics(event)
    meter.metrics(WebhookAnswered("never seen", 0.1))
    meter.metrics(AttemptsFinished("agent", "fcm", {"never seen": 1}))
    meter.metrics(DeliveriesSettled("agent", "fcm", {"never seen": 1}))
    meter.metrics(ItemsEnded("never seen", 1))
    meter.metrics(LaneHeld("agent", "fcm", "android", "never seen", "", ""))
    assert set(meter.samples()) == before


def test_a_source_is_there_at_zero_and_a_reload_brings_more(meter: Meter) -> None:
    names = {"result": "unauthorized", "source": "staging"}
    assert meter.value("webhook_events_total", **names) is None
    meter.metrics.add_source("staging")
    assert meter.value("webhook_events_total", **names) == 0
    meter.metrics(WebhookAnswered("unauthorized", 0.1, source="staging"))
    meter.metrics.add_source("staging")
    assert meter.value("webhook_events_total", **names) == 1
    assert meter.value("webhook_events_total", result="unauthorized", source="learnink") == 0


def test_a_webhook_counts_itself_its_items_and_its_time(meter: Meter) -> None:
    meter.metrics(WebhookAnswered("accepted", 0.02, "msg_1", notifications=3, rejected=1))
    meter.metrics(WebhookAnswered("duplicate", 0.01, "msg_1", notifications=3, rejected=1))
    for result in ("accepted", "duplicate"):
        assert meter.value("webhook_events_total", result=result, source="learnink") == 1
    assert meter.value("notifications_total", result="accepted") == 3
    assert meter.value("notifications_total", result="rejected") == 1
    assert meter.value("webhook_ack_seconds_count") == 2
    assert meter.value("webhook_ack_seconds_sum") == pytest.approx(0.03)
    assert meter.value("webhook_oddities_total", kind="timestamp") == 0


def test_a_webhook_whose_time_cannot_be_read_is_odd(meter: Meter) -> None:
    meter.metrics(WebhookAnswered("accepted", 0.02, "msg_1", undated=True))
    assert meter.value("webhook_oddities_total", kind="timestamp") == 1


def test_attempts_and_deliveries_count_by_lane(meter: Meter) -> None:
    meter.metrics(AttemptsFinished("agent", "fcm", {"delivered": 2, "throttled": 1}, [0.1, 0.2]))
    meter.metrics(DeliveriesSettled("agent", "fcm", {"delivered": 2, "dead": 1}, [0.5]))
    assert meter.value("attempts_total", **LANE, verdict="delivered") == 2
    assert meter.value("attempts_total", **LANE, verdict="throttled") == 1
    assert meter.value("attempts_total", **OTHER_LANE, verdict="delivered") == 0
    assert meter.value("deliveries_total", **LANE, outcome="delivered") == 2
    assert meter.value("deliveries_total", **LANE, outcome="dead") == 1
    assert meter.value("send_seconds_count", provider="fcm") == 2
    assert meter.value("event_to_provider_seconds_sum", provider="fcm") == 0.5


def test_what_could_not_be_read_is_counted_by_what_it_was(meter: Meter) -> None:
    assert meter.value("unreadable_total", what="chunk") == 0
    assert meter.value("unreadable_total", what="device") == 0
    meter.metrics(PutAside("chunk", "msg_1", "it says no version"))
    meter.metrics(PutAside("device", "msg_1", "unknown provider", 3))
    assert meter.value("unreadable_total", what="chunk") == 1
    assert meter.value("unreadable_total", what="device") == 3


def test_items_without_a_push_are_counted_by_their_end(meter: Meter) -> None:
    meter.metrics(ItemsEnded("no_device", 4))
    meter.metrics(ItemsEnded("expired", 2))
    assert meter.value("notifications_total", result="no_device") == 4
    assert meter.value("notifications_total", result="expired") == 2


def test_receipts_are_counted_and_what_is_not_configured_shares_a_series(meter: Meter) -> None:
    labels = {"app": "agent", "platform": "android"}
    assert meter.value("receipts_total", **labels, kind="opened") == 0
    told = [
        ("agent", "android", "opened", 2),
        ("gone", "", "opened", 1),
        ("agent", "x", "opened", 4),
    ]
    meter.metrics(ReceiptsTold(told))
    assert meter.value("receipts_total", **labels, kind="opened") == 2
    assert meter.value("receipts_total", app="other", platform="other", kind="opened") == 1
    assert meter.value("receipts_total", app="agent", platform="other", kind="opened") == 4


def test_only_proven_deaths_count_as_pruned_and_unknown_reasons_share_one_series(
    meter: Meter,
) -> None:
    meter.metrics(DevicesRemoved("agent", "fcm", "pruned", {"UNREGISTERED": 2, "new reason": 3}))
    meter.metrics(DevicesRemoved("agent", "fcm", "quarantined", {"UNREGISTERED": 50}))
    assert meter.value("pruned_total", **LANE, reason="UNREGISTERED") == 2
    assert meter.value("pruned_total", **LANE, reason="other") == 3


def test_a_held_lane_shows_why_until_it_goes_again(meter: Meter) -> None:
    meter.metrics(LaneHeld("agent", "fcm", "android", "misconfigured", "PERMISSION_DENIED", ""))
    assert meter.value("lane_paused", **LANE, part="android", reason="misconfigured") == 1
    meter.metrics(LaneHeld("agent", "fcm", "android", "operator", "", ""))
    assert meter.value("lane_paused", **LANE, part="android", reason="misconfigured") == 0
    assert meter.value("lane_paused", **LANE, part="android", reason="operator") == 1
    assert meter.value("lane_paused", **OTHER_LANE, part="production", reason="operator") == 0
    meter.metrics(LaneResumed("agent", "fcm", "android"))
    assert meter.value("lane_paused", **LANE, part="android", reason="operator") == 0


def test_a_part_fails_until_its_vendor_is_reached_again(meter: Meter) -> None:
    meter.metrics(PartsFailing([("agent", "fcm", "ios"), ("agent", "fcm", "web")], "Timeout", ""))
    assert meter.value("lane_failing", **LANE, part="ios") == 1
    assert meter.value("lane_failing", **LANE, part="web") == 1
    assert meter.value("lane_failing", **LANE, part="android") == 0
    meter.metrics(PartsReached([("agent", "fcm", "ios")]))
    assert meter.value("lane_failing", **LANE, part="ios") == 0
    assert meter.value("lane_failing", **LANE, part="web") == 1


def test_the_brake_shows_until_it_is_released(meter: Meter) -> None:
    meter.metrics(BrakeTripped("agent", "fcm", 60, 1000))
    assert meter.value("prune_brake_active", **LANE) == 1
    meter.metrics(BrakeReleased("agent", "fcm"))
    assert meter.value("prune_brake_active", **LANE) == 0


def test_what_another_process_did_to_a_lane_shows_too(meter: Meter) -> None:
    rows = [
        LaneRow("agent", "fcm", held="operator"),
        LaneRow("agent", "apns", brake_at=1.0),
        LaneRow("gone", "fcm", held="operator"),
    ]
    before = set(meter.samples())
    meter.metrics.set_lane_rows(rows)
    assert meter.value("lane_paused", **LANE, part="android", reason="operator") == 1
    assert meter.value("prune_brake_active", **OTHER_LANE) == 1
    assert set(meter.samples()) == before


def test_throttled_seconds_add_up(meter: Meter) -> None:
    meter.metrics(LaneThrottled("agent", "fcm", 12.5, "QUOTA_EXCEEDED"))
    meter.metrics(LaneThrottled("agent", "fcm", -1, "clock went back"))
    assert meter.value("throttled_seconds_total", **LANE) == 12.5


def test_the_queue_shows_its_depth_and_the_age_of_its_oldest(meter: Meter) -> None:
    meter.metrics.set_queue(Depth(7, oldest_at=90.0), now=100.0)
    assert meter.value("queue_depth") == 7
    assert meter.value("queue_oldest_seconds") == 10
    meter.metrics.set_queue(Depth(0, oldest_at=None), now=200.0)
    assert meter.value("queue_oldest_seconds") == 0


def test_devices_that_are_gone_count_as_none(meter: Meter) -> None:
    meter.metrics.set_devices({("fcm", "agent", "active"): 5, ("fcm", "agent", "pruned"): 2})
    meter.metrics.set_devices({("fcm", "agent", "active"): 4})
    assert meter.value("devices", **LANE, state="active") == 4
    assert meter.value("devices", **LANE, state="pruned") == 0


def test_a_lane_shows_its_limit_connections_and_credential(meter: Meter) -> None:
    status = CredentialStatus(expires_at=2000.0, last_success_at=1000.0)
    meter.metrics.set_lane("agent", "fcm", connections=3, rate_per_s=150.0, credential=status)
    meter.metrics.set_inflight({"fcm": 12})
    assert meter.value("connections", **LANE) == 3
    assert meter.value("rate_limit_per_second", **LANE) == 150
    assert meter.value("credential_expiry_timestamp_seconds", **LANE) == 2000
    assert meter.value("credential_last_success_timestamp_seconds", **LANE) == 1000
    assert meter.value("inflight", provider="fcm") == 12
    meter.metrics.set_inflight({})
    assert meter.value("inflight", provider="fcm") == 0


def test_a_lane_that_a_reload_brought_starts_at_zero_and_one_that_was_there_keeps_its_counts(
    meter: Meter,
) -> None:
    meter.metrics(AttemptsFinished("agent", "fcm", {"delivered": 2}))
    meter.metrics.add_lane("learner", "fcm")
    meter.metrics.add_lane("agent", "fcm")
    assert meter.value("attempts_total", app="learner", provider="fcm", verdict="delivered") == 0
    assert meter.value("attempts_total", **LANE, verdict="delivered") == 2


@pytest.mark.parametrize(
    ("accept", "content_type", "parse"),
    [
        ("", "text/plain", parse_text),
        ("*/*", "text/plain", parse_text),
        (
            "application/openmetrics-text;version=rubbish",
            "application/openmetrics",
            parse_openmetrics,
        ),
        (
            "application/openmetrics-text;version=1.0.0",
            "application/openmetrics",
            parse_openmetrics,
        ),
    ],
)
def test_both_formats_are_served_and_parse(
    meter: Meter, accept: str, content_type: str, parse: type
) -> None:
    body, served = meter.metrics.render(accept)
    assert served.startswith(content_type)
    families = {family.name for family in parse(body.decode())}
    assert any(name.startswith("inkpush_deliveries") for name in families)
    assert "inkpush_queue_depth" in families


def test_who_is_muted_and_who_was_seen_is_told_by_app_and_what_is_not_named_is_0(
    meter: Meter,
) -> None:
    spans, platforms = ["1d", "7d", "30d", "60d", "270d"], ["android", "ios", "web"]

    def told() -> tuple[list[float | None], list[float | None]]:
        return (
            [meter.value("devices_muted", app="agent", platform=one) for one in platforms],
            [meter.value("devices_seen", app="agent", within=one) for one in spans],
        )

    assert told() == ([0.0] * 3, [0.0] * 5), "every child exists from the start"
    seen = {("agent", "1d"): 4, ("agent", "270d"): 9, ("another", "1d"): 1}
    meter.metrics.set_audience(Audience({("agent", "ios"): 3, ("another", "ios"): 1}, seen))
    assert told() == ([0.0, 3.0, 0.0], [4.0, 0.0, 0.0, 0.0, 9.0])
    assert meter.value("devices_muted", app="another", platform="ios") is None
    meter.metrics.set_audience(Audience({}, {}))
    assert told() == ([0.0] * 3, [0.0] * 5)


def test_of_a_hook_posts_are_counted_and_what_waits_is_shown(meter: Meter) -> None:
    hooks = meter.metrics.hooks
    for outcome in OUTCOMES_OF_HOOKS:
        assert meter.value("hook_deliveries_total", hook="crm", outcome=outcome) == 0
    meter.metrics(HookPosted("crm", "taken", 7))
    meter.metrics(HookPosted("removed", "taken", 7))
    meter.metrics(HooksBuried("crm", 3))
    assert meter.value("hook_deliveries_total", hook="crm", outcome="taken") == 1
    assert meter.value("hook_deliveries_total", hook="crm", outcome="dead") == 3
    assert meter.value("hook_deliveries_total", hook="removed", outcome="taken") is None
    hooks.set({"crm": HookCount(5, 90.0)}, now=Wall(100.0))
    assert meter.value("hook_waiting", hook="crm") == 5
    assert meter.value("hook_oldest_seconds", hook="crm") == 10.0
    hooks.set({}, now=Wall(100.0))
    assert meter.value("hook_oldest_seconds", hook="crm") == 0.0
    hooks.learn(["sheet"])
    assert meter.value("hook_waiting", hook="crm") is None
    assert meter.value("hook_waiting", hook="sheet") == 0


def test_the_reference_lists_every_metric_with_its_labels_and_meaning(meter: Meter) -> None:
    readme = (Path(gateway.observe.__file__).parent / "README.md").read_text()
    rows = set(re.findall(r"^\| `inkpush_.*$", readme, re.MULTILINE))
    expected = set()
    for family in meter.registry.collect():
        name = family.name + ("_total" if family.type == "counter" else "")
        labels = ", ".join(sorted(CONTRACT[name.removeprefix("inkpush_")])) or "-"
        expected.add(f"| `{name}` | {labels} | {family.documentation} |")
    assert rows == expected


@pytest.mark.parametrize("vendor", VENDORS.values(), ids=VENDORS)
def test_each_vendor_names_every_reason_that_lets_a_device_go(vendor: Vendor) -> None:
    table = Path(providers.__path__[0]) / vendor.name / "verdicts.py"
    named = re.findall(r'TokenGone\("(\w+)"', table.read_text())
    assert set(named) <= set(vendor.prune_reasons)


def test_learning_events_count_by_the_types_that_are_told_apart(meter: Meter) -> None:
    def counted(kind: str) -> float | None:
        return meter.registry.get_sample_value("inkpush_learning_events_total", {"type": kind})

    assert (counted("other"), counted("a")) == (0, None)
    meter.metrics.learning.tell_apart(["a", "b"])
    assert (counted("a"), counted("b")) == (0, 0)
    for kind, result in (("a", "ignored"), ("c", "ignored"), ("b", "duplicate"), ("", "accepted")):
        meter.metrics(WebhookAnswered(result, 0.1, type=kind))
    assert (counted("a"), counted("b"), counted("other")) == (1, 0, 1)
