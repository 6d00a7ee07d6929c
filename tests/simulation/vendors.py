"""The push services of a history, and the scripted transport to them (tier A).

Owns what a vendor answers to a push, and what it remembers: it keeps what it took, also from a
process that died. The transport is a `providers.contract.PushProvider` that needs no socket: it
gives every push one verdict in time, as the contract says. Its own faults are tier B's matter.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from gateway.relay.work import Delivery
from providers.contract import (
    Address,
    CredentialStatus,
    Delivered,
    Misconfigured,
    Push,
    PushProvider,
    Refused,
    Settle,
    Throttled,
    TokenGone,
    Trouble,
    Unavailable,
    Verdict,
)
from tests.simulation.chance import Chance
from tests.simulation.handsets import Handsets, Pack, packed
from tests.simulation.invariants.pushes import PushInvariants
from tests.simulation.passing import PassingTransport
from tests.simulation.plan import Plan
from tests.simulation.truth import MONOTONIC_BEGAN, Key, Truth

UNREACHED = Trouble("Unreachable", "There is no way to the vendor.")


@dataclass(slots=True)
class Mood:
    """How a vendor treats some pushes for a while. None stands for any; `stays` is not a fault that
    ends: whoever it concerns is still at fault in the quiet phase."""

    verdict: str
    provider: str | None = None
    part: str | None = None
    phone: int | None = None
    stays: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)


class PushServices:
    """All vendors. `kill` ends the process that sends what is poison."""

    def __init__(self, plan: Plan, chance: Chance, truth: Truth, handsets: Handsets) -> None:
        self._plan = plan
        self._chance = chance
        self._truth = truth
        self._handsets = handsets
        self._asked: Counter[str] = Counter()
        self.moods: list[Mood] = []
        self.noisy = True
        #: delivery id -> how often a vendor took it
        self.took: Counter[str] = Counter()

    def calm(self) -> None:
        """The faults are over: what stays stays."""
        self.noisy = False
        self.moods = [mood for mood in self.moods if mood.stays]

    def at_fault(self, provider: str, part: str, phone: int | None) -> bool:
        """Whether a vendor would not take a push to this phone; None: to some phone."""
        return self._mood(provider, part, phone) is not None

    def is_reached(self, provider: str, part: str) -> bool:
        """Whether there is a way to the vendor."""
        mood = self._mood(provider, part, -1)
        return mood is None or mood.verdict not in ("not_looked_at", "silence")

    def delay(self, name: str) -> float:
        """How long a vendor takes."""
        low, high = self._plan.sizes.vendor_s
        return low + (high - low) * self._chance.turn(f"vendor/{name}") ** 3

    def judge(
        self, delivery_id: str, address: Address, provider: str, part: str, pack: Pack
    ) -> Verdict:
        """What a vendor answers now. It remembers what it took, and the phone gets it."""
        turn = self._asked[delivery_id] = self._asked[delivery_id] + 1
        draw = partial(self._chance.share, "verdict", delivery_id, turn)
        verdict = self._verdict(address, provider, part, draw)
        took = isinstance(verdict, Delivered)
        if isinstance(verdict, Unavailable) and not verdict.outcome_known:
            took = draw("took") < 0.5
        if took:
            self.took[delivery_id] += 1
            story = self._truth.addresses[address.value]
            if story.dead_since is None and story.part == part:
                self._handsets.took(address.value, pack)
        return verdict

    # --- inside ---------------------------------------------------------------------------------

    def _mood(self, provider: str, part: str, phone: int | None) -> Mood | None:
        for mood in self.moods:
            if (
                mood.provider in (None, provider)
                and mood.part in (None, part)
                and (phone is None or mood.phone in (None, phone))
            ):
                return mood
        return None

    def _verdict(
        self, address: Address, provider: str, part: str, draw: Callable[..., float]
    ) -> Verdict:
        story = self._truth.addresses.get(address.value)
        if story is None:
            return TokenGone("UNREGISTERED")
        mood = self._mood(provider, part, story.phone)
        kind = mood.verdict if mood is not None else self._noise(draw("noise"))
        facts = mood.facts if mood is not None else {}
        if kind in ("", "none"):
            return self._true_verdict(address, provider, part)
        told = facts.get("retry_after", (None, 1.0, 5.0, 20.0)[int(draw("told") * 4)])
        match kind:
            case "throttled_device":
                return Throttled("QUOTA_EXCEEDED", "device", told)
            case "throttled_lane":
                return Throttled("TooManyRequests", "lane", told)
            case "unavailable":
                return Unavailable("InternalServerError", outcome_known=True, retry_after=told)
            case "shutdown":
                return Unavailable("Shutdown", outcome_known=True, later_floor_s=20.0)
            case "unknown":
                return Unavailable("ConnectionLost", outcome_known=False)
            case "silence":
                return Unavailable("Timeout", outcome_known=False)
            case "not_looked_at":
                return Unavailable.not_looked_at("Unreachable", retry_after=draw("again") * 3)
            case "refused_message":
                return Refused("PayloadTooLarge")
            case "refused_address":
                self._suspect(address)
                return Refused("DeviceTokenNotForTopic", fault="address")
            case "gone_before":
                return self._gone_before(address, provider, part)
            case "gone_or_refused":
                return self._gone_or_refused(address, draw("doom"))
            case "unknown_token":
                return self._unknown_everywhere(address)
            case "misconfigured_part":
                if story.is_strange:
                    self._suspect(address)
                return Misconfigured("InvalidProviderToken", "Check the key.")
            case "misconfigured_target":
                if story.is_strange:
                    # of both environments one does not know it, and the other takes nothing for it
                    self._suspect(address)
                return Misconfigured("THIRD_PARTY_AUTH_ERROR", "Check the key.", about="target")
            case _:
                raise AssertionError(kind)

    def _true_verdict(self, address: Address, provider: str, part: str) -> Verdict:
        """What a vendor in good health answers."""
        story = self._truth.addresses[address.value]
        if part != story.part:
            if story.is_lost:
                self._suspect(address)
            story.is_strange = True
            return Refused("BadDeviceToken", fault="environment")
        if story.dead_since is not None:
            return self._gone(address, story.dead_since if provider == "apns" else None)
        return Delivered("taken")

    def _gone_before(self, address: Address, provider: str, part: str) -> Verdict:
        """What a vendor answers that has not heard yet that the app is there again."""
        story = self._truth.addresses[address.value]
        if story.dead_since is None and story.was_dead_since is not None and part == story.part:
            return self._gone(address, story.was_dead_since)
        return self._true_verdict(address, provider, part)

    def _gone_or_refused(self, address: Address, share: float) -> Verdict:
        """What a vendor answers that says now this, now that."""
        if share < 0.5:
            return self._gone(address, None)
        self._suspect(address)
        return Refused("SENDER_ID_MISMATCH", fault="address")

    def _unknown_everywhere(self, address: Address) -> Verdict:
        """What both environments answer to an address that neither of them knows."""
        story = self._truth.addresses[address.value]
        if story.is_strange:
            self._suspect(address)
        story.is_strange = story.is_lost = True
        return Refused("BadDeviceToken", fault="environment")

    def _gone(self, address: Address, since: float | None) -> TokenGone:
        story = self._truth.addresses[address.value]
        story.gone_said.append((self._truth.now, since))
        since_ms = None if since is None else int(self._truth.wall(since) * 1000)
        return TokenGone("Unregistered", since_ms)

    def _suspect(self, address: Address) -> None:
        self._truth.addresses[address.value].suspect_said.append(self._truth.now)

    def _noise(self, share: float) -> str:
        if self.noisy:
            for kind, part in self._plan.noise.items():
                if share < part:
                    return kind
                share -= part
        return ""


class ScriptedTransport:
    """The way of one process to one lane's vendor. `who` is the process, with its life."""

    def __init__(
        self,
        services: PushServices,
        plan: Plan,
        provider: str,
        who: str,
        parts: Callable[..., str],
        clock: Callable[[], float],
    ) -> None:
        self.burst = plan.sizes.burst
        self._services = services
        self._timeout_s = plan.sizes.timeout_s
        self._provider = provider
        self._who = who
        self._part_of = parts
        self._clock = clock
        self._open: dict[int, tuple[Push, Settle, float]] = {}
        self._numbers = 0
        self._closed = False

    def free(self, part: str) -> int:  # noqa: ARG002  # room is shared
        return 0 if self._closed else max(0, 3 * self.burst - len(self._open))

    @property
    def in_flight(self) -> int:
        return len(self._open)

    @property
    def connections(self) -> int:
        return 1

    @property
    def credential(self) -> CredentialStatus:
        return CredentialStatus()

    async def start(self) -> None:
        """There is nothing to get ready."""

    def send(self, pushes: Sequence[Push], settle: Settle) -> None:
        loop = asyncio.get_running_loop()
        there = self._services.delay(self._who)
        now, numbers = self._clock(), []
        for push in pushes:
            self._numbers += 1
            self._open[self._numbers] = push, settle, now
            numbers.append(self._numbers)
        # The vendor judges when the pushes arrive, and answers in two portions at most.
        half = len(numbers) // 2
        loop.call_later(there / 2, self._judge, numbers[:half] or numbers)
        if half:
            loop.call_later(there, self._judge, numbers[half:])

    def _judge(self, numbers: Sequence[int]) -> None:
        loop = asyncio.get_running_loop()
        answers: list[tuple[int, Verdict]] = []
        silent: list[tuple[int, Verdict]] = []
        for number in numbers:
            if number not in self._open:
                continue
            push, _, written_at = self._open[number]
            part = self._part_of(push.address)
            pack = packed(push, self._provider, written_at)
            verdict = self._services.judge(
                push.delivery_id, push.address, self._provider, part, pack
            )
            timed_out = isinstance(verdict, Unavailable) and verdict.reason == "Timeout"
            (silent if timed_out else answers).append((number, verdict))
        if answers:
            loop.call_later(self._services.delay(self._who) / 2, self._answer, answers)
        if silent:
            loop.call_later(self._timeout_s, self._answer, silent)

    def _answer(self, answers: Sequence[tuple[int, Verdict]]) -> None:
        batches: dict[int, tuple[Settle, list[tuple[Push, Verdict]]]] = {}
        for number, verdict in answers:
            if number in self._open:
                push, settle, _ = self._open.pop(number)
                batches.setdefault(id(settle), (settle, []))[1].append((push, verdict))
        for settle, batch in batches.values():
            settle(batch)

    def trouble(self, part: str) -> Trouble | None:
        return None if self._services.is_reached(self._provider, part) else UNREACHED

    async def reach(self, part: str) -> Trouble | None:
        await asyncio.sleep(self._services.delay(self._who))
        return self.trouble(part)

    async def check(self, part: str) -> Misconfigured | Unavailable | None:  # noqa: ARG002
        return None

    async def aclose(self) -> None:
        self._closed = True
        closed = Unavailable("Closed", outcome_known=False)
        self._answer([(number, closed) for number in list(self._open)])


