"""Calling a running gateway over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

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


async def post(url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
    """Post a JSON body. Raises ClickException without an answer."""
    import aiohttp

    if not url.startswith(("http://", "https://")):
        raise click.ClickException(f"{url} is not a valid URL; expected http:// or https://")
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    sent = {"Content-Type": "application/json", **headers}
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.post(url, data=body, headers=sent, allow_redirects=False) as response,
        ):
            return Answer(response.status, await response.text())
    except aiohttp.ClientConnectorError as error:
        place = urlsplit(url).netloc
        told = error.os_error.strerror or type(error.os_error).__name__
        raise click.ClickException(
            f"cannot reach {place}: {told}; does `inkpush serve` run there?"
        ) from error
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        place = urlsplit(url).netloc or url
        reason = str(error) or "it did not answer in time"
        raise click.ClickException(f"cannot reach {place}: {reason}") from error


def local_url(settings: Settings) -> str:
    """Where the gateway of these settings listens, seen from this machine."""
    host = settings.server.host
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - compared with, not bound to
        host = "127.0.0.1"
    if ":" in host:
        host = f"[{host}]"
    return f"http://{host}:{settings.server.port}"
