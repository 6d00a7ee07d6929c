"""A transport to FCM on firebase-admin. The only file that imports it.

Owns the life of the SDK's app and one task per push. Refuses to know what answers mean: see
`verdicts`. The SDK builds and checks the message, and calls FCM; with what it is called is
`HttpClient`. One message per call: in a batch, one odd answer would spoil the verdicts of all.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import firebase_admin
from firebase_admin import exceptions, messaging

from providers.contract import (
    CredentialStatus,
    Delivered,
    Misconfigured,
    Platform,
    Push,
    Refused,
    Settle,
    Trouble,
    Unavailable,
    Verdict,
)
from providers.fcm.codec import UNSENDABLE, Codec, check_push
from providers.fcm.credentials import AccessToken
from providers.fcm.http import START_BY, HttpClient, Judged
from providers.fcm.options import FcmOptions
from providers.fcm.payload import render
from providers.http2.exchange import NEVER_SENT_S
from providers.transport.in_flight import BROKEN, InFlight
from providers.transport.trust import client_context
from providers.transport.verdict_batcher import CLOSED

__all__ = ["FcmOptions", "FcmSdkProvider"]

MAX_IN_FLIGHT = 64
"""A push costs the SDK more than a millisecond of CPU: more at once would only wait for each other,
and would be in doubt if the process died."""

UNREACHED = Trouble(
    "no connection to FCM",
    "Check endpoint, and this machine's way there: DNS, firewall, and whether a proxy has to be "
    "set.",
)
_NO_TOKEN_IN_TIME = Unavailable.not_looked_at("Timeout", NEVER_SENT_S)
#: the SDK keeps its apps by name, for all of the process
_numbers = count()


class FcmSdkProvider:
    """Sends through firebase-admin; `providers.contract.PushProvider` says what it promises."""

    burst = 8

    def __init__(self, options: FcmOptions, clock: Callable[[], float] = time.time) -> None:
        self._options = options
        self._clock = clock
        self._codec = Codec(options)
        self._in_flight = InFlight(self._attempt)
        self._app: firebase_admin.App | None = None
        self._client: HttpClient | None = None
        self._trouble: Trouble | None = None

    def free(self, part: str) -> int:  # noqa: ARG002  # all parts go by the same connections
        if self._client is None or self._in_flight.closed:
            return 0
        return max(0, min(self._client.capacity, MAX_IN_FLIGHT) - len(self._in_flight))

    @property
    def in_flight(self) -> int:
        return len(self._in_flight)

    @property
    def connections(self) -> int:
        return 0 if self._client is None else self._client.connections

    @property
    def credential(self) -> CredentialStatus:
        return self._options.credentials.status

    async def start(self) -> None:
        """Get ready, and begin to fetch an access token.

        Raises CredentialError when `ca_file` or a proxy cannot be used.
        """
        context = client_context(self._options.ca_file)
        self._client = HttpClient(self._options, self._codec, context, self._clock)
        # in a thread: the SDK's own client, which is replaced, loads authorities three times
        self._app = await asyncio.to_thread(_make_app, self._options)
        service = messaging._get_messaging_service(self._app)  # noqa: SLF001 - no public way
        service._fcm_url = self._options.url  # noqa: SLF001 - the endpoint has no option
        await service._async_client.aclose()  # noqa: SLF001
        service._async_client = self._client  # noqa: SLF001
        self._options.credentials.warm_up()

    def send(self, pushes: Sequence[Push], settle: Settle) -> None:
        """Start sending. Pushes over `MAX_IN_FLIGHT` are settled as not sent."""
        room = MAX_IN_FLIGHT - len(self._in_flight) if self._client is not None else 0
        self._in_flight.launch(pushes, settle, max(0, room))

    def trouble(self, part: str) -> Trouble | None:  # noqa: ARG002  # as above
        return self._options.credentials.trouble or self._trouble

    async def reach(self, part: str) -> Trouble | None:
        """The SDK has no way to connect alone: a message is validated only, and nobody gets it."""
        answer = await self.check(part)
        unreached = isinstance(answer, Unavailable) and not answer.is_answer
        self._trouble = UNREACHED if unreached and answer is not CLOSED else None
        return self.trouble(part)

    async def check(self, part: str) -> Misconfigured | Unavailable | None:
        """Fetch a token, and have a message to a made-up address validated only."""
        if self._client is None or self._in_flight.closed:
            return CLOSED
        try:
            async with asyncio.timeout(self._options.timeout_s):
                token = await self._options.credentials.token(insist=True)
        except TimeoutError:
            return _NO_TOKEN_IN_TIME
        if not isinstance(token, AccessToken):
            return token
        verdict = await self._attempt(check_push(self._clock(), Platform(part)), validate_only=True)
        return verdict if isinstance(verdict, Misconfigured | Unavailable) else None

    async def aclose(self) -> None:
        await self._in_flight.aclose()
        await self._options.credentials.aclose()
        if self._client is not None:
            await self._client.aclose()
        if self._app is not None:
            app, self._app = self._app, None
            # in a thread: it calls asyncio.run, which fails where a loop is running
            await asyncio.to_thread(firebase_admin.delete_app, app)

    async def _attempt(self, push: Push, *, validate_only: bool = False) -> Verdict:
        """Send one push once, and return its verdict within `timeout_s`."""
        message = self._codec.fit(push)
        if isinstance(message, Refused):
            return message
        rendered = _sdk_message(render(message, push, self._options.style, self._clock()))
        is_sent = False
        try:
            async with asyncio.timeout(self._options.timeout_s):
                token = await self._options.credentials.token()
                if not isinstance(token, AccessToken):
                    return token
                START_BY.set(push.start_by)
                is_sent = True
                return await self._call(rendered, validate_only=validate_only)
        except TimeoutError:
            return Unavailable("Timeout", outcome_known=False) if is_sent else _NO_TOKEN_IN_TIME

    async def _call(self, message: messaging.Message, *, validate_only: bool) -> Verdict:
        try:
            batch = await messaging.send_each_async([message], validate_only, self._app)
        except exceptions.UnknownError as error:
            # the SDK's wrapping of whatever its client raises
            if isinstance(error.cause, Judged):
                return error.cause.verdict
            return UNSENDABLE if isinstance(error.cause, UnicodeEncodeError) else BROKEN
        except ValueError:
            return UNSENDABLE
        return Delivered(batch.responses[0].message_id)


def _make_app(options: FcmOptions) -> firebase_admin.App:
    app = firebase_admin.initialize_app(
        options.credentials.account,
        {"projectId": options.project_id or options.credentials.project_id},
        name=f"inkpush-{next(_numbers)}",
    )
    messaging._get_messaging_service(app)  # noqa: SLF001 - made here, in the thread
    return app


def _sdk_message(rendered: dict[str, Any]) -> messaging.Message:
    """The SDK's form of a rendered message; it encodes to the same again."""
    message = messaging.Message(
        data=rendered["data"],
        notification=_made(messaging.Notification, rendered.get("notification")),
        android=_android(rendered.get("android")),
        apns=_apns(rendered.get("apns")),
        webpush=_webpush(rendered.get("webpush")),
        fcm_options=_made(messaging.FCMOptions, rendered.get("fcm_options")),
        fid=rendered.get("fid"),
    )
    # The constructor warns that `token` is going away. Yet most phones still have nothing else,
    # and switching the warning off is not safe where several tasks run.
    message.token = rendered.get("token")
    return message


