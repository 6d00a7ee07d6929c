"""What an answer means that is not the vendor's own: a proxy's, a portal's, a balancer's.

Such an answer accuses nobody and proves nothing: the push goes again. Refuses to know how a vendor
is recognised.
"""

from __future__ import annotations

from providers.contract import Throttled, Unavailable

BETWEEN_WAIT_S = 10.0
"""After a refusal of somebody in between that names no time."""

LANE_WAIT_S = 60.0
"""After a 429 that is not about one device and names no time."""

PROXY_LOGIN = "a proxy wants a login (HTTP 407)"


def of_somebody_between(status: int, wait: float | None) -> Throttled | Unavailable:
    """The verdict of a status without the vendor's words. `wait` is what `Retry-After` asks for."""
    reason = f"HTTP {status}"
    if status == 429:
        return Throttled(reason, "lane", LANE_WAIT_S if wait is None else wait)
    if status == 503:
        # said before anything was handed on
        return Unavailable(reason, outcome_known=True, retry_after=wait)
    if 200 <= status < 300 or status >= 500 or status < 100:
        # it may have handed the push on before something went wrong
        return Unavailable(reason, outcome_known=False, retry_after=wait)
    reason = PROXY_LOGIN if status == 407 else reason
    return Unavailable.not_looked_at(reason, BETWEEN_WAIT_S if wait is None else wait)
