"""`inkpush why`: why somebody did not get a push."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from gateway.cli import show
from gateway.cli.acting import actor
from gateway.cli.base import Command, State, UserId, asynchronous, by_option, json_option

if TYPE_CHECKING:
    from gateway.whose import By

_WIDEST, _NARROWEST = 100, 40
#: `2026-11-23 09:58:58`, in UTC
_TIME = 19


@click.command(
    cls=Command,
    short_help="Why somebody did not get a push",
    example="inkpush why 3c2143e4\ninkpush why 3c2143e4 --event msg_2Lf7",
)
@click.argument("user", type=UserId())
@by_option
@click.option("--event", help="About this event, not the newest notification.")
@json_option
@click.pass_obj
@asynchronous
async def why(state: State, user: str, by: By | None, event: str | None, as_json: bool) -> None:
    """Why somebody did not get a push: one sentence, then what is known of it, step by step; what
    stands in the way now, and what to do.

    USER is a custom_id or a user_id. Without --event it is about the newest notification, also
    where that waits in the queue.
    """
    from gateway.app.people import COMMAND_LOOK_S, whys_of
    from gateway.app.vendors import VENDORS
    from gateway.ops.waiting import WaitingLookup
    from gateway.whose import find_user

    settings = state.settings()
    async with state.store() as stores:
        whose = await find_user(stores.registry, user, by)
        waiting = WaitingLookup(stores.store.people, stores.queue, look_s=COMMAND_LOOK_S)
        whys = whys_of(stores, waiting, lambda: settings, VENDORS, stores.clocks)
        now = stores.clocks.wall()
        found = await whys.of(whose, now=now, exact=True, event_id=event)
        if found is not None and found.tells_times:
            await stores.audit.note(actor().does("users.read", "times", at=now, about=whose))
    if found is None:
        raise click.ClickException(f"nothing of event {event} is known for {user}")
    if as_json:
        show.as_line(found.view())
        return
    for line in laid_out(found.view(), _width()):
        click.echo(line)


def laid_out(answer: Mapping[str, Any], width: int) -> Iterator[str]:
    """The answer as lines of at most this width, but for words that are longer: ids are never
    broken."""
    yield from _wrapped(answer["verdict"], width)
    chain = answer["chain"]
    if chain:
        index = answer["index"]
        item = "" if index is None else f", notification {index}"
        yield ""
        yield from _wrapped(f"{answer['event_id']}{item} (times are UTC)", width)
        name = max(len(one["link"]) for one in chain)
        phone = None
        for one in chain:
            if one["installation_id"] != phone:
                phone = one["installation_id"]
                yield f"  on {phone or 'a phone that is theirs no more'}:"
            head = f"  {_time(one['at']):<{_TIME}}  {one['link']:<{name}}  "
            yield from _wrapped(one["text"], width, head)
    yield from _listed("In the way now", [one["text"] for one in answer["in_the_way"]], width)
    yield from _listed("What to do", answer["next"], width)
    if not answer["complete"]:
        waiting = answer["waiting"]
        events = "" if waiting["events"] is None else f" of {waiting['events']} events"
        since = "" if waiting["since"] is None else f" since {_time(waiting['since'])}"
        told = f"{waiting['notifications']} notifications{events} wait{since}; they"
        if waiting["notifications"] is None:
            told = "The queue"
        yield ""
        yield from _wrapped(f"{told} could not all be looked through.", width)


def _listed(title: str, texts: Sequence[str], width: int) -> Iterator[str]:
    if texts:
        yield ""
        yield title
        for text in texts:
            yield from _wrapped(text, width, "  - ")


def _wrapped(text: str, width: int, head: str = "") -> Iterator[str]:
    yield from textwrap.wrap(
        text,
        width,
        initial_indent=head,
        subsequent_indent=" " * len(head),
        break_long_words=False,
        break_on_hyphens=False,
    ) or [head.rstrip()]


def _time(at: str | None) -> str:
    """`2026-11-23T09:58:58.233Z` as people read it; a day stays a day."""
    return "" if at is None else at[:_TIME].replace("T", " ")


def _width() -> int:
    if not sys.stdout.isatty():
        return 80
    return min(max(shutil.get_terminal_size().columns, _NARROWEST), _WIDEST)
