"""The connection to NATS: time-outs, and errors in our words. The only file that calls nats-py.

The client reconnects by itself, for ever. Here every request has a time limit: without an answer in
time it raises `StoreUnavailable`, whatever the reason - no connection, a silent one, a stream
without a leader. No message holds a login: only hosts and ports are ever shown.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
from nats.aio.client import Client, RawCredentials
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from nats.errors import MaxPayloadError, NoRespondersError

from gateway.core.ids import NewId
from gateway.errors import ConfigurationError, StoreUnavailable
from providers import pasted

ANSWER_S = 4.0
"""How long an answer may take. A relay must notice within five seconds that it is cut off."""
_CONNECT_S = 2
_PING_S = 2
_PINGS = 2
_RECONNECT_S = 0.25
#: seconds to wait before a question that nobody received is asked again
_UNKNOWN_S = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 0.8, 0.8)
#: bytes that may wait while there is no connection: a large webhook
_PENDING_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Broker:
    """The servers of NATS, and our login there."""

    servers: tuple[str, ...]
    user: str = ""
    password: str = field(default="", repr=False)
    credentials_file: Path | None = None
    ca_file: Path | None = None

    def __str__(self) -> str:
        return ", ".join(urlsplit(server).netloc for server in self.servers)


class ApiError(Exception):
    """JetStream refused: `code` is its err_code, `text` its description."""

    def __init__(self, code: int, text: str) -> None:
        self.code = code
        self.text = text
        super().__init__(text)


_CREDENTIAL_PARTS = ("NATS USER JWT", "USER NKEY SEED")
_CREDENTIALS = re.compile(r"-BEGIN ([A-Z ]+)-+\s*(\S+?)\s*-+END \1-")

Handler = Callable[[Msg], Awaitable[None]]


class Link:
    """One connection, opened when it is first needed."""

    def __init__(self, broker: Broker, *, new_id: NewId) -> None:
        self._broker = broker
        self.new_id = new_id
        self._client: Client | None = None
        self._opening: asyncio.Task[Client] | None = None
        self._handlers: dict[str, Handler] = {}
        self._subscriptions: dict[str, Subscription] = {}

    @property
    def max_payload(self) -> int:
        """How many bytes a message may have."""
        return self._client.max_payload if self._client is not None else 1024 * 1024

    async def open(self) -> None:
        """Connect, unless that is done. Raises StoreUnavailable, ConfigurationError."""
        await self._connected()

    async def aclose(self) -> None:
        """Close the connection, without waiting for open requests."""
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait([self._opening])
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(NatsError, OSError, TimeoutError):
                async with asyncio.timeout(ANSWER_S):
                    await client.close()

    async def listen(self, subject: str, handler: Handler) -> None:
        """Pass the messages of a subject to a handler, on this connection and on later ones."""
        client = await self._connected()
        self._handlers[subject] = handler
        self._subscriptions[subject] = await client.subscribe(subject, cb=handler)

    async def ignore(self, subject: str) -> None:
        """Unsubscribe."""
        self._handlers.pop(subject, None)
        subscription = self._subscriptions.pop(subject, None)
        if subscription is not None:
            with contextlib.suppress(NatsError, OSError):
                await subscription.unsubscribe()

    async def ask(
        self,
        subject: str,
        data: bytes = b"",
        headers: Mapping[str, str] | None = None,
        *,
        within_s: float = ANSWER_S,
    ) -> bytes:
        """Ask a question; returns the answer.

        A stream or node that has just started is unknown to the other nodes for a moment. So a
        question that nobody received is asked again for 3 s: nothing can be done twice by that.
        """
        try:
            async with asyncio.timeout(within_s):
                answer = await self._asked(subject, data, dict(headers or {}) or None, within_s)
        except MaxPayloadError as error:
            raise StoreUnavailable("a message is larger than NATS takes") from error
        except (NatsError, OSError, TimeoutError) as error:
            raise self._away(error) from error
        return answer.data

    async def api(
        self, call: str, asked: object = None, *, within_s: float = ANSWER_S
    ) -> dict[str, Any]:
        """Ask JetStream's API. Raises ApiError where it refuses."""
        data = b"" if asked is None else orjson.dumps(asked)
        answer: dict[str, Any] = orjson.loads(
            await self.ask(f"$JS.API.{call}", data, within_s=within_s)
        )
        error = answer.get("error")
        if error is not None:
            raise ApiError(error.get("err_code", 0), error.get("description", "no reason given"))
        return answer

    async def say(self, subject: str, data: bytes, *, reply: str = "") -> None:
        """Send without waiting for an answer, which may come to the subject `reply`."""
        try:
            async with asyncio.timeout(ANSWER_S):
                client = await self._connected()
                await client.publish(subject, data, reply=reply)
        except (NatsError, OSError, TimeoutError) as error:
            raise self._away(error) from error

    def inbox(self) -> str:
        """A unique subject."""
        return f"_INBOX.{self.new_id()}"

    # --- inside ---------------------------------------------------------------------------------

    async def _asked(
        self, subject: str, data: bytes, headers: dict[str, str] | None, within_s: float
    ) -> Msg:
        for pause_s in _UNKNOWN_S:
            client = await self._connected()
            with contextlib.suppress(NoRespondersError):
                return await client.request(subject, data, timeout=within_s, headers=headers)
            await asyncio.sleep(pause_s)
        client = await self._connected()
        return await client.request(subject, data, timeout=within_s, headers=headers)

    async def _connected(self) -> Client:
        """The client. Concurrent callers wait for the same attempt to connect."""
        client = self._client
        if client is None or client.is_closed:
            if self._opening is None or self._opening.done():
                self._opening = asyncio.create_task(self._open())
                self._opening.add_done_callback(_look_at)
            opening = self._opening
            try:
                client = await asyncio.shield(opening)
            except asyncio.CancelledError:
                if opening.cancelled():
                    raise StoreUnavailable("NATS is away: the connection is closed.") from None
                raise
        if not client.is_connected:
            raise StoreUnavailable(f"NATS is away: no connection to any of {self._broker}.")
        return client

    async def _open(self) -> Client:
        credentials, tls = _credentials(self._broker.credentials_file), self._tls()
        client = Client()
        failed: list[Exception] = []

        async def note(error: Exception) -> None:
            failed[:] = [error]

        broker = self._broker
        try:
            async with asyncio.timeout(ANSWER_S):
                await client.connect(
                    servers=list(broker.servers),
                    name="inkpush",
                    error_cb=note,
                    connect_timeout=_CONNECT_S,
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=_RECONNECT_S,  # type: ignore[arg-type]  # it only sleeps
                    ping_interval=_PING_S,
                    max_outstanding_pings=_PINGS,
                    pending_size=_PENDING_BYTES,
                    tls=tls,
                    user=broker.user or None,
                    password=broker.password or None,
                    user_credentials=credentials,
                )
                for subject, handler in self._handlers.items():
                    self._subscriptions[subject] = await client.subscribe(subject, cb=handler)
        except BaseException as error:
            await _give_up(client)
            if isinstance(error, (NatsError, OSError, TimeoutError)):
                raise self._away(failed[0] if failed else error) from error
            if isinstance(error, Exception) and broker.credentials_file is not None:
                # the library that reads credentials has errors of its own
                wrong = "queue.credentials_file: holds no credentials; expected NATS' .creds file"
                raise ConfigurationError([wrong]) from error
            raise
        self._client = client
        return client

    def _tls(self) -> ssl.SSLContext | None:
        broker = self._broker
        if not any(server.startswith("tls:") for server in broker.servers):
            return None
        context = ssl.create_default_context()
        if broker.ca_file is not None:
            found = pasted.certificates(_read(broker.ca_file, "queue.ca_file"))
            if not found:
                raise ConfigurationError(["queue.ca_file: holds no certificates; expected PEM"])
            context.load_verify_locations(cadata=found)
        return context

    def _away(self, error: Exception) -> StoreUnavailable:
        why = "no answer in time" if isinstance(error, TimeoutError) else type(error).__name__
        return StoreUnavailable(f"NATS is away ({why}); asked: {self._broker}.")


