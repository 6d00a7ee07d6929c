"""The addresses that a listener listens on: one, several, or those of both families."""

from __future__ import annotations

import errno

from aiohttp import web

from config.formats import EVERYWHERE, hosts_of

#: the system has no such family, or no address of it
_NO_FAMILY = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})


async def open_sites(runner: web.BaseRunner, host: str, port: int) -> int:
    """Listen on all addresses of `host` (see `config.formats.hosts`), with one port for all.

    Returns the port, which the system chose if 0 was asked for. Of "both families" one may be
    missing on this machine. Raises OSError.
    """
    missing = OSError(errno.EADDRNOTAVAIL, f"nothing of {host} is an address of this machine")
    for each in hosts_of(host):
        site = web.TCPSite(runner, each, port, backlog=1024)
        try:
            await site.start()
        except OSError as error:
            if host != EVERYWHERE or error.errno not in _NO_FAMILY:
                raise
            missing = error
            await site.stop()
        if runner.addresses:
            port = runner.addresses[0][1]
    if not runner.addresses:
        raise missing
    return port
