"""File descriptors: how many this process may have, and how many of them strangers may take.

Connections from outside get what is left when store, queue, vendors, log and the listener for
operators have theirs, so that nobody can take those away by holding connections open.
"""

from __future__ import annotations

import resource
from contextlib import suppress

_ENOUGH = 1_048_576
"""No process needs more; some containers say a billion."""
_LEAST_KEPT = 256
_MOST_CONNECTIONS = 10_000
"""Connections from outside that are ever held at once: they take memory, too."""
OPS_CONNECTIONS = 64
"""Connections to the listener for operators, out of what is kept."""


def raise_limit() -> str:
    """Raise the soft limit of open files to the hard one. Says what came of it."""
    before, hard = _files(), resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if before < wanted:
        with suppress(OSError, ValueError):  # a system that says no: go on with what there is
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return f"{_files()} (before: {before}), of which {connections()} for connections from outside"


def connections() -> int:
    """How many connections from outside may be open at once."""
    return most_connections(_files())


def _files() -> int:
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return _ENOUGH if soft == resource.RLIM_INFINITY else soft


def most_connections(files: int) -> int:
    """The share of so many files: an eighth of them, at least 256, is kept; never over half."""
    kept = min(max(_LEAST_KEPT, files // 8), files // 2)
    return min(files - kept, _MOST_CONNECTIONS)
