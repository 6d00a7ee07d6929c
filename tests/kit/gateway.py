"""The installed gateway as a process of its own, and all that is done to it: asked, signalled,
killed. The vendors are a sandbox in the process of the test.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp

from providers.sandbox import Sandbox
from providers.sandbox.describe import config_toml
from tests.kit.audience import Phone, as_ndjson
from tests.kit.commands import Done
from tests.kit.sender import Signer, signed

INKPUSH = Path(sys.executable).with_name("inkpush")
SECRET = "whsec_" + base64.b64encode(b"the signing secret of tests!").decode()
JWT_SECRET = "a secret of at least thirty-two bytes"
DEADLINE_S = 180.0
"""What is waited for and does not come by then is a failure."""
_AT_ONCE = 32


async def eventually(
    what: str,
    condition: Callable[[], Awaitable[bool]] | Callable[[], bool],
    every_s: float = 0.02,
    within_s: float = DEADLINE_S,
) -> None:
    """Wait for a condition, asked again and again until the deadline."""
    deadline = time.monotonic() + within_s
    while True:
        answer = condition()
        if await answer if isinstance(answer, Awaitable) else answer:
            return
        assert time.monotonic() < deadline, f"it did not happen: {what}"
        await asyncio.sleep(every_s)


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer, read to its end."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


@dataclass
class Process:
    """A running gateway. `lines` are its log, parsed, as far as it has come."""

    process: asyncio.subprocess.Process
    http: aiohttp.ClientSession
    lines: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""
    ops_url: str = ""
    _reader: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def ended(self) -> bool:
        return self.process.returncode is not None

    def logged(self, text: str) -> list[dict[str, Any]]:
        """The lines of the log that say so."""
        return [line for line in self.lines if text in line["event"]]

    def read_log(self) -> None:
        """Begin to read what the process says."""
        self._reader = asyncio.create_task(self._read())

    async def ready(self) -> None:
        """Wait until both listeners are open."""
        await eventually("ready", lambda: bool(self.logged("ready")) or self.ended)
        assert not self.ended, self.lines
        ports = re.findall(r"\d+", self.logged("ready")[0]["detail"])
        self.url, self.ops_url = (f"http://127.0.0.1:{port}" for port in ports)

    async def get(self, path: str, *, key: str = "") -> Reply:
        """GET from the public listener."""
        return await self.call("GET", path, key=key)

    async def call(self, method: str, path: str, *, key: str = "", body: Any = None) -> Reply:
        """Call the API; `key` goes as bearer, whatever it is."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        request = self.http.request(method, self.url + path, headers=headers, json=body)
        return await _reply(request)

    async def ops(self, path: str) -> Reply:
        """GET from the operators' listener."""
        return await _reply(self.http.get(self.ops_url + path))

    async def is_ready(self) -> bool:
        """What `/readyz` says; its answer may be a second old."""
        return (await self.ops("/readyz")).status == 200

    async def metric(self, name: str, **labels: str) -> float:
        """The value of a metric's child that has these labels; their sum if there are several."""
        total, found = 0.0, False
        for line in (await self.ops("/metrics")).text.splitlines():
            match = re.fullmatch(rf"{name}(?:{{(.*)}})? (\S+)", line)
            if match is None:
                continue
            has = dict(re.findall(r'(\w+)="([^"]*)"', match[1] or ""))
            if labels.items() <= has.items():
                total, found = total + float(match[2]), True
        assert found, f"there is no metric {name} with {labels}"
        return total

    async def register(self, phones: Sequence[Phone], key: str) -> None:
        """Register phones as the apps do at each launch, many at once."""
        turns = asyncio.Semaphore(_AT_ONCE)

        async def one(phone: Phone) -> None:
            async with turns:
                path = f"/v1/devices/{phone.installation}"
                reply = await self.call("PUT", path, key=key, body=phone.body())
            assert reply.status in (200, 201), reply.text

        await asyncio.gather(*(one(phone) for phone in phones))

    async def post(
        self, message_id: str, body: bytes, *, signer: Signer = "svix", secret: str = SECRET
    ) -> Reply:
        """Deliver a webhook."""
        return await post_webhook(
            self.http, self.url, message_id, body, signer=signer, secret=secret
        )

    async def event(self, event_id: str, key: str) -> dict[str, Any]:
        """What GET /v1/events/{event_id} says; only the states that some delivery is in."""
        reply = await self.get(f"/v1/events/{event_id}", key=key)
        assert reply.status == 200, reply.text
        told: dict[str, Any] = reply.json
        told["deliveries"] = {state: n for state, n in told["deliveries"].items() if n}
        return told

    async def settled(self, event_id: str, key: str) -> dict[str, int]:
        """Wait until an event is settled; its deliveries by state."""

        async def is_settled() -> bool:
            assert not self.ended, self.lines[-5:]
            return bool((await self.event(event_id, key))["settled"])

        await eventually(f"{event_id} is settled", is_settled, every_s=0.1)
        deliveries: dict[str, int] = (await self.event(event_id, key))["deliveries"]
        return deliveries

    def signal(self, number: signal.Signals) -> None:
        """Send a signal. (Not by the process' own method: that asks whether it has ended, and so
        takes its exit status away from whoever waits for it.)"""
        os.kill(self.process.pid, number)

    async def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        self.process.kill()
        await self.process.wait()

    async def terminate(self) -> int:
        """SIGTERM; returns the exit status."""
        self.signal(signal.SIGTERM)
        async with asyncio.timeout(DEADLINE_S):
            return await self.process.wait()

    async def close(self) -> None:
        """Read the log to its end; a process that still runs is killed."""
        if not self.ended:
            await self.kill()
        if self._reader is not None:
            await self._reader

    async def _read(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            try:
                self.lines.append(json.loads(line))
            except ValueError:
                self.lines.append({"event": line.decode(errors="replace")})


@dataclass
class Installation:
    """A folder with configuration, credentials and database, and a sandbox it points at."""

    folder: Path
    sandbox: Sandbox
    http: aiohttp.ClientSession

    @property
    def config(self) -> Path:
        return self.folder / "inkpush.toml"

    def configure(self, **overrides: Any) -> None:
        """Write the configuration; see `config_toml` for the overrides."""
        sections: dict[str, Any] = {
            "server": {"host": "127.0.0.1", "port": 0},
            "ops": {"port": 0},
            "webhook": {"secrets": [SECRET]},
            "auth": {"jwt_secret": JWT_SECRET},
            "store": {"url": f"sqlite:///{self.folder / 'inkpush.db'}"},
            "log": {"format": "json"},
            # no ramp, so that a batch does not take a minute
            "fcm": {"rate_per_s": 0},
        }
        self.config.write_text(
            config_toml(self.sandbox, self.sandbox.credentials, **(sections | overrides))
        )

    async def run(self, *arguments: str, given: str = "") -> Done:
        """Run a command of `inkpush` to its end."""
        process = await asyncio.create_subprocess_exec(
            INKPUSH,
            *arguments,
            "--config",
            self.config,
            cwd=self.folder,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(DEADLINE_S):
            out, err = await process.communicate(given.encode())
        assert process.returncode is not None
        return Done(process.returncode, out.decode(), err.decode())

    async def register(self, phones: Sequence[Phone]) -> None:
        """Import phones, as a customer with an audience does. That is no word from the apps."""
        done = await self.run("devices", "import", "-", "--json", given=as_ndjson(phones))
        assert done.status == 0, done.err
        assert done.json["new"] == len(phones)

    async def installations(self, state: str) -> set[str]:
        """The installations whose device is in this state."""
        done = await self.run("devices", "export", "-", "--state", state)
        assert done.status == 0, done.err
        return {json.loads(line)["installation_id"] for line in done.out.splitlines()}

    async def key(self, scope: str = "admin") -> str:
        """Make an API key."""
        done = await self.run("keys", "create", "--scope", scope, "--json")
        assert done.status == 0, done.err
        key: str = done.json["key"]
        return key

    async def start(self, variables: Mapping[str, str] | None = None) -> Process:
        """Start `inkpush serve`, without waiting for it to be ready; the caller closes it.

        `variables` are settings of this process alone.
        """
        started = await asyncio.create_subprocess_exec(
            INKPUSH,
            "serve",
            "--config",
            self.config,
            cwd=self.folder,
            env={**os.environ, **(variables or {})},
            stderr=asyncio.subprocess.PIPE,
            limit=1 << 20,
        )
        process = Process(started, self.http)
        process.read_log()
        return process

    @asynccontextmanager
    async def serving(self, variables: Mapping[str, str] | None = None) -> AsyncIterator[Process]:
        """A gateway that is ready; killed at the end unless it has ended."""
        process = await self.start(variables)
        try:
            await process.ready()
            yield process
        finally:
            await process.close()


async def post_webhook(
    http: aiohttp.ClientSession,
    url: str,
    message_id: str,
    body: bytes,
    *,
    signer: Signer = "svix",
    secret: str = SECRET,
) -> Reply:
    """Deliver a webhook to where a gateway is."""
    headers = signed(message_id, body, secret, signer=signer)
    # aiohttp warns of bytes over a megabyte
    request = http.post(f"{url}/webhooks/learnink", data=BytesIO(body), headers=headers)
    return await _reply(request)


async def listens(port: int) -> bool:
    """Whether somebody listens on a port of loopback."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def _reply(request: Any) -> Reply:
    async with request as response:
        return Reply(response.status, dict(response.headers), await response.text())
