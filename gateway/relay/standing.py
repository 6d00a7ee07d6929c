"""How a part stands, for people: why it does not send, and its share of failures."""

from __future__ import annotations

from dataclasses import dataclass

from providers.contract import Trouble

_UNREACHED = (
    "The vendor does not answer. Check this machine's way there: DNS, firewall, and whether a "
    "proxy has to be set."
)
_BROKEN = "The vendor answers that it cannot serve: look at its status page, and wait."


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a part does not send, what to do about it, and since when (epoch seconds)."""

    reason: str
    hint: str
    since: float


@dataclass(slots=True)
class Errors:
    """Recent attempts and failures, for people; `fade` halves them from time to time."""

    attempts: float = 0.0
    failures: float = 0.0

    def count(self, attempts: float, failures: float) -> None:
        self.attempts += attempts
        self.failures += failures

    def fade(self) -> None:
        self.attempts, self.failures = self.attempts / 2, self.failures / 2

    @property
    def share(self) -> float:
        """The share of attempts that failed."""
        return self.failures / self.attempts if self.attempts else 0.0


def trouble_of(reason: str, *, is_broken: bool) -> Trouble:
    """What to do where nothing reaches the vendor, or where it answers that it is broken."""
    return Trouble(reason, _BROKEN if is_broken else _UNREACHED)
