"""`inkpush sandbox phones`: the phones of a sandbox that runs, as its control port knows them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from gateway.cli import calls, show
from gateway.cli.base import Command, State, asynchronous, json_option

_MOST = 100
"""Receipts in one call, at most."""
NOBODY_TOLD = (
    "No phone was told anything yet: each is on, and shows what comes. Name its ADDRESS to see it."
)
COLUMNS = ("address", "platform", "state", "notifications", "app", "shown", "kept")


@click.command(
    cls=Command,
    short_help="Look at the sandbox's phones, or change one",
    example="inkpush sandbox phones --off ADDRESS",
)
@click.argument("address", required=False)
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("inkpush-sandbox"),
    show_default=True,
    help="The directory of the sandbox, which tells where it listens.",
)
@click.option("--on", "state", flag_value="on", help="Turn it on: what was kept for it comes.")
@click.option("--off", "state", flag_value="off", help="Turn it off.")
@click.option("--grant", "notifications", flag_value="granted", help="Allow notifications.")
@click.option("--deny", "notifications", flag_value="denied", help="Forbid notifications.")
@click.option("--open", "app", flag_value="open", help="Open the app: it sees each push first.")
@click.option("--close", "app", flag_value="closed", help="Close the app.")
@click.option("--for", "words", multiple=True, help="A word of who is logged in; may be repeated.")
@click.option("--nobody", is_flag=True, help="Nobody is logged in.")
@click.option(
    "--platform",
    type=click.Choice(["android", "ios", "web"]),
    help="What kind of phone an FCM address is of; else each message says it.",
)
@click.option("--reinstall", metavar="NEW", help="Install the app anew, with this address.")
@click.option("--tap", is_flag=True, help="Tap all that it shows.")
@click.option(
    "--tell",
    metavar="URL",
    help="Have its app tell the gateway at this address what became of its pushes.",
)
@json_option
@click.pass_obj
@asynchronous
async def phones(
    _state: State,
    /,
    address: str | None,
    directory: Path,
    words: tuple[str, ...],
    nobody: bool,
    reinstall: str | None,
    tap: bool,
    tell: str | None,
    as_json: bool,
    **told: str | None,
) -> None:
    """Show the sandbox's phones, or change one: turn it off, deny it, log somebody in.

    --tap and --tell do what its owner and its app do: receipts go to a gateway's public address.

    Without ADDRESS: all phones that were told anything. With it: what the phone shows, and what
    its vendor keeps for it while it is off.
    """
    change: dict[str, Any] = {name: value for name, value in told.items() if value is not None}
    if words or nobody:
        change["for"] = list(words)
    if words and nobody:
        raise click.UsageError("--for and --nobody contradict each other")
    from gateway import app

    control_url = app.sandbox_control_url(directory)
    if control_url is None:
        raise click.ClickException(
            f"{directory} is not the directory of a sandbox; see `inkpush sandbox --directory`"
        )
    url = f"{control_url}/phones"
    if address is None:
        if change or reinstall or tap or tell:
            raise click.UsageError("name the phone that is to change")
        found = (await _ask("GET", url))["phones"]
        if as_json:
            show.as_line(found)
        else:
            rows = [each | {name: len(each[name]) for name in ("shown", "kept")} for each in found]
            show.table(rows, COLUMNS, empty=NOBODY_TOLD)
        return
    place = f"{url}/{quote(address, safe='')}"
    phone = None
    if change:
        phone = await _ask("PUT", place, change)
    if reinstall:
        phone = await _ask("POST", f"{place}/reinstall", {"address": reinstall})
    if tap:
        await _ask("POST", f"{place}/tap")
    if tell:
        await _tell(await _ask("GET", f"{place}/receipts"), tell)
    phone = phone or await _ask("GET", place)
    if as_json:
        show.as_line(phone)
    else:
        _show(phone)


async def _ask(method: str, url: str, content: object = None) -> dict[str, Any]:
    answer = await calls.ask_sandbox(method, url, content)
    document = answer.document()
    if not answer.ok or not isinstance(document, dict):
        told = document.get("error") if isinstance(document, dict) else None
        raise click.ClickException(told or f"the sandbox answers {answer.status}")
    return document


async def _tell(told: Mapping[str, Any], gateway: str) -> None:
    """Post receipts to a gateway, a hundred at a time, as an app does."""
    url, receipts = f"{gateway.rstrip('/')}/v1/receipts", told["receipts"]
    accepted = 0
    for start in range(0, len(receipts), _MOST):
        body = {"sent_at": told["sent_at"], "receipts": receipts[start : start + _MOST]}
        answer = await calls.post(url, json.dumps(body).encode(), {})
        document = answer.document()
        if not answer.ok or not isinstance(document, dict):
            raise click.ClickException(f"{url} answers {answer.status}")
        accepted += document["accepted"]
    click.echo(f"The app told {len(receipts)} receipts; {accepted} were kept.", err=True)


def _show(phone: Mapping[str, Any]) -> None:
    show.fields({name: phone[name] for name in (*COLUMNS[:5], "for")})
    rows = [
        {
            "where": where,
            "title": push["title"],
            "body": push["body"],
            "at": show.moment(push["at"]),
        }
        for where in ("shown", "kept")
        for push in phone[where]
    ]
    show.table(rows, ("where", "title", "body", "at"), empty="It shows nothing.")
