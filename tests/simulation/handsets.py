"""The phones' own side of a history: what reaches them, and what they show.

Owns a `providers.sandbox.handset.Handset` for each phone, so that the rules are the sandbox's, and
what must hold of them: nothing is shown twice, or after its time. What a push carries is read from
the request that the product writes for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, cast

from providers.apns.codec import ApnsRequest, Codec
from providers.apns.options import ApnsOptions
from providers.contract import Push
from providers.fcm.payload import FcmStyle, render
from providers.sandbox.handset import Fate, Handset, Outcome, Parcel
from providers.sandbox.parcels import apns_parcel, fcm_parcel
from providers.sandbox.received import Draft
from tests.simulation.chance import Chance
from tests.simulation.doors import words_of
from tests.simulation.invariants.findings import SLACK_S, Findings
from tests.simulation.receipts import Tellers

_OPEN = 0.3
"""The share of the phones whose app is open while they are on."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A push, by what it says of itself."""

    event_id: str
    delivery_id: str
    receipt: str = field(default="", compare=False)


Pack = Callable[[float], Parcel[Sent]]
"""A push as its vendor takes it at a time (epoch seconds)."""


class Handsets:
    """All phones by number. `is_prompt`: no push is taken long after it was written."""

    def __init__(self, findings: Findings, chance: Chance, *, is_prompt: bool) -> None:
        self._findings = findings
        self._truth = findings.truth
        self._chance = chance
        self._is_prompt = is_prompt
        self._handsets: dict[int, Handset[Sent]] = {}
        self.tellers: Tellers | None = None
        """Those who tell of what came, where somebody asks."""

    # --- what happens to them -------------------------------------------------------------------

    def took(self, address: str, pack: Pack) -> None:
        """A vendor took a push for an address whose app is there."""
        number = self._truth.addresses[address].phone
        now = self._now
        self._look(number, self._of(number).take(pack(now), now))

    def switch_off(self, number: int) -> None:
        self._of(number).turn_off()

    def switch_on(self, number: int) -> None:
        handset = self._of(number)
        outcomes = handset.turn_on(self._now)
        handset.is_open = self._chance.share("open", number) < _OPEN
        self._look(number, outcomes)

    def deny(self, number: int) -> None:
        self._of(number).deny()

    def log_in(self, number: int, user: int | None) -> None:
        """Somebody is logged in, or nobody is."""
        self._of(number).log_in(frozenset() if user is None else words_of(user))

    def reinstall(self, number: int) -> None:
        """The app is gone, or as new."""
        self._look(number, self._of(number).reinstall(self._now))

    def wake_all(self) -> None:
        """Whoever is off is on again."""
        for number, handset in self._handsets.items():
            if not handset.is_on:
                self.switch_on(number)

    # --- what must hold -------------------------------------------------------------------------

    def _look(self, number: int, outcomes: Iterable[Outcome[Sent]]) -> None:
        for outcome in outcomes:
            sent = outcome.parcel.push
            self._findings.trace.add(f"phone {number}", outcome.fate, sent.delivery_id)
            self._findings.trace.count(f"a push was {outcome.fate}")
            if self.tellers is not None:
                is_shown = outcome.fate is Fate.SHOWN
                self.tellers.of(number, sent, reached_app=outcome.reached_app, is_shown=is_shown)
            if outcome.fate is Fate.SHOWN:
                self._in_time(number, sent)
                self._once(number, sent)

    def _in_time(self, number: int, sent: Sent) -> None:
        batch = self._truth.batches.get(sent.event_id)
        if batch is None:
            return
        findings, now = self._findings, self._truth.now
        late = now - max(batch.deadline, batch.second_life)
        # FCM counts a life from when it took the push
        slack = SLACK_S + findings.sizes.timeout_s
        # scripted vendors stand still with the relay that speaks to them, and take it afterwards
        stood_still = now - findings.thawed_at <= slack
        is_excused = findings.began_wrong or stood_still
        if late > slack and self._is_prompt and not is_excused:
            text = f"phone {number} shows {sent.delivery_id} {late:.2f} s late"
            findings.broken("shown_in_time", text)

    def _once(self, number: int, sent: Sent) -> None:
        times = sum(one.parcel.push == sent for one in self._of(number).shade)
        if times > 1:
            text = f"phone {number} shows {sent.delivery_id} {times} times"
            self._findings.broken("shown_once", text)

    # --- inside ---------------------------------------------------------------------------------

    def _of(self, number: int) -> Handset[Sent]:
        handset = self._handsets.get(number)
        if handset is None:
            handset = self._handsets[number] = Handset(partial(self._lot, number))
            handset.is_open = self._chance.share("open", number) < _OPEN
        return handset

    def _lot(self, number: int, count: int) -> int:
        return int(self._chance.turn(f"lot of phone {number}") * count)

    @property
    def _now(self) -> float:
        return self._truth.wall(self._truth.now)


def packed(push: Push, provider: str, written_at: float) -> Pack:
    """A push of the scripted transport; `written_at` by the clock of its process."""
    sent = Sent(push.message.event_id, push.delivery_id, push.receipt)

    def pack(at: float) -> Parcel[Sent]:
        if provider == "fcm":
            return fcm_parcel(sent, render(push.message, push, FcmStyle(), written_at), at)
        request = _apns().write(push)
        assert isinstance(request, ApnsRequest)
        headers = {
            name.removeprefix("apns-").replace("-", "_"): text for name, text in request.headers
        }
        payload = json.loads(request.body)
        return apns_parcel(sent, headers, payload, payload["data"], at)

    return pack


def drafted(draft: Draft) -> Pack:
    """A push that came to the sandbox."""
    data = draft.data
    sent = Sent(data["event_id"], data["delivery_id"], data.get("receipt", ""))
    raw: Mapping[str, Any] = draft.raw or {}

    def pack(at: float) -> Parcel[Sent]:
        if draft.provider == "fcm":
            return fcm_parcel(sent, raw, at)
        headers = {**draft.headers, "collapse_id": draft.collapse_id}
        return apns_parcel(sent, headers, raw, draft.data, at)

    return pack


@cache
def _apns() -> Codec:
    # what a push carries does not need the key
    credentials = cast("Any", None)
    return Codec(ApnsOptions("demo.app", "", "", credentials), lambda: 0.0)
