"""What a file is, before anything may write to it.

Owns what is refused: what is damaged, somebody else's, or gone while its log is still there. SQLite
would take a log for the file that it finds beside it, fold it in, and delete it; so until a file is
found good, it is opened for reading only, and neither the file nor the log is changed. What SQLite
makes anew for each run (`-shm`) may be.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from gateway.errors import DatabaseRefused, SchemaMismatch, StoreUnavailable
from gateway.store.queries import load_migrations
from gateway.store.sqlite.file import DatabaseFile, log_of

_OUR_MARK = b"IN"
"""The first half of the application_id of our files; 0 are those of before schema 6. The other half
is drawn for each file: a log that says another one is the log of another file."""
_MAGIC = b"SQLite format 3\0"
_APPLICATION_AT = slice(68, 72)
_OURS = frozenset({"devices", "events", "deliveries", "queue"})
"""Tables that every schema of ours has."""
_LOOK_S = 1.0
_LOOK_WITH_LOG_S = 5.0
"""How long pages are read through, at some hundred MB a second; longer where a log of an unclean
end would be folded into them."""
_BUSY_S = 5.0
_KEPT = "Nothing was changed."
_PUT_BACK = (
    "Put the file back as it was, or restore a backup; only to give up what the log holds, move "
    "the log away. See the runbook, `A database that is not what it was`."
)


def there_is(given: Path, path: Path, *, new: bool) -> None:
    """Look before the file is opened. `new`: one may be made. Raises DatabaseRefused."""
    # Whoever makes a database writes to it before there is a log, so the log is looked for first.
    has_log = log_of(path).exists()
    if path.exists() and not (path.is_file() and path.stat().st_size == 0):
        return
    what = "is empty" if path.exists() else "is missing"
    if has_log:
        raise DatabaseRefused(
            f"{given} {what}, and its log {log_of(path).name} is there, with what was accepted "
            f"last: this is no new database. {_KEPT} {_PUT_BACK}"
        )
    if not new:
        raise _not_made(given, what)


def judge(file: DatabaseFile, *, new: bool) -> bool:
    """Judge a file that this process has, and SQLite has not. True: nothing is in it yet. `new`:
    that may be.

    Raises DatabaseRefused for a file that is damaged or not ours, SchemaMismatch for one of a later
    version. One that others have open was judged by them: only whose it is is looked at then.
    """
    if file.size == 0:
        return True
    head = file.head()
    if not head.startswith(_MAGIC):
        raise _damaged(file, "it is not a database, for it does not begin as one")
    _is_ours(file, head[_APPLICATION_AT])
    in_use = file.is_in_use()  # before this process reads it, too
    with _reading(file) as connection:
        is_new = _whose(file, connection)
        if not in_use:
            _has_its_log(file, connection)
            _is_whole(file, connection)
    if is_new and not new:
        raise _not_made(file.given, "has no tables")
    return is_new


def physically(file: DatabaseFile) -> None:
    """The same without a look at whose it is. Raises DatabaseRefused for what is damaged."""
    if file.size and file.head().startswith(_MAGIC) and not file.is_in_use():
        with _reading(file) as connection:
            _is_whole(file, connection)


def mark(connection: sqlite3.Connection) -> None:
    """Let a file say that it is ours, and which one, unless it does."""
    if not _number(connection, "application_id"):
        drawn = int.from_bytes(_OUR_MARK + os.urandom(2))
        connection.execute(f"PRAGMA application_id = {drawn}")


def too_new(place: object, version: int, latest: int) -> SchemaMismatch:
    """A database that a later version of Inkpush has worked on."""
    return SchemaMismatch(
        f"{place} has schema {version}, this Inkpush knows {latest}: "
        "install the newer version again."
    )


# --- inside -----------------------------------------------------------------------------------


def _whose(file: DatabaseFile, connection: sqlite3.Connection) -> bool:
    """Whether nobody has put anything in it yet. Raises for what is not ours, or too new."""
    said, version = _said(connection), _number(connection, "user_version")
    _is_ours(file, said)
    names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    latest = load_migrations("sqlite")[-1][0]
    if version > latest:
        other = "" if any(said) or names >= _OURS else " Or it is another application's database."
        raise SchemaMismatch(f"{too_new(file.given, version, latest)}{other}")
    if not names:
        return True
    if missing := sorted(_OURS - names):
        if any(said):
            raise _damaged(file, f"the table {missing[0]} is missing")
        raise _not_ours(file, f"it has {', '.join(sorted(names)[:3])}, and no {missing[0]}")
    return False


def _has_its_log(file: DatabaseFile, connection: sqlite3.Connection) -> None:
    """Whether its last relay, which did not end in order, left a log beside another name of the
    file. Raises DatabaseRefused."""
    try:
        paths = [Path(name) for (name,) in connection.execute("SELECT path FROM relays")]
    except sqlite3.OperationalError:  # a schema of before
        return
    for path in paths:
        if path != file.path and _is_also(file, path) and log_of(path).exists():
            raise DatabaseRefused(
                f"{file.given} is a second name of {path}, and the log with what was accepted last "
                f"is beside that one: let store.url name it. {_KEPT}"
            )


def _is_also(file: DatabaseFile, name: Path) -> bool:
    """Whether another name leads to the file, as far as it can be seen from here."""
    try:
        return file.is_also(name)
    except OSError:
        return False


def _is_whole(file: DatabaseFile, connection: sqlite3.Connection) -> None:
    """Read through the pages, log included, as far as the time goes. Raises DatabaseRefused."""
    has_log = file.log.exists() and file.log.stat().st_size > 0
    alone = file.head()[_APPLICATION_AT]  # without the log
    if has_log and any(alone) and alone != _said(connection):
        raise DatabaseRefused(
            f"{file.log.name} beside {file.given} is the log of another database. {_KEPT} "
            f"{_PUT_BACK}"
        )
    timer = threading.Timer(_LOOK_WITH_LOG_S if has_log else _LOOK_S, connection.interrupt)
    timer.start()
    try:
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        found = "ok"
    finally:
        timer.cancel()
        timer.join()
    if found != "ok":
        raise _damaged(file, found.replace("\n", " ").removeprefix("*** in database main *** "))


@contextmanager
def _reading(file: DatabaseFile) -> Iterator[sqlite3.Connection]:
    """A connection that changes neither the file nor its log."""
    try:
        with closing(_connect(file)) as connection:
            yield connection
    except sqlite3.DatabaseError as error:
        code = error.sqlite_errorcode & 0xFF
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise _damaged(file, str(error)) from error
        raise StoreUnavailable(f"{file.given} cannot be opened: {error}") from error


def _connect(file: DatabaseFile) -> sqlite3.Connection:
    name = f"file:{quote(str(file.path))}?mode=ro"
    return sqlite3.connect(
        name, uri=True, isolation_level=None, timeout=_BUSY_S, check_same_thread=False
    )


def _is_ours(file: DatabaseFile, said: bytes) -> None:
    """Raise DatabaseRefused for the application_id of somebody else."""
    if any(said) and not said.startswith(_OUR_MARK):
        raise _not_ours(file, f"its application_id is {int.from_bytes(said)}")


def _said(connection: sqlite3.Connection) -> bytes:
    """The application_id, with what the log says."""
    return (_number(connection, "application_id") & 0xFFFFFFFF).to_bytes(4)


def _number(connection: sqlite3.Connection, pragma: str) -> int:
    number: int = connection.execute(f"PRAGMA {pragma}").fetchone()[0]
    return number


def _not_made(given: Path, what: str) -> DatabaseRefused:
    return DatabaseRefused(
        f'{given} {what}, and store.expect = "existing" makes no new database. Is its volume '
        "mounted, and is store.url right?"
    )


def _damaged(file: DatabaseFile, why: str) -> DatabaseRefused:
    log = ""
    if file.log.exists() and file.log.stat().st_size:
        log = f" Its log {file.log.name}, with what was accepted last, was left as it is."
    return DatabaseRefused(f"{file.given} is damaged: {why}. {_KEPT}{log} {_PUT_BACK}")


def _not_ours(file: DatabaseFile, why: str) -> DatabaseRefused:
    return DatabaseRefused(
        f"{file.given} is another application's database: {why}. {_KEPT} Let store.url name "
        "another file."
    )
