"""Who acts on the command line, for the audit table: the system's user, and the machine."""

from __future__ import annotations

import os
import pwd
import socket

from gateway.core.audit import Actor


def actor(reason: str = "") -> Actor:
    """The person who runs this command. Of one who became root by sudo both names are told."""
    return Actor(f"{_user()}@{socket.gethostname()}", "cli", reason=reason)


def _user() -> str:
    uid = os.getuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        # a container may run as a number that has no name
        name = str(uid)
    before = os.environ.get("SUDO_USER") if uid == 0 else None
    return f"{before} as {name}" if before else name