class WatchedTransport(PassingTransport):
    """Any transport, with the invariants told of what is sent through it and what is heard."""

    def __init__(
        self,
        inner: PushProvider,
        pushes: PushInvariants,
        who: str,
        lane: str,
        sending: Callable[[Delivery], None],
        heard: Callable[[], None],
        *,
        is_in_use: Callable[[PushProvider], bool],
    ) -> None:
        super().__init__(inner)
        self._pushes = pushes
        self._who = who
        self._lane = lane
        self._sending = sending
        self._is_in_use = is_in_use
        self._hears = heard

    def send(self, pushes: Sequence[Push], settle: Settle) -> None:
        for push in pushes:
            assert isinstance(push, Delivery)
            key, address = key_of(push), push.address.value
            self._pushes.says(key, push.message, push.word)
            begun_at = push.work.since - MONOTONIC_BEGAN
            name = (self._who, self._lane, push.part)
            self._pushes.started(name, key, address, push.delivery_id, begun_at)
            self._pushes.corrections.started(key, push.collapse_id or push.delivery_id)
            self._pushes.order.started(key, push.collapse_id)
            self._sending(push)
        self._inner.send(pushes, partial(self._heard, settle))

    async def aclose(self) -> None:
        self._pushes.closing(self._who, self._inner.in_flight)
        await self._inner.aclose()

    def _heard(self, settle: Settle, verdicts: Sequence[tuple[Push, Verdict]]) -> None:
        transport = self if self._is_in_use(self) else None
        for push, verdict in verdicts:
            assert isinstance(push, Delivery)
            name = (self._who, self._lane, push.part)
            self._pushes.heard(name, key_of(push), verdict, transport)
        settle(verdicts)
        self._hears()


def key_of(delivery: Delivery) -> Key:
    """What a delivery is."""
    return delivery.work.chunk.event_id, delivery.item.index, delivery.target.device_id
