"""`inkpush check`: what is wrong with configuration and credentials, and what to do about it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, assert_never

from config.checks import advice
from gateway.app.lanes import LanePlan, plan_lanes
from gateway.app.storage import open_store
from gateway.app.vendors import VENDORS
from gateway.errors import ConfigurationError, GatewayError, StoreUnavailable
from gateway.queue.nats import JetStreamQueue
from providers.contract import Misconfigured, Unavailable
from providers.vendor import Vendors

if TYPE_CHECKING:
    from config.settings import Settings

_ONLINE_S = 30.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: how it is, and what to do."""

    level: Literal["ok", "warning", "error"]
    what: str
    advice: str = ""


async def examine(settings: Settings, vendors: Vendors = VENDORS, *, online: bool) -> list[Finding]:
    """Look at everything the settings name; `online` asks the vendors, sending nothing."""
    findings = [Finding("warning", text) for text in advice(settings)]
    findings += await _store(settings)
    plans: list[LanePlan] = []
    for number, app in enumerate(settings.apps):
        alone = settings.model_copy(update={"apps": (app,)})
        try:
            plans += plan_lanes(alone, vendors)
        except ConfigurationError as error:
            findings += [
                Finding("error", problem.replace("apps[0].", f"apps[{number}].", 1))
                for problem in error.problems
            ]
    for plan in plans:
        findings.append(Finding("ok", f"{plan.name}: the credential can be read"))
        if online:
            findings.append(await _ask_vendor(plan))
    return findings


async def _store(settings: Settings) -> list[Finding]:
    try:
        async with open_store(settings) as stores:
            await stores.store.ping()
            found = [Finding("ok", f"store: {stores.place} can be read and written")]
            if stores.broker is not None:
                found += await _broker(stores.broker)
            for row in await stores.lanes.all():
                if row.held:
                    found.append(
                        Finding(
                            "warning" if row.held == "operator" else "error",
                            f"{row.app}/{row.provider}: paused ({row.reason or row.held})",
                            row.hint or f"inkpush lanes resume {row.app} {row.provider}",
                        )
                    )
                if row.brake_at is not None:
                    found.append(
                        Finding(
                            "warning",
                            f"{row.app}/{row.provider}: the prune brake holds "
                            f"{row.held_back} devices back",
                            "look at why so many addresses died at once, then "
                            f"inkpush lanes release {row.app} {row.provider}",
                        )
                    )
            return found
    except GatewayError as error:
        return [Finding("error", f"store: {error}", "check the address, the disk and permissions")]


async def _broker(broker: JetStreamQueue) -> list[Finding]:
    try:
        await broker.start()
    except ConfigurationError as error:
        return [Finding("error", problem) for problem in error.problems]
    except StoreUnavailable as error:
        advice_text = "check the servers, and this machine's way to them"
        return [Finding("error", f"queue: {error}", advice_text)]
    return [Finding("ok", "queue: JetStream answers, and its streams are as they must be")]


async def _ask_vendor(plan: LanePlan) -> Finding:
    provider = plan.make()
    await provider.start()
    try:
        async with asyncio.timeout(_ONLINE_S):
            answer = await provider.check()
    except TimeoutError:
        answer = Unavailable("no answer", outcome_known=True)
    finally:
        await provider.aclose()
    match answer:
        case None:
            return Finding("ok", f"{plan.name}: the vendor accepts the credential")
        case Misconfigured(reason=reason, hint=hint):
            return Finding("error", f"{plan.name}: {reason}", hint)
        case Unavailable(reason=reason):
            advice_text = "check this machine's way to the vendor (DNS, firewall, proxy)"
            return Finding(
                "error", f"{plan.name}: the vendor does not answer ({reason})", advice_text
            )
        case _:
            assert_never(answer)
