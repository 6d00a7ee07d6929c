"""How the native transport to FCM reads what ended in one read; the rest is in the conformance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import pytest

from providers.contract import Address, Delivered, Message, Push, Unavailable, Verdict
from providers.fcm.credentials import AccessToken, FcmCredentials
from providers.fcm.native import FcmNativeProvider
from providers.fcm.options import FcmOptions
from providers.fcm.verdicts import ACCESS_TOKEN_REFUSED, NEW_TOKEN_WAIT_S
from providers.http2.exchange import End, Lost, Request, Response
from providers.transport.verdict_batcher import Batch

NOW = 1_762_423_138.0
RECEIPT = Response(200, b'{"name": "projects/p/messages/1"}')
DELIVERED = Delivered("projects/p/messages/1")
REFUSED = Response(401, b'{"error": {"status": "UNAUTHENTICATED"}}')
TRY_AGAIN = Unavailable.not_looked_at("UNAUTHENTICATED", NEW_TOKEN_WAIT_S)


class Credentials:
    """Keeps what it is told; a refused token that never worked is a matter for people."""

    def __init__(self) -> None:
        self.accepted_tokens: list[AccessToken] = []

    def accepted(self, token: AccessToken) -> None:
        token.worked = True
        self.accepted_tokens.append(token)

    def refused(self, token: AccessToken) -> bool:
        return token.worked


def token() -> AccessToken:
    return AccessToken("ya29.x", NOW, NOW + 3600, after_refusal=False)


def judged(
    answers: Sequence[tuple[AccessToken, End]], credentials: Credentials | None = None
) -> list[Verdict]:
    """The verdicts of what ended in one read."""
    known = cast("FcmCredentials", credentials or Credentials())
    options = FcmOptions(project_id="p", endpoint="https://fcm.example", credentials=known)
    provider = FcmNativeProvider(options, clock=lambda: NOW)
    pushes = [
        Push(f"id-{number}", Address("a"), Message("msg_1", "a", "b", None), NOW + 60)
        for number in range(len(answers))
    ]
    verdicts: dict[str, Verdict] = {}

    def settle(batch: Sequence[tuple[Push, Verdict]]) -> None:
        verdicts.update((push.delivery_id, verdict) for push, verdict in batch)

    batches = {id(used): Batch(settle, used) for used, _ in answers}
    provider._ended(
        [
            (Request(b"", b"", (push, batches[id(used)])), end)
            for push, (used, end) in zip(pushes, answers, strict=True)
        ],
        None,
    )
    return [verdicts[push.delivery_id] for push in pushes]


def test_a_receipt_ahead_of_a_refusal_shows_that_the_token_was_good() -> None:
    used = token()

    assert judged([(used, RECEIPT), (used, REFUSED)]) == [DELIVERED, TRY_AGAIN]


def test_a_receipt_after_a_refusal_says_nothing_of_it() -> None:
    used = token()

    assert judged([(used, REFUSED), (used, RECEIPT)]) == [ACCESS_TOKEN_REFUSED, DELIVERED]


def test_a_receipt_for_one_token_says_nothing_of_another() -> None:
    credentials, one, other = Credentials(), token(), token()
    answers = [(one, RECEIPT), (other, REFUSED), (other, RECEIPT), (one, RECEIPT)]

    assert judged(answers, credentials) == [DELIVERED, ACCESS_TOKEN_REFUSED, DELIVERED, DELIVERED]
    assert one in credentials.accepted_tokens
    assert other in credentials.accepted_tokens


@pytest.mark.parametrize(
    "end",
    [
        Response(200, b""),
        Response(200, b'{"name": ""}'),
        Response(200, b"<html>a proxy's login page</html>"),
        Response(201, RECEIPT.body),
        Lost("ConnectionLost"),
    ],
)
def test_what_is_no_receipt_delivers_nothing_and_says_nothing_of_the_token(end: End) -> None:
    credentials = Credentials()

    (verdict,) = judged([(token(), end)], credentials)

    assert isinstance(verdict, Unavailable)
    assert not verdict.outcome_known
    assert credentials.accepted_tokens == []


@pytest.mark.parametrize(
    "body",
    [b'{"name": "p\\u002f1"}', b'{"name": "p/1", "more": 1}', '{"name": "p/1"}'.encode("utf-16")],
)
def test_a_receipt_in_another_form_is_one_too(body: bytes) -> None:
    credentials = Credentials()

    assert judged([(token(), Response(200, body))], credentials) == [Delivered("p/1")]
    assert len(credentials.accepted_tokens) == 1
