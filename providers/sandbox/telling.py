"""What the app on a phone of the sandbox would tell of its pushes: the body of POST /v1/receipts.

Owns what an app can know, by the platforms' words: deploy/docs/receipts.md. Refuses to post it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from providers.sandbox.handset import Fate, Kind, Outcome
from providers.sandbox.received import ReceivedPush


def receipts_of(
    outcomes: Iterable[Outcome[ReceivedPush]],
    tapped: Mapping[int, tuple[ReceivedPush, float]],
    now: float,
) -> dict[str, Any]:
    """All that it could tell; `tapped` has the pushes that were, and when, by their `seq`.

    A push came if code of the app ran for it, and was shown as far as the app knows if the app
    shows it itself. A push that carries no word is not asked for.
    """
    told: list[tuple[ReceivedPush, str, float]] = []
    for outcome in outcomes:
        push = outcome.parcel.push
        if outcome.reached_app:
            told.append((push, "received", outcome.at))
            if outcome.fate is Fate.SHOWN and outcome.parcel.kind is Kind.DATA:
                told.append((push, "displayed", outcome.at))
    told += [(push, "opened", at) for push, at in tapped.values()]
    receipts = [
        {
            "event_id": push.data.get("event_id"),
            "receipt": push.data["receipt"],
            "kind": kind,
            "at": at,
        }
        for push, kind, at in told
        if push.data.get("receipt")
    ]
    return {"sent_at": now, "receipts": receipts}
