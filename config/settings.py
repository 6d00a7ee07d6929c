"""Every setting of Inkpush: its name, unit, default and why it is what it is.

Owns the names and what a value must look like. Where values come from is `config.sources`, which
settings must fit each other is `config.checks`, how a mistake is told is `config.wording`, and
what a setting does is for whoever reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    SecretStr,
    StringConstraints,
    WithJsonSchema,
    create_model,
    field_serializer,
)

from config import callers, checks, formats, shape, sources
from config.effect import EffectSettings
from config.experiments import ExperimentSettings
from config.hooks import HookSettings
from config.learning import LearningSettings, RetentionSettings
from config.section import Section
from config.suppress import SuppressSettings
from providers.settings import Count, OptionalPath, Seconds

Port = Annotated[int, Field(ge=0, le=65535)]
Host = Annotated[
    str, BeforeValidator(formats.hosts), WithJsonSchema(formats.HOSTS_SCHEMA, mode="validation")
]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Secrets = tuple[Annotated[SecretStr, AfterValidator(callers.signing_key)], ...]
BodyBytes = Annotated[int, Field(ge=1024)]
UserId = Annotated[str, StringConstraints(min_length=1, max_length=256)]


class ServerSettings(Section):
    """The public listener: webhooks, devices, deliveries."""

    host: Host = "0.0.0.0"  # noqa: S104 - the public listener is meant to be reached
    """Address to listen on, a list of them, or `"*"` for all of IPv4 and IPv6. All interfaces of
    IPv4, since webhooks come from outside."""
    port: Port = 8080
    """TCP port; 0 takes a free one."""
    role: Literal["all", "ingest", "relay"] = "all"
    """What this process does: `ingest` takes webhooks and registrations, `relay` sends pushes,
    `all` does both. SQLite serves one process, so the default is both."""
    max_body_memory_mib: Annotated[int, Field(ge=4)] = 128
    """MiB that the bodies of all requests together may have while they come in; a quarter is for
    bodies up to 256 KiB. Over it the slowest is dropped (408), and newcomers wait (503)."""
    trusted_proxies: tuple[Annotated[str, AfterValidator(formats.network)], ...] = ()
    """Addresses or networks (`10.0.0.0/8`, `::1`) of the proxies in front, whose `X-Forwarded-For`
    is believed. Wrong guesses are counted by the address behind them, and none is refused for a
    proxy's own address."""
    allowed_origins: tuple[Annotated[str, AfterValidator(callers.origin)], ...] = ()
    """Origins whose web pages may call `/v1/devices/...` (CORS), each as a browser sends it:
    `capacitor://localhost`, `https://localhost`, or `null` for pages from `file://`. None: apps
    call from native code, which needs no leave."""


class OpsSettings(Section):
    """The listener for operators: metrics, health, console."""

    host: Host = "127.0.0.1"
    """Address to listen on, a list of them, or `"*"` for all of IPv4 and IPv6. Loopback, since
    metrics and console are not for the public."""
    port: Port = 9090
    """TCP port; 0 takes a free one."""
    stall_s: Seconds = 30
    """Seconds that the database's threads may stand still while there is work for them, before
    `/healthz` fails and a watchdog is told nothing more, so that a supervisor starts the process
    anew. Longer than the disk ever takes."""


class WebhookSettings(Section):
    """How LearnInk's webhooks, delivered by Svix, are taken: those of the source `learnink`."""

    secrets: Secrets = ()
    """Signing secrets (`whsec_` and base64) and public keys (`whpk_` and base64), any of which may
    sign: several at once let one be rotated without a gap. For staging take `[[sources]]`, not a
    second secret: whoever has a secret of this list reaches every phone. Roles `all` and `ingest`
    need one."""
    secrets_file: OptionalPath = None
    """File with more signing secrets, one a line, so that none stands in this file."""
    tolerance_s: Seconds = 300
    """Seconds a signature's timestamp may be off, either way: what the Standard Webhooks
    libraries allow. It bounds how long a captured request can be repeated."""
    max_body_bytes: BodyBytes = 8 * 1024 * 1024
    """Bytes a webhook body may have: about 25 000 notifications of usual length."""


