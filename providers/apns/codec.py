"""What is the same for every transport to APNs: a push becomes a request, an answer a verdict.

Owns the step between the pure tables and the options in force: style, topic, environment, provider
token. Refuses to know connections.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from providers.apns.options import ApnsOptions
from providers.apns.payload import (
    Headers,
    device_path,
    frame_size,
    kept_until,
    render_body,
    render_headers,
)
from providers.apns.verdicts import CLOCK_WRONG, classify
from providers.contract import (
    NO_DELIVERY,
    Address,
    Environment,
    Message,
    Misconfigured,
    Push,
    Refused,
    Throttled,
    Unavailable,
    Verdict,
)
from providers.http2.exchange import Response
from providers.wording.fitting import fit_message

BAD_TOKEN = Refused("BadDeviceToken", "address")
"""What cannot be a device token is not sent."""


@dataclass(frozen=True, slots=True)
class ApnsRequest:
    """A push as it goes out, but for the provider token."""

    environment: Environment
    path: str
    headers: Headers
    body: bytes
    delivery_id: str

    def __repr__(self) -> str:
        return f"<ApnsRequest {self.delivery_id}>"


def check_push(now: float, environment: Environment) -> Push:
    """A push to a device token that no phone can have: what is said of it is said of us."""
    message = Message(event_id="check", title="Inkpush", body="", path=None)
    return Push(
        NO_DELIVERY, Address("inkpush-check", environment=environment), message, expires_at=now + 60
    )


class Codec:
    """Writes requests and reads answers, as the options say. `clock`: epoch seconds."""

    def __init__(self, options: ApnsOptions, clock: Callable[[], float]) -> None:
        self._options = options
        self._clock = clock
        self._environments = options.endpoints.keys()
        self._frame = frame_size(options.style)
        self._frame_with_receipt = frame_size(options.style, with_receipt=True)
        self._fitted: tuple[Message, bool, Message | Refused] | None = None

    def environment(self, address: Address) -> Environment:
        """Where a device is reached: in its own environment, where there is more than one."""
        return self.here(address.environment)

    def here(self, environment: Environment) -> Environment:
        """This environment, or the only one there is."""
        return environment if environment in self._environments else Environment.PRODUCTION

    def write(self, push: Push) -> ApnsRequest | Refused:
        """The request for a push."""
        path = device_path(push.address)
        if path is None:
            return BAD_TOKEN
        message = self.fit(push)
        if isinstance(message, Refused):
            return message
        body = render_body(
            message,
            push.delivery_id,
            push.word,
            self._options.style,
            receipt=push.receipt,
            mutable=push.mutable,
        )
        return ApnsRequest(
            self.environment(push.address),
            path,
            render_headers(push, self._options.topic, self.kept_until(push)),
            body,
            push.delivery_id,
        )

    def kept_until(self, push: Push) -> float:
        """Until when APNs may keep a push that goes now: see `payload.kept_until`."""
        return kept_until(push, self._options.style, self._clock())

    def judge(
        self, answer: Response, *, environment: Environment, delivery_id: str, authorization: str
    ) -> Verdict:
        """The verdict of the environment that answered; `authorization` is the header that the push
        was sent with."""
        credentials = self._options.credentials_for(environment)
        verdict = classify(
            answer.status,
            answer.body,
            answer.header(b"retry-after"),
            self._clock(),
            vendor_id=answer.header(b"apns-id") or delivery_id,
            other_environment=len(self._environments) > 1,
        )
        match verdict:
            case Unavailable(reason="ExpiredProviderToken"):
                return verdict if credentials.expired(authorization) else CLOCK_WRONG
            case Throttled(reason="TooManyProviderTokenUpdates"):
                credentials.too_many(authorization)
            case Unavailable() | Misconfigured():
                pass
            case _:
                credentials.accepted()
        return verdict

    def fit(self, push: Push) -> Message | Refused:
        """`fit_message`, once for all devices of a user: their pushes come one after the other."""
        message, is_bare = push.message, push.receipt == ""
        fitted = self._fitted
        if fitted is None or fitted[0] is not message or fitted[1] is not is_bare:
            frame = self._frame if is_bare else self._frame_with_receipt
            fitted = self._fitted = message, is_bare, fit_message(message, frame)
        return fitted[2]
