"""Hooks, of the settings: which there are, how each is posted to, and what people do with them."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gateway.app.hook_plans import hook_of
from gateway.app.hook_sources import LearntEvents, Seals
from gateway.app.storage import Stores
from gateway.core.audit import Actor
from gateway.core.clocks import Clocks, Wall
from gateway.core.hooks import TEST, whole
from gateway.core.ids import Ids
from gateway.core.instants import to_iso
from gateway.core.pace import Pace
from gateway.errors import ConfigurationError, GatewayError
from gateway.events import Observer
from gateway.hooks.following import Following
from gateway.hooks.hooking import Hooking
from gateway.hooks.posting import Answer, Process, Way
from gateway.hooks.standing import lane_of, standing_of
from gateway.ports import HookCount, HookRow, Standing
from providers.errors import CredentialError
from providers.hook.addresses import target
from providers.hook.sending import HookSender
from providers.hook.signing import key_of
from providers.transport.trust import client_context

if TYPE_CHECKING:
    from config.hooks import HookSettings
    from config.settings import Settings

_DAY_S = 86_400.0


class UnknownHook(GatewayError):
    """No hook has this name."""


@dataclass(frozen=True, slots=True)
class HookPlace:
    """A hook: where it leads (the host alone, for a path may be secret), how it stands, and what
    waits for it. `is_configured`: the settings name it."""

    id: str
    host: str
    events: tuple[str, ...]
    standing: Standing
    count: HookCount
    failures: int
    is_configured: bool = True

    @property
    def name(self) -> str:
        """Its name among the lanes."""
        return lane_of(self.id)


def ways_of(settings: Settings, wall: Callable[[], float]) -> list[Way]:
    """How each hook is posted to. Raises ConfigurationError for a `ca_file` that is none."""
    problems: list[str] = []
    for one in settings.hooks:
        if one.ca_file is not None:
            try:
                client_context(str(one.ca_file))
            except CredentialError as error:
                problems += [f"hooks {one.id}: {text}" for text in error.problems]
    if problems:
        raise ConfigurationError(problems)
    return [way_of(one, wall) for one in settings.hooks]


def way_of(settings: HookSettings, wall: Callable[[], float]) -> Way:
    """How a hook is posted to."""
    place = target(settings.url.get_secret_value(), allow_private=settings.allow_private)
    keys = tuple(key_of(secret.get_secret_value()) for secret in settings.secrets)
    ca_file = "" if settings.ca_file is None else str(settings.ca_file)
    allow_private = settings.allow_private

    def make() -> HookSender:
        return HookSender(place, keys, wall=wall, allow_private=allow_private, ca_file=ca_file)

    return Way(
        hook_of(settings),
        settings.rate_per_s,
        (place, keys, ca_file, allow_private),
        make,
        place.host if place.is_secure else "",
    )


def hooking_of(
    stores: Stores,
    settings: Callable[[], Settings],
    *,
    observer: Observer,
    clocks: Clocks,
    ids: Ids,
    pace: Pace,
    failed: Callable[[BaseException], None],
) -> Hooking:
    """The hooks of a process that posts to them."""
    process = Process(ids.process(), ids.new, random.random, observer, clocks, pace)
    hooks = stores.store.hooks
    learning = stores.store.learning
    following = Following(
        hooks,
        process,
        stale_after_days=lambda: settings().devices.stale_after_days,
        learnt=LearntEvents(learning, clocks.wall),
        sealed=Seals(learning, clocks.wall),
    )
    keep_s = settings().relay.retention_days * _DAY_S
    return Hooking(hooks, following, process, keep_s=keep_s, failed=failed)


@asynccontextmanager
async def posting(
    hooking: Hooking | None, settings: Settings, wall: Callable[[], float]
) -> AsyncIterator[None]:
    """Post to the hooks of the settings, where this process does. Raises ConfigurationError."""
    ways = ways_of(settings, wall)
    if hooking is None:
        yield
        return
    try:
        await hooking.learn(ways)
        yield
    finally:
        await hooking.aclose()


# --- what people do -------------------------------------------------------------------------------


async def hook_places(settings: Settings, stores: Stores) -> list[HookPlace]:
    """Every hook of the settings, and those for which something waits that is not there any
    more."""
    rows = {row.id: row for row in await stores.store.hooks.rows()}
    counts = await stores.store.hooks.counts()
    known = {one.id: one for one in settings.hooks}
    places = []
    for hook in [*known, *sorted(counts.keys() - known.keys())]:
        row, one = rows.get(hook, HookRow(hook)), known.get(hook)
        places.append(
            HookPlace(
                hook,
                "" if one is None else urlsplit(one.url.get_secret_value()).hostname or "",
                () if one is None else one.events,
                standing_of(row),
                counts.get(hook, HookCount()),
                row.failures,
                one is not None,
            )
        )
    return places


def named_hooks(known: Sequence[HookPlace], names: Sequence[str]) -> list[HookPlace]:
    """The hooks that these names stand for, `crm` or `hook/crm`. Raises UnknownHook."""
    by_name = {place.id: place for place in known} | {place.name: place for place in known}
    for name in names:
        if name not in by_name:
            listed = ", ".join(place.id for place in known) or "none: no hook is configured"
            raise UnknownHook(f"there is no hook {name}; there are {listed}")
    return list({by_name[name].id: by_name[name] for name in names}.values())


async def pause_hooks(
    stores: Stores, chosen: Sequence[HookPlace], *, reason: str, now: Wall, actor: Actor
) -> list[str]:
    """Pause hooks: what is for them waits. Without a reason the previous one stays. Returns their
    names."""
    for place in chosen:
        kept = place.standing.reason if place.standing.state == "paused" else ""
        act = actor.does("hooks.pause", place.name, at=now)
        await stores.store.hooks.hold(
            place.id, by="operator", reason=reason or kept, now=now, act=act
        )
    return [place.name for place in chosen]


async def resume_hooks(
    stores: Stores, chosen: Sequence[HookPlace], *, now: Wall, actor: Actor
) -> list[str]:
    """Resume hooks; returns the names of those that were paused, held or failing."""
    lifted = []
    for place in chosen:
        act = actor.does("hooks.resume", place.name, at=now)
        if await stores.store.hooks.resume(place.id, act=act):
            lifted.append(place.name)
    return lifted


async def post_test(settings: HookSettings, clocks: Clocks, ids: Ids) -> Answer:
    """Post one event of the type `hook.test`, which is about nobody, past what waits."""
    way = way_of(settings, clocks.wall)
    poster = way.make()
    event = {"id": ids.new(), "type": TEST, "at": to_iso(clocks.wall())}
    try:
        return await poster.post(f"msg_{ids.new()}", whole(settings.id, _line(event)))
    finally:
        await poster.aclose()


def _line(event: dict[str, str]) -> bytes:
    return json.dumps(event).encode()
