"""Building lanes from settings, by each vendor's own description; no vendor is named here."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.core.clocks import Clocks
from gateway.core.limiter import Limiter
from gateway.core.model import lane_name
from gateway.core.newer import Collapse
from gateway.core.pace import Pace
from gateway.core.prune import BrakeRule
from gateway.core.receipts import Mode
from gateway.core.seen import Asking
from gateway.errors import ConfigurationError
from gateway.ports import Clock
from gateway.relay.lane import Lane
from gateway.relay.listeners import Listeners
from gateway.relay.route import Route
from providers.contract import PushProvider
from providers.errors import CredentialError
from providers.vendor import Vendor, Vendors

if TYPE_CHECKING:
    from config.settings import Settings


@dataclass(frozen=True, slots=True)
class LanePlan:
    """A lane as the settings want it, its credentials read; `make` builds the transport.

    `identity`, `advice`, `way` and `sites`: see `providers.vendor.Plan`.
    """

    app: str
    vendor: Vendor
    rate_per_s: float
    ramp_s: float
    make: Callable[[], PushProvider]
    identity: object = field(default_factory=object)
    advice: tuple[tuple[str, str], ...] = ()
    way: str = ""
    sites: tuple[tuple[str, str, bool], ...] = ()

    @property
    def name(self) -> str:
        return lane_name(self.app, self.vendor.name)


def plan_lanes(settings: Settings, vendors: Vendors, *, clock: Clock = time.time) -> list[LanePlan]:
    """Read every lane's credentials. Raises ConfigurationError with all mistakes at once."""
    plans: list[LanePlan] = []
    problems: list[str] = []
    for number in range(len(settings.apps)):
        try:
            plans += plan_app(settings, number, vendors, clock=clock)
        except ConfigurationError as error:
            problems += error.problems
    if problems:
        raise ConfigurationError(problems)
    return plans


def plan_app(
    settings: Settings, number: int, vendors: Vendors, *, clock: Clock = time.time
) -> list[LanePlan]:
    """Read the credentials of one app's lanes. Raises ConfigurationError with all mistakes."""
    plans: list[LanePlan] = []
    problems: list[str] = []
    app = settings.apps[number]
    for name, table in app.vendors.items():
        vendor = vendors[name]
        every = [other.vendors[name] for other in settings.apps if name in other.vendors]
        try:
            plan = vendor.plan(table, every, clock)
        except CredentialError as error:
            problems += [f"apps[{number}].{name}.{text}" for text in error.problems]
        else:
            plans.append(
                LanePlan(
                    app.id,
                    vendor,
                    plan.rate_per_s,
                    plan.ramp_s,
                    plan.make,
                    plan.identity,
                    plan.advice,
                    plan.way,
                    plan.sites,
                )
            )
    if problems:
        raise ConfigurationError(problems)
    return plans


def brake_rule(settings: Settings) -> BrakeRule:
    """The prune brake's rule."""
    relay = settings.relay
    return BrakeRule(relay.brake_share, relay.brake_min_devices, relay.brake_window_s)


def receipts_of(settings: Settings) -> dict[str, Mode]:
    """What each app reports of its pushes."""
    return {app.id: app.receipts for app in settings.apps}


def asking_of(settings: Settings) -> Asking:
    """What phones are asked."""
    return Asking(receipts_of(settings), settings.privacy.measure)


def collapses_of(settings: Settings) -> dict[str, Collapse]:
    """Which older pushes those of each app replace."""
    return {app.id: app.collapse for app in settings.apps}


def longest_kept_s(settings: Settings) -> float:
    """How long a vendor is told to keep a push, at most; 0: as long as the push lives."""
    tables = [table for app in settings.apps for table in app.vendors.values()]
    return max((float(table.kept_s) for table in tables), default=0.0)


def make_lane(
    plan: LanePlan, settings: Settings, *, clocks: Clocks, pace: Pace, listeners: Listeners
) -> Lane:
    """Build a lane; its transport is started by the caller."""
    vendor = plan.vendor
    return Lane(
        Route(plan.app, vendor.name, vendor.parts, vendor.part_of),
        plan.make(),
        limiter=Limiter(plan.rate_per_s, plan.ramp_s),
        brake_rule=brake_rule(settings),
        probe_s=settings.relay.probe_s,
        clocks=clocks,
        pace=pace,
        listeners=listeners,
    )
