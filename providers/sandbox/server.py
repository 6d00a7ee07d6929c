"""The sandbox as a whole: two vendors on three TLS ports, and a control port.

Owns the wiring and the life of the stand-ins. Everything that decides lives elsewhere: `fcm`,
`apns`, `oauth` judge, `http2` serves, `record` remembers.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any, Self

from aiohttp import web

from providers.sandbox.answers import Answer
from providers.sandbox.apns import Addresses, Apns, ApnsEnvironment
from providers.sandbox.control import control_app
from providers.sandbox.credentials import (
    CLIENT_EMAIL,
    KEY_ID,
    PROJECT_ID,
    TEAM_ID,
    TOPIC,
    Credentials,
    Identity,
    server_file,
)
from providers.sandbox.fcm import Fcm
from providers.sandbox.listener import Listener
from providers.sandbox.oauth import AccessTokens, Grants
from providers.sandbox.phonebook import BadPhone, PhoneChange
from providers.sandbox.provider_tokens import ProviderTokens
from providers.sandbox.received import ReceivedPush
from providers.sandbox.record import Record
from providers.sandbox.responder import Responder
from providers.sandbox.scripts import Scripts, address_key
from providers.sandbox.settings import Clock, Settings


class Sandbox:
    """FCM v1, OAuth and APNs on loopback; see the package's README for what they check.

    A port of 0 takes a free one. `credentials_dir` keeps the keys: a sandbox that is started
    again with it (and on the same ports) serves senders that were set up for the one before.
    `name` is the host name others reach it by, in its URLs and on its certificate, where that is
    not `host`. All methods belong to the event loop's thread; `aclose` cuts every connection.
    """

    def __init__(
        self,
        fcm_port: int = 0,
        apns_port: int = 0,
        apns_sandbox_port: int = 0,
        control_port: int = 0,
        host: str = "127.0.0.1",
        *,
        credentials_dir: Path | None = None,
        settings: Settings | None = None,
        name: str = "",
        clock: Clock = time.time,
    ) -> None:
        self.settings = settings or Settings()
        self._ports = (fcm_port, apns_port, apns_sandbox_port)
        self._control_port = control_port
        self._host = host
        self._name = name or host
        self._given_dir = credentials_dir
        self._clock = clock
        self._scripts = Scripts()
        self._record = Record(self.settings)
        self._addresses = Addresses(TOPIC)
        self._tokens = AccessTokens(clock)
        self._started = False

    # --- life ---------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    async def start(self) -> None:
        """Open all ports. OSError: one of them is taken; then none stays open."""
        self._temporary = (
            tempfile.TemporaryDirectory(prefix="inkpush-sandbox-")
            if self._given_dir is None
            else None
        )
        directory = self._given_dir or Path(self._temporary.name if self._temporary else "")
        self._identity = Identity.load(directory) or Identity.make((self._name,))
        self._runner = web.AppRunner(control_app(self), access_log=None, shutdown_timeout=0)
        self._listeners = self._make_listeners()
        self._started = True
        try:
            await self._open(directory)
        except BaseException:
            await self.aclose()
            raise

    def _make_listeners(self) -> tuple[Listener, Listener, Listener]:
        responder = Responder(self._scripts, self._record, self.settings, self._clock)
        self._provider_tokens = ProviderTokens(
            self._identity.apns_key, KEY_ID, TEAM_ID, self.settings, self._clock
        )

        def apns(environment: ApnsEnvironment) -> Apns:
            return Apns(responder, self._provider_tokens, self._addresses, environment)

        return (
            Listener(Fcm(responder, self._tokens, PROJECT_ID), http1=True),
            Listener(apns("production"), http1=False),
            Listener(apns("sandbox"), http1=False),
        )

    async def _open(self, directory: Path) -> None:
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._control_port).start()
        self.control_url = f"http://{self._name}:{self._runner.addresses[0][1]}"
        token_uri = f"{self.control_url}/token"
        self._credentials = self._identity.write(directory, token_uri)
        self.grants = Grants(
            self._identity.service_account_key,
            CLIENT_EMAIL,
            token_uri,
            self._tokens,
            self.settings,
            self._clock,
        )
        for listener, port in zip(self._listeners, self._ports, strict=True):
            await listener.start(self._host, port, server_file(directory))

    async def aclose(self) -> None:
        """Cut every connection and close all ports. May be called twice."""
        if not self._started:
            return
        self._started = False
        await asyncio.gather(*(listener.aclose() for listener in self._listeners))
        await self._runner.cleanup()
        if self._temporary is not None:
            self._temporary.cleanup()

    # --- where it is --------------------------------------------------------------------------

    control_url: str
    """The control API and, under /token, the OAuth token endpoint. Plain HTTP/1.1."""

    @property
    def fcm_url(self) -> str:
        """The stand-in for https://fcm.googleapis.com."""
        return self._url(0)

    @property
    def apns_url(self) -> str:
        """The stand-in for https://api.push.apple.com."""
        return self._url(1)

    @property
    def apns_sandbox_url(self) -> str:
        """The stand-in for https://api.sandbox.push.apple.com."""
        return self._url(2)

    def _url(self, index: int) -> str:
        return f"https://{self._name}:{self._listeners[index].port}"

    @property
    def credentials(self) -> Credentials:
        """The sandbox's own files: in `credentials_dir`, or in a directory that ends with it."""
        return self._credentials

    def write_credentials(self, directory: Path) -> Credentials:
        """Write the files a gateway needs, with mode 0600. Needs a started sandbox."""
        return self._identity.write(directory, self.grants.token_uri)

    # --- what it answers ----------------------------------------------------------------------

    @property
    def default_answer(self) -> Answer:
        """The answer for addresses without a script."""
        return self.settings.default_answer

    @default_answer.setter
    def default_answer(self, answer: Answer) -> None:
        self.settings.default_answer = answer

    @property
    def latency_s(self) -> float:
        """Added to every answer of both vendors, in seconds."""
        return self.settings.latency_s

    @latency_s.setter
    def latency_s(self, seconds: float) -> None:
        self.settings.latency_s = seconds

    def script(self, address: str, *answers: Answer, repeat_last: bool = True) -> None:
        """Set the answers for an address, one per push; the last one repeats, or else OK follows.

        Replaces the script it had; without answers the address gets the default answer again.
        """
        self._scripts.write(address, answers, repeat_last=repeat_last)

    def clear_scripts(self) -> None:
        """Forget all scripts."""
        self._scripts.clear()

    def only_in(self, environment: ApnsEnvironment, address: str) -> None:
        """Tie an APNs token to one environment; the other one says BadDeviceToken."""
        self._addresses.environments[address_key(address)] = environment

    def only_for(self, topic: str, address: str) -> None:
        """Tie an APNs token to one topic; others get DeviceTokenNotForTopic."""
        self._addresses.topics.add(topic)
        self._addresses.bound_topics[address_key(address)] = topic

    def add_topic(self, topic: str) -> None:
        """Let the team push to one more app than the credentials' topic."""
        self._addresses.topics.add(topic)

    def revoke_tokens(self) -> None:
        """Make all OAuth access tokens issued so far worthless: FCM answers 401."""
        self._tokens.revoke_all()

    def drop_connections(self) -> int:
        """Cut every vendor connection. Returns how many."""
        return sum(listener.drop_all() for listener in self._listeners)

    def go_away(self, reason: str = "Shutdown") -> int:
        """Send GOAWAY on every HTTP/2 connection; what has arrived is still answered."""
        return sum(listener.go_away_all(reason) for listener in self._listeners)

    # --- what it saw --------------------------------------------------------------------------

    @property
    def pushes(self) -> list[ReceivedPush]:
        """Every push that was answered, or deliberately was not, in the order of arrival."""
        return self._record.pushes

    def pushes_since(self, seq: int, limit: int) -> list[ReceivedPush]:
        """Pushes that came after the one numbered `seq`, at most `limit`."""
        return self._record.since(seq, limit)

    def phone(self, address: str) -> list[ReceivedPush]:
        """What the phone shows: one for each collapse id or tag, the newest last."""
        return self._record.phone(address_key(address))

    # --- phones -------------------------------------------------------------------------------

    def change_phone(self, address: str, change: PhoneChange) -> None:
        """Tell a phone that it is on or off, allows notifications or not, or who is logged in.
        BadPhone: it cannot be so."""
        self._record.change_phone(address_key(address), change, self._clock())

    def log_in(self, address: str, words: Collection[str]) -> None:
        """Have the phone do what app kits do: with the words that answered its registration, it
        drops a push whose `for` is not among them, where the app may look first. Without words,
        nobody is logged in."""
        self.change_phone(address, PhoneChange(words=words))

    def reinstall(self, address: str, new: str) -> None:
        """The app on a phone is removed and installed again: its address is dead from now on
        (UNREGISTERED, 410), unless a script says otherwise, and it has the new one."""
        if self._scripts.is_dead(address_key(new)):
            raise BadPhone("the new address is dead: vendors never give one out again")
        now = self._clock()
        self._record.reinstall(address_key(address), address_key(new), now)
        self._scripts.bury(address_key(address), Answer.unregistered(int(now * 1000)))

    def phone_json(self, address: str) -> dict[str, Any]:
        """All there is to see of a phone: its state, what it shows, what its vendor keeps for it,
        and what became of each push since somebody first spoke of it."""
        return self._record.phone_json(address_key(address), self._clock())

    def phones_spoken_of(self) -> list[str]:
        """The addresses of the phones that were told anything."""
        return self._record.phones_spoken_of()

    def clear_pushes(self) -> None:
        """Forget the pushes, what the phones show, and the figures about them."""
        self._record.clear()

    def stats(self) -> dict[str, Any]:
        """Figures as plain JSON; `largest_repeat` is 1 while no delivery came twice."""
        fcm, apns, apns_sandbox = self._listeners
        return self._record.figures() | {
            "connections_opened": {"fcm": fcm.opened, "apns": apns.opened + apns_sandbox.opened},
            "connections_open": {"fcm": fcm.open, "apns": apns.open + apns_sandbox.open},
            "distinct_jwts": self._provider_tokens.distinct,
            "distinct_jwts_per_connection": self._provider_tokens.most_per_connection,
            "oauth_calls": self.grants.calls,
            "oauth_issued": self._tokens.issued,
            "oauth_refused": dict(self.grants.refused),
        }
