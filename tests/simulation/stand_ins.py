"""The vendors' servers of a history: the sandbox's own, with verdicts of `vendors.PushServices`.

Owns how a verdict is said in a vendor's words, and what a server's connection does that a good one
does not. The sandbox's checks of form, sender, topic and address stay in force.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import assert_never

from h2.errors import ErrorCodes
from hyperframe.frame import GoAwayFrame, SettingsFrame

from providers.contract import (
    Address,
    Delivered,
    Misconfigured,
    Refused,
    Throttled,
    TokenGone,
    Unavailable,
    Verdict,
)
from providers.sandbox.answers import Answer
from providers.sandbox.exchange import Act, Handling, Reply, Vendor
from providers.sandbox.http2 import DEFAULT_WINDOW, Http2Connection, _Incoming
from providers.sandbox.record import Draft, Record
from providers.sandbox.responder import Rendered, Responder
from providers.sandbox.scripts import Scripts
from providers.sandbox.settings import Settings
from tests.simulation.chance import Chance
from tests.simulation.trace import Trace
from tests.simulation.vendors import PushServices
from tests.simulation.wire_watch import Sightings

_MOST = 2**31 - 1
_NO_MESSAGE = {
    "@type": "type.googleapis.com/google.rpc.BadRequest",
    "fieldViolations": [{"field": "message.data", "description": "Invalid data"}],
}


def apns_answer(verdict: Verdict) -> Answer:
    """How APNs says this."""
    match verdict:
        case Delivered():
            return Answer.ok()
        case TokenGone(since_ms=since):
            return Answer.unregistered(since)
        case Throttled(scope=scope, retry_after=told):
            return Answer.throttled(told, "device" if scope == "device" else "project")
        case Unavailable(reason=reason, retry_after=told):
            return Answer.status(503 if reason == "Shutdown" else 500, reason, retry_after=told)
        case Refused(fault="message"):
            return Answer.status(413, "PayloadTooLarge")
        case Refused(fault="address"):
            return Answer.status(400, "DeviceTokenNotForTopic")
        case Refused(fault="environment"):
            return Answer.bad_token()
        case Misconfigured(about="part"):
            return Answer.status(403, "InvalidProviderToken")
        case Misconfigured():
            return Answer.status(403, "BadEnvironmentKeyInToken")
        case _:
            raise AssertionError(verdict)


def fcm_answer(verdict: Verdict) -> Answer:
    """How FCM says this."""
    match verdict:
        case Delivered():
            return Answer.ok()
        case TokenGone():
            return Answer.unregistered()
        case Throttled(scope=scope, retry_after=told):
            return Answer.throttled(told, "device" if scope == "device" else "project")
        case Unavailable(reason=reason, retry_after=told):
            if reason == "Shutdown":
                return Answer.unavailable(told)
            return Answer.status(500, "INTERNAL", retry_after=told)
        case Refused(fault="message"):
            return Answer.status(400, details=[_NO_MESSAGE])
        case Refused():
            return Answer.status(403, "SENDER_ID_MISMATCH")
        case Misconfigured(about="part"):
            return Answer.status(403)
        case Misconfigured():
            return Answer.status(401, "THIRD_PARTY_AUTH_ERROR")
        case _:
            assert_never(verdict)


@dataclass(slots=True)
class Service:
    """One place of a vendor: its limits and its faults of now. `settings` are the sandbox's."""

    place: str
    provider: str
    settings: Settings
    #: the code that streams are reset with once they are judged, and the share of them
    resets: tuple[int, float] = (0, 0.0)
    connections: dict[Http2Connection, None] = field(default_factory=dict)


