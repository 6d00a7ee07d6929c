"""GET /openapi.json: the contract of the public listener, for machines.

The document is the asset `openapi.json` beside this file; tests hold it against a running server.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from aiohttp import web

import gateway


def load_document() -> dict[str, Any]:
    """Read the OpenAPI 3.1 document and put the version in."""
    text = files("gateway.ops").joinpath("openapi.json").read_text(encoding="utf-8")
    document: dict[str, Any] = json.loads(text)
    document["info"]["version"] = gateway.__version__
    return document


class OpenApiRoutes:
    """`/openapi.json` of the public listener."""

    def __init__(self) -> None:
        self._body = json.dumps(load_document(), ensure_ascii=False).encode()

    def routes(self) -> list[web.RouteDef]:
        """What to add to the public application."""
        return [web.get("/openapi.json", self.show, allow_head=False)]

    async def show(self, _request: web.Request) -> web.Response:
        """The document; open to all, for it says nothing of this installation."""
        return web.Response(body=self._body, content_type="application/json")
