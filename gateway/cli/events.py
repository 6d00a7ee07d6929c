"""`inkpush events`: lists events, shows how they stand, stops them, and queues them again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from gateway.cli import show
from gateway.cli.acting import actor
from gateway.cli.base import (
    Group,
    Moment,
    Pasted,
    State,
    When,
    asynchronous,
    json_option,
    reason_option,
)
from gateway.errors import AlreadyReplaced

if TYPE_CHECKING:
    from gateway.app.replaying import Replayed

LIST_COLUMNS = (
    "received_at",
    "event_id",
    "source",
    "type",
    "status",
    "notifications",
    "rejected",
    "reason",
)
ITEM_COLUMNS = (
    "index",
    "device_id",
    "app",
    "provider",
    "state",
    "attempts",
    "reason",
    "at",
    "received_at",
    "displayed_at",
    "opened_at",
)


@click.group(cls=Group, short_help="Events received, and what became of them")
def events() -> None:
    """Events that LearnInk or your own backend sent, and what became of them."""


@events.command(
    "list",
    short_help="List events, newest first",
    example="inkpush events list --status quarantined",
)
@click.option(
    "--status",
    type=click.Choice(["accepting", "accepted", "ignored", "quarantined"]),
    help="Only these.",
)
@click.option("--source", help="Only those of this source, like learnink, staging, api, cli.")
@click.option("--before", type=Moment(), help="Only older ones: 2026-11-23T10:00:00Z, 90m, 7d.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@json_option
@click.pass_obj
@asynchronous
async def list_events(
    state: State,
    status: str | None,
    source: str | None,
    before: When | None,
    limit: int,
    as_json: bool,
) -> None:
    """List events, newest first."""
    async with state.store() as stores:
        found = await stores.journal.events(
            limit=limit,
            status=status,
            source=source,
            before=None if before is None else before.at(stores.clocks.wall()),
        )
    rows = [
        {
            "event_id": event.event_id,
            "source": event.source,
            "type": event.type,
            "status": event.status,
            "received_at": show.moment(event.received_at),
            "timestamp": show.moment(event.occurred_at),
            "notifications": event.notifications,
            "rejected": len(event.rejections),
            "reason": event.reason,
        }
        for event in found
    ]
    if as_json:
        show.as_line({"events": rows})
    else:
        show.table(rows, LIST_COLUMNS, empty="There is no such event.")


@events.command(
    "show",
    short_help="Show an event and its deliveries",
    example="inkpush events show msg_2Lh9KRb0pzN4LePd3XiA4v12Axj --items",
)
@click.argument("event_id", type=Pasted())
@click.option("--items", is_flag=True, help="Show each item and delivery as well.")
@json_option
@click.pass_obj
@asynchronous
async def show_event(state: State, event_id: str, items: bool, as_json: bool) -> int:
    """Show how an event stands: its deliveries by state, and whether all are settled."""
    from gateway.app.lanes import asking_of
    from gateway.core.audit import reading
    from gateway.ops.lookup import delivery_view, event_summary, event_view

    asking = asking_of(state.settings())
    async with state.store() as stores:
        cancels = stores.store.cancels
        summary = await event_summary(stores.journal, cancels, event_id)
        cancel = await cancels.of(event_id)
        records = await stores.journal.items_of(event_id) if items else []
        sight = asking.sight(await stores.store.receipts.of(records), exact=True)
        if people := sight.shown_of(records):
            act = reading(actor(), event_id, people, at=stores.clocks.wall())
            await stores.audit.note(act, count=len(people))
    if summary is None:
        raise click.ClickException(f"there is no event {event_id}")
    view = event_view(summary, cancel)
    rejections = [{"index": one.index, "reason": one.reason} for one in summary.event.rejections]
    rows = [delivery_view(record, {}, sight) for record in records]
    if as_json:
        show.as_line({**view, **({"items": rows, "rejections": rejections} if items else {})})
        return 0
    show.fields(show.counts_in_words(view))
    if not summary.settled and not _is_known(state, summary.event.source):
        text = "Its source is not in this configuration; a relay that does not know it waits."
        click.echo(text, err=True)
    if items:
        click.echo()
        show.table(map(show.in_words, rows), ITEM_COLUMNS, empty="No delivery is settled yet.")
    if items and rejections:
        click.echo()
        show.table(rejections, ("index", "reason"), empty="")
    return 0


@events.command(
    "replay",
    short_help="Read quarantined events again",
    example="inkpush events replay msg_2Lh9KRb0pzN4LePd3XiA4v12Axj",
)
@click.argument("event_ids", metavar="EVENT_ID...", nargs=-1, required=True, type=Pasted())
@click.option("--fresh", is_flag=True, help="Count its age from now, else stale pushes expire.")
@reason_option
@json_option
@click.pass_obj
@asynchronous
async def replay(
    state: State, event_ids: tuple[str, ...], fresh: bool, reason: str, as_json: bool
) -> int:
    """Read quarantined events again, as this version understands them, and send their pushes."""
    from gateway.app import replaying
    from gateway.app.learning import rules_of

    settings = state.settings()
    max_age_s = settings.relay.max_age_s
    async with state.store() as stores:
        replayed = [
            await replaying.replay(
                stores.journal,
                stores.store.cancels,
                stores.queue,
                event_id,
                max_age_s=max_age_s,
                fresh=fresh,
                actor=actor(reason),
                learning=rules_of(settings),
                clocks=stores.clocks,
            )
            for event_id in event_ids
        ]
    results = [_result(one) for one in replayed]
    if as_json:
        show.as_line({"events": results})
    else:
        columns = ("event_id", "result", "notifications", "reason")
        show.table(results, columns, empty="")
    return 0 if all(row["result"] in ("accepted", "ignored") for row in results) else 1


@events.command(
    "cancel",
    short_help="Stop an event, and correct what was sent",
    example="inkpush events cancel msg_2Lh9KRb0pzN4LePd3XiA4v12Axj --dry-run\n"
    "inkpush events cancel msg_2Lh9KRb0pzN4LePd3XiA4v12Axj --replace-body 'The lesson is at 5 pm'",
)
@click.argument("event_id", type=Pasted())
@click.option("--replace-title", help="Correct the title on the phones that got it.")
@click.option("--replace-body", help="Correct the body.")
@click.option("--replace-path", help='Correct the place that it opens; "" for none.')
@click.option(
    "--replace",
    "file",
    type=click.File("rb"),
    help="The same from a JSON file with title, body or path; - for standard input.",
)
@click.option("--dry-run", is_flag=True, help="Say how many it would be, and change nothing.")
@reason_option
@json_option
@click.pass_obj
@asynchronous
async def cancel(
    state: State,
    event_id: str,
    replace_title: str | None,
    replace_body: str | None,
    replace_path: str | None,
    file: BinaryIO | None,
    dry_run: bool,
    reason: str,
    as_json: bool,
) -> int:
    """Stop an event: what waits is not sent, for good.

    No push of it starts later than a second after this command has ended; what a vendor took may
    still be shown. With a replacement, an event of its own puts that in the place of what the
    phones have that got it; what it does not name stays as it was.
    """
    from gateway.app.lanes import longest_kept_s
    from gateway.core.cancelling import written
    from gateway.devices.cancelling import cancel_event, cancel_view
    from gateway.ports import Cancelling

    given = {"title": replace_title, "body": replace_body, "path": replace_path}
    texts = _replacement(given, file)
    settings = state.settings()
    async with state.store() as stores:
        now, who = stores.clocks.wall(), actor(reason)
        asked = Cancelling(
            at=now,
            max_age_s=settings.relay.max_age_s,
            kept_s=longest_kept_s(settings),
            replacement=None if texts is None else written(texts),
            dry_run=dry_run,
            act=who.does("events.cancel", event_id, at=now),
            correct=who.does("events.correct", event_id, at=now),
        )
        try:
            done = await cancel_event(stores.store.cancels, stores.queue, event_id, asked)
        except AlreadyReplaced as error:
            raise click.ClickException(str(error)) from None
    if done is None:
        raise click.ClickException(f"there is no event {event_id}")
    view = cancel_view(done)
    if as_json:
        show.as_line(view | ({"dry_run": True} if dry_run else {}))
    else:
        if dry_run:
            click.echo("Nothing was changed. It would be:")
        show.fields(view)
    return 1 if done.refused else 0


@events.command(
    "requeue",
    short_help="Queue again what a lost NATS stream held",
    example="inkpush events requeue --since 24h",
)
@click.option(
    "--since",
    type=Moment(),
    required=True,
    help="Only events received since then: 2026-11-23T10:00:00Z, 90m, 7d.",
)
@reason_option
@json_option
@click.pass_obj
@asynchronous
async def requeue(state: State, since: When, reason: str, as_json: bool) -> None:
    """Queue the events again, from the database, that a lost NATS stream held.

    Deliveries that have ended are not sent again, and chunks that the stream still has are not
    doubled. If the command is interrupted, run it again; the gateways continue it as well.
    """
    from gateway.app import replaying

    async with state.store() as stores:
        now = stores.clocks.wall()
        first = since.at(now)
        if first > now:
            text = f"{show.moment(first)} is in the future; it is {show.moment(now)} now"
            raise click.BadParameter(text, param_hint="--since")
        found = await replaying.requeue(
            stores.broker,
            since=first,
            progress=show.progress,
            actor=actor(reason),
            clocks=stores.clocks,
        )
    if as_json:
        show.as_line({"events": found})
    else:
        click.echo(f"Events that are queued again: {found}")


def _replacement(
    given: dict[str, str | None], file: BinaryIO | None
) -> dict[str, str | None] | None:
    """The texts of a correction, from the options or from a file; None: none is asked."""
    from gateway.devices.cancelling import replacement_faults

    texts: dict[str, str | None] = {name: text for name, text in given.items() if text is not None}
    if file is not None:
        if texts:
            raise click.UsageError("take --replace, or the other --replace-... options, not both")
        try:
            read: Any = json.load(file)
        except (ValueError, RecursionError):
            raise click.ClickException("--replace: the file is not JSON") from None
        if not isinstance(read, dict):
            raise click.ClickException("--replace: the file is not a JSON object")
        texts = read
    elif not texts:
        return None
    if faults := replacement_faults(texts):
        told = "; ".join(f"{fault['field']} {fault['message']}" for fault in faults)
        raise click.UsageError(told)
    return texts


def _is_known(state: State, source: str) -> bool:
    from gateway.core.sources import BUILT_IN

    return source in BUILT_IN or source in {one.id for one in state.settings().sources}


def _result(replayed: Replayed) -> dict[str, object]:
    row: dict[str, object] = {"event_id": replayed.event_id, "result": replayed.result}
    if (event := replayed.event) is not None:
        row |= {"reason": event.reason, "notifications": event.notifications}
    return row
