"""Everything that can go wrong inside the gateway, as one tree.

    GatewayError
    +-- ConfigurationError     settings or credentials that cannot work; exit status 2
    +-- StoreError             the database or broker did not do what was asked
    |   +-- StoreUnavailable   it is away, full or too slow: nothing was stored, try later
    |   |   +-- StoreEnded       for good, in this process: a thread of it is gone
    |   |   +-- DatabaseRefused  what is there is damaged, not ours, or gone: a person must decide
    |   +-- SchemaMismatch     the database belongs to another version of Inkpush
    +-- DevicesUncounted       a brake would trip on an old count: count the devices first
    +-- NotReplayable          a dead letter that this version cannot read
    +-- InstallationOwned      the installation belongs to another user
    +-- AmbiguousId            an id that means two people
    +-- AlreadyReplaced        an event that was corrected in another way

Foreign exceptions are translated at the border where they arise and kept as `__cause__`.
A class docstring is its default message. No message holds an address, a key or a text.
"""

from __future__ import annotations


class GatewayError(Exception):
    """Something went wrong in the gateway."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


class ConfigurationError(GatewayError):
    """The configuration cannot work."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class StoreError(GatewayError):
    """The store did not do what was asked."""


class StoreUnavailable(StoreError):
    """The store is away or full; nothing was stored."""


class StoreEnded(StoreUnavailable):
    """The store works no more in this process, which ends."""

    def __init__(self, thread: str, cause: BaseException) -> None:
        self.thread = thread
        super().__init__(f"The database's thread {thread} has ended: {type(cause).__name__}.")
        self.__cause__ = cause


class SchemaMismatch(StoreError):
    """The database belongs to another version of Inkpush."""


class DatabaseRefused(StoreUnavailable):
    """The database is damaged, not ours, or gone; nothing was changed, and a person must decide."""


class DevicesUncounted(GatewayError):
    """A prune brake would trip on an old count of devices; nothing was stored."""


class NotReplayable(GatewayError):
    """A dead letter cannot be replayed by this version."""

    def __init__(self, letter_id: int, why: str) -> None:
        super().__init__(
            f"Dead letter {letter_id} cannot be replayed: {why}. Nothing was replayed; `inkpush "
            "dead drop` drops it."
        )


class InstallationOwned(GatewayError):
    """The installation belongs to another user; present its current address to take it over."""


class AmbiguousId(GatewayError):
    """The id is one person's user_id and another's custom_id: say which is meant (--by)."""


class AlreadyReplaced(GatewayError):
    """The event was cancelled with another correction, which stays."""
