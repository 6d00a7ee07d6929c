"""Reading JSON bodies: a limit that is kept while reading, and no error but a problem."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from gateway.problems import Problem


async def read_object(request: web.Request, *, limit: int) -> dict[str, Any]:
    """The JSON object a request carries; 400 when it is none, 413 over `limit` bytes."""
    if (request.content_length or 0) > limit:
        raise Problem("body_too_large", f"the limit is {limit} bytes")
    body = bytearray()
    async for part in request.content.iter_any():
        body += part
        if len(body) > limit:
            raise Problem("body_too_large", f"the limit is {limit} bytes")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Problem("bad_request", "the body is not JSON") from error
    if not isinstance(document, dict):
        raise Problem("bad_request", "the body is not a JSON object")
    return document
