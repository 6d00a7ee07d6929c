"""A provider of any kind against a sandbox: what the conformance suite is written for.

A transport joins the suite by a line in `FACTORIES`.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from providers.apns.credentials import ApnsCredentials
from providers.apns.native import ApnsNativeProvider
from providers.apns.options import ApnsOptions
from providers.apns.sdk import ApnsSdkProvider
from providers.contract import (
    Address,
    AddressKind,
    Environment,
    Message,
    Misconfigured,
    Platform,
    Push,
    PushProvider,
    Unavailable,
    Verdict,
)
from providers.fcm.credentials import FcmCredentials
from providers.fcm.native import FcmNativeProvider
from providers.fcm.options import FcmOptions
from providers.fcm.sdk import FcmSdkProvider
from providers.sandbox import Credentials, ReceivedPush, Sandbox

DEADLINE_S = 180.0
MESSAGE = Message("msg_1", "Hi Mary!", "Don't forget to complete your training", "/learning")


class Clock:
    """The wall clock, which can be moved on."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead_s


Make = Callable[[Sandbox, Credentials, Clock, dict[str, Any]], PushProvider]


def _fcm(factory: Callable[..., PushProvider]) -> Make:
    def make(
        sandbox: Sandbox, files: Credentials, clock: Clock, options: dict[str, Any]
    ) -> PushProvider:
        given = dict(options)
        ca_file = given.pop("ca_file", str(files.ca_file))
        key_file = given.pop("fcm_file", files.fcm_file)
        credentials = FcmCredentials.load(key_file, clock=clock, ca_file=str(files.ca_file))
        values = {"project_id": "", "endpoint": sandbox.fcm_url, "ca_file": ca_file} | given
        return factory(FcmOptions(credentials=credentials, **values), clock)

    return make


def _apns(factory: Callable[..., PushProvider]) -> Make:
    def make(
        sandbox: Sandbox, files: Credentials, clock: Clock, options: dict[str, Any]
    ) -> PushProvider:
        given = dict(options)
        key_file = given.pop("key_file", files.apns_key_file)
        credentials = ApnsCredentials.load(key_file, files.key_id, files.team_id, clock=clock)
        values = {
            "topic": files.topic,
            "endpoint": sandbox.apns_url,
            "sandbox_endpoint": sandbox.apns_sandbox_url,
            "ca_file": str(files.ca_file),
        }
        return factory(ApnsOptions(credentials=credentials, **(values | given)), clock)

    return make


FACTORIES: dict[str, tuple[str, Make]] = {
    "apns-native": ("apns", _apns(ApnsNativeProvider)),
    "apns-sdk": ("apns", _apns(ApnsSdkProvider)),
    "fcm-native": ("fcm", _fcm(FcmNativeProvider)),
    "fcm-sdk": ("fcm", _fcm(FcmSdkProvider)),
}


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition; failing to come true in three minutes is a failure."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        await asyncio.sleep(0.002)


@dataclass
class Rig:
    """A started provider and its sandbox. Checks that no push gets two verdicts."""

    kind: str
    provider: PushProvider
    sandbox: Sandbox
    files: Credentials
    clock: Clock
    verdicts: dict[Any, Verdict] = field(default_factory=dict)
    settled: Counter[Any] = field(default_factory=Counter)

    @property
    def part(self) -> str:
        """The part of its lane that most of its addresses belong to."""
        return "production" if self.kind == "apns" else "android"

    @property
    def free(self) -> int:
        """How many pushes of that part it takes now."""
        return self.provider.free(self.part)

    async def check(self) -> Misconfigured | Unavailable | None:
        """What the vendor says of us, asked for that part."""
        return await self.provider.check(self.part)

    def address(
        self, number: int = 1, environment: Environment = Environment.PRODUCTION
    ) -> Address:
        """A well-formed address of this vendor."""
        if self.kind == "apns":
            return Address(f"{number:064x}", platform=Platform.IOS, environment=environment)
        return Address(f"dXJtb{number:06d}:APA91b{'Zm9vYmFy' * 16}", AddressKind.TOKEN)

    def push(self, address: Address | None = None, message: Message = MESSAGE) -> Push:
        """A push that lives for an hour."""
        address = address or self.address()
        return Push(str(uuid4()), address, message, self.clock() + 3600, word="Zm9yLW1hcnktMTIz")

    def send(self, pushes: Sequence[Push]) -> None:
        """Hand over as they are, whatever `free` says."""
        self.provider.send(pushes, self._settle)

    async def deliver(self, *pushes: Push) -> list[Verdict]:
        """Send as the lane does, never more than `free`; the verdicts, in order."""
        todo = list(pushes)
        deadline = time.monotonic() + DEADLINE_S
        while todo:
            room = self.free
            if room:
                self.send(todo[:room])
                del todo[:room]
            assert time.monotonic() < deadline, "the transport takes no more"
            await asyncio.sleep(0.001)
        return await self.outcome(*pushes)

    async def outcome(self, *pushes: Push) -> list[Verdict]:
        """Wait for the verdicts of these pushes."""
        await until(lambda: all(push.delivery_id in self.verdicts for push in pushes))
        return [self.verdicts[push.delivery_id] for push in pushes]

    async def one(self, push: Push | None = None) -> Verdict:
        """Send one push; its verdict."""
        return (await self.deliver(push or self.push()))[0]

    @property
    def seen(self) -> list[ReceivedPush]:
        """What arrived at the vendor."""
        return self.sandbox.pushes

    def _settle(self, batch: Sequence[tuple[Push, Verdict]]) -> None:
        for push, verdict in batch:
            self.verdicts[push.delivery_id] = verdict
            self.settled[push.delivery_id] += 1


@asynccontextmanager
async def rig(
    name: str, sandbox: Sandbox, folder: Path, clock: Clock | None = None, **options: Any
) -> AsyncIterator[Rig]:
    """A rig for a transport of `FACTORIES`; `options` replace those of the transport."""
    kind, make = FACTORIES[name]
    files = sandbox.write_credentials(folder)
    clock = clock or Clock()
    provider = make(sandbox, files, clock, options)
    await provider.start()
    made = Rig(kind, provider, sandbox, files, clock)
    try:
        yield made
    finally:
        await provider.aclose()
        assert provider.in_flight == 0
        assert set(made.settled.values()) <= {1}, "a push got more than one verdict"
