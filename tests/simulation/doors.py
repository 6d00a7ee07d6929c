"""The doors of a gateway, without sockets: what an HTTP request comes to.

Interim: calls queue and registry as the routes do.
"""

from __future__ import annotations

from typing import Any

from gateway.core.model import Registration, UserRef
from gateway.errors import InstallationOwned, StoreUnavailable
from gateway.ingest.schema import understand
from providers.contract import Environment, Platform
from tests.simulation.gateways import Life


async def post_webhook(life: Life, message_id: str, body: bytes) -> int:
    assert life.stores is not None
    assert life.relay is not None
    sizes = life._house.world.plan.sizes
    understood = understand(
        message_id,
        body,
        received_at=life._wall(),
        max_age_s=sizes.max_age_s,
        chunk_items=sizes.chunk_items,
    )
    try:
        fresh = await life.stores.queue.accept(understood.event, understood.chunks)
    except StoreUnavailable:
        return 503
    if fresh:
        life.relay.wake()
    return 200


async def put_device(life: Life, installation: str, user: int, document: dict[str, Any]) -> int:
    assert life.stores is not None
    assert life.relay is not None
    ref = UserRef(f"u{user}", f"c{user}")
    environment = document.get("environment")
    try:
        done = await life.stores.registry.register(
            Registration(
                installation,
                "demo",
                Platform(document["platform"]),
                document["provider"],
                document["address"],
                user_id=ref.user_id,
                custom_id=ref.custom_id,
                environment=Environment(environment) if environment else None,
                old_address=document.get("old_address"),
            ),
            proven=ref,
            now=life._wall(),
        )
    except StoreUnavailable:
        return 503
    except InstallationOwned:
        return 409
    return 201 if done.created else 200


async def delete_device(life: Life, installation: str, user: int) -> int:
    assert life.stores is not None
    assert life.relay is not None
    try:
        await life.stores.registry.forget(installation, proven=UserRef(f"u{user}", f"c{user}"))
    except StoreUnavailable:
        return 503
    return 204


async def erase_user(life: Life, user: int) -> int:
    assert life.stores is not None
    assert life.relay is not None
    try:
        await life.stores.registry.erase(UserRef(f"u{user}", f"c{user}"), now=life._wall())
    except StoreUnavailable:
        return 503
    return 204
