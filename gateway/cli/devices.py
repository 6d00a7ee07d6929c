"""`inkpush devices`: the registry, for support, imports and exports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from gateway.cli import show
from gateway.cli.acting import actor
from gateway.cli.base import (
    Group,
    Pasted,
    Span,
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
    "stale",
    "address_hash",
    "last_seen_at",
)
STATES = ("active", "quarantined", "pruned")
_LONGEST_S = 3_650 * 86_400


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
@click.option(
    "--silent", "silent_s", type=Span(_LONGEST_S), help="Only those not seen for so long: 30d."
)
@click.option("--denied", is_flag=True, help="Only those that let the app show no notifications.")
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
    silent_s: int | None,
    denied: bool,
    limit: int,
    as_json: bool,
) -> None:
    """List devices; addresses only as short hashes.

    A device is seen when its app registers, and when a receipt comes from it. An imported one of
    which nobody knows counts from its import.
    """
    async with state.store() as stores:
        since = None if silent_s is None else stores.clocks.wall() - silent_s
        wish = Wish(app, wanted, since, denied)
        found = await _find(stores, user, by, wish, limit)
        views = _views(state, stores, found)
    if as_json:
        show.as_line({"devices": views})
    else:
        show.table(views, COLUMNS, empty="There is no such device.")


@dataclass(frozen=True, slots=True)
class Wish:
    """Which devices are asked for: in this app, in this state, not seen since, muted."""

    app: str | None
    state: str | None
    silent_since: float | None
    denied: bool

    def fits(self, device: Device) -> bool:
        """Whether a device is one of them."""
        return (
            self.app in (None, device.app)
            and self.state in (None, device.state)
            and (self.silent_since is None or device.fresh_at < self.silent_since)
            and (not self.denied or device.profile.notifications == "denied")
        )


async def _find(
    stores: Stores, user: str | None, by: By | None, wish: Wish, limit: int
) -> list[Device]:
    from gateway.core.states import DeviceState
    from gateway.whose import find_user

    if user is not None:
        mine = await stores.registry.devices_of(await find_user(stores.registry, user, by))
        return [one for one in mine if wish.fits(one)][:limit]
    found: list[Device] = []
    async for page in stores.registry.export(
        app=wish.app,
        state=DeviceState(wish.state) if wish.state else None,
        silent_since=wish.silent_since,
        denied=wish.denied,
    ):
        found += page
        if len(found) >= limit:
            break
    return found[:limit]


def _views(state: State, stores: Stores, found: Sequence[Device]) -> list[dict[str, Any]]:
    from gateway.app.vendors import VENDORS
    from gateway.core.staleness import stale_before
    from gateway.devices.schema import device_view

    clocks, days = stores.clocks, state.settings().devices.stale_after_days
    before = stale_before(clocks.wall(), after_days=days, doubted=clocks.doubted())
    return [device_view(device, VENDORS, stale_before=before) for device in found]


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
    async with state.store() as stores:
        found = await stores.registry.installations(installation_id)
        views = _views(state, stores, found)
    if not found:
        raise click.ClickException(f"there is no installation {installation_id}")
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