def _android(block: dict[str, Any] | None) -> messaging.AndroidConfig | None:
    if block is None:
        return None
    return messaging.AndroidConfig(
        collapse_key=block.get("collapse_key"),
        priority=block["priority"],
        ttl=int(block["ttl"].removesuffix("s")),
        notification=_made(messaging.AndroidNotification, block.get("notification")),
        bandwidth_constrained_ok=block.get("bandwidth_constrained_ok"),
        restricted_satellite_ok=block.get("restricted_satellite_ok"),
    )


def _apns(block: dict[str, Any] | None) -> messaging.APNSConfig | None:
    if block is None:
        return None
    aps = block["payload"]["aps"]
    return messaging.APNSConfig(
        headers=block["headers"],
        payload=messaging.APNSPayload(
            messaging.Aps(
                sound=aps.get("sound"),
                thread_id=aps.get("thread-id"),
                mutable_content=aps.get("mutable-content") == 1 or None,
            )
        ),
    )


def _webpush(block: dict[str, Any] | None) -> messaging.WebpushConfig | None:
    if block is None:
        return None
    return messaging.WebpushConfig(
        headers=block["headers"],
        notification=_made(messaging.WebpushNotification, block.get("notification")),
    )


def _made(kind: Callable[..., Any], block: dict[str, Any] | None) -> Any:
    """The SDK's form of a block that may be left out."""
    return None if block is None else kind(**block)
