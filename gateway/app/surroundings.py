"""What `inkpush check` finds around the settings: files, limits, clocks and the ways to hosts.

Owns what is looked at, and what is told of it. Changes nothing, and sends no credential.
"""

from __future__ import annotations

import asyncio
import errno
import resource
import socket
import stat
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from gateway.app.dates import Site, date_of
from gateway.core.agreement import AGREE_S

Warned = tuple[str, str]
"""What is odd, and what to do about it."""

FEW_FILES = 4_096

_DEAD_S = 3.0
_LOOK_UP_S = 5.0
_LOOK_UP_S = 5.0
#: a machine without a way for a whole family knows that at once, and loses nothing by it
_NO_WAY = frozenset({errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})
_FAMILIES = {socket.AF_INET: "IPv4", socket.AF_INET6: "IPv6"}


def readable_files(files: Iterable[tuple[str, Path]]) -> list[Warned]:
    """The files with secrets that every user of this machine may read."""
    found = []
    for setting, file in files:
        try:
            mode = file.stat().st_mode
        except OSError:
            continue
        if mode & stat.S_IROTH:
            told = f"{setting}: {file} may be read by every user of this machine"
            found.append((told, f"chmod o-rwx {file}"))
    return found


def file_limit(limit: tuple[int, int] | None = None) -> list[Warned]:
    """Too few open files for many connections; a gateway raises the soft limit to the hard one."""
    _, hard = limit or resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or hard >= FEW_FILES:
        return []
    told = f"files: this process may open {hard} files and connections at most"
    cure = f"allow {FEW_FILES} or more: LimitNOFILE= of systemd, ulimits of Docker, ulimit -Hn"
    return [(told, cure)]


def plain_sites(sites: Iterable[Site]) -> list[Warned]:
    """The addresses elsewhere that credentials would go to in clear."""
    found = []
    for site in sites:
        if urlsplit(site.url).scheme == "http" and not is_loopback(site.host):
            told = f"{site.setting}: {site.host} is asked over plain http: credentials go in clear"
            found.append((told, f"let it be https://{site.host}, or a stand-in on this machine"))
    return found


def is_loopback(host: str) -> bool:
    """Whether a name or an address is this very machine."""
    if host == "localhost" or host.endswith(".localhost") or host == "::1":
        return True
    try:
        return socket.inet_aton(host)[0] == 127 and host.count(".") == 3
    except OSError:
        return False


# --- over the network ----------------------------------------------------------------------------


async def dead_families(sites: Sequence[Site]) -> list[Warned]:
    """The names of which all IPv4 or all IPv6 addresses are silent, while the others answer."""
    places = {
        (site.host, site.port): site.setting
        for site in sites
        if site.direct and not is_loopback(site.host)
    }
    found = await asyncio.gather(*(_dead_family(host, port) for host, port in places))
    warned = []
    for ((host, _), setting), family in zip(places.items(), found, strict=True):
        if family:
            told = f"{setting}: no {family} address of {host} answers, and others do"
            cure = f"mend the way by {family}, or take {family} away from this machine"
            warned.append((told, f"{cure}: each connection tries it in vain"))
    return warned


async def _dead_family(host: str, port: int) -> str:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_LOOK_UP_S):
            places = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError, UnicodeError):
        return ""
    families = {
        family: [place[4] for place in places if place[0] == family] for family in _FAMILIES
    }
    if not all(families.values()):
        return ""
    answers = {
        family: await asyncio.gather(*(_answers(family, address) for address in addresses))
        for family, addresses in families.items()
    }
    dead = [family for family, each in answers.items() if not any(one is not False for one in each)]
    alive = [family for family, each in answers.items() if True in each]
    return _FAMILIES[dead[0]] if dead and alive else ""


async def _answers(family: int, address: tuple[object, ...]) -> bool | None:
    """Whether a connection is made; None where this machine has no way at all."""
    loop = asyncio.get_running_loop()
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.setblocking(False)
        try:
            async with asyncio.timeout(_DEAD_S):
                await loop.sock_connect(sock, address)
        except TimeoutError:
            return False
        except OSError as error:
            return None if error.errno in _NO_WAY else False
    return True


async def wrong_clock(sites: Sequence[Site], database: str = "") -> list[Warned]:
    """This machine's clock, where every witness says another time: the database, and the `Date` of
    what answers over https. `database` is PostgreSQL's address, or ""."""
    https = {site.host: site for site in sites if urlsplit(site.url).scheme == "https"}
    asked = [_offset_to(site) for site in https.values() if site.direct]
    if database:
        asked.append(_time_of(database))
    offsets = [offset for offset in await asyncio.gather(*asked) if offset is not None]
    if not offsets:
        return []
    seconds, witness = min(offsets, key=lambda offset: abs(offset[0]))
    if abs(seconds) <= AGREE_S:
        return []
    side = "ahead of" if seconds > 0 else "behind"
    told = f"clock: this machine's is {abs(seconds):.0f} s {side} {witness}'s"
    return [(told, "set it by NTP: timedatectl set-ntp true, or chronyc makestep")]


async def _offset_to(site: Site) -> tuple[float, str] | None:
    """How far this machine's clock is ahead of a host's."""
    bounds = await date_of(site)
    return None if bounds is None else (time.time() - sum(bounds) / 2, site.host)


async def _time_of(database: str) -> tuple[float, str] | None:
    from gateway.store.postgres.connections import connect  # noqa: PLC0415 - only where it is used

    try:
        connection = await connect(database)
    except Exception:  # noqa: BLE001 - the store's own finding tells why
        return None
    try:
        asked_at = time.time()
        there = await connection.fetchval("SELECT extract(epoch FROM clock_timestamp())::float8")
        return (asked_at + time.time()) / 2 - float(there), "the database"
    except Exception:  # noqa: BLE001 - as above
        return None
    finally:
        connection.terminate()
