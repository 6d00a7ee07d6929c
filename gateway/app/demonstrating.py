"""`inkpush demo`: the main job, for somebody with no account and no network.

Everything is real but the vendors: devices register over HTTP with user tokens, a signed batch
comes in over HTTP, pushes go out over TLS and HTTP/2 to stand-ins that check them as the vendors
do, and the phones are what those stand-ins received.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import tempfile
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import jwt

from config.settings import Settings
from gateway.app.clocks import SYSTEM
from gateway.app.gateway import Gateway, open_gateway
from gateway.app.settings import load
from gateway.ingest.signature import decode_secret, sign
from gateway.observe import logs
from providers.sandbox import Answer, Sandbox
from providers.sandbox.describe import config_toml
from providers.sandbox.phones import PHONES, PhoneKind

_NAMES = ("Mary", "John", "Amina", "Kofi", "Grace", "Luis", "Fatou", "Pedro", "Asha", "Noor")
_PATHS = ("/learning", "/courses/handwashing", "/courses/first-aid", "/quiz")
_SETTLE_S = 120.0
_CONCURRENT = 32


@dataclass(frozen=True, slots=True)
class Phone:
    """A simulated phone. `gone`: the app was removed, and only the vendor knows it."""

    user: str
    kind: PhoneKind
    address: str
    gone: bool = False


@dataclass(slots=True)
class Stage:
    """The parts that the demo runs on."""

    sandbox: Sandbox
    gateway: Gateway
    http: aiohttp.ClientSession
    jwt_secret: str
    webhook_secret: str
    say: Callable[[str], None]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.gateway.public_port}"


async def run(*, notifications: int, once: bool, say: Callable[[str], None]) -> dict[str, Any]:
    """Run the demo; unless `once`, stay up afterwards until a signal. Returns the summary."""
    logs.configure("warning", "console")
    os.environ["no_proxy"] = "*"  # the vendors are on this machine
    with tempfile.TemporaryDirectory(prefix="inkpush-demo-") as folder:
        directory = Path(folder)
        async with Sandbox(credentials_dir=directory) as sandbox:
            jwt_secret = secrets.token_urlsafe(32)
            webhook_secret = "whsec_" + b64encode(secrets.token_bytes(24)).decode()
            settings = _settings(sandbox, directory, jwt_secret, webhook_secret)
            async with (
                open_gateway(
                    settings, log=logs.LogObserver(SYSTEM.monotonic), on_failure=_fail
                ) as gateway,
                aiohttp.ClientSession() as http,
            ):
                stage = Stage(sandbox, gateway, http, jwt_secret, webhook_secret, say)
                summary = await _play(stage, notifications)
                if not once:
                    await _stay(stage)
            return summary


def _settings(sandbox: Sandbox, directory: Path, jwt_secret: str, webhook_secret: str) -> Settings:
    text = config_toml(
        sandbox,
        sandbox.credentials,
        server={"host": "127.0.0.1", "port": 0},
        ops={"port": 0},
        webhook={"secrets": [webhook_secret]},
        auth={"jwt_secret": jwt_secret},
        store={"url": f"sqlite:///{directory}/demo.db"},
        receipts="received",
    )
    file = directory / "inkpush.toml"
    file.write_text(text)
    return load(file, {})


def _fail(error: BaseException) -> None:
    raise error


async def _play(stage: Stage, notifications: int) -> dict[str, Any]:
    say = stage.say
    say("The vendors' stand-ins and the gateway are up (TLS and HTTP/2 on loopback, SQLite).")
    phones = _cast(notifications)
    for phone in phones:
        if phone.gone:
            stage.sandbox.script(phone.address, Answer.unregistered())
    throttled = [
        phone for number, phone in enumerate(phones) if number % 10 == 7 and not phone.gone
    ]
    for phone in throttled:
        stage.sandbox.script(phone.address, Answer.throttled(retry_after=1), Answer.ok())
    await _register(stage, phones)
    kinds = Counter(phone.kind.name for phone in phones)
    counted = ", ".join(f"{kinds[kind.name]} {kind.name}" for kind in PHONES)
    say(f"{len(phones)} phones of {notifications} people registered with user tokens: {counted}.")
    started = time.perf_counter()
    event_id, answer = await _post_batch(stage, notifications)
    say(f"LearnInk's signed batch: {answer['status']}, {answer['notifications']} notifications.")
    _, again = await _post_batch(stage, notifications, event_id)
    say(f"The same batch once more, as Svix repeats it: {again['status']}.")
    deliveries = await _settled(stage, event_id)
    seconds = time.perf_counter() - started
    receipts = await _tell(stage, phones)
    summary = _account(stage, phones, throttled, deliveries, notifications, seconds, answer, again)
    return {**summary, "ok": summary["ok"] and receipts["ignored"] == 0, "receipts": receipts}


def _cast(notifications: int) -> list[Phone]:
    """One phone per person; some also have an old one, from which the app was removed.

    Fewer than one in twenty have one: more would look like a fault, and trip the prune brake.
    """
    phones = []
    for number in range(notifications):
        user = f"person-{number}"
        phones.append(_phone(user, PHONES[number % len(PHONES)]))
        if number % 25 == 3:
            phones.append(_phone(user, PHONES[(number + 1) % len(PHONES)], gone=True))
    return phones


def _phone(user: str, kind: PhoneKind, *, gone: bool = False) -> Phone:
    return Phone(user, kind, kind.address(secrets.randbits(64)), gone)


async def _register(stage: Stage, phones: list[Phone]) -> None:
    gate = asyncio.Semaphore(_CONCURRENT)

    async def register(number: int, phone: Phone) -> None:
        token = jwt.encode(
            {"sub": phone.user, "exp": int(time.time()) + 600}, stage.jwt_secret, "HS256"
        )
        body = {
            "platform": phone.kind.platform.value,
            "provider": phone.kind.provider,
            "address": phone.address,
            "measure": "granted",
            "can": ["received", "opened"],
        }
        async with (
            gate,
            stage.http.put(
                f"{stage.url}/v1/devices/phone-{number}",
                json=body,
                headers={"Authorization": f"Bearer {token}"},
            ) as response,
        ):
            response.raise_for_status()
            stage.sandbox.log_in(phone.address, (await response.json())["for"])

    await asyncio.gather(*(register(number, phone) for number, phone in enumerate(phones)))


async def _post_batch(
    stage: Stage, notifications: int, event_id: str = ""
) -> tuple[str, dict[str, Any]]:
    event_id = event_id or f"msg_{secrets.token_hex(12)}"
    body = json.dumps(_batch(notifications)).encode()
    timestamp = int(time.time())
    headers = {
        "svix-id": event_id,
        "svix-timestamp": str(timestamp),
        "svix-signature": sign(decode_secret(stage.webhook_secret), event_id, timestamp, body),
        "content-type": "application/json",
    }
    async with stage.http.post(
        f"{stage.url}/webhooks/learnink", data=body, headers=headers
    ) as response:
        return event_id, await response.json()


def _batch(notifications: int) -> dict[str, Any]:
    return {
        "api_version": "2022-11-15",
        "object": "event",
        "type": "notifications.sent",
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "data": {
            "notifications": [
                {
                    "title": f"Hi {_NAMES[number % len(_NAMES)]}!",
                    "body": "Don't forget to complete your training today",
                    "path": _PATHS[number % len(_PATHS)],
                    "user_id": f"learnink-{number}",
                    "custom_id": f"person-{number}",
                    "phone_number": None,
                }
                for number in range(notifications)
            ]
        },
    }


async def _settled(stage: Stage, event_id: str) -> dict[str, int]:
    """Wait until no delivery is pending, and report the progress."""
    deadline = time.monotonic() + _SETTLE_S
    told = -1
    while True:
        summary = await stage.gateway.stores.journal.event(event_id)
        assert summary is not None
        if summary.settled or time.monotonic() > deadline:
            return summary.deliveries
        pending = summary.deliveries["pending"]
        if pending != told:
            told = pending
            stage.say(f"  delivered {summary.deliveries['delivered']}, waiting {pending} ...")
        await asyncio.sleep(0.5)


async def _tell(stage: Stage, phones: list[Phone]) -> dict[str, int]:
    """Every phone tells that its push came, and every other one that it was opened, at the next
    time that it is online; none has a token any more. Returns how many were kept."""
    told = {"accepted": 0, "ignored": 0}
    for number, phone in enumerate(phones):
        kinds = ("received", "opened") if number % 2 == 0 else ("received",)
        shown = stage.sandbox.phone(phone.address)
        now = time.time()
        receipts = [
            {
                "event_id": push.data["event_id"],
                "receipt": push.data["receipt"],
                "kind": kind,
                "at": now,
            }
            for push in shown
            for kind in kinds
        ]
        if not receipts:
            continue
        async with stage.http.post(
            f"{stage.url}/v1/receipts", json={"sent_at": now, "receipts": receipts}
        ) as response:
            response.raise_for_status()
            answer = await response.json()
        told["accepted"] += answer["accepted"]
        told["ignored"] += len(answer["ignored"])
    stage.say(
        f"The phones told what became of their pushes: {told['accepted']} receipts, without a "
        "token, by the word that came with each push."
    )
    return told


def _account(
    stage: Stage,
    phones: list[Phone],
    throttled: list[Phone],
    deliveries: dict[str, int],
    notifications: int,
    seconds: float,
    answer: dict[str, Any],
    again: dict[str, Any],
) -> dict[str, Any]:
    """Report what happened, as the phones saw it."""
    shown = {phone.address: stage.sandbox.phone(phone.address) for phone in phones}
    for phone in phones[:4]:
        for push in shown[phone.address]:
            stage.say(
                f"  [{phone.kind.name}] {push.title} {push.body}  ->  {push.data.get('path')}"
            )
    arrived = sum(len(pushes) for pushes in shown.values())
    reached = {phone.user for phone in phones if shown[phone.address]}
    gone = sum(phone.gone for phone in phones)
    accepted_twice = stage.sandbox.stats()["accepted"] - arrived
    stage.say(
        f"{arrived} pushes on {len(reached)} people's phones in {seconds:.1f} s; "
        f"{deliveries['pruned']} dead addresses pruned on the vendors' proof; "
        f"{len(throttled)} throttled by the vendors and sent later; none twice."
        if accepted_twice == 0
        else f"{accepted_twice} pushes were repeated."
    )
    ok = (
        len(reached) == notifications
        and deliveries["delivered"] == notifications
        and deliveries["pruned"] == gone
        and deliveries["pending"] == 0
        and accepted_twice == 0
        and answer["status"] == "accepted"
        and again["status"] == "duplicate"
    )
    return {
        "ok": ok,
        "notifications": notifications,
        "phones": len(phones),
        "accepted": answer["notifications"],
        "delivered": deliveries["delivered"],
        "pruned": deliveries["pruned"],
        "retried": len(throttled),
        "repeated": accepted_twice,
        "deliveries": deliveries,
        "seconds": round(seconds, 2),
    }


async def _stay(stage: Stage) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    stage.say(
        f"Still up until Ctrl-C: webhooks and API on {stage.url}, metrics and health on "
        f"http://127.0.0.1:{stage.gateway.ops_port} (/metrics, /readyz)."
    )
    await ended.wait()
