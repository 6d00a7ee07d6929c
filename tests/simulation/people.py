"""Those who call the gateway: LearnInk with its batches, and the phones with their apps.

Owns that each of them repeats a request until it is answered, as the contract asks of them, and
writes down what they may then rely on. Requests and answers take time, and are lost when a process
dies.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tests.simulation import doors
from tests.simulation.gateways import POISON, Life
from tests.simulation.truth import AddressStory, Batch, Change

if TYPE_CHECKING:
    from tests.simulation.world import World

Request = Callable[[Life], Awaitable[int]]

_PATIENCE_S = 15.0
"""Svix gives a request 15 seconds."""


@dataclass(slots=True)
class Phone:
    """A phone with the app. `user` is who is logged in, None when nobody is."""

    number: int
    provider: str
    platform: str
    part: str
    installation: str
    rotations: int = 0
    user: int | None = None

    @property
    def address(self) -> str:
        if self.provider == "apns":
            return f"{self.number:04x}{self.rotations:04x}".ljust(64, "a")
        return f"token-{self.number}-{self.rotations}"


def phones(count: int) -> list[Phone]:
    """Phones of all kinds: Android, iPhones with FCM and with APNs, a browser, a developer's."""
    kinds = (
        ("fcm", "android", "android"),
        ("apns", "ios", "production"),
        ("fcm", "ios", "ios"),
        ("apns", "ios", "production"),
        ("fcm", "android", "android"),
        ("apns", "ios", "sandbox"),
        ("fcm", "web", "web"),
    )
    return [
        Phone(number, *kinds[number % len(kinds)], installation=f"installation-{number}")
        for number in range(count)
    ]


