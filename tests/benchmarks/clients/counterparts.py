"""Clients that are not ours, used as their documentation shows."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import ssl
import warnings
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import firebase_admin
from aioapns import APNs, NotificationRequest, PushType
from aioapns.connection import APNsTLSClientProtocol
from firebase_admin import credentials, messaging

from gateway.app.benching.vendors import Places
from providers.apns.credentials import ApnsCredentials
from providers.apns.payload import ApnsStyle, render_body, render_headers
from providers.fcm.payload import FcmStyle, render
from tests.benchmarks.clients.material import BODY, LIFE_S, PATH, TITLE, pushes, token
from tests.benchmarks.clients.result import Took, measured

_TOGETHER = 500
_HTTP1_CONNECTIONS = 64


async def firebase_admin_alone(places: Places, count: int) -> Took:
    """`send_each_async` in batches of 500, the most it takes."""
    # neither of its HTTP clients, for messages and for tokens, has an option for a trust anchor
    os.environ["SSL_CERT_FILE"] = os.environ["REQUESTS_CA_BUNDLE"] = places.ca_file
    app = firebase_admin.initialize_app(
        credentials.Certificate(places.fcm_file), {"httpTimeout": 15}, name="bench"
    )
    service = messaging._get_messaging_service(app)
    service._fcm_url = f"{places.fcm_url}/v1/projects/{places.project_id}/messages:send"
    tokens = [token("fcm", number) for number in range(count)]

    async def send(some: list[str]) -> None:
        messages = [
            messaging.Message(
                token=one,
                notification=messaging.Notification(title=TITLE, body=BODY),
                data={"path": PATH},
            )
            for one in some
        ]
        batch = await messaging.send_each_async(messages, dry_run=False, app=app)
        assert batch.failure_count == 0, batch.responses[0].exception

    async def work() -> None:
        for start in range(0, len(tokens), _TOGETHER):
            await send(tokens[start : start + _TOGETHER])

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # `token` is on its way out
        await send(tokens[:1])
        took = await measured(count, work)
    await service._async_client.aclose()
    await asyncio.to_thread(firebase_admin.delete_app, app)
    return took


async def aioapns_alone(places: Places, count: int) -> Took:
    """`send_notification`, 500 at a time."""
    logging.getLogger("aioapns").setLevel(logging.ERROR)
    url = urlsplit(places.apns_url)
    context = ssl.create_default_context(cafile=places.ca_file)
    context.set_alpn_protocols(["h2"])
    client = APNs(
        key=await asyncio.to_thread(Path(places.apns_key_file).read_text),
        key_id=places.key_id,
        team_id=places.team_id,
        topic=places.topic,
        ssl_context=context,
    )
    where = {"APNS_SERVER": url.hostname, "APNS_PORT": url.port}
    client.pool.protocol_class = type("StandIn", (APNsTLSClientProtocol,), where)
    message = {"aps": {"alert": {"title": TITLE, "body": BODY}}, "data": {"path": PATH}}
    gate = asyncio.Semaphore(_TOGETHER)

    async def send(one: str) -> None:
        async with gate:
            request = NotificationRequest(one, message, push_type=PushType.ALERT)
            result = await client.send_notification(request)
            assert result.is_successful, result.description

    async def work() -> None:
        await asyncio.gather(*(send(token("apns", number)) for number in range(count)))

    # its first connection opens with one stream: what comes after finds it ready
    await send(token("apns", 0))
    took = await measured(count, work)
    client.pool.close()
    return took


async def aiohttp_alone(places: Places, count: int) -> Took:
    """The aiohttp client over HTTP/1.1, 64 connections, ready-made headers and bodies."""
    context = ssl.create_default_context(cafile=places.ca_file)
    connector = aiohttp.TCPConnector(limit=_HTTP1_CONNECTIONS, ssl=context)
    headers, body = apns_request(places)
    waiting = iter(range(count))

    async with aiohttp.ClientSession(connector=connector, headers=headers) as http:

        async def send(number: int) -> None:
            url = f"{places.apns_url}/3/device/{token('apns', number)}"
            async with http.post(url, data=body) as answer:
                assert answer.status == 200
                await answer.read()

        async def one_after_the_other() -> None:
            for number in waiting:
                await send(number)

        async def work() -> None:
            await asyncio.gather(*(one_after_the_other() for _ in range(_HTTP1_CONNECTIONS)))

        # all connections open before the measurement
        await asyncio.gather(*(send(0) for _ in range(_HTTP1_CONNECTIONS)))
        return await measured(count, work)


def apns_request(places: Places) -> tuple[dict[str, str], bytes]:
    """The headers and the body of one push as the native transport has them."""
    (push,) = pushes("apns", 1)
    header = ApnsCredentials.load(
        places.apns_key_file, places.key_id, places.team_id, clock=lambda: push.expires_at
    ).header()
    headers = {
        "authorization": header,
        **dict(render_headers(push, places.topic, push.expires_at)),
    }
    return headers, render_body(push.message, push.delivery_id, push.word, ApnsStyle())


def fcm_request() -> tuple[dict[str, str], bytes]:
    """The headers and the body of one push, as the v1 API has them."""
    (push,) = pushes("fcm", 1)
    message = render(push.message, push, FcmStyle(), push.expires_at - LIFE_S)
    body = json.dumps({"message": message}, separators=(",", ":"), ensure_ascii=False).encode()
    headers = {"authorization": f"Bearer ya29.{'x' * 200}", "content-type": "application/json"}
    return headers, body
