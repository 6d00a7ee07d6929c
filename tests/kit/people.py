"""Which tables of a store hold anything of people: what an export shows, an erase takes, and
deploy/docs/privacy.md explains."""

from __future__ import annotations

HOLDING = frozenset(
    {
        "devices",
        "deliveries",
        "receipts",
        "failed_attempts",
        "queue",
        "events",
        "event_people",
        "dead_letters",
        "held_removals",
        "forgotten",
        "erasures",
        "audit",
        "erased_events",
        "lanes",
        "lane_parts",
        "learning",
        "starts",
        "hooks",
        "hook_batches",
        "hook_told",
        "experiment_members",
        "experiment_left_out",
        "experiment_also",
        "experiment_exempt",
        "experiment_held",
        "learning_outcomes",
        "suppressions",
    }
)
NOBODY = {
    "api_keys": "keys of programs",
    "cancelled": "events; the text of a correction, which is one for all, until it is queued",
    "brake_window": "counts of devices by second",
    "chunks_done": "numbers of chunks",
    "clocks": "processes' clocks",
    "effect_days": "counts of people by day",
    "effect_marks": "which days were counted",
    "effect_outcomes": "counts of people by day",
    "effect_terms": "what experiments were counted by",
    "effect_phones": "counts of phones by day",
    "effect_reasons": "counts of people by day",
    "experiments": "what was fixed, and the key of the lot",
    "doubts": "the database's own state",
    "learning_chain": "numbers and heads of the chain",
    "learning_days": "numbers and heads of days whose events are over their time",
    "learning_seals": "numbers, times and heads of hours",
    "pulse": "a health check",
    "relays": "processes",
    "replicas": "processes",
    "schema_migrations": "numbers of migrations",
    "secrets": "the key of keyed hashes",
    "server_life": "the server's own state",
    "store_copy": "how far a copy is",
    "streams": "when the broker's stream was made",
    "trial": "empty but for a moment",
}
"""Every other table, and why it holds nobody."""
