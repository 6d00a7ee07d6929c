"""`inkpush events audit`: whether the kept learning events are what they were."""

from __future__ import annotations

from typing import BinaryIO

import click

from gateway.cli import show
from gateway.cli.base import Command, State, asynchronous, json_option


@click.command(
    "audit",
    cls=Command,
    short_help="Look for changes in the kept learning events",
    example="inkpush events audit --against heads.json",
)
@click.option(
    "--against",
    metavar="FILE",
    type=click.File("rb"),
    help="Compare with heads that were kept elsewhere: an export's manifest, or lines of the log.",
)
@json_option
@click.pass_obj
@asynchronous
async def audit_events(state: State, against: BinaryIO | None, as_json: bool) -> None:
    """Look for changes in the kept learning events.

    Goes through the whole chain: numbers, contents, erases, seals and removed days. A chain that
    was made anew as a whole is found only with a head that was kept elsewhere. It says nothing of
    what LearnInk never sent. Exit status 1 if anything is wrong.
    """
    from gateway.app.chaining import audit_chain
    from gateway.core.learning_audit import heads_in

    try:
        heads = {} if against is None else heads_in(against.read().decode("utf-8-sig"))
    except ValueError as error:
        raise click.ClickException(f"--against: {error}") from None
    async with state.store() as stores:
        audit, end = await audit_chain(stores.store.learning, against=heads)
    if as_json:
        show.as_line(
            {
                "ok": not audit.faults,
                "number": end.number,
                "head": end.head.hex(),
                "events": audit.events,
                "erased": audit.erased,
                "removed": audit.removed,
                "compared": audit.compared,
                "faults": [fault._asdict() for fault in audit.faults],
            }
        )
    else:
        for fault in audit.faults:
            click.echo(f"{fault.number}: {fault.what}")
        click.echo(
            f"Events: {audit.events}, of which erased: {audit.erased}; removed after their time: "
            f"{audit.removed}; compared with heads kept elsewhere: {audit.compared}"
        )
        click.echo(f"The chain ends at {end.number}, with the head {end.head.hex()}")
        click.echo("Something was changed." if audit.faults else "No change was found.")
    if audit.faults:
        raise click.exceptions.Exit(1)
