"""Which stage of a push's way a file belongs to.

Owns the table. A file that is in no row (json, uuid, dataclasses), or in one that has no name,
works for whoever called it.
"""

from __future__ import annotations

from functools import cache

#: the first row with a fragment that is in the path decides; one without a name: see above
_TABLE: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("", ("providers/contract",)),
    (
        "registry",
        (
            "gateway/store/sqlite/registry",
            "gateway/store/sqlite/lookup",
            "gateway/store/postgres/registry",
            "gateway/store/postgres/lookup",
            "gateway/store/targets",
            "gateway/devices/",
        ),
    ),
    (
        "journal",
        (
            "gateway/store/sqlite/journal",
            "gateway/store/postgres/journal",
            "gateway/store/postgres/partitions",
            "gateway/store/postgres/texts",
            "gateway/store/rows",
            "gateway/relay/write",
        ),
    ),
    # what nats-py does by itself - reading, flushing, parsing - and where it hands over
    ("nats", ("/nats/", "gateway/queue/nats/link", "gateway/queue/nats/pulling")),
    ("queue", ("gateway/queue/", "gateway/core/chunks")),
    # what asyncpg decodes runs from the event loop, for nobody's frame is above it
    ("store transactions", ("gateway/store/postgres/", "/asyncpg/")),
    ("store threads, commit", ("gateway/store/",)),
    (
        "ingest",
        (
            "gateway/ingest/",
            "gateway/core/items",
            "gateway/exchange",
            "gateway/problems",
            "gateway/app/listeners",
            "gateway/app/skin",
            "/aiohttp/",
            "/multidict/",
            "/yarl/",
        ),
    ),
    ("fan-out", ("gateway/core/fanout", "gateway/relay/dispatcher", "gateway/core/model")),
    ("lane", ("gateway/relay/lane", "gateway/core/limiter", "gateway/core/breaker")),
    ("settle", ("gateway/relay/", "gateway/core/")),
    ("metrics, log", ("gateway/observe/", "/prometheus_client/", "/structlog/", "/logging/")),
    (
        "verdict",
        (
            "apns/verdicts",
            "fcm/verdicts",
            "providers/wording/body",
            "providers/wording/retry_after",
        ),
    ),
    (
        "payload",
        (
            "apns/payload",
            "fcm/payload",
            "apns/codec",
            "fcm/codec",
            "providers/wording/fitting",
            "providers/wording/template",
            "providers/wording/text",
            "/firebase_admin/",
        ),
    ),
    (
        "http2",
        (
            "providers/http2/",
            "providers/apns/",
            "providers/fcm/",
            "providers/transport/",
            "/h2/",
            "/hpack/",
            "/hyperframe/",
            "/aioapns/",
            "/httpx/",
            "/httpcore/",
            "/anyio/",
        ),
    ),
    ("tls, sockets", ("asyncio/sslproto", "asyncio/selector_events", "/ssl.py", "/socket.py")),
    ("event loop, with its TLS and sockets", ("/asyncio/", "/uvloop/", "/selectors.py")),
    ("other of ours", ("gateway/", "providers/", "config/")),
)


@cache
def stage_of(path: str) -> str | None:
    """The stage, or None for a file that works for its caller."""
    for stage, fragments in _TABLE:
        if any(fragment in path for fragment in fragments):
            return stage or None
    return None
