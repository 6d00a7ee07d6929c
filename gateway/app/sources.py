"""The sources that the settings name: how each one's webhooks are taken, and what its pushes reach.

Owns that what a source does not name is `[webhook]`'s. `learnink` is what `[webhook]` describes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from gateway.core.hashes import keyed
from gateway.core.sources import LEARNINK, UNLIMITED, Limits, Word
from gateway.core.suppressing import NO_RULES, Rule, Rules, words_with
from gateway.ingest.routes import WebhookLimits
from gateway.ingest.signature import Key, decode_key

if TYPE_CHECKING:
    from pydantic import SecretStr

    from config.settings import Settings, SourceSettings

_PURPOSE = "only_users"


def word_with(secret: bytes) -> Word:
    """Makes the words that stand for test users' ids, with the store's secret."""

    def word(user_id: str) -> str:
        return keyed(secret, _PURPOSE, user_id).hex()

    return word


def names_of(settings: Settings) -> list[str]:
    """Every source that has an address."""
    return [LEARNINK, *(source.id for source in settings.sources)]


def limits_of(settings: Settings, word: Word) -> dict[str, Limits]:
    """What the pushes of each configured source may reach."""
    return {source.id: _limits(source, word) for source in settings.sources}


def rules_of(settings: Settings, secret: bytes) -> Rules:
    """What learning events make superfluous."""
    rules = [Rule(one.on, one.match, one.path, one.within_s) for one in settings.suppress]
    return Rules(rules, words_with(secret))


def webhook_limits(
    settings: Settings, source: str, limits: Mapping[str, Limits], suppress: Rules = NO_RULES
) -> WebhookLimits | None:
    """How a source's webhooks are taken; None: there is no such source. `limits` are `limits_of`
    these settings, and `suppress` are `rules_of` them."""
    webhook, relay = settings.webhook, settings.relay
    if source == LEARNINK:
        secrets, tolerance_s, max_body_bytes = webhook.secrets, None, None
    else:
        found = next((one for one in settings.sources if one.id == source), None)
        if found is None:
            return None
        secrets, tolerance_s = found.secrets, found.tolerance_s
        max_body_bytes = found.max_body_bytes
    return WebhookLimits(
        keys=_keys(secrets),
        tolerance_s=webhook.tolerance_s if tolerance_s is None else tolerance_s,
        max_body_bytes=max_body_bytes or webhook.max_body_bytes,
        max_age_s=relay.max_age_s,
        max_backlog=relay.max_backlog,
        pushes=limits.get(source, UNLIMITED),
        suppress=suppress,
    )


def _limits(source: SourceSettings, word: Word) -> Limits:
    return Limits(
        apps=frozenset(source.apps) if source.apps else None,
        users=frozenset(map(word, source.only_users)) if source.only_users else None,
        max_age_s=source.max_age_s,
    )


def _keys(secrets: Sequence[SecretStr]) -> list[Key]:
    return [decode_key(secret.get_secret_value()) for secret in secrets]
