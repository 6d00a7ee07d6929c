"""The machine's own chance and name: what a gateway names things by, unless it is handed others."""

from __future__ import annotations

import secrets
from socket import gethostname
from uuid import uuid4

from gateway.core.ids import Ids


def _new() -> str:
    return uuid4().hex


RANDOM = Ids(_new, gethostname, secrets.token_bytes)
"""Random names, this host's name, and secrets of the operating system."""
