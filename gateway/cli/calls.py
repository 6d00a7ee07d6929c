"""Calling a running gateway over HTTP."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from config.formats import hosts_of

if TYPE_CHECKING:
    from config.settings import Settings

_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of a gateway."""

    status: int
    text: str

    @property
    def ok(self) -> bool:
        """Whether the request was accepted."""
        return 200 <= self.status < 300

    def document(self) -> Any:
        """What the answer says; None when it is not JSON."""
        try:
            return json.loads(self.text)
        except ValueError:
            return None


async def post(url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
    """Post a JSON body. Raises ClickException without an answer."""
    return await _ask("POST", url, {"Content-Type": "application/json", **headers}, body)


async def ask_sandbox(method: str, url: str, content: object = None) -> Answer:
    """Ask the control port of a sandbox. Raises ClickException without an answer."""
    body = None if content is None else json.dumps(content).encode()
    return await _ask(method, url, {"Content-Type": "application/json"}, body, "inkpush sandbox")


async def get(url: str, headers: Mapping[str, str]) -> Answer:
    """Look something up. Raises ClickException without an answer."""
    return await _ask("GET", url, headers)


async def _ask(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes | None = None,
    runs: str = "inkpush serve",
) -> Answer:
    import aiohttp

    if not url.startswith(("http://", "https://")):
        raise click.ClickException(f"{url} is not a valid URL; expected http:// or https://")
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.request(
                method, url, data=body, headers=headers, allow_redirects=False
            ) as response,
        ):
            return Answer(response.status, await response.text())
    except aiohttp.ClientConnectorError as error:
        place = urlsplit(url).netloc
        told = error.os_error.strerror or type(error.os_error).__name__
        raise click.ClickException(
            f"cannot reach {place}: {told}; does `{runs}` run there?"
        ) from error
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        place = urlsplit(url).netloc or url
        reason = str(error) or "it did not answer in time"
        raise click.ClickException(f"cannot reach {place}: {reason}") from error


def local_url(settings: Settings) -> str:
    """Where the gateway of these settings listens, seen from this machine."""
    host = hosts_of(settings.server.host)[0]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - not bound to
    if ":" in host:
        host = f"[{host}]"
    return f"http://{host}:{settings.server.port}"
