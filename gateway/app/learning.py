"""Learning events, and how long is kept what there is, as the settings have them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.core.extraction import LearningRules, rules_by
from gateway.relay.housekeeping import Keep

if TYPE_CHECKING:
    from config.settings import Settings

DAY_S = 86_400


def rules_of(settings: Settings) -> LearningRules:
    """Where in an event stands whose it is, and what of it is kept."""
    learning = settings.learning
    return rules_by(
        user_id=learning.user_id,
        custom_id=learning.custom_id,
        object=learning.object,
        drop=learning.drop,
        keep=learning.keep,
    )


def keep_of(settings: Settings) -> Keep:
    """How long a relay keeps rows."""
    return Keep(
        journal_s=settings.relay.retention_days * DAY_S,
        pruned_s=settings.devices.keep_pruned_days * DAY_S,
        forgotten_s=settings.devices.keep_forgotten_days * DAY_S,
        audit_s=settings.retention.audit_days * DAY_S,
    )


def kept_s(settings: Settings) -> float:
    """Seconds that learning events are kept."""
    return (settings.retention.learning_days or settings.relay.retention_days) * DAY_S
