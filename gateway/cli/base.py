"""Shared by all commands: reading the configuration, opening the store, running.

Every command takes `--config`, before or after its name, and shows an example in its help.
"""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import click

from gateway.core.instants import read_instant

if TYPE_CHECKING:
    from config.settings import Settings
    from gateway.app.storage import Stores

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(slots=True)
class State:
    """The values of the options before the command."""

    config: Path | None = None

    def settings(self, **variables: str) -> Settings:
        """The settings in force; `variables` override the environment. Raises SettingsError."""
        from gateway.app.settings import load

        return load(self.config, {**os.environ, **variables})

    @asynccontextmanager
    async def store(self) -> AsyncIterator[Stores]:
        """Open the store that the settings name; says so where one was made."""
        from gateway.app import open_store

        def made(place: str) -> None:
            click.echo(f"A new database was made: {place}", err=True)

        def waits(told: str) -> None:
            click.echo(told, err=True)

        async with open_store(self.settings(), made=made, waits=waits) as stores:
            yield stores


def config_option() -> click.Option:
    """The option `--config`, which may stand before or after the command's name."""

    def remember(ctx: click.Context, _option: click.Parameter, value: Path | None) -> None:
        if value is not None:
            ctx.ensure_object(State).config = value

    return click.Option(
        ["--config", "-c"],
        type=click.Path(path_type=Path, dir_okay=False),
        expose_value=False,
        is_eager=True,
        callback=remember,
        help="Configuration file. Else INKPUSH_CONFIG, else ./inkpush.toml.",
    )


class Command(click.Command):
    """A command with `--config`, with an example of its use, and with a `short_help` for lists of
    commands: at most 45 characters, or it is cut."""

    def __init__(self, *args: Any, example: str, short_help: str, **kwargs: Any) -> None:
        kwargs["params"] = [*(kwargs.get("params") or []), config_option()]
        lines = "\n".join(f"  {line}" for line in example.splitlines())
        kwargs["epilog"] = f"\b\nExample:\n{lines}"
        kwargs["short_help"] = short_help
        super().__init__(*args, **kwargs)


class Group(click.Group):
    """A group with `--config`, whose commands are `Command`s."""

    command_class = Command
    group_class = type

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["params"] = [*(kwargs.get("params") or []), config_option()]
        super().__init__(*args, **kwargs)


def asynchronous(
    command: Callable[Concatenate[State, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[State, P], T]:
    """Run a command that is a coroutine."""

    @functools.wraps(command)
    def run(state: State, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return asyncio.run(command(state, *args, **kwargs))

    return run


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, on one line.")
by_option = click.option(
    "--by",
    type=click.Choice(["user_id", "custom_id"]),
    help="Which id USER is, where it is one person's user_id and another's custom_id.",
)
reason_option = click.option(
    "--reason", default="", help="Why, for `inkpush audit`; name no person in it."
)
yes_option = click.confirmation_option("--yes", "-y", prompt="Are you sure?")


class UserId(click.ParamType[str]):
    """A user's id, by the rule that every door has for ids."""

    name = "id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Take it as it is; refuse what no user can have as id."""
        from gateway.core.identifiers import id_fault

        if fault := id_fault(value):
            self.fail(f"the id {fault}", param, ctx)
        return str(value)


@dataclass(frozen=True, slots=True)
class When:
    """A time as it was given: an instant, in epoch seconds, or an age in seconds."""

    instant: float = 0.0
    age_s: float | None = None

    def at(self, now: float) -> float:
        """The instant, in epoch seconds. An age counts from `now`, which the store's clocks say:
        the machine's own may be wrong."""
        return self.instant if self.age_s is None else now - self.age_s


class Moment(click.ParamType[When]):
    """A time: ISO 8601 (UTC unless it says otherwise), epoch seconds or milliseconds, or an age
    like 90m, 7d or "1h 30m"."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> When:
        """Read it, as an instant or as an age."""
        if isinstance(value, When):
            return value
        moment = 0.0 if value.strip() == "0" else read_instant(value)
        if moment is not None:
            return When(moment)
        from config.typed import seconds_of

        age = seconds_of(value)
        if age is None:
            self.fail("expected 2026-11-23T10:00:00Z, or an age like 90m, 2h or 7d", param, ctx)
        return When(age_s=age)


class Span(click.ParamType[int]):
    """A length of time: seconds, or text like 90m, 2h or 7d; from one second to `most_s`."""

    name = "duration"

    def __init__(self, most_s: int) -> None:
        self._most_s = most_s

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Turn it into whole seconds."""
        from config.typed import seconds_of

        text = str(value).strip()
        seconds = float(text) if text.isdecimal() else seconds_of(text)
        if seconds is None or not 1 <= seconds <= self._most_s:
            days = self._most_s // 86_400
            self.fail(f"expected seconds, or text like 90m or 2h; at most {days}d", param, ctx)
        return int(seconds)


class Pasted(click.ParamType[str]):
    """An id or a key as it was pasted, without the blanks and line ends around it: none has any."""

    name = "text"

    def convert(
        self, value: Any, _param: click.Parameter | None, _ctx: click.Context | None
    ) -> str:
        """Drop them."""
        return str(value).strip()
