"""`inkpush serve` and `inkpush migrate`."""

from __future__ import annotations

import click

from gateway.cli.base import Command, State, asynchronous


@click.command(
    cls=Command,
    short_help="Run the gateway",
    example="inkpush serve --config /etc/inkpush/inkpush.toml",
)
@click.option(
    "--role",
    type=click.Choice(["all", "ingest", "relay"]),
    help="What this process does, instead of server.role.",
)
@click.pass_obj
def serve(state: State, role: str | None) -> int:
    """Run the gateway until it gets SIGTERM or SIGINT.

    SIGHUP reads credentials, limits and apps again, without losing a push.
    """
    from config.settings import Settings
    from gateway import app

    def load() -> Settings:
        return state.settings(**({"INKPUSH_SERVER__ROLE": role} if role else {}))

    return app.serve(load(), reload=load)


@click.command(
    cls=Command,
    short_help="Create or upgrade the database",
    example="inkpush migrate --config inkpush.toml",
)
@click.option(
    "--missing",
    is_flag=True,
    help="Make tables and indexes anew that somebody dropped; what the tables held is lost.",
)
@click.pass_obj
@asynchronous
async def migrate(state: State, missing: bool) -> None:
    """Create the database, or upgrade it to this version's schema.

    `inkpush serve` does the same at its start; this command is for doing it before.
    """
    if missing:
        from gateway.app.storage import make_missing

        made = await make_missing(state.settings())
        click.echo(f"Made anew: {', '.join(made) or 'nothing was missing'}")
    async with state.store() as stores:
        await stores.store.ping()
        click.echo(f"The schema of {stores.place} is up to date.")
