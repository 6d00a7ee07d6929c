"""`inkpush send`: one push, from the command line."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any
from uuid import uuid4

import click

from gateway.cli import show
from gateway.cli.base import Command, State, UserId, asynchronous, json_option
from gateway.cli.calls import local_url, post

COLUMNS = ("app", "provider", "platform", "address_hash")


@click.command(
    cls=Command,
    short_help="Send one push to all devices of a user",
    example='inkpush send --user 3c2143e4 --title "Hi Mary!" --body "Time to learn" --dry-run',
)
@click.option("--user", type=UserId(), required=True, help="The user's custom_id or user_id.")
@click.option("--title", default="", help="The push's title.")
@click.option("--body", default="", help="The push's text.")
@click.option("--path", help="The place to open in the app, like /learning.")
@click.option("--dry-run", is_flag=True, help="Show which devices would get it; send nothing.")
@click.option("--key", envvar="INKPUSH_API_KEY", help="API key: send through the running gateway.")
@click.option("--url", help="Where the gateway is, instead of server.host and server.port.")
@click.option("--idempotency-key", help="A repeat with the same one sends nothing.")
@json_option
@click.pass_obj
@asynchronous
async def send(
    state: State,
    user: str,
    title: str,
    body: str,
    path: str | None,
    dry_run: bool,
    key: str | None,
    url: str | None,
    idempotency_key: str | None,
    as_json: bool,
) -> int:
    """Send one push to all devices of a user.

    With an API key it goes through the running gateway (POST /v1/notifications); without one it is
    queued in the store, and a running gateway takes it from there.
    """
    if not title and not body:
        raise click.UsageError("give the push a --title, a --body or both")
    item = {"title": title, "body": body, "path": path, "user_id": user, "custom_id": user}
    if key and not dry_run:
        url = url or local_url(state.settings())
        return await _through_gateway(url, key, idempotency_key, item, as_json)
    if url or idempotency_key:
        raise click.UsageError("--url and --idempotency-key need --key, and no --dry-run")
    return await _through_store(state, item, dry_run, as_json)


async def _through_gateway(
    url: str, key: str, idempotency_key: str | None, item: dict[str, Any], as_json: bool
) -> int:
    call = {"idempotency_key": idempotency_key or uuid4().hex, "notifications": [item]}
    answer = await post(
        f"{url.rstrip('/')}/v1/notifications",
        json.dumps(call).encode(),
        {"Authorization": f"Bearer {key}"},
    )
    try:
        told = json.loads(answer.text)
    except ValueError:
        told = None
    if as_json or not isinstance(told, dict):
        click.echo(answer.text)
    elif answer.ok:
        click.echo(f"{told['status']} as {told['event_id']}")
    else:
        reasons = [entry.get("message", "") for entry in told.get("errors", [])]
        told_why = "; ".join([str(told.get("detail") or told.get("title")), *reasons])
        click.echo(f"{answer.status} {told_why}", err=True)
    return 0 if answer.ok else 1


async def _through_store(state: State, item: dict[str, Any], dry_run: bool, as_json: bool) -> int:
    from gateway import app

    submitted = await app.submit(state.settings(), [item], dry_run=dry_run)
    if as_json:
        show.as_line(asdict(submitted))
        return 1 if submitted.rejections else 0
    for reason in submitted.rejections:
        click.echo(f"rejected: {reason}", err=True)
    if submitted.rejections:
        return 1
    rows = [asdict(destination) for destination in submitted.destinations]
    show.table(rows, COLUMNS, empty="The user has no active device.")
    click.echo("Nothing was sent." if dry_run else f"Queued as {submitted.event_id}", err=True)
    return 0
