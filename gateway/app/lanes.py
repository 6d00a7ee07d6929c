"""Building lanes from settings: the one place where transports are chosen."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.core.breaker import Breaker
from gateway.core.limiter import Limiter
from gateway.core.model import lane_name
from gateway.core.prune import Brake, BrakeRule
from gateway.errors import ConfigurationError
from gateway.events import Observer
from gateway.ports import Clock
from gateway.relay.lane import Lane
from gateway.relay.settle import Settler
from providers.apns.credentials import ApnsCredentials
from providers.apns.options import ApnsOptions
from providers.apns.payload import ApnsStyle
from providers.contract import Provider, PushProvider
from providers.errors import CredentialError
from providers.fcm.credentials import FcmCredentials
from providers.fcm.options import FcmOptions
from providers.fcm.payload import FcmStyle
from providers.trust import client_context

if TYPE_CHECKING:
    from config.settings import ApnsSettings, AppSettings, FcmSettings, Settings


@dataclass(frozen=True, slots=True)
class LanePlan:
    """A lane as the settings want it, its credentials read; `make` builds the transport."""

    app: str
    kind: Provider
    rate_per_s: float
    ramp_s: float
    make: Callable[[], PushProvider]

    @property
    def name(self) -> str:
        return lane_name(self.app, self.kind)


def plan_lanes(settings: Settings, *, clock: Clock = time.time) -> list[LanePlan]:
    """Read every lane's credentials. Raises ConfigurationError with all that is wrong at once."""
    plans: list[LanePlan] = []
    problems: list[str] = []
    for number, app in enumerate(settings.apps):
        for section, plan in (("fcm", _plan_fcm), ("apns", _plan_apns)):
            vendor = getattr(app, section)
            if vendor is None:
                continue
            wrong = _trust_problems(vendor.ca_file)
            try:
                plans.append(plan(app, clock))
            except CredentialError as error:
                wrong += [text for text in error.problems if text not in wrong]
            problems += [f"apps[{number}].{section}.{text}" for text in wrong]
    if problems:
        raise ConfigurationError(problems)
    return plans


def _trust_problems(ca_file: Path | None) -> list[str]:
    """What is wrong with a trust anchor. Transports read it when they start: too late to refuse."""
    if ca_file is not None:
        try:
            client_context(str(ca_file))
        except CredentialError as error:
            return list(error.problems)
    return []


def _plan_fcm(app: AppSettings, clock: Clock) -> LanePlan:
    assert app.fcm is not None
    fcm: FcmSettings = app.fcm
    ca_file = str(fcm.ca_file or "")
    proxy = fcm.proxy.get_secret_value()
    credentials = FcmCredentials.load(
        fcm.credentials_file, clock=clock, ca_file=ca_file, proxy=proxy
    )
    options = FcmOptions(
        project_id=fcm.project_id or credentials.project_id,
        endpoint=fcm.endpoint,
        credentials=credentials,
        style=FcmStyle(android_channel_id=fcm.android_channel_id),
        ca_file=ca_file,
        max_connections=fcm.max_connections,
        timeout_s=fcm.timeout_s,
        proxy=proxy,
    )
    return LanePlan(
        app.id,
        Provider.FCM,
        fcm.rate_per_s,
        fcm.ramp_s,
        partial(_fcm_transport, fcm.transport, options, clock),
    )


def _plan_apns(app: AppSettings, clock: Clock) -> LanePlan:
    assert app.apns is not None
    apns: ApnsSettings = app.apns
    options = ApnsOptions(
        topic=apns.topic,
        endpoint=apns.endpoint,
        sandbox_endpoint=apns.sandbox_endpoint,
        credentials=ApnsCredentials.load(apns.key_file, apns.key_id, apns.team_id, clock=clock),
        style=ApnsStyle(sound=apns.sound),
        ca_file=str(apns.ca_file or ""),
        max_connections=apns.max_connections,
        timeout_s=apns.timeout_s,
        proxy=apns.proxy.get_secret_value(),
    )
    return LanePlan(
        app.id,
        Provider.APNS,
        apns.rate_per_s,
        apns.ramp_s,
        partial(_apns_transport, apns.transport, options, clock),
    )


def _fcm_transport(transport: str, options: FcmOptions, clock: Clock) -> PushProvider:
    # imported here: the SDKs take most of a second to load, and most have no use for them
    if transport == "sdk":
        from providers.fcm.sdk import FcmSdkProvider

        return FcmSdkProvider(options, clock=clock)
    from providers.fcm.native import FcmNativeProvider

    return FcmNativeProvider(options, clock=clock)


def _apns_transport(transport: str, options: ApnsOptions, clock: Clock) -> PushProvider:
    if transport == "sdk":
        from providers.apns.sdk import ApnsSdkProvider

        return ApnsSdkProvider(options, clock=clock)
    from providers.apns.native import ApnsNativeProvider

    return ApnsNativeProvider(options, clock=clock)


def brake_rule(settings: Settings) -> BrakeRule:
    """The prune brake's rule."""
    relay = settings.relay
    return BrakeRule(relay.brake_share, relay.brake_min_devices, relay.brake_window_s)


def make_lane(
    plan: LanePlan, settings: Settings, *, settler: Settler, observer: Observer, clock: Clock
) -> Lane:
    """Build a lane; its transport is started by the caller."""
    return Lane(
        app=plan.app,
        provider=plan.make(),
        kind=plan.kind,
        limiter=Limiter(plan.rate_per_s, plan.ramp_s),
        breaker=Breaker(settings.relay.probe_s),
        brake=Brake(brake_rule(settings)),
        wall=clock,
        monotonic=time.monotonic,
        observer=observer,
        on_verdicts=settler.verdicts,
        on_returned=settler.returned,
    )