class SourceSettings(Section):
    """One more sender of webhooks, at an address of its own: staging, another organisation at
    LearnInk. What it does not name is `[webhook]`'s. A relay needs the same sources."""

    id: Annotated[str, AfterValidator(formats.source_id)]
    """Name in the address (`POST /webhooks/<id>`), in front of its events' ids (`<id>:msg_...`),
    and in metrics: letters, digits, `-` and `_`. `learnink`, `api` and `cli` are taken."""
    secrets: Secrets = ()
    """Its signing secrets. They are good at its own address only, and stand in no other source.
    Roles `all` and `ingest` need one."""
    secrets_file: OptionalPath = None
    """File with more of its signing secrets, one a line, so that none stands in this file."""
    apps: tuple[str, ...] = ()
    """The apps that its pushes may reach. Empty: all."""
    only_users: tuple[UserId, ...] = ()
    """The users that its pushes may reach, by ids of either kind: an item must name one of them.
    Empty: all."""
    max_age_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    """Seconds after which a notification is stale, from the event's own timestamp. 0: its age
    counts from receipt, and `relay.max_age_s` holds, for test examples with a fixed date. Not
    given: `relay.max_age_s`."""
    tolerance_s: Seconds | None = None
    """Seconds a signature's timestamp may be off. Not given: `webhook.tolerance_s`."""
    max_body_bytes: BodyBytes | None = None
    """Bytes a webhook body may have. Not given: `webhook.max_body_bytes`."""


class AuthSettings(Section):
    """Who may use /v1: user tokens (JWT) of the customer's backend, and limits per caller.

    Any of the three sources of keys may be used, or none: API keys work without.
    """

    jwt_secret: Annotated[SecretStr, AfterValidator(callers.token_secret)] = SecretStr("")
    """Secret that HS256 user tokens are signed with, 16 bytes at least. Empty: none are taken."""
    jwt_secret_file: OptionalPath = None
    """File with `jwt_secret`, so that it does not stand in this file."""
    jwt_public_keys: tuple[Annotated[str, AfterValidator(formats.public_key)], ...] = ()
    """Public keys (PEM) that RS256, ES256 and Ed25519 user tokens may be signed with."""
    jwt_public_keys_file: OptionalPath = None
    """File with more public keys (PEM), one after the other."""
    jwks_url: Annotated[str, AfterValidator(callers.jwks_url)] = ""
    """Where the customer's backend publishes its public keys (JWKS); with `issuer` or `audience`,
    for others may have tokens signed by the same keys. Empty: nowhere."""
    issuer: str = ""
    """The `iss` a user token must have. Empty: not checked."""
    audience: str = ""
    """The `aud` a user token must have. Empty: not checked; `any` says that this is meant."""
    subject: Literal["custom_id", "user_id"] = "custom_id"
    """Which id a token's `sub` is: the customer's own (`custom_id`), which its backend knows, or
    LearnInk's (`user_id`)."""
    jwt_requests_per_minute: Count = 600
    """Requests a minute that one user may make: an app asks once per launch, so this only stops
    loops."""
    key_requests_per_minute: Count = 60_000
    """Requests a minute that one API key may make: room for an import through the API."""

    @property
    def expected_audience(self) -> str:
        """The `aud` that is demanded; "" for none."""
        return "" if self.audience == checks.ANY_AUDIENCE else self.audience


class StoreSettings(Section):
    """The database: registry, journal, events, keys."""

    expect: Literal["any", "existing"] = "any"
    """`any`: where there is no database, one is made, so that a newcomer needs no step before.
    `existing`: never; for production, where a missing one is a volume that is not mounted."""
    url: Annotated[str, AfterValidator(formats.store_url), Field(repr=False)] = (
        "sqlite:///inkpush.db"
    )
    """`sqlite:///file.db` (relative) or `sqlite:////path/file.db` (absolute): one file, so that
    a newcomer needs no server. `postgresql://user:password@host:5432/database`: for several
    processes or machines; the password may come from PGPASSWORD or a `.pgpass` instead."""

    @field_serializer("url", when_used="json")
    def _shown(self, url: str) -> str:
        return formats.without_password(url)


