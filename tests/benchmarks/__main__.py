"""Throughput on this machine: `make bench`, or `python -m tests.benchmarks --pushes 5000`.

Each figure stands beside a counterpart measured in the same run, for absolute numbers move with the
machine. The vendors' stand-ins run in a process of their own; CPU is this process's.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from config.settings import Settings, load
from gateway.app.gateway import Gateway, open_gateway
from gateway.core.model import Registration
from gateway.ingest.signature import decode_secret, sign
from providers.contract import Platform, Provider
from tests.benchmarks.counterparts import aioapns_alone, firebase_admin_alone

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SETTLE_S = 300.0


@dataclass(frozen=True, slots=True)
class Figure:
    """One measurement. `cpu_us` is this process's CPU time per push, in microseconds."""

    name: str
    pushes: int
    seconds: float
    cpu_us: float

    @property
    def per_second(self) -> float:
        return self.pushes / self.seconds


async def measure(name: str, pushes: int, work: Callable[[], Awaitable[None]]) -> Figure:
    """Time a piece of work that makes so many pushes."""
    cpu, wall = time.process_time(), time.perf_counter()
    await work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    figure = Figure(name, pushes, wall, cpu / pushes * 1e6)
    print(f"  {name:<44} {figure.per_second:>9,.0f}/s {figure.cpu_us:>9,.0f} us CPU", flush=True)
    return figure


