"""Whether the settings are sound: each table by its model, and all of them together.

Every table is checked even where another is wrong, so that a person hears of all mistakes at
once. `advice` names what works, yet is weak.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from config import experiments, formats, hooks, learning, shape, suppress, typed, wording
from config.formats import SQLITE_PREFIX, is_postgres, no_broker_beside, signing_key

if TYPE_CHECKING:
    from pydantic import SecretStr

    from config.settings import OpsSettings, ServerSettings, Settings
    from config.sources import Gathered

ANY_AUDIENCE = "any"
"""What `auth.audience` says where tokens for anybody are meant."""
HS256_BYTES = 32
"""RFC 7518 section 3.2: an HS256 key has at least the hash's 32 bytes."""
SIGNING_BYTES = 24
"""Standard Webhooks: a signing secret has 24 to 64 bytes; base64 makes 32 characters of 24."""


LONG_TOLERANCE_S = 3_600
"""A captured webhook can be repeated as long as its signature's timestamp is tolerated."""
EXAMPLES = frozenset(f"whsec_aW5rcHVzaC1leGFtcGxlLXNlY3JldC0wMDA{last}" for last in "xyz")
"""Secrets that stand in our documents: whoever reads them can sign."""
_PUBLIC_FILES = frozenset({"ca_file", "jwt_public_keys_file"})


def validate(model: type[BaseModel], gathered: Gathered) -> tuple[dict[str, Any], list[str]]:
    """Check every table of the data by its model. Returns the sound ones, and the mistakes."""
    sections: dict[str, Any] = {}
    typed.read(model, gathered.data)
    problems = [
        wording.unknown(key, model.model_fields)
        for key in gathered.data
        if key not in model.model_fields
    ]
    for name, info in model.model_fields.items():
        if name not in gathered.data:
            sections[name] = info.get_default()
            continue
        value = gathered.data[name]
        try:
            sections[name] = _adapter(info.annotation).validate_python(value)
        except ValidationError as error:
            errors = error.errors(include_url=False)
            for detail in errors:
                loc = (name, *detail["loc"])
                problems.append(wording.explain(model, loc, detail, gathered.variables))
    return sections, problems


def fit_together(
    sections: Mapping[str, Any], data: Mapping[str, Any], vendors: Sequence[str]
) -> list[str]:
    """What no table can know alone. `data` speaks for tables that are wrong in themselves, and
    `vendors` are the tables of push services that an app may have."""
    return list(_misfits(sections, data, vendors))


def _misfits(
    sections: Mapping[str, Any], data: Mapping[str, Any], vendors: Sequence[str]
) -> Iterator[str]:
    server, ops = sections.get("server"), sections.get("ops")
    if server and ops and _clash(server, ops):
        yield f"ops.port: is {ops.port}, which server.port is too; expected two different ports"
    hook = sections.get("webhook")
    if server and hook and (room := server.max_body_memory_mib * 3 * 2**18) < hook.max_body_bytes:
        yield (
            f"server.max_body_memory_mib: has room for bodies of {room} bytes, three quarters of "
            f"it; expected room for webhook.max_body_bytes ({hook.max_body_bytes})"
        )
    store, queue = sections.get("store"), sections.get("queue")
    if store and queue and queue.url != "store" and not is_postgres(store.url):
        yield no_broker_beside(store.url.removeprefix(SQLITE_PREFIX))
    auth = sections.get("auth")
    if auth and auth.jwks_url and not (auth.issuer or auth.audience):
        yield (
            "auth.jwks_url: is without auth.issuer and auth.audience, and others may have tokens "
            "signed by the same keys; expected one of them, or both "
            f'(audience = "{ANY_AUDIENCE}" where any token of these keys is meant)'
        )
    yield from learning.misfits(sections, data)
    webhook, apps = data.get("webhook", {}), data.get("apps", [])
    role = _role(data)
    if role in ("all", "ingest") and isinstance(webhook, dict) and not webhook.get("secrets"):
        yield (
            "webhook.secrets: is missing; expected the endpoint's signing secret (whsec_...), "
            "here or in webhook.secrets_file"
        )
    if role in ("all", "relay") and not apps:
        yield f"apps: is missing; expected at least one [[apps]] with {' or '.join(vendors)}"
    if isinstance(apps, list):
        yield from _app_misfits(apps, vendors)
    yield from hooks.misfits(data.get("hooks", []), apps, role)
    if isinstance(entries := data.get("suppress", []), list):
        yield from suppress.misfits(entries, sections.get("relay"))
    sources = data.get("sources", [])
    if isinstance(entries := data.get("experiments", []), list):
        known = sources if isinstance(sources, list) else []
        yield from experiments.misfits(entries, sections.get("relay"), known)
    if isinstance(sources, list):
        yield from _source_misfits(sources, apps, role)
        yield from _shared_secrets(webhook, sources)


def _role(data: Mapping[str, Any]) -> Any:
    server = data.get("server", {})
    return server.get("role", "all") if isinstance(server, dict) else "all"


def _clash(server: ServerSettings, ops: OpsSettings) -> bool:
    if server.port != ops.port or server.port == 0:
        return False
    shared = set(formats.hosts_of(server.host)) & set(formats.hosts_of(ops.host))
    return bool(shared) or any(map(formats.is_everywhere, (server.host, ops.host)))


