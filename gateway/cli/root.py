"""The tree of commands."""

from __future__ import annotations

import click

from gateway import __version__, signals
from gateway.cli import learning
from gateway.cli.access import keys, token
from gateway.cli.audit import audit
from gateway.cli.base import Group, State
from gateway.cli.benching import bench
from gateway.cli.chain import audit_events
from gateway.cli.clock import clock
from gateway.cli.configuration import check, config
from gateway.cli.dead import dead
from gateway.cli.deliveries import deliveries
from gateway.cli.demo import demo, sandbox
from gateway.cli.devices import devices
from gateway.cli.effect import effect
from gateway.cli.events import events
from gateway.cli.experiments import experiments
from gateway.cli.hooks import hooks
from gateway.cli.lanes import lanes
from gateway.cli.report import report
from gateway.cli.sending import send
from gateway.cli.serving import migrate, serve
from gateway.cli.store import store
from gateway.cli.users import users
from gateway.cli.webhook import webhook
from gateway.cli.why import why


@click.group(cls=Group)
@click.version_option(__version__, message="%(prog)s %(version)s")
@click.pass_context
def inkpush(ctx: click.Context) -> None:
    """The push notification relay for LearnInk: signed webhooks in, FCM and APNs pushes out."""
    ctx.ensure_object(State)
    if ctx.invoked_subcommand != serve.name:
        signals.as_usual()


COMMANDS: tuple[click.Command, ...] = (
    serve,
    demo,
    sandbox,
    bench,
    check,
    send,
    webhook,
    devices,
    users,
    deliveries,
    why,
    effect,
    experiments,
    report,
    events,
    dead,
    hooks,
    lanes,
    clock,
    keys,
    token,
    audit,
    migrate,
    store,
    config,
)
for _one in (learning.types, learning.export, audit_events):
    events.add_command(_one)
for _command in COMMANDS:
    inkpush.add_command(_command)
