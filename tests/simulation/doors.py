"""The doors of one gateway: the product's own handlers, called without a server.

Owns what a request looks like when it comes in: signed by Svix' rules, or with a user's token. What
is in the answer is the product's. A door answers as long as its process lives.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cache
from typing import Any

import jwt
from multidict import CIMultiDict

from gateway.app.vendors import VENDORS
from gateway.core.clocks import Clocks
from gateway.core.receipts import ReceiptWords
from gateway.core.sources import LEARNINK
from gateway.core.words import Words
from gateway.devices.auth import Authenticator, AuthRules
from gateway.devices.receipts import ReceiptBook, ReceiptRoutes
from gateway.devices.routes import DeviceRoutes, DeviceRules
from gateway.events import Observer
from gateway.exchange import Handler, Request, answered
from gateway.ingest.routes import WebhookLimits, WebhookRoute
from gateway.ingest.signature import sign
from gateway.ports import Erasures, Keys, Queue, Receipts, Registry
from tests.kit.stores import fresh_secret
from tests.simulation.plan import Sizes

APP = "demo"
APPS = {APP: frozenset(VENDORS)}
_WORDS = Words(fresh_secret())
_KEY = b"a signing key of a history"
_JWT_SECRET = "a secret of a history, long enough for HS256"


class Doors:
    """The webhook and the devices' doors of one process. `wake` tells its relay of work, `changed`
    of devices.

    All return an HTTP status.
    """

    def __init__(
        self,
        queue: Queue,
        registry: Registry,
        erasures: Erasures,
        receipts: Receipts,
        keys: Keys,
        sizes: Sizes,
        *,
        known: Callable[[str], Awaitable[bool]],
        wake: Callable[[], None],
        changed: Callable[[Sequence[int]], None],
        erasing: Callable[[], None],
        observer: Observer,
        clocks: Clocks,
    ) -> None:
        limits = WebhookLimits([_KEY], 300.0, 1_000_000, sizes.max_age_s, 1_000_000)
        self._webhook = WebhookRoute(
            queue,
            limits={LEARNINK: limits}.get,
            backlog=lambda: 0,
            known=known,
            wake=wake,
            observer=observer,
            clocks=clocks,
            salt=lambda: bytes(32),
            chunk_items=sizes.chunk_items,
        )
        authenticator = Authenticator(AuthRules(jwt_secret=_JWT_SECRET), keys, clocks=clocks)
        book = ReceiptBook(
            receipts,
            ReceiptWords(fresh_secret()),
            rule=lambda: "opt_in",
            observer=observer,
            clocks=clocks,
        )
        self._receipts = ReceiptRoutes(book, clocks=clocks)
        self._devices = DeviceRoutes(
            registry,
            erasures,
            authenticator,
            DeviceRules(VENDORS, lambda: APPS, lambda: 60.0),
            clocks,
            receipts=book,
            changed=changed,
            erasing=erasing,
        )

    async def post_webhook(
        self, message_id: str, sent_at: float, body: bytes, key: bytes = _KEY
    ) -> int:
        """LearnInk posts a batch, signed at that time (epoch seconds)."""
        headers = {
            "svix-id": message_id,
            "svix-timestamp": str(int(sent_at)),
            "svix-signature": sign(key, message_id, int(sent_at), body),
        }
        return await _status(self._webhook.receive, headers, {"source": LEARNINK}, body)

    async def put_device(self, installation: str, user: int, document: dict[str, Any]) -> int:
        """The app of a user registers its phone."""
        path = {"installation_id": installation}
        return await _status(
            self._devices.put_device, _bearer(user), path, json.dumps(document).encode()
        )

    async def delete_device(self, installation: str, user: int) -> int:
        """A user logs out on a phone."""
        path = {"installation_id": installation}
        return await _status(self._devices.delete_device, _bearer(user), path)

    async def post_receipts(self, body: bytes, heard: list[Any]) -> int:
        """A phone tells of its pushes; `heard` gets what it is answered, if that is no problem."""
        answer = await answered(self._receipts.post_receipts, _request({}, {}, body))
        if answer.status == 202:
            heard.append(answer.document)
        return answer.status

    async def erase_user(self, user: int, by: int | None = None) -> int:
        """A user is erased, by their own token or by another's."""
        token = _bearer(user if by is None else by)
        return await _status(self._devices.erase_user, token, {"id": custom_id(user)})


def custom_id(user: int) -> str:
    """The customer's id of a user."""
    return f"u{user + 1}"


def ids_of(user: int) -> dict[str, str]:
    """All ids of a user. LearnInk has none of every other one, and the others' are like the
    customer's ids of somebody else."""
    ids = {"custom_id": custom_id(user)}
    return ids if user % 2 else ids | {"user_id": f"u{user}"}


@cache
def words_of(user: int) -> frozenset[str]:
    """The words of a user's ids: nobody else has them, whatever the ids look like."""
    ids = ids_of(user)
    words = {_WORDS.of_custom(ids["custom_id"])}
    if "user_id" in ids:
        words.add(_WORDS.of_user(ids["user_id"]))
    return frozenset(words)


@cache
def _bearer(user: int) -> dict[str, str]:
    ids = ids_of(user)
    claims = {"sub": ids.pop("custom_id")} | ids
    return {"authorization": f"Bearer {jwt.encode(claims, _JWT_SECRET, 'HS256')}"}


async def _status(
    handler: Handler, headers: Mapping[str, str], path: Mapping[str, str], body: bytes = b""
) -> int:
    return (await answered(handler, _request(headers, path, body))).status


def _request(headers: Mapping[str, str], path: Mapping[str, str], body: bytes) -> Request:
    async def read(_limit: int) -> bytes:
        return body

    return Request(CIMultiDict(headers), "192.0.2.1", path, {}, read)
