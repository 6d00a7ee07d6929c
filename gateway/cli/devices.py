"""`inkpush devices`: the registry, for support, imports and exports."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gateway.cli import show
from gateway.cli.acting import actor
from gateway.cli.base import (
    Group,
    Pasted,
    State,
    UserId,
    asynchronous,
    by_option,
    json_option,
    reason_option,
)
from gateway.cli.transfer import export_devices, import_devices

if TYPE_CHECKING:
    from gateway.app.storage import Stores
    from gateway.core.model import Device
    from gateway.whose import By

COLUMNS = (
    "installation_id",
    "user_id",
    "custom_id",
    "app",
    "provider",
    "platform",
    "state",
    "address_hash",
    "last_seen_at",
)
STATES = ("active", "quarantined", "pruned")


@click.group(cls=Group, short_help="The device registry: who has which phone")
def devices() -> None:
    """The device registry: who has which phone."""


devices.add_command(import_devices)
devices.add_command(export_devices)


@devices.command("list", short_help="List devices", example="inkpush devices list --user 3c2143e4")
@click.option("--user", type=UserId(), help="Only those of this user, by custom_id or user_id.")
@by_option
@click.option("--app", help="Only those of this app.")
@click.option("--state", "wanted", type=click.Choice(STATES), help="Only those in this state.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True)
@json_option
@click.pass_obj
@asynchronous
async def list_devices(
    state: State,
    user: str | None,
    by: By | None,
    app: str | None,
    wanted: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """List devices; addresses only as short hashes."""
    from gateway.app.vendors import VENDORS
    from gateway.devices.schema import device_view

    async with state.store() as stores:
        found = await _find(stores, user, by, app, wanted, limit)
    views = [device_view(device, VENDORS) for device in found]
    if as_json:
        show.as_line({"devices": views})
    else:
        show.table(views, COLUMNS, empty="There is no such device.")


async def _find(
    stores: Stores,
    user: str | None,
    by: By | None,
    app: str | None,
    wanted: str | None,
    limit: int,
) -> list[Device]:
    from gateway.core.states import DeviceState
    from gateway.whose import find_user

    if user is not None:
        mine = await stores.registry.devices_of(await find_user(stores.registry, user, by))
        fitting = [one for one in mine if app in (None, one.app) and wanted in (None, one.state)]
        return fitting[:limit]
    found: list[Device] = []
    in_state = DeviceState(wanted) if wanted else None
    async for page in stores.registry.export(app=app, state=in_state):
        found += page
        if len(found) >= limit:
            break
    return found[:limit]


@devices.command(
    "show",
    short_help="Show what is known of an installation",
    example="inkpush devices show 5b0c8e7a-phone-of-mary",
)
@click.argument("installation_id", type=Pasted())
@json_option
@click.pass_obj
@asynchronous
async def show_device(state: State, installation_id: str, as_json: bool) -> None:
    """Show all that is known of an installation, except its address."""
    from gateway.app.vendors import VENDORS
    from gateway.devices.schema import device_view

    async with state.store() as stores:
        found = await stores.registry.installations(installation_id)
    if not found:
        raise click.ClickException(f"there is no installation {installation_id}")
    views = [device_view(device, VENDORS) for device in found]
    if as_json:
        show.as_line({"devices": views})
        return
    for number, view in enumerate(views):
        if number:
            click.echo()
        show.fields(view)


@devices.command(
    "forget",
    short_help="Forget an installation, or erase a user",
    example="inkpush devices forget --user 3c2143e4 --yes",
)
@click.argument("installation_id", required=False, type=Pasted())
@click.option(
    "--user", type=UserId(), help="Erase this user: devices, addresses, and names in the log."
)
@by_option
@click.option("--app", help="Only the installation's row of this app.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask before a user is erased.")
@reason_option
@json_option
@click.pass_obj
@asynchronous
async def forget(
    state: State,
    installation_id: str | None,
    user: str | None,
    by: By | None,
    app: str | None,
    yes: bool,
    reason: str,
    as_json: bool,
) -> int:
    """Forget one installation, or erase a user for good."""
    from gateway.cli.users import erase_now

    if (installation_id is None) == (user is None):
        raise click.UsageError("name an installation, or a user by --user")
    if user is not None:
        if app is not None:
            raise click.UsageError("--app goes with an installation: a user is erased whole")
        if not yes:
            click.confirm(f"Erase {user} for good?", abort=True, err=True)
    async with state.store() as stores:
        if user is not None:
            gone = await erase_now(stores, user, by, wait=True, reason=reason)
        else:
            assert installation_id is not None
            now = stores.clocks.wall()
            act = actor(reason).does("devices.forget", installation_id, at=now)
            gone = len(
                await stores.registry.forget(
                    installation_id, proven=None, app=app, now=now, act=act
                )
            )
    if as_json:
        show.as_line({"forgotten": gone})
    else:
        click.echo(f"{gone} devices forgotten")
    return 0 if gone or user is not None else 1
