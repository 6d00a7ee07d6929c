"""`inkpush sandbox`: the vendor stand-ins alone, until a signal ends them."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from providers.sandbox import Sandbox
from providers.sandbox.describe import config_toml, describe


async def run(
    directory: Path,
    *,
    host: str,
    ports: Mapping[str, Any],
    on_ready: Callable[[dict[str, Any], str], None],
) -> None:
    """Serve until SIGTERM or SIGINT; credentials are kept in `directory`."""
    await asyncio.to_thread(directory.mkdir, parents=True, exist_ok=True)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    sandbox = Sandbox(host=host, credentials_dir=directory, **ports)
    async with sandbox:
        on_ready(
            dict(describe(sandbox, sandbox.credentials)), config_toml(sandbox, sandbox.credentials)
        )
        await ended.wait()
