"""A PostgreSQL of the tests' own: a cluster on loopback, and a fresh database for each test.

The binaries come from Debian's package postgresql. The cluster lives in a temporary folder, as
somebody who is not root, from the first test that asks for it until the process ends; what it keeps
need not survive a power cut, so it does not wait for the disk.
"""

from __future__ import annotations

import asyncio
import atexit
import functools
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from gateway.store.postgres import open_postgres

PACKAGE = "postgresql"
_START_S = 60.0
_TEMPLATE = "inkpush_template"
#: databases that nobody has open and that still are as they were left, for who opens them again
_KEEP = 2
#: deletes all rows but those that the migrations wrote; quicker than TRUNCATE, which makes files
_EMPTY = """
DO $$
DECLARE one text;
BEGIN
    FOR one IN SELECT tablename FROM pg_tables
        WHERE schemaname = 'public'
          AND tablename NOT IN ('schema_migrations', 'pulse', 'server_life')
          AND tablename NOT LIKE 'deliveries_d%'
    LOOP
        EXECUTE format('DELETE FROM %I', one);
    END LOOP;
END $$;
"""
_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "shared_buffers": "64MB",
    "max_connections": "200",
    "max_wal_size": "256MB",
    "autovacuum": "off",
    "listen_addresses": "127.0.0.1",
}


def find_binaries() -> Path:
    """Where initdb and postgres are installed; skips the test where they are not."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[4])
    )
    if found:
        return found[-1].parent
    on_path = shutil.which("postgres")
    if on_path is None:
        pytest.skip(f"PostgreSQL is not installed: apt-get install {PACKAGE}")
    return Path(on_path).resolve().parent


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Cluster:
    """A PostgreSQL server in a folder of its own; `start` and `stop` may follow each other."""

    def __init__(self, **settings: str) -> None:
        self._binaries = find_binaries()
        self._settings = {**_SETTINGS, **settings}
        self._folder = Path(tempfile.mkdtemp(prefix="inkpush-postgres-"))
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        if os.geteuid() == 0:
            owner = pwd.getpwnam("postgres")
            os.chown(self._folder, owner.pw_uid, owner.pw_gid)
        self._run("initdb", "-D", self._data, "-U", "inkpush", "-A", "trust", "-E", "UTF8",
                  "--locale=C.UTF-8", "--no-sync", "--no-instructions")  # fmt: skip
        self.start()

    @property
    def _data(self) -> str:
        return str(self._folder / "data")

    @property
    def pid(self) -> int:
        """Its first process, whose children are all others."""
        assert self._process is not None
        return self._process.pid

    def url(self, database: str = "postgres", *, port: int | None = None) -> str:
        return f"postgresql://inkpush@127.0.0.1:{port or self.port}/{database}"

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        options = [f"-c{name}={value}" for name, value in self._settings.items()]
        command = self._command("postgres", "-D", self._data, "-p", str(self.port),
                                "-k", str(self._folder), *options)  # fmt: skip
        log = (self._folder.with_name(self._folder.name + ".log")).open("ab")
        with log:
            self._process = subprocess.Popen(command, cwd="/", stdout=log, stderr=log)
        deadline = time.monotonic() + _START_S
        while not self._answers():
            said = Path(log.name).read_text(errors="replace")[-2000:]
            assert self._process.poll() is None, said
            assert time.monotonic() < deadline, said
            time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop the server: SIGINT cuts its clients off, SIGQUIT is a crash."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(_START_S)
            self._process = None

    def destroy(self) -> None:
        """Stop for good, and remove the folder."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.with_name(self._folder.name + ".log").unlink(missing_ok=True)

    def _answers(self) -> bool:
        probe = [str(self._binaries / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(probe, check=False).returncode == 0

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            self._command(program, *arguments), cwd="/", capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    def _command(self, program: str, *arguments: str) -> list[str]:
        command = [str(self._binaries / program), *arguments]
        if os.geteuid() != 0:
            return command
        # PostgreSQL refuses to run as root; setpriv becomes the program, so its pid is the server's
        return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--", *command]


@dataclass(eq=False)
class Database:
    """A database of the cluster; `users` are the handles that are open on it."""

    name: str
    folder: Path | None = None
    users: int = 0


class Databases:
    """The databases of one cluster: each folder, which is each test, has one of its own.

    The first ones are copied from a template that was migrated once. Copying takes 300 files, so
    one that nobody has open any more is emptied for the next test.
    """

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._numbers = itertools.count()
        #: least recently used first
        self._all: list[Database] = []

    @asynccontextmanager
    async def using(self, folder: Path) -> AsyncIterator[str]:
        """The URL of the folder's database, which stays the folder's while it is in use."""
        database = next((one for one in self._all if one.folder == folder), None)
        if database is None:
            database = await self._fresh()
            database.folder = folder
        self._all.remove(database)
        self._all.append(database)
        database.users += 1
        try:
            yield self.cluster.url(database.name)
        finally:
            database.users -= 1

    async def create(self, *, empty: bool = False) -> str:
        """Make a database for one test; `empty` has no schema yet. Returns its URL."""
        name = f"test_{next(self._numbers)}"
        template = "template0" if empty else await self._template()
        await self._command("postgres", f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.cluster.url(name)

    async def _fresh(self) -> Database:
        unused = [one for one in self._all if not one.users]
        if len(unused) <= _KEEP:
            name = (await self.create()).rpartition("/")[2]
            self._all.append(Database(name))
            return self._all[-1]
        await self._command(unused[0].name, _EMPTY)
        return unused[0]

    async def _template(self) -> str:
        if not self._template_made:
            self._template_made = True
            await self._command("postgres", f"CREATE DATABASE {_TEMPLATE}")
            await (await open_postgres(self.cluster.url(_TEMPLATE))).aclose()
        return _TEMPLATE

    _template_made = False

    async def _command(self, database: str, sql: str) -> None:
        connection = await asyncpg.connect(self.cluster.url(database))
        try:
            await connection.execute(sql)
        finally:
            await connection.close()


@functools.cache
def databases() -> Databases:
    """The cluster that all tests of this process share; it ends with the process."""
    cluster = Cluster()
    atexit.register(cluster.destroy)
    return Databases(cluster)


@asynccontextmanager
async def own_cluster(**settings: str) -> AsyncIterator[Databases]:
    """A cluster for one test, which may stop and start it."""
    cluster = await asyncio.to_thread(functools.partial(Cluster, **settings))
    try:
        yield Databases(cluster)
    finally:
        await asyncio.to_thread(cluster.destroy)
