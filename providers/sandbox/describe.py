"""How to point a gateway at a sandbox: its URLs and files, and a configuration to start from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from providers.sandbox.credentials import Credentials
from providers.sandbox.server import Sandbox

_APP_KEYS = ("id", "collapse", "receipts", "fcm", "apns")


def describe(sandbox: Sandbox, credentials: Credentials) -> dict[str, str]:
    """URLs and file paths of a running sandbox, for people and scripts."""
    return {
        "fcm_url": sandbox.fcm_url,
        "apns_url": sandbox.apns_url,
        "apns_sandbox_url": sandbox.apns_sandbox_url,
        "control_url": sandbox.control_url,
        "fcm_file": str(credentials.fcm_file),
        "apns_key_file": str(credentials.apns_key_file),
        "wrong_apns_key_file": str(credentials.wrong_apns_key_file),
        "ca_file": str(credentials.ca_file),
        "project_id": credentials.project_id,
        "key_id": credentials.key_id,
        "team_id": credentials.team_id,
        "topic": credentials.topic,
    }


def config_toml(sandbox: Sandbox, credentials: Credentials, **overrides: Any) -> str:
    """A configuration whose app "demo" sends to this sandbox by both providers.

    `id`, `collapse`, `receipts`, `fcm` and `apns` change the app (`fcm={"rate_per_s": 0}` adds to
    it, `apns=None` leaves it out); any other name is a section of its own:
    `store={"url": "sqlite:///x.db"}`.
    """
    fcm = {
        "credentials_file": str(credentials.fcm_file),
        "project_id": credentials.project_id,
        "endpoint": sandbox.fcm_url,
        "ca_file": str(credentials.ca_file),
        "transport": "native",
    }
    apns = {
        "key_file": str(credentials.apns_key_file),
        "key_id": credentials.key_id,
        "team_id": credentials.team_id,
        "topic": credentials.topic,
        "endpoint": sandbox.apns_url,
        "sandbox_endpoint": sandbox.apns_sandbox_url,
        "ca_file": str(credentials.ca_file),
        "transport": "native",
    }
    lines: list[str] = []
    for name, values in overrides.items():
        if name not in _APP_KEYS:
            lines += _table(f"[{name}]", values)
    app = {"id": overrides.get("id", "demo")}
    app |= {name: overrides.get(name) for name in ("collapse", "receipts")}
    lines += _table("[[apps]]", app)
    for name, values in (("fcm", fcm), ("apns", apns)):
        changes = overrides.get(name, {})
        if changes is not None:
            lines += _table(f"[apps.{name}]", {**values, **changes})
    return "\n".join(lines)


def _table(heading: str, values: Mapping[str, Any]) -> list[str]:
    # A JSON string, number, boolean or list of strings is the same in TOML.
    pairs = [f"{key} = {json.dumps(value)}" for key, value in values.items() if value is not None]
    return [heading, *pairs, ""]
