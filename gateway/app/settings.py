"""Settings with the tables of the vendors that this gateway knows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from config import settings
from config.settings import Settings
from gateway.app.vendors import VENDORS
from providers.vendor import Vendors


def settings_model(vendors: Vendors = VENDORS) -> type[Settings]:
    """The model of the settings: every app may have a table of every vendor."""
    return settings.settings_model({name: vendor.settings for name, vendor in vendors.items()})


def load(path: Path | None, env: Mapping[str, str], vendors: Vendors = VENDORS) -> Settings:
    """Read the settings, as `config.settings.load` says. Raises `SettingsError`."""
    return settings.load(settings_model(vendors), path, env)


def schema() -> dict[str, Any]:
    """The JSON schema of the configuration file: numbers may be text too, such as "24h"."""
    made = settings_model().model_json_schema()
    _let_text_be_numbers(made)
    return made


def _let_text_be_numbers(schema: Any) -> None:
    if isinstance(schema, list):
        for one in schema:
            _let_text_be_numbers(one)
    elif isinstance(schema, dict):
        for one in schema.values():
            _let_text_be_numbers(one)
        if schema.get("type") in ("integer", "number"):
            schema["type"] = [schema["type"], "string"]
