"""The snippets of deploy/docs/hooks.md work: the receivers as servers, the uses as functions."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import datetime as dt
import json
import os
import re
import shutil
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from providers.hook.addresses import target
from providers.hook.sending import HookSender
from tests.kit.gateway import eventually
from tests.kit.receiver import KEY, SECRET

PAGE = (Path(__file__).parents[2] / "deploy/docs/hooks.md").read_text()
BODY = json.dumps({"hook": "crm", "events": [{"id": "1", "type": "delivery.settled"}]}).encode()
OTHER = b"another secret of 32 bytes, ok ok"
COMMANDS = {
    "python": ("receiver.py", [sys.executable]),
    "js": ("receiver.mjs", ["node"]),
    "php": ("receiver.php", ["php", "-S"]),
}


def snippets(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@asynccontextmanager
async def served(language: str, folder: Path) -> AsyncIterator[str]:
    """The receiver of the page, as a process; its URL."""
    name, command = COMMANDS[language]
    if shutil.which(command[0]) is None:
        pytest.skip(f"there is no {command[0]}")
    (folder / name).write_text(snippets(language)[0])
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    rest = [f"127.0.0.1:{port}", name] if language == "php" else [name]
    process = await asyncio.create_subprocess_exec(
        *command,
        *rest,
        cwd=folder,
        env={**os.environ, "PORT": str(port), "HOOK_SECRETS": f"whsec_b3RoZXI= {SECRET}"},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}/"
    try:

        async def listens() -> bool:
            with contextlib.suppress(aiohttp.ClientError):
                async with aiohttp.ClientSession() as client, client.post(url, data=b"{}"):
                    return True
            return False

        await eventually("it listens", listens)
        yield url
    finally:
        process.kill()
        await process.wait()


@pytest.mark.parametrize("language", COMMANDS)
async def test_a_receiver_takes_what_is_signed_and_nothing_else(
    language: str, tmp_path: Path
) -> None:
    async with served(language, tmp_path) as url:
        found = {}
        place = target(url, allow_private=True)
        late = time.time() - 400
        for name, key, wall in (
            ("signed", KEY, time.time),
            ("by another", OTHER, time.time),
            ("too late", KEY, lambda: late),
        ):
            hook = HookSender(place, [key], wall=wall, allow_private=True)
            found[name] = (await hook.post("msg_1", BODY)).status
            await hook.aclose()
    assert found == {"signed": 204, "by another": 401, "too late": 401}


def use(number: int, **names: Any) -> dict[str, Any]:
    """One of the three uses of the page, with what it expects around it."""
    space: dict[str, Any] = dict(names)
    exec(snippets("python")[number], space)  # our own page
    return space


class Noted:
    """Notes every call."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        def called(*given: Any) -> str:
            self.calls.append((name, *given))
            return f"{name}-{given[0]}"

        return called


def test_the_crm_learns_who_cannot_be_reached() -> None:
    crm = Noted()
    handle = use(1, crm=crm)["handle"]
    handle({"type": "device.pruned", "custom_id": "m-1", "user_id": "mary", "at": "now"})
    handle({"type": "delivery.settled", "custom_id": "m-1", "at": "now"})
    handle({"type": "user.erased", "custom_id": "m-1", "at": "now"})
    assert crm.calls == [
        ("update", "m-1", {"push": "app removed", "push_since": "now"}),
        ("delete", "m-1"),
    ]


def test_the_spreadsheet_gets_a_line_an_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    handle = use(2)["handle"]
    for state in ("delivered", "expired"):
        handle({"type": "delivery.settled", "at": "now", "state": state})
    with (tmp_path / "pushes.csv").open(newline="") as file:
        assert [row[3] for row in csv.reader(file)] == ["delivered", "expired"]


def test_no_sms_is_sent_by_a_dry_run_over_the_cap_twice_or_late(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = dt.datetime(2026, 11, 23, 12, 0, tzinfo=dt.UTC)

    def event(person: str, at: str = "2026-11-23T11:59:00.000Z") -> dict[str, str]:
        return {"type": "delivery.no_device", "custom_id": person, "at": at}

    monkeypatch.setenv("SMS_CAP", "2")
    sms, directory = Noted(), Noted()
    dry = use(3, sms=sms, directory=directory)["handle"]
    assert dry(event("a"), now) == "would be sent"
    assert sms.calls == directory.calls == []
    monkeypatch.setenv("SMS_SEND", "yes")
    handle = use(3, sms=sms, directory=directory)["handle"]
    assert handle(event("old", "2026-11-23T10:59:00.000Z"), now) == "too old"
    assert [handle(event(one), now) for one in ("a", "a", "b", "c")] == [
        "sent",
        "not for an SMS",
        "sent",
        "over the cap",
    ]
    assert [call[1] for call in sms.calls] == ["phone_of-a", "phone_of-b"]