class Callers:
    """Sends requests to a living gateway, and waits for answers as long as a client does."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._asked = 0

    async def ask(self, request: Request) -> int:
        """One request: its status, or 0 when no answer came."""
        world = self._world
        await self._travel()
        self._asked += 1
        running = [house.running for house in world.replicas if house.running is not None]
        if not running:
            return 0
        life: Life = world.chance.one_of(running, "balancer", self._asked)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[int] = loop.create_future()

        def answered(task: asyncio.Task[int]) -> None:
            if not answer.done():
                answer.set_result(task.result())

        task = loop.create_task(_status(request, life), context=life.process.context.copy())
        task.add_done_callback(answered, context=life.process.context)
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await asyncio.wait([answer, life.ended], return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            world.trace.count("a request timed out")
        status = answer.result() if answer.done() else 0
        await self._travel()
        return status

    async def until(self, request: Request, good: tuple[int, ...]) -> int:
        """Repeat a request until it is answered for good."""
        wait = 0.2
        while (status := await self.ask(request)) not in good:
            await asyncio.sleep(wait * (0.5 + self._world.chance.turn("again")))
            wait = min(wait * 2, 5.0)
        return status

    async def _travel(self) -> None:
        low, high = self._world.plan.sizes.network_s
        await asyncio.sleep(low + (high - low) * self._world.chance.turn("network"))


async def _status(request: Request, life: Life) -> int:
    return await request(life)


class LearnInk:
    """Sends batches, and repeats each until it is answered with 2xx."""

    def __init__(self, world: World, callers: Callers) -> None:
        self._world = world
        self._callers = callers

    async def send(
        self, event_id: str, users: list[int], *, poison: int | None = None, late_s: float = 0.0
    ) -> None:
        """One event: a notification for each of these users. `late_s`: how old it is."""
        world = self._world
        now = world.truth.now
        occurred = world.truth.wall(now - late_s)
        batch = world.truth.batches[event_id] = Batch(
            event_id, now, now - late_s + world.plan.sizes.max_age_s, users, poison
        )
        body = _body(event_id, users, occurred, poison, world.plan.sizes.text_bytes)
        world.trace.add("learnink", "sends", event_id, *users)
        status = await self._callers.until(
            lambda life: doors.post_webhook(life, event_id, body), (200,)
        )
        batch.accepted_at = world.truth.now
        world.trace.add("learnink", "is answered", event_id, status)


class Apps:
    """The apps on all phones: each does one thing after the other."""

    def __init__(self, world: World, callers: Callers, owned: list[Phone]) -> None:
        self._world = world
        self._callers = callers
        self.phones = owned
        self._turns = [asyncio.Lock() for _ in owned]

    async def register(
        self, number: int, user: int, *, environment: str | None = None, new: str = ""
    ) -> None:
        """A user opens the app. `new` says what is new: "token", "app" (installed again) or ""."""
        async with self._turns[number]:
            phone = self.phones[number]
            document: dict[str, Any] = {"platform": phone.platform, "provider": phone.provider}
            now = self._world.truth.now
            before = phone.address
            if new:
                phone.rotations += 1
                self._left(before, now)
            if new == "token":
                document["old_address"] = before
            if new == "app":
                phone.installation = f"installation-{number}-{phone.rotations}"
            document["address"] = phone.address
            if phone.provider == "apns" and environment:
                document["environment"] = environment
            story = self._story(phone)
            story.dead_since = None
            change = Change(now, user)
            story.changes.append(change)
            phone.user = user
            self._world.trace.add(f"phone {number}", "registers", phone.address[:12], user)
            installation = phone.installation
            status = await self._callers.until(
                lambda life: doors.put_device(life, installation, user, document), (200, 201)
            )
            change.answered_at = self._world.truth.now
            self._world.trace.add(f"phone {number}", "is answered", status)

    async def log_out(self, number: int) -> None:
        """The user logs out."""
        async with self._turns[number]:
            phone = self.phones[number]
            user = phone.user
            if user is None:
                return
            change = Change(self._world.truth.now, None)
            self._story(phone).changes.append(change)
            phone.user = None
            self._world.trace.add(f"phone {number}", "logs out", user)
            installation = phone.installation
            await self._callers.until(
                lambda life: doors.delete_device(life, installation, user), (204,)
            )
            change.answered_at = self._world.truth.now

    async def erase(self, user: int) -> None:
        """The customer's backend erases a user."""
        now = self._world.truth.now
        changes = []
        for story in self._world.truth.addresses.values():
            if user in story.owners(now, now):
                changes.append(Change(now, None))
                story.changes.append(changes[-1])
        self._world.trace.add("backend", "erases", user)
        await self._callers.until(lambda life: doors.erase_user(life, user), (204,))
        for change in changes:
            change.answered_at = self._world.truth.now
        self._world.erased.append((user, self._world.truth.now))

    def uninstall(self, number: int) -> None:
        """The app goes: its address is dead from now on."""
        story = self._story(self.phones[number])
        if story.dead_since is None:
            story.dead_since = self._world.truth.now
            self._world.trace.add(f"phone {number}", "uninstalls")

    def _left(self, address: str, now: float) -> None:
        """An address that the phone no longer has: nobody's, and dead for the vendor."""
        story = self._world.truth.addresses.get(address)
        if story is not None:
            story.dead_since = now

    def _story(self, phone: Phone) -> AddressStory:
        return self._world.truth.addresses.setdefault(
            phone.address, AddressStory(phone.number, "demo", phone.provider, phone.part)
        )


def _body(
    event_id: str, users: list[int], occurred: float, poison: int | None, text_bytes: int
) -> bytes:
    entries = []
    for index, user in enumerate(users):
        entry: dict[str, Any] = {
            "title": POISON if index == poison else f"{event_id} {index}",
            "body": "Train!" + "x" * text_bytes,
            "path": "/learning",
        }
        # by both ids, or by one of them
        if index % 3 != 1:
            entry["user_id"] = f"u{user}"
        if index % 3 != 2:
            entry["custom_id"] = f"c{user}"
        entries.append(entry)
    envelope = {
        "api_version": "2022-11-15",
        "object": "event",
        "type": "notifications.sent",
        "timestamp": datetime.fromtimestamp(occurred, UTC).isoformat(),
        "data": {"notifications": entries},
    }
    return json.dumps(envelope).encode()