def _read(file: Path, key: str) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigurationError([f"{key}: {file} cannot be read ({error.strerror})"]) from error


def _credentials(file: Path | None) -> RawCredentials | None:
    """NATS' .creds file as its library reads it, which takes no other line ends, and goes on for
    ever in a file without a JWT."""
    if file is None:
        return None
    parts: dict[str, str] = {}
    with contextlib.suppress(pasted.NotText):
        text = pasted.text_of(_read(file, "queue.credentials_file"))
        parts = {label: inside.strip() for label, inside in _CREDENTIALS.findall(text)}
    if not all(parts.get(label) for label in _CREDENTIAL_PARTS):
        wrong = "queue.credentials_file: holds no credentials; expected NATS' .creds file"
        raise ConfigurationError([wrong])
    return RawCredentials(
        "".join(
            f"-----BEGIN {label}-----\n{parts[label]}\n------END {label}------\n"
            for label in _CREDENTIAL_PARTS
        )
    )


async def _give_up(client: Client) -> None:
    """Close a client that failed to connect, with all that it has opened."""
    with contextlib.suppress(NatsError, OSError, TimeoutError):
        async with asyncio.timeout(_CONNECT_S):
            await client.close()
    transport = getattr(client, "_transport", None)
    if transport is not None:  # the client loses it if it fails between two of its steps
        transport.close()


def _look_at(opening: asyncio.Task[Client]) -> None:
    """Mark an error as seen; the waiters get it, if there are any."""
    if not opening.cancelled():
        opening.exception()


def servers_of(url: str) -> tuple[str, ...]:
    """The servers that `nats://a:4222,b,c` names; the scheme and the port of the first hold for
    those that name none."""
    scheme, _, rest = url.partition("://")
    hosts: Sequence[str] = [part.strip() for part in rest.split(",")]
    return tuple(f"{scheme}://{_with_port(host)}" for host in hosts)


def _with_port(host: str) -> str:
    _, colon, port = host.rpartition(":")
    return host if colon and port.isdecimal() else f"{host}:4222"
