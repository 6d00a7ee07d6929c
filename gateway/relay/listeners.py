"""The callbacks of lanes and their parts, given at construction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.events import Observer
from gateway.relay.work import Delivery
from providers.contract import Push, Verdict

if TYPE_CHECKING:
    from gateway.relay.lane import Lane
    from gateway.relay.part import Part


@dataclass(frozen=True, slots=True)
class Listeners:
    """`verdicts` gets every verdict of a part. `returned` gets deliveries that go back to the queue
    unsent, with the reason and the time they are due (None: as soon as their part is free).
    `old` gets deliveries of a part whose devices have to be looked up again before they may start.
    `held` gets a part whose hold has changed and has to be stored. `changed` says when devices got
    another user or address by this process (monotonic), of the last second."""

    verdicts: Callable[[Lane, Part, Sequence[tuple[Push, Verdict]]], None]
    returned: Callable[[Sequence[Delivery], str, float | None], None]
    old: Callable[[Part, Sequence[Delivery]], None]
    held: Callable[[Part], None]
    changed: Mapping[int, float]
    observer: Observer
