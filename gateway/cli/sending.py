"""`inkpush send`: one push, from the command line."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from uuid import uuid4

import click

from gateway.cli import show
from gateway.cli.acting import actor
from gateway.cli.base import (
    Command,
    Pasted,
    State,
    UserId,
    asynchronous,
    by_option,
    json_option,
    reason_option,
)
from gateway.cli.calls import Answer, get, local_url, post

if TYPE_CHECKING:
    from gateway.whose import By

COLUMNS = ("app", "provider", "platform", "address_hash")
_CONFLICT = 409


@click.command(
    cls=Command,
    short_help="Send one push to all devices of a user",
    example='inkpush send --user 3c2143e4 --title "Hi Mary!" --body "Time to learn" --dry-run',
)
@click.option("--user", type=UserId(), required=True, help="The user's custom_id or user_id.")
@by_option
@click.option("--title", default="", help="The push's title.")
@click.option("--body", default="", help="The push's text.")
@click.option("--path", help="The place to open in the app, like /learning.")
@click.option("--dry-run", is_flag=True, help="Show which devices would get it; send nothing.")
@click.option(
    "--key",
    envvar="INKPUSH_API_KEY",
    type=Pasted(),
    help="API key: send through the running gateway.",
)
@click.option("--url", help="Where the gateway is, instead of server.host and server.port.")
@click.option("--idempotency-key", help="A repeat with the same one sends nothing.")
@reason_option
@json_option
@click.pass_obj
@asynchronous
async def send(
    state: State,
    user: str,
    by: By | None,
    title: str,
    body: str,
    path: str | None,
    dry_run: bool,
    key: str | None,
    url: str | None,
    idempotency_key: str | None,
    reason: str,
    as_json: bool,
) -> int:
    """Send one push to all devices of a user.

    With an API key it goes through the running gateway (POST /v1/notifications); without one it is
    queued in the store, and a running gateway takes it from there. A key without devices:read
    cannot look up which id --user is: say it by --by.
    """
    if not title and not body:
        raise click.UsageError("give the push a --title, a --body or both")
    content = {"title": title, "body": body, "path": path}
    if key and not dry_run:
        if reason:
            raise click.UsageError("--reason goes without --key: the API takes none")
        url = (url or local_url(state.settings())).rstrip("/")
        bearer = {"Authorization": f"Bearer {key}"}
        item = content | await _ids(url, bearer, user, by)
        call = {"idempotency_key": idempotency_key or uuid4().hex, "notifications": [item]}
        posted = await post(f"{url}/v1/notifications", json.dumps(call).encode(), bearer)
        return _tell(posted, as_json)
    if url or idempotency_key:
        raise click.UsageError("--url and --idempotency-key need --key, and no --dry-run")
    return await _through_store(state, content, user, by, dry_run, reason, as_json)


async def _ids(url: str, bearer: dict[str, str], user: str, by: By | None) -> dict[str, Any]:
    """The ids of an item to this user: the one that `--by` says, or by which the gateway knows the
    user; both where it knows none, or where the key may not look."""
    from gateway.errors import AmbiguousId
    from gateway.whose import fewest_ids

    if by is not None:
        return {by: user}
    answer = await get(f"{url}/v1/users/{quote(user, safe='')}/devices", bearer)
    if answer.status == _CONFLICT:
        raise AmbiguousId
    told = answer.document()
    devices = told.get("devices", []) if answer.ok and isinstance(told, dict) else []
    return asdict(fewest_ids(user, [(one["user_id"], one["custom_id"]) for one in devices]))


def _tell(answer: Answer, as_json: bool) -> int:
    told = answer.document()
    if as_json or not isinstance(told, dict):
        click.echo(answer.text)
    elif answer.ok:
        click.echo(f"{told['status']} as {told['event_id']}")
    else:
        reasons = [entry.get("message", "") for entry in told.get("errors", [])]
        told_why = "; ".join([str(told.get("detail") or told.get("title")), *reasons])
        click.echo(f"{answer.status} {told_why}", err=True)
    return 0 if answer.ok else 1


async def _through_store(
    state: State,
    content: dict[str, Any],
    user: str,
    by: By | None,
    dry_run: bool,
    reason: str,
    as_json: bool,
) -> int:
    from gateway import app

    submitted = await app.submit(
        state.settings(), content, user=user, by=by, dry_run=dry_run, actor=actor(reason)
    )
    if as_json:
        show.as_line(asdict(submitted))
        return 1 if submitted.rejections else 0
    for why in submitted.rejections:
        click.echo(f"rejected: {why}", err=True)
    if submitted.rejections:
        return 1
    rows = [asdict(destination) for destination in submitted.destinations]
    show.table(rows, COLUMNS, empty="The user has no active device.")
    click.echo("Nothing was sent." if dry_run else f"Queued as {submitted.event_id}", err=True)
    return 0
