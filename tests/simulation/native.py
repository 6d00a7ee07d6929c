"""The native transports of a history (tier B), and the vendors' servers that they speak to.

Owns how both are built: `providers.apns.native` and `providers.fcm.native` as they are, over pipes
to the sandbox's HTTP/2 server. What a vendor answers is `vendors.PushServices`' matter, as in tier
A. Outside stay TLS, names, proxies and the signed grants of the token endpoint.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from cryptography.hazmat.primitives.asymmetric import ec

from gateway.app.vendors import VENDORS
from providers.apns.credentials import ApnsCredentials
from providers.apns.native import ApnsNativeProvider
from providers.apns.options import ApnsOptions
from providers.contract import Misconfigured, PushProvider, Unavailable
from providers.fcm.credentials import FcmCredentials
from providers.fcm.fetching import OAUTH_TIMEOUT_S, EndpointAway, Grant, NotGranted
from providers.fcm.native import FcmNativeProvider
from providers.fcm.options import FcmOptions
from providers.http2.dial import Dial, Origin
from providers.sandbox.apns import Addresses, Apns, ApnsEnvironment
from providers.sandbox.exchange import Vendor
from providers.sandbox.fcm import Fcm
from providers.sandbox.oauth import AccessTokens
from providers.sandbox.provider_tokens import ProviderTokens
from providers.sandbox.settings import Settings
from providers.transport.trust import client_context
from tests.simulation.network import Network
from tests.simulation.pipes import Pipe
from tests.simulation.sightings import Sightings
from tests.simulation.stand_ins import Judge, ServerConnection, Service
from tests.simulation.truth import EPOCH
from tests.simulation.wire_watch import DialWatch, Recovery, WireWatch

if TYPE_CHECKING:
    from tests.simulation.world import World

P = TypeVar("P", bound=asyncio.Protocol)

Endpoint = Literal["well", "away", "ill", "refuses", "silent"]
"""The state of the token endpoint."""

_TOPIC = "demo.app"
_KEY_ID = "ABCDEFGHIJ"
_PROJECT = "demo"
_PLACES = {"production.apns": "production", "sandbox.apns": "sandbox", "fcm": "fcm"}
"""Host -> the place that it leads to."""
_TOKEN_LIFE_S = 3600

_trust = cache(client_context)
_key = cache(partial(ec.generate_private_key, ec.SECP256R1()))


def place_of(provider: str, part: str) -> str:
    """Where pushes of a part go: APNs has a place for each environment, FCM one for all."""
    return part if provider == "apns" else "fcm"


class Wires:
    """All vendors' servers, and the transports of all processes to them."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._loop = world.loop
        self._chance = world.chance
        sizes = world.plan.sizes
        self.network = Network(world.loop, world.context, world.chance, sizes, world.trace)
        self.services = {place: self._service(place) for place in _PLACES.values()}
        self.endpoint: Endpoint = "well"
        self.watches: list[WireWatch] = []
        self.recovery = Recovery(world.findings, world.loop.time)
        slow = {"stall", "swallow", "narrow", "withhold", "limit"}
        is_prompt = not any(act.do in slow for act in world.plan.acts)
        self._sightings = Sightings(world.findings, is_prompt=is_prompt)
        self._apns_tokens = ProviderTokens(
            _key().public_key(), _KEY_ID, _KEY_ID, self.services["production"].settings, self._clock
        )
        self._access_tokens = AccessTokens(self._clock)
        self._addresses = Addresses(_TOPIC)

    def transport(self, provider: str, who: str, clock: Callable[[], float]) -> PushProvider:
        """A transport of a process (`who`) whose wall clock this is."""
        parts = VENDORS[provider].parts
        inner = self._apns(who, clock) if provider == "apns" else self._fcm(who, clock)
        sizes = self._world.plan.sizes
        watch = WireWatch(
            cast("PushProvider", inner),
            who,
            parts,
            sizes.timeout_s,
            self._world.findings,
            self._world.trace,
            self._sightings,
            self.recovery,
            place_of=lambda push: place_of(provider, VENDORS[provider].part_of(push.address)),
            is_sound=partial(self.network.is_sound, who),
        )
        watch.burst = sizes.burst
        self.watches.append(watch)
        return watch

    def calm(self) -> None:
        """The faults are over, but for connections that are bad for good."""
        self.endpoint = "well"
        self.network.calm()
        for place, service in self.services.items():
            service.resets = (0, 0.0)
            self.restore(place)
            bad = silent = 0
            for pipe in self.network.held(place):
                server = server_of(pipe)
                bad += pipe.stays or (server is not None and server.stays)
                silent += pipe.stays
                if server is not None:
                    server.behave()
            self.recovery.begin(place, bad, silent)

    def restore(self, place: str) -> None:
        """New connections get the usual number of streams."""
        self.services[place].settings.stream_limit = self._world.plan.sizes.streams

    def expire_tokens(self) -> None:
        """All access tokens are worthless."""
        self._access_tokens.revoke_all()

    def later(self, seconds: float, do: Callable[[], None]) -> None:
        """Do something in the world's context."""
        self._loop.call_later(seconds, do, context=self._world.context)

    async def rest(self) -> None:
        """All is settled: soon nothing is in flight any more, though a lost lease may have left
        pushes behind."""
        until = self._loop.time() + self._world.plan.sizes.timeout_s + 2.0
        while busy := [watch for watch in self.watches if watch.is_alive and watch.in_flight]:
            if self._loop.time() > until:
                told = f"{busy[0].process}: {busy[0].in_flight} pushes are in flight"
                self._world.findings.broken("in_flight_ends", told)
            await asyncio.sleep(0.5)

    def tell(self) -> None:
        """Write down how the transports of living processes stand."""
        for watch in self.watches:
            if watch.is_alive:
                self._world.trace.add(watch.who, "transport", watch.told())

    # --- the processes' side --------------------------------------------------------------------

    def _apns(self, who: str, clock: Callable[[], float]) -> ApnsNativeProvider:
        sizes = self._world.plan.sizes
        options = ApnsOptions(
            topic=_TOPIC,
            endpoint="https://production.apns",
            sandbox_endpoint="https://sandbox.apns",
            credentials=ApnsCredentials(_key(), _KEY_ID, _KEY_ID, clock),
            max_connections=sizes.connections,
            timeout_s=sizes.timeout_s,
        )
        return ApnsNativeProvider(options, clock, dial=self._dial(who), trust=_trust)

    def _fcm(self, who: str, clock: Callable[[], float]) -> FcmNativeProvider:
        sizes = self._world.plan.sizes
        # only the SDK's transport needs the account itself
        account = cast("Any", None)
        credentials = FcmCredentials(account, _PROJECT, TokenFetch(self, who), clock)
        options = FcmOptions(
            project_id=_PROJECT,
            endpoint="https://fcm",
            credentials=credentials,
            max_connections=sizes.connections,
            timeout_s=sizes.timeout_s,
        )
        return FcmNativeProvider(options, clock, dial=self._dial(who), trust=_trust)

    def _dial(self, who: str) -> Dial:
        watches = {
            place: DialWatch(
                self._world.findings,
                who,
                place,
                self._loop.time,
                partial(self.network.lost_at, who, place),
            )
            for place in self.services
        }

        async def dial(origin: Origin, protocol: Callable[[], P], /) -> P:
            place = _PLACES[origin.host]
            watch = watches[place]
            watch.dials()
            try:
                if not self._is_reached(place):
                    await asyncio.sleep(self._world.services.delay(who))
                    raise ConnectionRefusedError
                made = await self.network.dial(who, place, protocol, partial(self._serve, place))
            except OSError:
                watch.failed()
                raise
            watch.made()
            return made

        return dial

    async def fetch(self, who: str) -> Grant:
        """The token endpoint, as a process sees it."""
        await asyncio.sleep(self._world.services.delay(who))
        match self.endpoint:
            case "away":
                raise EndpointAway
            case "ill":
                raise NotGranted(Unavailable.not_looked_at("OAuthUnavailable", 10.0))
            case "refuses":
                raise NotGranted(Misconfigured("invalid_grant", "Check the account."))
            case "silent":
                await asyncio.sleep(OAUTH_TIMEOUT_S)
                raise EndpointAway
            case "well":
                return Grant(self._access_tokens.issue(_TOKEN_LIFE_S), _TOKEN_LIFE_S)

    # --- the vendors' side ----------------------------------------------------------------------

    def _service(self, place: str) -> Service:
        sizes = self._world.plan.sizes
        settings = Settings(stream_limit=sizes.streams, receive_window=sizes.receive_window)
        provider = "fcm" if place == "fcm" else "apns"
        return Service(
            place, provider, settings, self._world.findings.broken, wordy=sizes.answer_bytes
        )

    def _is_reached(self, place: str) -> bool:
        """Whether a mood of the vendor keeps everybody from it."""
        return not any(
            mood.verdict == "not_looked_at"
            and mood.phone is None
            and mood.provider in (None, self.services[place].provider)
            and mood.part in ((None,) if place == "fcm" else (None, place))
            for mood in self._world.services.moods
        )

    def _serve(self, place: str, pipe: Pipe) -> ServerConnection:
        service = self.services[place]
        judge = Judge(
            service,
            self._world.services,
            pipe.who,
            part_of=partial(self._part_of, place),
            clock=self._clock,
            chance=self._chance,
            trace=self._world.trace,
            sightings=self._sightings,
        )
        vendor: Vendor
        if place == "fcm":
            vendor = Fcm(judge, self._access_tokens, _PROJECT)
        else:
            environment = cast("ApnsEnvironment", place)
            vendor = Apns(judge, self._apns_tokens, self._addresses, environment)
        return ServerConnection(vendor, service)

    def _part_of(self, place: str, address: str) -> str:
        if place != "fcm":
            return place
        story = self._world.truth.addresses.get(address)
        return "" if story is None else story.part

    def _clock(self) -> float:
        return EPOCH + self._loop.time()


def server_of(pipe: Pipe) -> ServerConnection | None:
    """The vendor's side of a connection, once there is one."""
    server = pipe.far.protocol
    return server if isinstance(server, ServerConnection) else None


class TokenFetch:
    """A `providers.fcm.fetching.Fetch` of one process."""

    def __init__(self, wires: Wires, who: str) -> None:
        self._wires = wires
        self._who = who

    async def __call__(self) -> Grant:
        return await self._wires.fetch(self._who)
