"""`inkpush check` and `inkpush config`: whether settings are right, and which are in force."""

from __future__ import annotations

import os

import click

from gateway.cli import show
from gateway.cli.base import Command, Group, State, asynchronous, json_option

_MARKS = {"ok": "ok", "warning": "warning", "error": "ERROR"}


@click.command(
    cls=Command,
    short_help="Check configuration and credentials",
    example="inkpush check --config inkpush.toml --online",
)
@click.option(
    "--online", is_flag=True, help="Ask the vendors whether the credentials work; sends nothing."
)
@json_option
@click.pass_obj
@asynchronous
async def check(state: State, online: bool, as_json: bool) -> int:
    """Check configuration and credentials, and say what to do about each finding.

    Exit status 1 if something cannot work.
    """
    from config.sources import find_file
    from gateway import app

    file = find_file(state.config, os.environ)
    findings = await app.check(state.settings(), online=online, file=file)
    if as_json:
        rows = [
            {"level": found.level, "what": found.what, "advice": found.advice} for found in findings
        ]
        show.as_line({"findings": rows})
    else:
        for found in findings:
            click.echo(f"{_MARKS[found.level]:<8} {found.what}")
            if found.advice:
                click.echo(f"{'':<8} -> {found.advice}")
    return 1 if any(found.level == "error" for found in findings) else 0


@click.group(cls=Group, short_help="The settings in force, and their schema")
def config() -> None:
    """The settings in force, and their schema."""


@config.command(
    "show",
    short_help="Show every setting in force",
    example="inkpush config show --json | jq .relay",
)
@json_option
@click.pass_obj
def show_settings(state: State, as_json: bool) -> None:
    """Show every setting in force; secrets are masked."""
    from config import shape
    from config.settings import masked
    from config.sources import find_file

    data = masked(state.settings())
    if as_json:
        show.as_line(data)
        return
    click.echo(f"from {find_file(state.config, os.environ) or 'the environment alone'}", err=True)
    rows = [
        {"setting": shape.dotted(loc), "value": shape.get(data, loc)} for loc in shape.walk(data)
    ]
    show.table(rows, ["setting", "value"], empty="There is no setting.")


@config.command(
    "schema",
    short_help="Print the JSON schema of the settings",
    example="inkpush config schema > inkpush.schema.json",
)
@click.pass_obj
def show_schema(_state: State) -> None:
    """Print the JSON schema of the configuration file, for editors."""
    from gateway.app.settings import schema

    show.as_line(schema())
