"""`inkpush bench`: throughput on this machine."""

from __future__ import annotations

import click

from gateway.cli import show
from gateway.cli.base import Command, State, json_option


@click.command(
    cls=Command,
    short_help="Measure the throughput on this machine",
    example="inkpush bench --provider apns --pushes 20000",
)
@click.option(
    "--pushes",
    type=click.IntRange(1, 1_000_000),
    default=5_000,
    show_default=True,
    help="How many pushes are measured, each to a device of its own.",
)
@click.option(
    "--provider",
    type=click.Choice(["fcm", "apns"]),
    default="fcm",
    show_default=True,
    help="Which vendor's stand-in they go to.",
)
@json_option
@click.pass_obj
def bench(_state: State, pushes: int, provider: str, as_json: bool) -> None:
    """Measure the throughput on this machine: no account and no network needed.

    Starts a stand-in for the vendors (nginx where it is installed, else the sandbox) and a gateway,
    in a folder that is removed afterwards; registers devices, posts signed batches, and waits until
    every push is in the journal. Shows pushes a second, the gateway's CPU time per push, how soon
    webhooks were answered (p50, p99) and its memory. It warns if the stand-in or other processes
    were the limit: then the gateway can do more.
    """
    from gateway import app

    def say(text: str) -> None:
        click.echo(f"  {text}", err=True)

    figures = app.bench(pushes=pushes, provider=provider, say=say)
    if as_json:
        show.as_line(figures)
    else:
        show.fields(figures)
