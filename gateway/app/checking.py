"""`inkpush check`: finds faults in configuration and credentials, and says how to fix them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, assert_never

from config.checks import advice, secret_files
from config.formats import is_postgres
from config.sources import holds_secrets
from gateway.app import surroundings
from gateway.app.clocks import SYSTEM
from gateway.app.dates import Site, sites_of
from gateway.app.lanes import LanePlan, plan_app
from gateway.app.storage import open_store, sqlite_path
from gateway.app.surroundings import Warned
from gateway.app.vendors import VENDORS
from gateway.errors import ConfigurationError, GatewayError, StoreUnavailable
from gateway.events import GatewayEvent, Lifecycle
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


async def examine(
    settings: Settings, vendors: Vendors = VENDORS, *, online: bool, file: Path | None = None
) -> list[Finding]:
    """Look at everything the settings name; `online` asks the vendors, sending nothing. `file` is
    the configuration file itself, if there is one."""
    findings = [Finding("warning", text) for text in advice(settings)]
    findings += _warnings(surroundings.readable_files(_secret_files(settings, file)))
    findings += _warnings(surroundings.file_limit())
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
    findings += await _ways(settings, plans, online=online)
    for plan in plans:
        findings.append(Finding("ok", f"{plan.name}: the credential can be read"))
        if plan.way:
            findings.append(Finding("ok", f"{plan.name}: reaches {plan.way}"))
        if online:
            findings += await _ask_vendor(plan)
    return findings


def _warnings(found: list[Warned]) -> list[Finding]:
    return [Finding("warning", what, cure) for what, cure in found]


def _secret_files(settings: Settings, file: Path | None) -> list[tuple[str, Path]]:
    files = secret_files(settings)
    if file is not None and holds_secrets(type(settings), file):
        files.append(("configuration", file))
    if not is_postgres(settings.store.url):
        files.append(("store.url", sqlite_path(settings.store.url)))
    return files


async def _ways(settings: Settings, plans: list[LanePlan], *, online: bool) -> list[Finding]:
    """What is odd about the addresses that the gateway speaks to, and about its clock."""
    sites = [site for _, site in sites_of(settings, plans)]
    found = surroundings.plain_sites(sites)
    if online:
        found += await surroundings.dead_families(sites)
    database = settings.store.url if is_postgres(settings.store.url) else ""
    witnesses = sites if online else []
    if online and settings.auth.jwks_url:
        witnesses = [*sites, Site("auth.jwks_url", settings.auth.jwks_url)]
    found += await surroundings.wrong_clock(witnesses, database)
    return _warnings(found)


async def _store(settings: Settings) -> list[Finding]:
    made: list[GatewayEvent] = []
    try:
        async with open_store(settings, observer=made.append) as stores:
            await stores.store.ping()
            found = [Finding("ok", f"store: {stores.place} can be read and written")]
            if any(isinstance(one, Lifecycle) and one.phase == "new_database" for one in made):
                found.append(Finding("ok", f"store: a new database was made: {stores.place}"))
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