class QueueSettings(Section):
    """Where chunks of notifications wait. All but `url` is for NATS."""

    url: Annotated[str, AfterValidator(formats.queue_url)] = "store"
    """`store`: in the database, so that an event and its chunks are one transaction.
    `nats://host:4222,host2,host3` (or `tls://`): in a NATS JetStream stream, for several
    machines; with a PostgreSQL store only."""
    stream: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$")] = (
        "inkpush"
    )
    """Name of the stream, one for each deployment that shares a NATS cluster. Beside it there are
    `<name>-dead` and `<name>-tries`."""
    replicas: Annotated[int, AfterValidator(formats.odd_replicas)] = 3
    """Nodes that have a chunk before a webhook is answered, an odd number: of 3, one may fail."""
    duplicate_window_s: Seconds = 7_200
    """Seconds that NATS remembers the ids of what was published. Longer than a sender's usual
    repeats; what comes later is told by the journal."""
    max_bytes: Annotated[int, Field(ge=16 * 1024 * 1024)] = 4 * 1024 * 1024 * 1024
    """Bytes the stream may have on each node's disk; over 90 % webhooks are answered 503. Some
    15 to 24 million notifications, as long as their texts are."""
    user: str = ""
    """User at NATS. Empty: none."""
    password: SecretStr = SecretStr("")
    """The user's password."""
    password_file: OptionalPath = None
    """File with `password`, so that it does not stand in this file."""
    credentials_file: OptionalPath = None
    """NATS credentials (`.creds`: a JWT and its key), in place of user and password."""
    ca_file: OptionalPath = None
    """Certificates (PEM) trusted beside the system's, for `tls://`."""


class RelaySettings(Section):
    """How pushes are sent, tried again, given up and remembered."""

    max_age_s: Seconds = 86_400
    """Seconds after which a notification is stale, from the event's own timestamp. A day: an
    older reminder annoys more than it helps. The life left goes to the vendors as TTL."""
    max_attempts: Count = 12
    """Attempts per delivery before it becomes a dead letter. With the backoff, 12 fill the day;
    throttling, and what the vendor never looked at, spend none."""
    retention_days: Count = 14
    """Days that events and deliveries are kept, and duplicate webhooks recognised."""
    lease_s: Seconds = 120
    """Seconds a claimed chunk is kept from other workers before it is taken for abandoned. Leases
    are prolonged while work goes on."""
    drain_s: Seconds = 25
    """Seconds that a stopping process gives pushes in flight: under the 30 of most
    supervisors."""
    max_backlog: Count = 1_000_000
    """Notifications that may wait before webhooks are answered 503; Svix keeps and repeats
    them."""
    brake_share: Annotated[float, Field(gt=0, le=1)] = 0.05
    """Share of an app's devices (0 to 1) that may be pruned within `brake_window_s`; beyond it
    pruning stops until a person releases it, since a fault is likelier than so many uninstalls."""
    brake_min_devices: Count = 50
    """Devices that may always be pruned within the window, so that small apps are not braked by
    chance."""
    brake_window_s: Seconds = 600
    """Seconds over which the brake counts."""
    probe_s: Seconds = 60
    """Seconds until a part of a lane that is held, for the vendor rejects its configuration, is
    tried again; it doubles up to ten minutes. So long, too, waits a single push that is rejected
    like that."""


class DevicesSettings(Section):
    """The device registry."""

    max_per_user: Count = 20
    """Devices a user may have; over it the least recently seen goes."""
    keep_pruned_days: Count = 30
    """Days a pruned device is kept, to come back to life when the app registers it again."""
    stale_after_days: Annotated[int, Field(ge=0)] = 60
    """Days after which a silent device is stale: it gets no push while its user has a fresher one
    in the same app, and is sent to where it is the only one. Seen is a registration or a receipt.
    0: never. Google calls a token stale after a month, and lets one expire after 270 days."""
    keep_forgotten_days: Count = 400
    """Days that installations and addresses which were forgotten, erased or replaced are
    remembered, as keyed hashes, so that an old file does not bring them back. Over a year, as old
    as an export may be."""


class PrivacySettings(Section):
    """What is kept of people beyond what their pushes need."""

    measure: Literal["opt_in", "opt_out"] = "opt_in"
    """Whose receipts are kept: of those whose app registered `measure` as `granted`, or of all but
    those who `denied` it."""


class LogSettings(Section):
    """What is written to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least level that is written; `debug` adds a line per batch of attempts."""
    format: Literal["auto", "json", "console"] = "auto"
    """`json`: one object a line; `console`: for people; `auto`: people at a terminal, JSON
    elsewhere."""


Vendors = Mapping[str, type[BaseModel]]
"""The model of each push service's table, by the table's name. The models are the services' own;
beside fields, each has `advice()`: pairs of a field and what would be better there."""


