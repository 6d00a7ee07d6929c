"""What the hooks of the settings ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.core.hooks import Hook, Plan

if TYPE_CHECKING:
    from config.hooks import HookSettings
    from config.settings import Settings


def hook_of(settings: HookSettings) -> Hook:
    """What a hook of the settings asks for."""
    return Hook(
        settings.id,
        settings.events,
        settings.identify,
        settings.bodies,
        settings.batch,
        settings.max_waiting,
        settings.max_age_s,
    )


def plan_of(settings: Settings) -> Plan:
    """All hooks of the settings."""
    return Plan([hook_of(one) for one in settings.hooks])
