"""`inkpush keys` and `inkpush token`: who may call the gateway."""

from __future__ import annotations

import secrets
import time

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
    json_option,
    reason_option,
)
from gateway.ports import SCOPES

COLUMNS = ("id", "name", "scopes", "sources", "types", "created_at", "expires_at", "revoked_at")
_DAY_S = 86_400
_LONGEST_LIFE_S = 3_650 * _DAY_S


@click.group(cls=Group, short_help="API keys of your backend and of people")
def keys() -> None:
    """API keys of your backend and of people."""


@keys.command(
    "create",
    short_help="Make an API key",
    example="inkpush keys create --scope devices:write --name backend\n"
    "inkpush keys create --scope events:read --type 'user.course.*' --expires 90d --name bi",
)
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(SCOPES),
    multiple=True,
    required=True,
    help="What the key allows; may be given several times. `admin` allows everything.",
)
@click.option(
    "--source",
    "sources",
    multiple=True,
    help="Only events of this source, like learnink; may be given several times.",
)
@click.option(
    "--type",
    "types",
    multiple=True,
    help="Only events of this type; user.course.* means all that begin so.",
)
@click.option(
    "--expires",
    type=Span(_LONGEST_LIFE_S),
    help="How long it holds: seconds, or 12h, 90d. Else until it is revoked.",
)
@click.option("--name", default="", help="What the key is for.")
@reason_option
@json_option
@click.pass_obj
@asynchronous
async def create(
    state: State,
    scopes: tuple[str, ...],
    sources: tuple[str, ...],
    types: tuple[str, ...],
    expires: int | None,
    name: str,
    reason: str,
    as_json: bool,
) -> None:
    """Make an API key. It is shown only once, because the store keeps only its hash.

    A key that is limited to sources or types reads such events, and nothing else: its scope is
    events:read alone.
    """
    from gateway.devices.api_keys import key_digest, new_key

    async with state.store() as stores:
        now = stores.clocks.wall()
        try:
            key, text = new_key(
                name,
                scopes,
                now=now,
                random=secrets.token_bytes,
                expires_at=None if expires is None else now + expires,
                sources=sources,
                types=types,
            )
        except ValueError as error:
            raise click.UsageError(str(error)) from None
        act = actor(reason).does("keys.create", key.id, at=now)
        await stores.keys.add(key, key_digest(text), act=act)
    if as_json:
        show.as_line({"id": key.id, "key": text})
    else:
        ends = "" if key.expires_at is None else f" until {show.moment(key.expires_at)}"
        what = ", ".join(sorted(key.scopes))
        click.echo(f"Key {key.id} for {what}{ends}, shown this once:", err=True)
        click.echo(text)


@keys.command("list", short_help="List API keys, newest first", example="inkpush keys list")
@json_option
@click.pass_obj
@asynchronous
async def list_keys(state: State, as_json: bool) -> None:
    """List API keys, newest first; never the keys themselves."""
    async with state.store() as stores:
        rows = [
            {
                "id": key.id,
                "name": key.name,
                "scopes": sorted(key.scopes),
                "sources": list(key.sources),
                "types": list(key.types),
                "created_at": show.moment(key.created_at),
                "expires_at": show.moment(key.expires_at),
                "revoked_at": show.moment(key.revoked_at),
            }
            for key in await stores.keys.all()
        ]
    if as_json:
        show.as_line({"keys": rows})
    else:
        show.table(rows, COLUMNS, empty="There is no API key.")


@keys.command("revoke", short_help="End an API key", example="inkpush keys revoke 0a1b2c3d")
@click.argument("key_id", metavar="ID", type=Pasted())
@reason_option
@click.pass_obj
@asynchronous
async def revoke(state: State, key_id: str, reason: str) -> None:
    """End an API key; running gateways refuse it within seconds."""
    async with state.store() as stores:
        now = stores.clocks.wall()
        act = actor(reason).does("keys.revoke", key_id, at=now)
        if not await stores.keys.revoke(key_id, now=now, act=act):
            raise click.ClickException(f"key {key_id} is unknown or revoked")
    click.echo(f"Key {key_id} is revoked.")


@click.group(cls=Group, short_help="User tokens, for development")
def token() -> None:
    """User tokens, for development: your backend mints the real ones."""


@token.command(
    "mint",
    short_help="Mint a user token (JWT, HS256)",
    example="inkpush token mint --user 3c2143e4-3e8e-478a-bf0b-9dc6e284fa33",
)
@click.option(
    "--user", type=UserId(), required=True, help="The user's id, as auth.subject says: custom_id..."
)
@click.option("--user-id", type=UserId(), help="Also prove LearnInk's user_id, by a claim.")
@click.option("--custom-id", type=UserId(), help="Also prove the customer's custom_id, by a claim.")
@click.option(
    "--ttl",
    type=Span(365 * _DAY_S),
    default=3600,
    show_default=True,
    help="How long it is good for: seconds, or 90m, 2h, 7d.",
)
@json_option
@click.pass_obj
def mint(
    state: State,
    user: str,
    user_id: str | None,
    custom_id: str | None,
    ttl: int,
    as_json: bool,
) -> None:
    """Mint a user token (JWT, HS256) with auth.jwt_secret."""
    import jwt

    auth = state.settings().auth
    secret = auth.jwt_secret.get_secret_value()
    if not secret:
        raise click.UsageError("auth.jwt_secret is not set: there is nothing to sign a token with")
    now = int(time.time())
    optional = {
        "user_id": user_id,
        "custom_id": custom_id,
        "iss": auth.issuer,
        "aud": auth.expected_audience,
    }
    claims = {"sub": user, "iat": now, "exp": now + ttl}
    claims |= {name: value for name, value in optional.items() if value}
    # zero bytes do not change an HMAC key; else PyJWT warns of a short one, which is the task of
    # `inkpush check`
    text = jwt.encode(claims, secret.encode().ljust(32, b"\0"), algorithm="HS256")
    if as_json:
        show.as_line({"token": text})
    else:
        click.echo(text)
