"""The database file itself, whatever name, link or mount leads to it: its descriptor and its locks.

Owns who may work on the file, and by which name. Refuses to know what is in it.

Two bytes far behind the end of the file are locked on the file's own inode, by open file
description (OFD) locks: they touch neither SQLite's locks nor the file's size, they end with the
process, and no other descriptor that is closed ends them. Closing any descriptor of a file does
drop the POSIX locks that this process has on it, and SQLite's are such. So there is one descriptor
for all of the process, and it is closed when nobody here works on the file any more.

- The relay's byte: one relay works on a file.
- A byte for each name: SQLite keeps what is not in the file yet beside it, by the name it was
  opened with (`NAME-wal`). Under two names at once there would be two logs, and a torn file.

The lock file beside the database is locked, too: it holds where the database was put back under a
running gateway, as a new file, and it keeps relays of earlier versions away.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

from gateway.errors import ConfigurationError, DatabaseRefused, StoreUnavailable
from gateway.store.sqlite.holding import Holder, holder_in
from gateway.store.sqlite.lock_file import LockFile

_RELAY = 2**40
_NAMES = 2**41
_NAMES_END = _NAMES + 2**32
_SQLITE = (2**30, 512)
"""The first byte that SQLite locks, and how many (https://sqlite.org/fileformat2.html, 1.4)."""
_REFUSED = frozenset({errno.EAGAIN, errno.EACCES})
_HEAD = 100
_KINDS = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"))


@dataclass(slots=True)
class _Open:
    """What this process has of a file: the descriptor, how many work on it, and its name's byte."""

    descriptor: int
    users: int = 0
    name: int = 0
    has_relay: bool = False


_files: dict[tuple[int, int], _Open] = {}
_guard = threading.Lock()


class DatabaseFile:
    """A file that this process works on, from before SQLite sees it until after it let it go.

    `path` is its name with all symbolic links followed, as SQLite follows them. `lock_file` is
    there if this is the only relay on it.
    """

    def __init__(self, given: Path, path: Path, entry: _Open, key: tuple[int, int]) -> None:
        self.given = given
        self.path = path
        self.lock_file: LockFile | None = None
        self._open = entry
        self._key = key
        self._is_closed = False
        self._watched: list[tuple[Path, os.stat_result]] = []

    @classmethod
    def open(cls, given: Path, *, alone: bool = False, reading: bool = False) -> DatabaseFile:
        """Take the file under its name, and make an empty one where there is none. `alone`: as the
        only relay. `reading`: one that may not be written is good, too.

        Raises ConfigurationError, with who it is as far as that is known, where another relay
        works on the file, or somebody has it open under another name; DatabaseRefused for what is
        no file; StoreUnavailable where the system says no.
        """
        path = Path(os.path.realpath(given))
        try:
            with _guard:
                key, entry = _take(path, reading=reading)
            file = cls(given, path, entry, key)
            try:
                with _guard:
                    if alone:
                        file._take_alone()
                    file._take_name()
            except BaseException:
                file.close()
                raise
        except OSError as error:
            kind = _kind(path)
            if kind:
                raise DatabaseRefused(
                    f"{given} cannot be opened: it is {kind}, not a database"
                ) from error
            told = f"{given} cannot be opened: {error.strerror or error}"
            raise StoreUnavailable(told) from error
        return file

    @property
    def log(self) -> Path:
        """SQLite's log of what is not in the file yet."""
        return log_of(self.path)

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return os.fstat(self._open.descriptor).st_size

    def watch(self) -> None:
        """SQLite has it open now: from here on it, and its log, must stay where they are."""
        self._watched = [(path, path.stat()) for path in (self.path, self.log) if path.exists()]

    def gone(self) -> StoreUnavailable | None:
        """Why nothing may be written: it would go where nobody finds it. None: all is there."""
        for path, known in self._watched:
            try:
                if os.path.samestat(path.stat(), known):
                    continue
            except OSError:
                pass
            return StoreUnavailable(
                f"{path} was removed or replaced while this process has it open. Put it back, or "
                "restart on what is there now."
            )
        return None

    def is_also(self, path: Path) -> bool:
        """Whether that name leads to this file, too. Raises OSError."""
        return os.path.samestat(os.fstat(self._open.descriptor), path.stat())

    def head(self) -> bytes:
        """The file's first 100 bytes, which tell what it is; fewer, if it has fewer."""
        return os.pread(self._open.descriptor, _HEAD, 0)

    def is_in_use(self) -> bool:
        """Whether anybody has the database open by SQLite, here too, or has it by this name."""
        descriptor = self._open.descriptor
        return _is_locked(descriptor, *_SQLITE) or _is_locked(descriptor, self._open.name, 1)

    def close(self) -> None:
        """Let go. Only after SQLite has closed what it had open."""
        if self._is_closed:
            return
        self._is_closed = True
        with _guard:
            if self.lock_file is not None:
                _lock(self._open.descriptor, fcntl.F_UNLCK, _RELAY)
                self._open.has_relay = False
                self.lock_file.close()
            self._open.users -= 1
            if self._open.users == 0:
                del _files[self._key]
                os.close(self._open.descriptor)

    # --- inside: under the guard ----------------------------------------------------------------

    def _take_alone(self) -> None:
        if self._open.has_relay or not _lock(self._open.descriptor, fcntl.F_WRLCK, _RELAY):
            raise self._taken()
        lock_file = LockFile(self.path)
        if not lock_file.take():
            _lock(self._open.descriptor, fcntl.F_UNLCK, _RELAY)
            raise self._taken()
        self._open.has_relay = True
        self.lock_file = lock_file

    def _take_name(self) -> None:
        """Lock the byte of this name, and look for those of other names."""
        own = _byte_of(self.path)
        if self._open.users > 1:
            if own != self._open.name:
                raise self._elsewhere()
            return
        self._open.name = own
        descriptor = self._open.descriptor
        _lock(descriptor, fcntl.F_RDLCK, own)
        if _is_locked(descriptor, _NAMES, own - _NAMES) or _is_locked(
            descriptor, own + 1, _NAMES_END - own
        ):
            raise self._elsewhere()

    def _taken(self) -> ConfigurationError:
        told = self._who()
        return ConfigurationError(
            [f"store.url: another relay works on {self.given}{told}; stop it first"]
        )

    def _elsewhere(self) -> ConfigurationError:
        told = (
            f"store.url: {self.given} is a second name (a hard link, or a mount of this one file) "
            f"of a database that is open under another name{self._who()}; take that one, because "
            "SQLite keeps a log beside the name"
        )
        return ConfigurationError([told])

    def _who(self) -> str:
        """Who works here, in brackets, as far as it is known."""
        who: Holder | None = LockFile(self.path).holder() or holder_in(self.path)
        return f" ({who})" if who else ""


def log_of(path: Path) -> Path:
    """SQLite's log beside a database: what is not in the file yet."""
    return path.with_name(path.name + "-wal")


def _take(path: Path, *, reading: bool) -> tuple[tuple[int, int], _Open]:
    """The process' entry of a file. One that it has open already is not opened again: to close a
    second descriptor would drop SQLite's locks."""
    try:
        known = path.stat()
    except FileNotFoundError:
        key = None
    else:
        if not stat.S_ISREG(known.st_mode):
            raise OSError(errno.EINVAL, "not a file")
        key = (known.st_dev, known.st_ino)
    if key is None or key not in _files:
        # It holds device addresses: for its owner alone. The files beside it take its mode.
        how = os.O_RDONLY if reading else os.O_RDWR | os.O_CREAT
        descriptor = os.open(path, how | os.O_CLOEXEC, 0o600)
        found = os.fstat(descriptor)
        key = (found.st_dev, found.st_ino)
        _files.setdefault(key, _Open(descriptor))
    entry = _files[key]
    entry.users += 1
    return key, entry


def _kind(path: Path) -> str:
    """What it is that is no file; empty for what is one, or is not there."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return ""
    if stat.S_ISREG(mode):
        return ""
    return next((name for is_it, name in _KINDS if is_it(mode)), "a device")


def _byte_of(path: Path) -> int:
    """The byte that stands for a name: for where SQLite's log is."""
    folder = path.parent.stat()
    name = f"{folder.st_dev}/{folder.st_ino}/{path.name}"
    return _NAMES + crc32(name.encode(errors="surrogateescape"))


def _lock(descriptor: int, kind: int, byte: int) -> bool:
    """Lock a byte, or let it go. False: somebody else has it. A system without such locks has
    whole files' locks: those keep relays apart, and do not tell names."""
    if sys.platform == "linux":
        try:
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _flock(kind, byte, 1))
        except OSError as error:
            if error.errno in _REFUSED:
                return False
            if error.errno != errno.EINVAL:
                raise
        else:
            return True
    if byte != _RELAY:
        return True
    how = fcntl.LOCK_UN if kind == fcntl.F_UNLCK else fcntl.LOCK_EX | fcntl.LOCK_NB
    try:
        fcntl.flock(descriptor, how)
    except BlockingIOError:
        return False
    return True


def _is_locked(descriptor: int, start: int, length: int) -> bool:
    """Whether another process has a lock on any of these bytes, or another descriptor here."""
    if sys.platform != "linux" or not length:
        return False
    try:
        found = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, _flock(fcntl.F_WRLCK, start, length))
    except OSError:
        return False
    kind: int = struct.unpack_from("h", found)[0]
    return kind != fcntl.F_UNLCK


def _flock(kind: int, start: int, length: int) -> bytes:
    """`struct flock` of fcntl(2): type, whence, start, length, pid."""
    return struct.pack("hhqqi0q", kind, os.SEEK_SET, start, length, 0)
