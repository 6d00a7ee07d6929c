"""The vendors' own clients for Python, used as their documentation shows."""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
import warnings
from pathlib import Path
from urllib.parse import urlsplit

import firebase_admin
from aioapns import APNs, NotificationRequest, PushType
from aioapns.connection import APNsTLSClientProtocol
from firebase_admin import credentials, messaging

_TOGETHER = 500
TITLE, BODY = "Hi Mary!", "Don't forget to complete your training today"


async def firebase_admin_alone(places: dict[str, str], tokens: list[str]) -> None:
    """`send_each_async` in batches of 500, the most it takes."""
    # its HTTP client has no option for a trust anchor
    os.environ["SSL_CERT_FILE"] = places["ca_file"]
    app = firebase_admin.initialize_app(
        credentials.Certificate(places["fcm_file"]), {"httpTimeout": 15}, name="bench"
    )
    service = messaging._get_messaging_service(app)
    service._fcm_url = f"{places['fcm_url']}/v1/projects/{places['project_id']}/messages:send"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # `token` is on its way out
        for start in range(0, len(tokens), _TOGETHER):
            messages = [
                messaging.Message(
                    token=token,
                    notification=messaging.Notification(title=TITLE, body=BODY),
                    data={"path": "/learning"},
                )
                for token in tokens[start : start + _TOGETHER]
            ]
            batch = await messaging.send_each_async(messages, dry_run=False, app=app)
            assert batch.failure_count == 0, batch.responses[0].exception
    await service._async_client.aclose()
    await asyncio.to_thread(firebase_admin.delete_app, app)
    del os.environ["SSL_CERT_FILE"]


async def aioapns_alone(places: dict[str, str], tokens: list[str]) -> None:
    """`send_notification`, 500 at a time."""
    logging.getLogger("aioapns").setLevel(logging.ERROR)
    url = urlsplit(places["apns_url"])
    context = ssl.create_default_context(cafile=places["ca_file"])
    context.set_alpn_protocols(["h2"])
    client = APNs(
        key=await asyncio.to_thread(Path(places["apns_key_file"]).read_text),
        key_id=places["key_id"],
        team_id=places["team_id"],
        topic=places["topic"],
        ssl_context=context,
    )
    where = {"APNS_SERVER": url.hostname, "APNS_PORT": url.port}
    client.pool.protocol_class = type("StandIn", (APNsTLSClientProtocol,), where)
    message = {"aps": {"alert": {"title": TITLE, "body": BODY}}, "data": {"path": "/learning"}}
    gate = asyncio.Semaphore(_TOGETHER)

    async def send(token: str) -> None:
        async with gate:
            request = NotificationRequest(token, message, push_type=PushType.ALERT)
            result = await client.send_notification(request)
            assert result.is_successful, result.description

    # its first connection opens with one stream: what comes after finds it ready
    await send(tokens[0])
    await asyncio.gather(*(send(token) for token in tokens[1:]))
    client.pool.close()