class AppSettings(Section):
    """A mobile app and the push services that reach it; at least one of them."""

    # `settings_model` adds a field for the table of each service
    id: Name
    """Name of the app in registrations, metrics and commands."""
    receipts: Literal["off", "opened", "received"] = "off"
    """What the app reports of its pushes: each then carries a word that proves it. `received` also
    has an iPhone's extension look at every push first."""
    collapse: Literal["delivery", "path", "user", "none"] = "delivery"
    """Which older pushes a push replaces, at the vendor and on the phone: `delivery` its own
    repeats, `path` those for the same place, `user` all of the person's; in these two, none is
    started after a newer one. `none` is `delivery` without FCM's collapse key."""

    @property
    def vendors(self) -> dict[str, Any]:
        """The tables of the push services that reach the app."""
        tables = {name: getattr(self, name) for name in vendors_of(type(self))}
        return {name: table for name, table in tables.items() if table is not None}


def vendors_of(model: type[BaseModel]) -> list[str]:
    """The push services that an app's model has a table for."""
    return [name for name in model.model_fields if name not in AppSettings.model_fields]


class Settings(Section):
    """All settings of a process."""

    # what is read is the form that `settings_model` makes of it

    server: ServerSettings = ServerSettings()
    """The public listener."""
    ops: OpsSettings = OpsSettings()
    """The operators' listener."""
    webhook: WebhookSettings = WebhookSettings()
    """How webhooks are taken."""
    sources: tuple[SourceSettings, ...] = ()
    """Further sources of webhooks."""
    auth: AuthSettings = AuthSettings()
    """Who may use the API."""
    store: StoreSettings = StoreSettings()
    """The database."""
    queue: QueueSettings = QueueSettings()
    """The queue."""
    relay: RelaySettings = RelaySettings()
    """How pushes are sent."""
    devices: DevicesSettings = DevicesSettings()
    """The device registry."""
    learning: LearningSettings = LearningSettings()
    """What is kept of events that are not pushes."""
    retention: RetentionSettings = RetentionSettings()
    """How long is kept what has no time of its own."""
    privacy: PrivacySettings = PrivacySettings()
    """What is kept of people."""
    effect: EffectSettings = EffectSettings()
    """How what pushes do is counted."""
    hooks: tuple[HookSettings, ...] = ()
    """A customer's own systems that are told what happens."""
    suppress: tuple[SuppressSettings, ...] = ()
    """Events that make reminders superfluous."""
    experiments: tuple[ExperimentSettings, ...] = ()
    """Whether reminders lead to learning."""
    log: LogSettings = LogSettings()
    """What is logged."""
    apps: tuple[AppSettings, ...] = ()
    """The apps; roles `all` and `relay` need one."""


class SettingsError(Exception):
    """The configuration cannot be used; `problems` has a line for every single mistake."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


def settings_model(vendors: Vendors) -> type[Settings]:
    """The settings with a table for each of the push services in every app."""
    tables: dict[str, Any] = {
        name: (model | None, Field(default=None, description=model.__doc__))
        for name, model in vendors.items()
    }
    app = create_model("AppSettings", __base__=AppSettings, __doc__=AppSettings.__doc__, **tables)
    apps = Field(default=(), description=Settings.model_fields["apps"].description)
    field: Any = (tuple[app, ...], apps)
    return create_model("Settings", __base__=Settings, __doc__=Settings.__doc__, apps=field)


def load(model: type[Settings], path: Path | None, env: Mapping[str, str]) -> Settings:
    """Read the settings from a file and the environment, which wins.

    `model` is what `settings_model` made. The file is `path`, else INKPUSH_CONFIG, else
    ./inkpush.toml if there is one, else none. Files that the file names are relative to its folder,
    those that the environment names to the working directory. Raises `SettingsError` with all
    mistakes at once; no line shows a secret.
    """
    gathered = sources.gather(model, path, env)
    sections, problems = checks.validate(model, gathered)
    problems = [*gathered.problems, *problems]
    if gathered.complete:
        apps = shape.model_in(model.model_fields["apps"].annotation)
        assert apps is not None
        problems += checks.fit_together(sections, gathered.data, vendors_of(apps))
    if problems:
        raise SettingsError(problems)
    return model(**sections)


def masked(settings: Settings) -> dict[str, Any]:
    """The settings as plain data, with every secret shown as asterisks."""
    return settings.model_dump(mode="json")
