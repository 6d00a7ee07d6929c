"""The composition root: the only room that knows concrete stores, transports and settings together.

What the command line calls stands here, with imports inside: `inkpush config show` has no use for
a database, a broker or the vendors' libraries, which take most of a second to load.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from config.settings import Settings
    from gateway.app.checking import Finding
    from gateway.app.copying import Copied, Progress
    from gateway.app.storage import Stores
    from gateway.app.submitting import Submitted
    from gateway.core.audit import Actor
    from gateway.whose import By

__all__ = [
    "bench",
    "check",
    "copy_store",
    "demo",
    "open_store",
    "run_sandbox",
    "sandbox_control_url",
    "serve",
    "submit",
]


def serve(settings: Settings, *, reload: Callable[[], Settings]) -> int:
    """Run the gateway until SIGTERM or SIGINT; SIGHUP calls `reload`. Returns the exit status."""
    from gateway.app.serving import run

    return run(settings, reload)


def open_store(
    settings: Settings,
    *,
    made: Callable[[str], None] | None = None,
    waits: Callable[[str], None] | None = None,
) -> AbstractAsyncContextManager[Stores]:
    """Open the database and the queue that the settings name, until the context ends. `made` is
    called with the place of a database that was made for it, and `waits` with what a migration
    waits for."""
    from gateway.app import storage
    from gateway.events import GatewayEvent, Lifecycle, StoreFailed

    def hear(event: GatewayEvent) -> None:
        match event:
            case Lifecycle("new_database", place) if made is not None:
                made(place)
            case StoreFailed("migrate", told) if waits is not None:
                waits(told)
            case _:
                pass

    return storage.open_store(settings, observer=hear)


async def check(settings: Settings, *, online: bool, file: Path | None = None) -> list[Finding]:
    """Look at configuration and credentials; `online` asks the vendors, sending nothing. `file` is
    the configuration file, if there is one."""
    from gateway.app.checking import examine

    return await examine(settings, online=online, file=file)


async def copy_store(
    source: Path, target: str, *, queued: bool, live: bool, progress: Progress, actor: Actor
) -> Copied:
    """Copy a SQLite file to a PostgreSQL database, or go on with it, and verify the copy."""
    from gateway.app.copying import run

    return await run(source, target, queued=queued, live=live, progress=progress, actor=actor)


async def submit(
    settings: Settings,
    content: dict[str, Any],
    *,
    user: str,
    by: By | None,
    dry_run: bool,
    actor: Actor,
) -> Submitted:
    """Queue a notification in the store, as POST /v1/notifications does; or show where it goes."""
    from gateway.app.submitting import submit_item

    return await submit_item(settings, content, user=user, by=by, dry_run=dry_run, actor=actor)


async def run_sandbox(
    directory: Path,
    *,
    host: str,
    ports: Mapping[str, Any],
    on_ready: Callable[[dict[str, Any], str], None],
) -> None:
    """Run the vendor stand-ins until SIGTERM or SIGINT.

    `ports` are named as the arguments of `providers.sandbox.Sandbox`. `on_ready` gets the
    stand-ins' addresses and files, and a configuration that points at them.
    """
    from gateway.app.sandboxing import run

    await run(directory, host=host, ports=ports, on_ready=on_ready)


def sandbox_control_url(directory: Path) -> str | None:
    """Where the sandbox of this directory is told things; None: it is no sandbox's."""
    from providers.sandbox.credentials import control_url

    try:
        return control_url(directory)
    except (OSError, ValueError, KeyError, TypeError):
        return None


async def demo(*, notifications: int, once: bool, say: Callable[[str], None]) -> dict[str, Any]:
    """Show the main job without any account. Returns a summary; `ok`: all went well."""
    from gateway.app.demonstrating import run

    return await run(notifications=notifications, once=once, say=say)


def bench(*, pushes: int, provider: str, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure throughput on this machine, without any account. Returns the figures."""
    from gateway.app.benching.bench import run

    return run(pushes=pushes, provider=provider, say=say)
