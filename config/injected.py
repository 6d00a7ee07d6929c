"""Variables that others put beside the settings: no mistakes of anybody, and no settings. Pure.

Kubernetes (service links) and Docker (links, also of Compose) tell every container of the services
beside it. A service named `inkpush`, or `inkpush-` and something, makes names that begin as ours.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_ADDRESS = re.compile(r"(?:tcp|udp|sctp)://\S+", re.IGNORECASE)
_BY_NAME = re.compile(
    r"INKPUSH(?:_\w+)?_"
    r"(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)",
    re.ASCII,
)
_BY_VALUE = re.compile(r"INKPUSH(?:_\w+)?_PORT", re.ASCII)
_LINKED = re.compile(r"(INKPUSH(?:_\w+)?)_NAME", re.ASCII)
_ALIAS = re.compile(r"/[^/\s]+/[^/\s]+")


def injected(env: Mapping[str, str]) -> set[str]:
    """The names of what was put there by Kubernetes or Docker."""
    found = set()
    for name, value in env.items():
        by_value = _BY_VALUE.fullmatch(name) and _ADDRESS.fullmatch(value.strip())
        if by_value or _BY_NAME.fullmatch(name):
            found.add(name)
        # a link of Docker's brings all variables of the other container, too
        elif (linked := _LINKED.fullmatch(name)) and _ALIAS.fullmatch(value.strip()):
            copies = f"{linked[1]}_ENV_"
            found |= {name, *(one for one in env if one.startswith(copies))}
    return found
