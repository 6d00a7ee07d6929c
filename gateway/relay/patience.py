"""Waiting out an outage of the store: the one place where the relay tries something again itself.

Deliveries are never retried here: theirs are rows with a due time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_exponential

from gateway.errors import StoreUnavailable

T = TypeVar("T")


async def insist(
    step: Callable[[], Awaitable[T]], *, refused: Callable[[BaseException | None], None]
) -> T:
    """Do a step until the store takes it: again after 0.1 s, then ever later, up to 5 s.

    `refused` hears of every failure.
    """

    async def attempt() -> T:
        return await step()

    def after(state: RetryCallState) -> None:
        refused(state.outcome.exception() if state.outcome else None)

    patiently = AsyncRetrying(
        retry=retry_if_exception_type(StoreUnavailable),
        wait=wait_exponential(multiplier=0.1, max=5.0),
        after=after,
    )
    return await patiently(attempt)
