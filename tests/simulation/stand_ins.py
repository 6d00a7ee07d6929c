"""The vendors' servers of a history: the sandbox's own, with verdicts of `vendors.PushServices`.

Owns what a server's connection does that a good one does not, and the invariants that a server
sees: a client keeps the protocol, and the limits that it knows of. The sandbox's checks of form,
sender, topic and address stay in force.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from h2._typing import Buffer
from h2.errors import ErrorCodes
from h2.events import Event, SettingsAcknowledged
from h2.exceptions import ProtocolError
from hyperframe.frame import GoAwayFrame, SettingsFrame

from providers.contract import Address, Unavailable
from providers.sandbox.answers import Answer
from providers.sandbox.exchange import Act, Handling, Vendor
from providers.sandbox.http2 import (
    _CONFIGURATION,
    DEFAULT_WINDOW,
    Http2Connection,
    _Frames,
    _Incoming,
)
from providers.sandbox.received import Draft
from providers.sandbox.record import Record
from providers.sandbox.responder import Rendered, Responder
from providers.sandbox.scripts import Scripts
from providers.sandbox.settings import Settings
from tests.simulation.chance import Chance
from tests.simulation.handsets import drafted
from tests.simulation.sightings import Sightings
from tests.simulation.trace import Trace
from tests.simulation.vendors import PushServices
from tests.simulation.words import as_said, ways

_MOST = 2**31 - 1


@dataclass(slots=True)
class Service:
    """One place of a vendor: its limits and its faults of now. `settings` are the sandbox's."""

    place: str
    provider: str
    settings: Settings
    #: told of an invariant that a client breaks, and how
    broken: Callable[[str, str], None]
    #: so many bytes longer than short its answers are
    wordy: int = 0
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
        self._sightings.arrived(who, draft.delivery_id, draft.title, draft.address)
        verdict = services.judge(draft.delivery_id, address, provider, part, drafted(draft))
        looked_at = not isinstance(verdict, Unavailable) or verdict.looked_at
        words = ways(verdict, provider)
        answer = words[int(self._chance.turn("words") * len(words))]
        code, share = self._service.resets
        if share and looked_at and self._chance.turn("reset") < share:
            answer = Answer.reset(code)
        self._trace.add(
            self._service.place, "judges", who, draft.delivery_id, verdict.label, _told(answer)
        )
        self._sightings.said(who, draft.delivery_id, as_said(verdict, answer))
        reply, _ = render(answer)
        if reply.body:
            reply = replace(reply, body=reply.body + b" " * self._service.wordy)
        return Handling(
            reply,
            _act(answer),
            services.delay(who),
            reset_code=answer.code,
            authenticated=looked_at,
        )

    def _record(self, *_args: object, **_kwargs: object) -> None:
        """The truth is kept elsewhere."""


def _act(answer: Answer) -> Act:
    return answer.kind if answer.kind in ("hang", "reset", "drop") else "reply"


def _told(answer: Answer) -> str:
    return " ".join(filter(None, (answer.kind, str(answer.code or ""), answer.reason)))


class _Listening(_Frames):
    """The sandbox's h2, which tells what breaks the protocol."""

    def __init__(self, broken: Callable[[str, str], None]) -> None:
        super().__init__(_CONFIGURATION)
        self._broken = broken

    def receive_data(self, data: Buffer) -> list[Event]:
        try:
            return super().receive_data(data)
        except ProtocolError as error:
            self._broken("peer_limits", f"a client breaks the protocol: {error!r}")
            raise


class KnownLimits:
    """What a client knows that its peer allows: what it has acknowledged, in order.

    Bodies are too short for a stream's window to be widened.
    """

    def __init__(self) -> None:
        self.streams: float = float("inf")
        self.window = DEFAULT_WINDOW
        self._announced: deque[tuple[int | None, int | None]] = deque()

    def announce(self, *, streams: int | None = None, window: int | None = None) -> None:
        """A SETTINGS frame leaves."""
        self._announced.append((streams, window))

    def acknowledged(self) -> None:
        """The oldest one is known to the client from now on."""
        streams, window = self._announced.popleft()
        self.streams = self.streams if streams is None else streams
        self.window = self.window if window is None else window


class ServerConnection(Http2Connection):
    """A connection of the sandbox's server that can be told to misbehave.

    `stays`: it does so for good, though the vendor is in good health.
    """

    def __init__(self, vendor: Vendor, service: Service) -> None:
        super().__init__(vendor, service.connections)
        self._h2 = _Listening(service.broken)
        self._service = service
        self._limits = KnownLimits()
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
            self._limits.announce(window=window)

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

    def set_stream_limit(self, streams: int) -> None:
        super().set_stream_limit(streams)
        self._limits.announce(streams=streams)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._limits.announce(streams=self._limit)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, SettingsAcknowledged):
            self._limits.acknowledged()
        super()._on_event(event)

    def _on_request(self, stream_id: int, headers: list[tuple[bytes, bytes]]) -> None:
        if len(self._open) >= self._limits.streams:
            text = f"{len(self._open) + 1} streams of {self._limits.streams}"
            self._service.broken("peer_limits", f"{self._service.place}: {text}")
        if self.refuses:
            self._h2.reset_stream(stream_id, ErrorCodes.REFUSED_STREAM)
        else:
            super()._on_request(stream_id, headers)

    def _on_data(self, stream_id: int, chunk: bytes, credit: int) -> None:
        incoming = self._incoming.get(stream_id)
        if chunk and incoming and incoming.size + len(chunk) > self._limits.window:
            text = f"{incoming.size + len(chunk)} bytes in a window of {self._limits.window}"
            self._service.broken("peer_limits", f"{self._service.place}: {text}")
        super()._on_data(stream_id, chunk, credit)
        if self._withholds:
            self._owed += self._credit
            self._credit = 0

    def _on_complete(self, stream_id: int, incoming: _Incoming) -> None:
        self._judged = max(self._judged, stream_id)
        super()._on_complete(stream_id, incoming)
