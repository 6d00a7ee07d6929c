"""`inkpush demo` and `inkpush sandbox`: the gateway without any account."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import click

from gateway.cli import show
from gateway.cli.base import Command, Group, State, json_option
from gateway.cli.phones import phones

Port = click.IntRange(0, 65_535)


@click.command(
    cls=Command,
    short_help="Show the main job; no account needed",
    example="inkpush demo --once --notifications 1000",
)
@click.option("--once", is_flag=True, help="Print a JSON summary as the last line.")
@click.option(
    "--notifications",
    type=click.IntRange(1, 100_000),
    default=50,
    show_default=True,
    help="How many notifications the batch has.",
)
@click.pass_obj
def demo(_state: State, once: bool, notifications: int) -> int:
    """Show the main job: no account and no network needed.

    Starts the vendor sandbox and a gateway, registers simulated phones, posts a signed batch, and
    reports what became of it. Exit status 0: every push ended as it should.
    """
    from gateway import app

    summary = asyncio.run(app.demo(notifications=notifications, once=once, say=click.echo))
    if once:
        show.as_line(summary)
    return 0 if summary["ok"] else 1


@click.group(
    cls=Group,
    invoke_without_command=True,
    short_help="Run stand-ins for FCM and APNs",
    epilog="\b\nExample:\n  inkpush sandbox --directory /tmp/sandbox",
)
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("inkpush-sandbox"),
    show_default=True,
    help="Where certificates and keys are written.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--fcm-port", type=Port, default=0, help="Port of FCM and OAuth; 0: a free one.")
@click.option("--apns-port", type=Port, default=0, help="Port of APNs; 0: a free one.")
@click.option("--apns-sandbox-port", type=Port, default=0, help="Port of APNs' development side.")
@click.option("--control-port", type=Port, default=0, help="Port that answers are scripted on.")
@json_option
@click.pass_context
def sandbox(
    ctx: click.Context,
    /,
    directory: Path,
    host: str,
    as_json: bool,
    **ports: int,
) -> None:
    """Run stand-ins for FCM, its OAuth endpoint and APNs, with scriptable answers.

    They check requests as the vendors do. Prints their addresses, and a configuration that points
    at them; runs until SIGTERM or SIGINT.
    """
    if ctx.invoked_subcommand is not None:
        return
    from gateway import app

    def ready(places: dict[str, Any], configuration: str) -> None:
        if as_json:
            show.as_line(places)
        else:
            show.fields(places)
            click.echo(f"\n{configuration}")

    asyncio.run(app.run_sandbox(directory, host=host, ports=ports, on_ready=ready))


sandbox.add_command(phones)
