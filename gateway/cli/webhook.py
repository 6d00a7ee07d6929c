"""`inkpush webhook`: signing a body as LearnInk's sender does."""

from __future__ import annotations

import json
import secrets
import time
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import click

from gateway.cli import show
from gateway.cli.base import Group, State, asynchronous, json_option
from gateway.cli.calls import post
from gateway.core.sources import LEARNINK


@click.group(cls=Group, short_help="Webhooks, for trying out an endpoint")
def webhook() -> None:
    """Webhooks, for trying out an endpoint."""


@webhook.command(
    "sign",
    short_help="Sign a webhook, and post it if asked",
    example="inkpush webhook sign event.json --now --to http://127.0.0.1:8080/webhooks/learnink",
)
@click.argument("file", type=click.File("rb"))
@click.option("--secret", help="Signing secret (whsec_...), instead of the configuration's first.")
@click.option("--source", help="Whose secret to take: the one that --to names, else learnink.")
@click.option("--id", "message_id", help="Message id; a repeated one counts as a duplicate.")
@click.option("--to", "url", help="Post the body there, and print the answer.")
@click.option("--now", is_flag=True, help="Set the event's timestamp to now: an old one is stale.")
@json_option
@click.pass_obj
@asynchronous
async def sign(
    state: State,
    file: BinaryIO,
    secret: str | None,
    source: str | None,
    message_id: str | None,
    url: str | None,
    now: bool,
    as_json: bool,
) -> int:
    """Sign the body in FILE (- for standard input): print its headers, or post it.

    --now changes the body: post it with --to, or take it from --json.
    """
    if now and not url and not as_json:
        raise click.UsageError("--now changes the body: post it with --to, or print it with --json")
    body = file.read()
    if now:
        body = _dated_now(body)
    headers = _headers(_key(state, secret, source, url), message_id, body)
    if not url:
        _print(headers, body, as_json)
        return 0
    answer = await post(url, body, headers)
    if as_json:
        show.as_line({"status": answer.status, "answer": answer.text, "headers": headers})
    else:
        click.echo(f"{answer.status} {answer.text}")
    return 0 if answer.ok else 1


def _headers(key: bytes, message_id: str | None, body: bytes) -> dict[str, str]:
    from gateway.ingest.signature import sign as signature

    message_id = message_id or f"msg_{secrets.token_urlsafe(20)}"
    at = int(time.time())
    return {
        "svix-id": message_id,
        "svix-timestamp": str(at),
        "svix-signature": signature(key, message_id, at, body),
    }


def _named_by(url: str | None) -> str:
    """The source that an address names by its last word."""
    head, _, source = urlsplit(url or "").path.rstrip("/").rpartition("/")
    return source if head.endswith("/webhooks") else LEARNINK


def _key(state: State, secret: str | None, source: str | None, url: str | None) -> bytes:
    from gateway.ingest.signature import decode_secret

    if secret is None:
        settings = state.settings()
        by_source = {one.id: one.secrets for one in settings.sources}
        by_source[LEARNINK] = settings.webhook.secrets
        named = _named_by(url)
        source = source or (named if named in by_source else LEARNINK)
        known = by_source.get(source)
        if not known:
            text = f"the configuration has no signing secret of {source}; give one by --secret"
            raise click.UsageError(text)
        secret = known[0].get_secret_value()
    try:
        return decode_secret(secret)
    except ValueError as error:
        raise click.UsageError(f"--secret: {error}") from error


def _dated_now(body: bytes) -> bytes:
    try:
        event: Any = json.loads(body)
    except ValueError as error:
        raise click.ClickException("--now: the body is not JSON") from error
    if not isinstance(event, dict):
        raise click.ClickException("--now: the body is not an event")
    return json.dumps({**event, "timestamp": show.moment(time.time())}).encode()


def _print(headers: dict[str, str], body: bytes, as_json: bool) -> None:
    if as_json:
        show.as_line({"headers": headers, "body": body.decode(errors="replace")})
        return
    for name, value in headers.items():
        click.echo(f"{name}: {value}")
