"""The machine's own randomness and name, which a gateway uses unless it is given others."""

from __future__ import annotations

import secrets
from socket import gethostname
from uuid import uuid4

from gateway.core.ids import Ids


def _new() -> str:
    return uuid4().hex


RANDOM = Ids(_new, gethostname, secrets.token_bytes)
"""Random names, this host's name, and secrets of the operating system."""
