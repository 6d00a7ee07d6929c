"""Reading request bodies: limits that are kept while reading, and no error but a problem.

Owns how a body is read, not what is in it.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from gateway.problems import Problem

BODY_S = 30.0
"""How long a body may take to come in: a sender that stalls must not hold its request open."""


class UnreadableBody(Exception):
    """The body was cut off, is late, or is not in the encoding it claims."""


async def read_body(request: web.Request, *, limit: int, within_s: float = BODY_S) -> bytes:
    """The bytes a request carries; 413 over `limit`, `UnreadableBody` when they do not come."""
    if (request.content_length or 0) > limit:
        raise Problem("body_too_large", f"the limit is {limit} bytes")
    body = bytearray()
    try:
        async with asyncio.timeout(within_s):
            async for part in request.content.iter_any():
                body += part
                if len(body) > limit:
                    raise Problem("body_too_large", f"the limit is {limit} bytes")
    except TimeoutError as error:
        raise UnreadableBody("the body did not come in time") from error
    except (web.RequestPayloadError, HttpProcessingError, ConnectionError) as error:
        raise UnreadableBody("the body cannot be read") from error
    return bytes(body)


async def read_object(request: web.Request, *, limit: int) -> dict[str, Any]:
    """The JSON object a request carries; 400 when it is none, 413 over `limit` bytes."""
    try:
        document = json.loads(await read_body(request, limit=limit))
    except UnreadableBody as error:
        raise Problem("bad_request", str(error)) from error
    except (ValueError, RecursionError) as error:
        raise Problem("bad_request", "the body is not JSON") from error
    if not isinstance(document, dict):
        raise Problem("bad_request", "the body is not a JSON object")
    return document
