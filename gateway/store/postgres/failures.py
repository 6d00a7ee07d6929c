"""What asyncpg raises, sorted: is the database away, may the work be tried again, what is told.

Owns the border: nothing of asyncpg's goes further up than here, and no text of it that may hold a
value, an address or a password.
"""

from __future__ import annotations

import asyncpg

from gateway.errors import GatewayError, StoreUnavailable

FOREIGN = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # for a connection that breaks at an odd moment
    OSError,
    TimeoutError,
)
"""All that a call of asyncpg raises."""

#: the connection is gone, or the server is going or coming: another one may do it
_LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,  # a standby, until a fail-over is through
    asyncpg.TooManyConnectionsError,
    OSError,
    TimeoutError,
)
#: the transaction was undone because of another one
_CROSSED = (
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.UniqueViolationError,
    asyncpg.InvalidCachedStatementError,  # another replica has migrated: it is prepared anew
)


def is_broken(error: BaseException) -> bool:
    """Whether nothing more can be asked on the connection that raised this."""
    if isinstance(error, _LOST):
        return True
    return not isinstance(error, (GatewayError, asyncpg.PostgresError))


def is_passing(error: BaseException) -> bool:
    """Whether the same work may succeed when it is done again."""
    return isinstance(error, (*_LOST, *_CROSSED))


def translated(error: BaseException) -> StoreUnavailable:
    """Tell a failure: in the server's words without its details, which hold values."""
    if isinstance(error, asyncpg.PostgresError):
        said = getattr(error, "message", None) or type(error).__name__
    elif isinstance(error, TimeoutError):
        said = "it did not answer in time"
    elif isinstance(error, OSError):
        said = str(error)
    else:
        said = type(error).__name__
    unavailable = StoreUnavailable(f"The database did not do it: {said}")
    unavailable.__cause__ = error
    return unavailable


def is_lock_timeout(error: StoreUnavailable) -> bool:
    """Whether a lock was waited for longer than was asked."""
    return isinstance(error.__cause__, asyncpg.LockNotAvailableError)


def is_day_missing(error: StoreUnavailable) -> bool:
    """Whether a row belongs to a day without a partition."""
    return isinstance(error.__cause__, asyncpg.CheckViolationError)


def is_taken(error: StoreUnavailable) -> bool:
    """Whether a row was to be written whose key another one has."""
    return isinstance(error.__cause__, asyncpg.UniqueViolationError)


def is_unstorable(error: StoreUnavailable) -> bool:
    """Whether a text has what PostgreSQL's cannot have."""
    return isinstance(error.__cause__, (asyncpg.CharacterNotInRepertoireError, asyncpg.DataError))
