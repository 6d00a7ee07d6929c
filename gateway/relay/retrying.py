"""Retrying a step during an outage of the store: the only retry loop of the relay.

Deliveries are never retried here: a delivery's retry is a row with a due time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_exponential

from gateway.errors import StoreEnded, StoreUnavailable

T = TypeVar("T")

_FIRST_WAIT_S = 0.1
_LONGEST_WAIT_S = 1.0


async def until_stored(
    step: Callable[[], Awaitable[T]], *, refused: Callable[[BaseException | None], None]
) -> T:
    """Repeat a step until the store takes it: after 0.1 s, then less and less often, up to 1 s.

    Not longer: meanwhile nobody knows what was sent, and another relay may send it again. A store
    that has ended is not asked again.

    `refused` is called for every failure.
    """
    try:
        return await step()  # nearly always enough, and tenacity would add 30 us
    except StoreUnavailable as error:
        refused(error)
        if not _may_pass(error):
            raise

    async def attempt() -> T:
        return await step()

    def after(state: RetryCallState) -> None:
        refused(state.outcome.exception() if state.outcome else None)

    patiently = AsyncRetrying(
        retry=retry_if_exception(_may_pass),
        reraise=True,
        wait=wait_exponential(multiplier=_FIRST_WAIT_S, max=_LONGEST_WAIT_S),
        after=after,
    )
    await asyncio.sleep(_FIRST_WAIT_S)
    return await patiently(attempt)


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, StoreUnavailable) and not isinstance(error, StoreEnded)
