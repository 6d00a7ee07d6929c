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

from tests.simulation.doors import Doors, custom_id, ids_of
from tests.simulation.gateways import Life
from tests.simulation.truth import AddressStory, Batch, Change

if TYPE_CHECKING:
    from tests.simulation.world import World

Request = Callable[[Doors], Awaitable[int]]

_PATIENCE_S = 15.0
#: seconds between two looks whether an erase is done
_LOOK_S = 0.5
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
    #: its registration is not answered yet, or was taken away: nobody owns the installation
    away: bool = True

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

    async def ask(self, request: Request, given_up: Callable[[], None] = lambda: None) -> int:
        """One request: its status, or 0 when no answer came. `given_up` is called when the client
        hangs up, and the gateway may still carry the request out."""
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

        task = loop.create_task(_status(request, life.doors), context=life.process.context.copy())
        task.add_done_callback(answered, context=life.process.context)
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await asyncio.wait([answer, life.ended], return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            world.trace.count("a request timed out")
            given_up()
        status = answer.result() if answer.done() else 0
        await self._travel()
        return status

    async def until(
        self,
        request: Request,
        good: tuple[int, ...],
        given_up: Callable[[], None] = lambda: None,
    ) -> int:
        """Repeat a request until it is answered for good."""
        wait = 0.2
        while (status := await self.ask(request, given_up)) not in good:
            await asyncio.sleep(wait * (0.5 + self._world.chance.turn("again")))
            wait = min(wait * 2, 5.0)
        return status

    async def _travel(self) -> None:
        low, high = self._world.plan.sizes.network_s
        await asyncio.sleep(low + (high - low) * self._world.chance.turn("network"))


async def _status(request: Request, doors: Doors) -> int:
    return await request(doors)


class LearnInk:
    """Sends batches, and repeats each until it is answered with 2xx."""

    def __init__(self, world: World, callers: Callers) -> None:
        self._world = world
        self._callers = callers

    async def send(
        self,
        event_id: str,
        users: list[int],
        *,
        poison: int | None = None,
        late_s: float = 0.0,
        has_bad_item: bool = False,
    ) -> None:
        """One event: a notification for each of these users. `late_s`: how old it is."""
        world = self._world
        now = world.truth.now
        occurred = world.truth.wall(now - late_s)
        batch = world.truth.batches[event_id] = Batch(
            event_id, now, now - late_s + world.plan.sizes.max_age_s, users, poison, has_bad_item
        )
        body = _body(batch, occurred, world.plan.sizes.text_bytes)
        world.trace.add("learnink", "sends", event_id, *users)
        status = await self._callers.until(
            lambda doors: doors.post_webhook(event_id, world.truth.wall(world.truth.now), body),
            (200,),
        )
        if batch.accepted_at is None:
            batch.accepted_at = world.truth.now
        world.trace.add("learnink", "is answered", event_id, status)

    async def repeat(self, event_id: str, late_s: float) -> None:
        """The same event once more, as when an answer was lost on the way."""
        world = self._world
        batch = world.truth.batches.get(event_id)
        if batch is None:
            return
        body = _body(batch, world.truth.wall(batch.sent_at - late_s), 0)
        now = world.truth.wall(world.truth.now)
        await self._callers.until(lambda doors: doors.post_webhook(event_id, now, body), (200,))


class Strangers:
    """Try what they may not. What they get by it is a violation of `doors`."""

    def __init__(self, world: World, callers: Callers, apps: Apps) -> None:
        self._world = world
        self._callers = callers
        self._apps = apps

    async def forge(self, event_id: str, user: int) -> None:
        """Post a batch with another key, and one with an old signature."""
        now = self._world.truth.wall(self._world.truth.now)
        body = _body(Batch(event_id, 0.0, 0.0, [user]), now, 0)
        other = await self._callers.ask(
            lambda doors: doors.post_webhook(event_id, now, body, b"a key of a stranger's own")
        )
        stale = await self._callers.ask(
            lambda doors: doors.post_webhook(event_id, now - 1000.0, body)
        )
        self._refused("a forged batch", other, (401, 503))
        self._refused("a captured batch", stale, (401, 503))

    async def steal(self, number: int, thief: int) -> None:
        """Take, log out and erase what is another user's."""
        phone = self._apps.phones[number % len(self._apps.phones)]
        owner, installation = phone.user, phone.installation
        if owner is None or owner == thief:
            return
        taken = {"platform": "android", "provider": "fcm", "address": f"stolen-{number}"}
        other = await self._callers.ask(lambda doors: doors.delete_device(installation, thief))
        self._refused("a logout", other, (204, 503))
        if custom_id(owner) not in ids_of(thief).values():
            erased = await self._callers.ask(lambda doors: doors.erase_user(owner, by=thief))
            self._refused("an erase", erased, (403, 503))
        new = f"stolen-{number}"
        named = await self._callers.ask(
            lambda doors: doors.put_device(new, thief, taken | ids_of(owner))
        )
        self._refused("a registration for another user", named, (403, 503))
        if self._is_owned(phone, owner, installation):
            put = await self._callers.ask(
                lambda doors: doors.put_device(installation, thief, taken | ids_of(thief))
            )
            if self._is_owned(phone, owner, installation):
                self._refused("a registration", put, (409, 503))

    def _is_owned(self, phone: Phone, owner: int, installation: str) -> bool:
        """Whether a phone is registered, as far as anybody was told."""
        is_same = phone.user == owner and phone.installation == installation
        return is_same and not phone.away and self._world.truth.addresses[phone.address].is_stored

    def _refused(self, what: str, status: int, right: tuple[int, ...]) -> None:
        if status not in (0, *right):
            self._world.findings.broken("doors", f"{what} of a stranger was answered {status}")


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
        """A user opens the app. `new` says what is new: "token", "installation" (with the token
        that the phone had), "both", "app" (both, without a word of the former token) or ""."""
        number %= len(self.phones)
        async with self._turns[number]:
            phone = self.phones[number]
            document: dict[str, Any] = {"platform": phone.platform, "provider": phone.provider}
            document |= ids_of(user)
            now = self._world.truth.now
            before = phone.address
            names_former = new in ("token", "both")
            if names_former or new == "app":
                phone.rotations += 1
                self._left(before, now)
            if names_former:
                document["old_address"] = before
            self._world.handsets.switch_on(number)
            if new in ("installation", "both", "app"):
                phone.installation = f"installation-{number}-{now:.4f}"
                self._world.handsets.reinstall(number)
            document["address"] = phone.address
            if phone.provider == "apns" and environment:
                document["environment"] = environment
            story = self._story(phone)
            story.revive()
            changes = [Change(now, user)]
            story.changes.append(changes[0])
            former = self._world.truth.addresses.get(before)
            if names_former and former is not None:
                changes.append(Change(now, None))
                former.changes.append(changes[1])
            phone.user, phone.away = user, True
            self._world.trace.add(f"phone {number}", "registers", phone.address[:12], user)
            installation = phone.installation
            status = await self._callers.until(
                lambda doors: doors.put_device(installation, user, document),
                (200, 201),
                story.dispute,
            )
            for change in changes:
                change.answered_at = self._world.truth.now
            phone.away = False
            self._world.handsets.log_in(number, user)
            self._world.trace.add(f"phone {number}", "is answered", status)
            if story.is_alone(change):
                self._world.ends.registered_is_active(phone.address, change.asked_at)

    async def log_out(self, number: int) -> None:
        """The user logs out."""
        number %= len(self.phones)
        async with self._turns[number]:
            phone = self.phones[number]
            user = phone.user
            if user is None:
                return
            story = self._story(phone)
            change = Change(self._world.truth.now, None)
            story.changes.append(change)
            phone.user, phone.away = None, True
            self._world.handsets.switch_on(number)
            self._world.handsets.log_in(number, None)
            self._world.trace.add(f"phone {number}", "logs out", user)
            installation = phone.installation
            await self._callers.until(
                lambda doors: doors.delete_device(installation, user), (204,), story.dispute
            )
            change.answered_at = self._world.truth.now

    async def erase(self, user: int) -> None:
        """The customer's backend erases a user."""
        now = self._world.truth.now
        changes, stories = [], []
        for story in self._world.truth.addresses.values():
            if user in story.owners(now, now):
                if not story.is_settled:
                    story.dispute()  # what is still on its way may be carried out after the erase
                changes.append(Change(now, None))
                story.changes.append(changes[-1])
                stories.append(story)
        for phone in self.phones:
            phone.away = phone.away or phone.user == user
        self._world.trace.add("backend", "erases", user)

        def given_up() -> None:
            for story in stories:
                story.dispute()

        self._world.truth.erasing[user] = None
        self._world.truth.erased_at[user] = now
        await self._callers.until(lambda doors: doors.erase_user(user), (204,), given_up)
        self._world.truth.erasing.pop(user, None)
        self._world.truth.erased[user] = (now, self._world.truth.now)
        for change in changes:
            change.answered_at = self._world.truth.now
        while not self._world.ends.erasure_is_done():  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(_LOOK_S)
        self._world.ends.erased(user, now)

    def uninstall(self, number: int) -> None:
        """The app goes: its address is dead from now on."""
        number %= len(self.phones)
        story = self._story(self.phones[number])
        if story.dead_since is None:
            story.dead_since = self._world.truth.now
            self._world.handsets.switch_on(number)
            self._world.handsets.reinstall(number)
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


def _body(batch: Batch, occurred: float, text_bytes: int) -> bytes:
    entries = []
    for index, user in enumerate(batch.users):
        entry: dict[str, Any] = {
            "title": batch.title(index),
            "body": "Train!" + "x" * text_bytes,
            "path": "/learning",
        }
        ids = ids_of(user)
        if len(ids) > 1 and index % 3:  # by both ids, or by one of them
            del ids["user_id" if index % 3 == 1 else "custom_id"]
        entries.append(entry | ids)
    if batch.has_bad_item:
        entries.append({"title": 5, **ids_of(0)})
    envelope = {
        "api_version": "2022-11-15",
        "object": "event",
        "type": "notifications.sent",
        "timestamp": datetime.fromtimestamp(occurred, UTC).isoformat(),
        "data": {"notifications": entries},
    }
    return json.dumps(envelope).encode()
