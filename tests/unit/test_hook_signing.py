"""The signature of a hook, held against the libraries of those who receive it."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Mapping

import pytest
import standardwebhooks
import svix

from providers.hook.signing import headers, key_of

OLD = "whsec_" + base64.b64encode(b"o" * 24).decode()
NEW = "whsec_" + base64.b64encode(b"n" * 32).decode()
BODY = json.dumps({"hook": "crm", "events": [{"type": "delivery.settled"}]}).encode()

Verify = Callable[[str, bytes, Mapping[str, str]], object]


def _standard(secret: str, body: bytes, told: Mapping[str, str]) -> object:
    return standardwebhooks.Webhook(secret).verify(body.decode(), dict(told))


def _svix(secret: str, body: bytes, told: Mapping[str, str]) -> None:
    svix.Webhook(secret).verify(body, dict(told))


@pytest.mark.parametrize("verify", [_standard, _svix])
@pytest.mark.parametrize("secret", [OLD, NEW])
def test_while_a_secret_is_rotated_a_receiver_with_either_takes_it(
    verify: Verify, secret: str
) -> None:
    keys = [key_of(NEW), key_of(OLD)]
    told = headers(keys, "msg_1", BODY, timestamp=int(time.time()))
    verify(secret, BODY, told)  # raises where nothing fits


@pytest.mark.parametrize("verify", [_standard, _svix])
def test_another_body_or_another_secret_is_not_proven(verify: Verify) -> None:
    told = headers([key_of(OLD)], "msg_1", BODY, timestamp=int(time.time()))
    with pytest.raises(Exception, match=r"(?i)signature"):
        verify(OLD, BODY + b" ", told)
    with pytest.raises(Exception, match=r"(?i)signature"):
        verify(NEW, BODY, told)


def test_a_repeat_has_the_same_id_and_a_new_time() -> None:
    first = headers([key_of(OLD)], "msg_1", BODY, timestamp=1)
    again = headers([key_of(OLD)], "msg_1", BODY, timestamp=2)
    assert first["webhook-id"] == again["webhook-id"] == "msg_1"
    assert first["webhook-signature"] != again["webhook-signature"]
