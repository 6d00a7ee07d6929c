"""What is the same for every transport to FCM: what an answer says of the push and of the token.

Owns the step between the pure tables and the credentials in force. Refuses to know connections.
"""

from __future__ import annotations

from providers.contract import (
    NO_DELIVERY,
    Address,
    Message,
    Misconfigured,
    Platform,
    Push,
    Refused,
    Unavailable,
    Verdict,
)
from providers.fcm.credentials import AccessToken
from providers.fcm.options import FcmOptions
from providers.fcm.payload import frame_size
from providers.fcm.verdicts import ACCESS_TOKEN_REFUSED, classify
from providers.wording.body import Body
from providers.wording.fitting import fit_message

UNSENDABLE = Refused("InvalidMessage", "message")


def check_push(now: float, platform: Platform) -> Push:
    """A push to a made-up address, to be validated only: what is said of it is said of us."""
    message = Message(event_id="check", title="Inkpush", body="", path=None)
    address = Address("inkpush-check:APA91bThisIsNoRegistrationTokenOfAnyPhone", platform=platform)
    return Push(NO_DELIVERY, address, message, expires_at=now + 60)


class Codec:
    """Fits messages and reads answers, as the options say."""

    def __init__(self, options: FcmOptions) -> None:
        self._options = options
        self._frame = frame_size(options.style)
        self._frame_with_receipt = frame_size(options.style, with_receipt=True)
        self._fitted: tuple[Message, bool, Message | Refused] | None = None

    def fit(self, push: Push) -> Message | Refused:
        """`fit_message`, once for all devices of a user: their pushes come one after the other."""
        message, is_bare = push.message, push.receipt == ""
        fitted = self._fitted
        if fitted is None or fitted[0] is not message or fitted[1] is not is_bare:
            frame = self._frame if is_bare else self._frame_with_receipt
            fitted = self._fitted = message, is_bare, fit_message(message, frame)
        return fitted[2]

    def judge(
        self, status: int, body: Body, retry_after: str | None, token: AccessToken, now: float
    ) -> Verdict:
        """The verdict; `token` is what the push was sent with, `now` in epoch seconds."""
        credentials = self._options.credentials
        verdict = classify(status, body, retry_after, now)
        match verdict:
            case Unavailable() if status == 401:
                return verdict if credentials.refused(token) else ACCESS_TOKEN_REFUSED
            case Unavailable() | Misconfigured():
                pass
            case _:
                credentials.accepted(token)
        return verdict