class Judge(Responder):
    """Answers the requests of one process (`who`) as `PushServices` judges them."""

    def __init__(
        self,
        service: Service,
        services: PushServices,
        who: str,
        *,
        part_of: Callable[[str], str],
        clock: Callable[[], float],
        chance: Chance,
        trace: Trace,
        sightings: Sightings,
    ) -> None:
        super().__init__(Scripts(), Record(service.settings), service.settings, clock)
        self._service = service
        self._services = services
        self._who = who
        self._part_of = part_of
        self._chance = chance
        self._trace = trace
        self._sightings = sightings

    def answer(self, draft: Draft, render: Callable[[Answer], Rendered]) -> Handling:
        """Judge a push that passed the vendor's own checks."""
        provider, who, services = self._service.provider, self._who, self._services
        address, part = Address(draft.address), self._part_of(draft.address)
        verdict = services.judge(draft.delivery_id, address, provider, part)
        delay_s = services.delay(who)
        self._trace.add(self._service.place, "judges", who, draft.delivery_id, verdict.label)
        if isinstance(verdict, Unavailable):
            if not verdict.looked_at:
                return _unanswered("reset", delay_s, ErrorCodes.REFUSED_STREAM)
            if not verdict.outcome_known:
                self._sightings.seen(who, draft.delivery_id)
                return self._no_answer(verdict, delay_s)
        self._sightings.seen(who, draft.delivery_id)
        code, share = self._service.resets
        if share and self._chance.turn("reset") < share:
            return _unanswered("reset", delay_s, code)
        said = apns_answer(verdict) if provider == "apns" else fcm_answer(verdict)
        reply, _ = render(said)
        return Handling(reply, "reply", delay_s, authenticated=True)

    def _no_answer(self, verdict: Unavailable, delay_s: float) -> Handling:
        """The sender does not learn what became of its push."""
        if verdict.reason == "Timeout":
            return _unanswered("hang", delay_s)
        if self._chance.turn("cut") < 0.5:
            return _unanswered("reset", delay_s, ErrorCodes.INTERNAL_ERROR)
        return _unanswered("drop", delay_s)

    def _record(self, *_args: object, **_kwargs: object) -> None:
        """The truth is kept elsewhere."""


def _unanswered(act: Act, delay_s: float, code: int = 0) -> Handling:
    return Handling(Reply(0), act, delay_s, reset_code=code, authenticated=True)


class ServerConnection(Http2Connection):
    """A connection of the sandbox's server that can be told to misbehave.

    `stays`: it does so for good, though the vendor is in good health.
    """

    def __init__(self, vendor: Vendor, service: Service) -> None:
        super().__init__(vendor, service.connections)
        self._service = service
        self._judged = 0
        self._withholds = False
        self._owed = 0
        self.refuses = False
        self.stays = False

    def shut_down(self, seconds: float) -> None:
        """Say that the end is near, as graceful servers do, and which streams count later."""
        if self._closed or self._last_stream is not None:
            return
        self._flush()
        self._transport.write(GoAwayFrame(0, last_stream_id=_MOST).serialize())
        self._loop.call_later(seconds, self.go_away)

    def leave(self) -> None:
        """GOAWAY: what was not yet judged never is."""
        self.go_away(self._judged)

    def narrow(self, window: int) -> None:
        """Give streams a window of this many bytes, which is not widened."""
        if not self._closed:
            self._flush()
            settings = {SettingsFrame.INITIAL_WINDOW_SIZE: window}
            self._transport.write(SettingsFrame(0, settings=settings).serialize())

    def withhold(self) -> None:
        """Give the window of the connection no credit any more."""
        self._withholds = True

    def behave(self) -> None:
        """Do as a good server does, unless it is so for good."""
        self.refuses = False
        if self.stays or self._closed:
            return
        self.narrow(DEFAULT_WINDOW)
        self._withholds = False
        owed, self._owed = self._owed, 0
        if owed:
            self._h2.increment_flow_control_window(owed)
        limit = self._vendor.stream_limit if self._known else self._vendor.first_stream_limit
        self.set_stream_limit(limit)

    # --- the sandbox's, with its faults -------------------------------------------------------

    def go_away(self, last_stream: int | None = None, reason: str = "Shutdown") -> None:
        super().go_away(last_stream, reason)
        if self._last_stream is not None:
            above = [stream_id for stream_id in self._incoming if stream_id > self._last_stream]
            for stream_id in above:
                del self._incoming[stream_id]

    def _on_request(self, stream_id: int, headers: list[tuple[bytes, bytes]]) -> None:
        if self.refuses:
            self._h2.reset_stream(stream_id, ErrorCodes.REFUSED_STREAM)
        else:
            super()._on_request(stream_id, headers)

    def _on_data(self, stream_id: int, chunk: bytes, credit: int) -> None:
        super()._on_data(stream_id, chunk, credit)
        if self._withholds:
            self._owed += self._credit
            self._credit = 0

    def _on_complete(self, stream_id: int, incoming: _Incoming) -> None:
        self._judged = max(self._judged, stream_id)
        super()._on_complete(stream_id, incoming)
