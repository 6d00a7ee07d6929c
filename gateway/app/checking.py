"""`inkpush check`: finds faults in configuration and credentials, and says how to fix them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, assert_never

from config.checks import advice
from gateway.app.clocks import SYSTEM
from gateway.app.lanes import LanePlan, plan_app
from gateway.app.storage import open_store
from gateway.app.vendors import VENDORS
from gateway.errors import ConfigurationError, GatewayError, StoreUnavailable
from gateway.ports import LaneRow
from gateway.queue.nats import JetStreamQueue
from providers.contract import Misconfigured, PushProvider, Unavailable
from providers.vendor import Vendors

if TYPE_CHECKING:
    from config.settings import Settings

_ONLINE_S = 30.0


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check: how things are, and what to do."""

    level: Literal["ok", "warning", "error"]
    what: str
    advice: str = ""


async def examine(settings: Settings, vendors: Vendors = VENDORS, *, online: bool) -> list[Finding]:
    """Look at everything the settings name; `online` asks the vendors, sending nothing."""
    findings = [Finding("warning", text) for text in advice(settings)]
    findings += await _store(settings)
    plans: list[LanePlan] = []
    for number in range(len(settings.apps)):
        try:
            planned = plan_app(settings, number, vendors)
        except ConfigurationError as error:
            findings += [Finding("error", problem) for problem in error.problems]
            continue
        plans += planned
        findings += [
            Finding("warning", f"apps[{number}].{plan.vendor.name}.{name}: {text}")
            for plan in planned
            for name, text in plan.advice
        ]
    for plan in plans:
        findings.append(Finding("ok", f"{plan.name}: the credential can be read"))
        if plan.way:
            findings.append(Finding("ok", f"{plan.name}: reaches {plan.way}"))
        if online:
            findings += await _ask_vendor(plan)
    return findings


async def _store(settings: Settings) -> list[Finding]:
    try:
        async with open_store(settings) as stores:
            await stores.store.ping()
            found = [Finding("ok", f"store: {stores.place} can be read and written")]
            if stores.broker is not None:
                found += await _broker(stores.broker)
            for row in await stores.lanes.all():
                found += _stopped(row, SYSTEM.wall())
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


def _stopped(row: LaneRow, now: float) -> list[Finding]:
    """The parts of a lane that do not send, as a running gateway has reported."""
    lane = f"{row.app}/{row.provider}"
    found = []
    for part in row.parts:
        standing = row.standing(part.part, now)
        name = f"{lane}/{part.part}"
        if standing.state in ("paused", "held", "failing"):
            found.append(
                Finding(
                    "warning" if standing.state == "paused" else "error",
                    f"{name}: {standing.state} ({standing.reason or 'no reason given'})",
                    standing.hint or f"inkpush lanes resume {name}",
                )
            )
        elif standing.reason and standing.state == "open":
            found.append(Finding("warning", f"{name}: {standing.reason}", standing.hint))
    return found


async def _broker(broker: JetStreamQueue) -> list[Finding]:
    try:
        await broker.start()
    except ConfigurationError as error:
        return [Finding("error", problem) for problem in error.problems]
    except StoreUnavailable as error:
        advice_text = "check the servers, and this machine's way to them"
        return [Finding("error", f"queue: {error}", advice_text)]
    return [Finding("ok", "queue: JetStream answers, and its streams are as they must be")]


async def _ask_vendor(plan: LanePlan) -> list[Finding]:
    """Ask about each part by itself: a key may be good for one of them only."""
    transport = plan.make()
    await transport.start()
    try:
        return [await _ask_about(transport, plan.name, part) for part in plan.vendor.parts]
    finally:
        await transport.aclose()


async def _ask_about(transport: PushProvider, lane: str, part: str) -> Finding:
    name = f"{lane}/{part}"
    try:
        async with asyncio.timeout(_ONLINE_S):
            trouble = await transport.reach(part)
            answer = None if trouble is not None else await transport.check(part)
    except TimeoutError:
        answer, trouble = Unavailable("no answer", outcome_known=True), transport.trouble(part)
    if trouble is not None:
        return Finding("error", f"{name}: {trouble.reason}", trouble.hint)
    match answer:
        case None:
            return Finding("ok", f"{name}: the vendor accepts the credential")
        case Misconfigured(reason=reason, hint=hint, about="target"):
            # perhaps nobody needs this part: production works with a key that the sandbox rejects
            return Finding("warning", f"{name}: {reason}", hint)
        case Misconfigured(reason=reason, hint=hint):
            return Finding("error", f"{name}: {reason}", hint)
        case Unavailable(reason=reason):
            advice_text = "check this machine's way to the vendor (DNS, firewall, proxy)"
            return Finding("error", f"{name}: the vendor does not answer ({reason})", advice_text)
        case _:
            assert_never(answer)
