"""The control listener: the OAuth token endpoint, and the sandbox's knobs for other processes.

Owns the HTTP form of what `Sandbox` offers in Python. Bad input is a 400 that says what is wrong.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from aiohttp import web

from providers.sandbox.answers import Answer
from providers.sandbox.phonebook import PhoneChange

if TYPE_CHECKING:
    from providers.sandbox.server import Sandbox

MAX_BODY_BYTES = 64 * 1024 * 1024
"""Scripts for a million addresses come in one body."""

_PAGE = 10_000
_PHONE_FIELDS = {"for": "words"}


class BadInput(ValueError):
    """A call of the control API that cannot be carried out."""


def control_app(sandbox: Sandbox) -> web.Application:
    """The application of the control listener."""
    control = _Control(sandbox)
    app = web.Application(middlewares=[_explain], client_max_size=MAX_BODY_BYTES)
    app.add_routes(
        [
            web.post("/token", control.token),
            web.put("/scripts", control.put_scripts),
            web.delete("/scripts", control.delete_scripts),
            web.get("/pushes", control.get_pushes),
            web.delete("/pushes", control.delete_pushes),
            web.get("/phones", control.get_phones),
            web.get("/phones/{address}", control.get_phone),
            web.put("/phones/{address}", control.put_phone),
            web.post("/phones/{address}/reinstall", control.reinstall),
            web.get("/stats", control.get_stats),
            web.get("/settings", control.get_settings),
            web.put("/settings", control.put_settings),
            web.put("/addresses", control.put_addresses),
            web.post("/tokens/revoke", control.revoke_tokens),
            web.post("/connections/drop", control.drop_connections),
            web.post("/connections/goaway", control.go_away),
        ]
    )
    return app


@web.middleware
async def _explain(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except ValueError as error:
        return web.json_response({"error": str(error)}, status=400)


class _Control:
    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def token(self, request: web.Request) -> web.Response:
        status, answer = await self._sandbox.grants.exchange(await request.post())
        headers = {"location": request.path} if 300 <= status < 400 else {}
        if page := self._sandbox.settings.oauth_page:
            return web.Response(text=page, status=status, content_type="text/html", headers=headers)
        return web.json_response(answer, status=status, headers=headers)

    async def put_scripts(self, request: web.Request) -> web.Response:
        body = await _object(request)
        scripts = [_script(each) for each in _list(body, "scripts")]
        for address, answers, repeat_last in scripts:
            self._sandbox.script(address, *answers, repeat_last=repeat_last)
        return web.json_response({"scripts": len(scripts)})

    async def delete_scripts(self, _: web.Request) -> web.Response:
        self._sandbox.clear_scripts()
        return web.Response(status=204)

    async def get_pushes(self, request: web.Request) -> web.StreamResponse:
        since = _number(request, "since", 0)
        pushes = self._sandbox.pushes_since(since, _number(request, "limit", _PAGE))
        if "application/x-ndjson" in request.headers.get("Accept", ""):
            lines = "".join(json.dumps(push.to_json()) + "\n" for push in pushes)
            return web.Response(text=lines, content_type="application/x-ndjson")
        last = pushes[-1].seq if pushes else since
        return web.json_response({"pushes": [push.to_json() for push in pushes], "last": last})

    async def delete_pushes(self, _: web.Request) -> web.Response:
        self._sandbox.clear_pushes()
        return web.Response(status=204)

    async def get_phones(self, _: web.Request) -> web.Response:
        """Every phone that was told anything."""
        sandbox = self._sandbox
        phones = [sandbox.phone_json(address) for address in sandbox.phones_spoken_of()]
        return web.json_response({"phones": phones})

    async def get_phone(self, request: web.Request) -> web.Response:
        return web.json_response(self._sandbox.phone_json(request.match_info["address"]))

    async def put_phone(self, request: web.Request) -> web.Response:
        """Tell a phone any of: {"state": "off", "notifications": "denied", "app": "open",
        "platform": "android", "for": [the words that answered the registration]}."""
        address = request.match_info["address"]
        self._sandbox.change_phone(address, _change(await _object(request)))
        return web.json_response(self._sandbox.phone_json(address))

    async def reinstall(self, request: web.Request) -> web.Response:
        """Remove the app and install it anew: {"address": the new one}."""
        new = (await _object(request)).get("address")
        if not isinstance(new, str) or not new:
            raise BadInput('the body must hold "address", the new one')
        self._sandbox.reinstall(request.match_info["address"], new)
        return web.json_response(self._sandbox.phone_json(new))

    async def get_stats(self, _: web.Request) -> web.Response:
        return web.json_response(self._sandbox.stats())

    async def get_settings(self, _: web.Request) -> web.Response:
        return web.json_response(self._sandbox.settings.to_json())

    async def put_settings(self, request: web.Request) -> web.Response:
        self._sandbox.settings.change(await _object(request))
        return web.json_response(self._sandbox.settings.to_json())

    async def put_addresses(self, request: web.Request) -> web.Response:
        """Tie APNs addresses to one environment: {"only_in": {"<token>": "sandbox"}}."""
        body = await _object(request)
        homes = body.get("only_in")
        if not isinstance(homes, dict):
            raise BadInput('the body must hold "only_in", an object of address: environment')
        for home in homes.values():
            if home not in ("production", "sandbox"):
                raise BadInput("an environment is production or sandbox")
        for address, home in homes.items():
            self._sandbox.only_in(home, address)
        return web.json_response({"addresses": len(homes)})

    async def revoke_tokens(self, _: web.Request) -> web.Response:
        self._sandbox.revoke_tokens()
        return web.Response(status=204)

    async def drop_connections(self, _: web.Request) -> web.Response:
        return web.json_response({"dropped": self._sandbox.drop_connections()})

    async def go_away(self, _: web.Request) -> web.Response:
        return web.json_response({"told": self._sandbox.go_away()})


async def _object(request: web.Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.read())
    except (ValueError, RecursionError) as error:
        raise BadInput("the body is not JSON") from error
    if not isinstance(body, dict):
        raise BadInput("the body must be a JSON object")
    return body


def _list(body: Mapping[str, Any], name: str) -> list[Any]:
    value = body.get(name)
    if not isinstance(value, list):
        raise BadInput(f'the body must hold "{name}", a list')
    return value


def _change(body: Mapping[str, Any]) -> PhoneChange:
    told = {_PHONE_FIELDS.get(name, name): value for name, value in body.items()}
    known = {each.name for each in fields(PhoneChange)}
    if not told or not told.keys() <= known or "words" in body:
        names = ", ".join(sorted(known - {"words"} | {"for"}))
        raise BadInput(f"a phone is told one or more of {names}")
    if "words" in told:
        told["words"] = [str(word) for word in _list(body, "for")]
    return PhoneChange(**told)


def _script(value: object) -> tuple[str, list[Answer], bool]:
    if not isinstance(value, dict) or not isinstance(value.get("address"), str):
        raise BadInput('a script is an object with "address" and "answers"')
    repeat_last = value.get("repeat_last", True)
    if not isinstance(repeat_last, bool):
        raise BadInput("repeat_last must be true or false")
    answers = [Answer.from_json(answer) for answer in _list(value, "answers")]
    return value["address"], answers, repeat_last


def _number(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, str(default))
    if not (text.isascii() and text.isdigit()):
        raise BadInput(f"{name} must be a number, 0 or more")
    return int(text)