def start_sandbox(directory: Path) -> tuple[subprocess.Popen[str], dict[str, str]]:
    """Run the stand-ins in a process of their own; returns it and where they are."""
    process = subprocess.Popen(
        [
            str(Path(sys.executable).with_name("inkpush")),
            "sandbox",
            "--json",
            "--directory",
            str(directory),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    places: dict[str, str] = json.loads(process.stdout.readline())
    return process, places


def settings_for(places: dict[str, str], database: Path) -> Settings:
    """A gateway that sends to the stand-ins as fast as it can."""
    vendor = {"ca_file": places["ca_file"], "rate_per_s": 0}
    environment = {
        "INKPUSH_SERVER__PORT": "0",
        "INKPUSH_SERVER__HOST": "127.0.0.1",
        "INKPUSH_OPS__PORT": "0",
        "INKPUSH_WEBHOOK__SECRETS": SECRET,
        "INKPUSH_STORE__URL": f"sqlite:///{database}",
        "INKPUSH_APPS": json.dumps(
            [
                {
                    "id": "bench",
                    "fcm": {
                        "credentials_file": places["fcm_file"],
                        "endpoint": places["fcm_url"],
                        **vendor,
                    },
                    "apns": {
                        "key_file": places["apns_key_file"],
                        "key_id": places["key_id"],
                        "team_id": places["team_id"],
                        "topic": places["topic"],
                        "endpoint": places["apns_url"],
                        **vendor,
                    },
                }
            ]
        ),
    }
    return load(None, environment)


def batch(prefix: str, count: int) -> bytes:
    """A webhook body of so many notifications."""
    items = [
        {
            "title": "Hi Mary!",
            "body": "Don't forget to complete your training today",
            "path": "/learning",
            "user_id": None,
            "custom_id": f"{prefix}{number}",
            "phone_number": None,
        }
        for number in range(count)
    ]
    return json.dumps({"type": "notifications.sent", "data": {"notifications": items}}).encode()


async def post(http: aiohttp.ClientSession, port: int, event_id: str, body: bytes) -> None:
    """Post a signed batch and check that it was accepted."""
    now = int(time.time())
    headers = {
        "svix-id": event_id,
        "svix-timestamp": str(now),
        "svix-signature": sign(decode_secret(SECRET), event_id, now, body),
    }
    url = f"http://127.0.0.1:{port}/webhooks/learnink"
    async with http.post(url, data=body, headers=headers) as answer:
        assert answer.status == 200, answer.status
        await answer.read()


async def register(gateway: Gateway, provider: Provider, addresses: list[str]) -> None:
    """Give every address a user of its own."""
    system = Platform.ANDROID if provider is Provider.FCM else Platform.IOS
    registrations = [
        Registration(
            f"{provider}-{number}",
            "bench",
            system,
            provider,
            address,
            custom_id=f"{provider}{number}",
        )
        for number, address in enumerate(addresses)
    ]
    for start in range(0, len(registrations), 1000):
        await gateway.stores.registry.register_many(
            registrations[start : start + 1000], now=time.time()
        )


async def whole_way(
    gateway: Gateway, http: aiohttp.ClientSession, provider: Provider, addresses: list[str]
) -> Figure:
    """From the signed webhook to the last journaled verdict."""
    await register(gateway, provider, addresses)
    event_id = f"bench-{provider}"

    async def work() -> None:
        await post(http, gateway.public_port, event_id, batch(provider, len(addresses)))
        async with asyncio.timeout(SETTLE_S):
            while True:
                summary = await gateway.stores.journal.event(event_id)
                if summary is not None and summary.settled:
                    break
                await asyncio.sleep(0.05)
        assert summary.deliveries["delivered"] == len(addresses), summary.deliveries

    return await measure(f"Inkpush, whole way to {provider}", len(addresses), work)


async def acknowledge(gateway: Gateway, http: aiohttp.ClientSession, rounds: int) -> list[Figure]:
    """1 000 notifications durable and answered, against aiohttp that only reads the body."""

    async def read(request: web.Request) -> web.Response:
        await request.read()
        return web.Response()

    runner = web.AppRunner(web.Application(client_max_size=2**24), access_log=None)
    runner.app.router.add_post("/webhooks/learnink", read)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    body = batch("nobody", 1000)

    async def repeat(port: int) -> None:
        for number in range(rounds):
            await post(http, port, f"ack-{port}-{number}", body)

    try:
        bare = await measure(
            "aiohttp, body read and dropped", rounds * 1000, lambda: repeat(runner.addresses[0][1])
        )
        durable = await measure(
            "Inkpush, acknowledged, relay at work",
            rounds * 1000,
            lambda: repeat(gateway.public_port),
        )
    finally:
        await runner.cleanup()
    return [bare, durable]


async def run(pushes: int) -> dict[str, Any]:
    """Take all measurements."""
    with tempfile.TemporaryDirectory(prefix="inkpush-bench-") as folder:
        directory = Path(folder)
        sandbox, places = start_sandbox(directory)
        try:
            figures = await _figures(directory, places, pushes)
        finally:
            sandbox.terminate()
            sandbox.wait()
    firebase, fcm, aioapns, apns, bare, durable = figures
    ratios = {
        "fcm: CPU per push against firebase-admin alone": fcm.cpu_us / firebase.cpu_us,
        "apns: CPU per push against aioapns alone": apns.cpu_us / aioapns.cpu_us,
        "webhook: CPU per notification against bare aiohttp": durable.cpu_us / bare.cpu_us,
    }
    for name, ratio in ratios.items():
        print(f"  {name}: {ratio:.2f} x")
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "figures": [asdict(figure) for figure in figures],
        "ratios": ratios,
    }


async def _figures(directory: Path, places: dict[str, str], pushes: int) -> list[Figure]:
    android = [f"bench-{number:08d}:APA91b{'x' * 130}" for number in range(pushes)]
    iphones = [f"{number:064x}" for number in range(pushes)]
    settings = settings_for(places, directory / "bench.db")
    alone = await measure(
        "firebase-admin alone, send_each_async",
        pushes,
        lambda: firebase_admin_alone(places, android),
    )
    aioapns = await measure(
        "aioapns alone, send_notification", pushes, lambda: aioapns_alone(places, iphones)
    )
    async with (
        open_gateway(settings, log=_silent, on_failure=_fail) as gateway,
        aiohttp.ClientSession() as http,
    ):
        fcm = await whole_way(gateway, http, Provider.FCM, android)
        apns = await whole_way(gateway, http, Provider.APNS, iphones)
        bare, durable = await acknowledge(gateway, http, rounds=20)
    return [alone, fcm, aioapns, apns, bare, durable]


def _silent(_event: object) -> None:
    """The figures are about pushes, not about logging."""


def _fail(error: BaseException) -> None:
    raise error


def main() -> None:
    """Run the benchmarks; `--out` writes the figures as JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--pushes", type=int, default=2000, help="pushes per measurement")
    parser.add_argument("--out", type=Path, help="where to write the figures as JSON")
    options = parser.parse_args()
    print(f"{options.pushes} pushes per measurement")
    results = asyncio.run(run(options.pushes))
    if options.out is not None:
        options.out.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