def _app_misfits(apps: list[Any], vendors: Sequence[str]) -> Iterator[str]:
    seen: dict[str, int] = {}
    for i, app in enumerate(apps):
        if not isinstance(app, dict):
            continue
        if not any(app.get(name) for name in vendors):
            tables = ", ".join(f"apps.{name}" for name in vendors)
            together = "both" if len(vendors) == 2 else "several"
            yield f"apps[{i}]: has no push service; expected {tables} or {together}"
        first = seen.setdefault(str(app.get("id", f"#{i}")), i)
        if first != i:
            yield f"apps[{i}].id: is the same as apps[{first}].id; expected another name"


def _source_misfits(sources: list[Any], apps: Any, role: Any) -> Iterator[str]:
    known = [str(app.get("id")) for app in _tables(apps)]
    seen: dict[str, int] = {}
    for i, source in enumerate(sources):
        if not isinstance(source, dict):
            continue
        if "id" in source and (first := seen.setdefault(str(source["id"]), i)) != i:
            yield f"sources[{i}].id: is the same as sources[{first}].id; expected another name"
        if role in ("all", "ingest") and not source.get("secrets"):
            yield (
                f"sources[{i}].secrets: is missing; expected the signing secret (whsec_...) of its "
                f"endpoint, here or in sources[{i}].secrets_file"
            )
        named = source.get("apps")
        # an ingest may know no apps: those who send do
        for j, app in enumerate(named if isinstance(named, list) and known else ()):
            if app not in known:
                name = str(app)
                told = f'is "{name}", which' if not wording.may_be_secret(name) else "is what"
                yield f"sources[{i}].apps[{j}]: {told} no [[apps]] has; expected {', '.join(known)}"


def _shared_secrets(webhook: Any, sources: list[Any]) -> Iterator[str]:
    """A secret proves a source, so that it stands in one only. Its text is not shown."""
    tables = [("webhook", webhook), *((f"sources[{i}]", one) for i, one in enumerate(sources))]
    first: dict[bytes, str] = {}
    for table, content in tables:
        given = content.get("secrets") if isinstance(content, dict) else None
        for j, secret in enumerate(given if isinstance(given, list) else ()):
            place, key = f"{table}.secrets[{j}]", signing_key(str(secret))
            other = first.setdefault(key, place) if key else place
            if not other.startswith(f"{table}."):
                yield f"{place}: is the same secret as {other}; expected one of this source alone"


def _tables(given: Any) -> list[dict[str, Any]]:
    return [one for one in given if isinstance(one, dict)] if isinstance(given, list) else []


def _adapter(annotation: Any) -> TypeAdapter[Any]:
    return TypeAdapter(annotation)


def _secrets_advice(table: str, secrets: Sequence[SecretStr]) -> Iterator[str]:
    for i, signing in enumerate(secrets):
        text = signing.get_secret_value().partition("_")[2].rstrip("=")
        if len(text) * 3 // 4 < SIGNING_BYTES:
            yield f"{table}.secrets[{i}]: is short; better at least {SIGNING_BYTES} bytes"
        if signing.get_secret_value() in EXAMPLES:
            yield (
                f"{table}.secrets[{i}]: is the example of the documents, which everybody knows; "
                "better your own, from LearnInk's dashboard"
            )
    if len(secrets) > 1:
        yield (
            f"{table}.secrets: has {len(secrets)} secrets, which is right only while one is being "
            "rotated; better one, and [[sources]] for every other sender, such as staging"
        )


def advice(settings: Settings) -> list[str]:
    """What is allowed, yet weak or likely a slip: "key: what is odd; what would be better"."""
    return list(_advice(settings))


def _advice(settings: Settings) -> Iterator[str]:
    secret = settings.auth.jwt_secret.get_secret_value()
    if 0 < len(secret.encode()) < HS256_BYTES:
        yield f"auth.jwt_secret: is short; better {HS256_BYTES} random bytes or more (RFC 7518)"
    yield from _secrets_advice("webhook", settings.webhook.secrets)
    for i, source in enumerate(settings.sources):
        yield from _secrets_advice(f"sources[{i}]", source.secrets)
    yield from hooks.advice(settings.hooks)
    yield from learning.advice(settings.learning)
    if settings.webhook.tolerance_s > LONG_TOLERANCE_S:
        yield (
            "webhook.tolerance_s: is over an hour, and so long a captured webhook can be repeated; "
            "better 300"
        )
    if formats.is_everywhere(settings.ops.host):
        yield "ops.host: is reachable from everywhere; better loopback or a private address"
    for i, app in enumerate(settings.apps):
        vendors = app.vendors.values()
        if app.collapse == "none" and not any(table.has_collapse_key for table in vendors):
            yield (
                f"apps[{i}].collapse: leaves out a collapse key that no push service of the app "
                'has, so that it does nothing; better "delivery"'
            )
        for name, table in app.vendors.items():
            for field, text in table.advice():
                yield f"apps[{i}].{name}.{field}: {text}"


def secret_files(settings: Settings) -> list[tuple[str, Path]]:
    """Every file with a secret that the settings name, by setting."""
    data = settings.model_dump()
    return [
        (shape.dotted(loc), path)
        for loc in shape.walk(data)
        if isinstance(path := shape.get(data, loc), Path) and loc[-1] not in _PUBLIC_FILES
    ]
