"""How hooks stand, for people: on `/readyz`, among the lanes, in commands. Pure."""

from __future__ import annotations

from gateway.ports import HookRow, Standing

_GONE = "The receiver answered 410: it wants no more. `inkpush hooks resume {id}` once it does."
_FAILING = "Look at the receiver; `inkpush hooks test {id}` posts to it. What is for it waits."


def lane_of(hook: str) -> str:
    """A hook's name among the lanes."""
    return f"hook/{hook}"


def standing_of(row: HookRow) -> Standing:
    """How a hook stands."""
    if row.held == "operator":
        return Standing("paused", row.reason, "", row.held_at)
    if row.held:
        return Standing("held", row.reason, _GONE.format(id=row.id), row.held_at)
    if row.trouble:
        return Standing("failing", row.trouble, _FAILING.format(id=row.id), row.trouble_at)
    return Standing("open")
