"""Which deliveries start on the look-up that they have, and which are looked up again first."""

from __future__ import annotations

from collections import deque
from typing import Any, cast

from gateway.core.model import Claim, Target
from gateway.relay.lookahead import Lookahead
from gateway.relay.work import FRESH_S, USABLE_S, Delivery, Taken, Work, take
from providers.contract import Address, Message
from tests.kit.build import chunk, item

NOW = 1_000.0
WALL = 1_700_000_000.0


def delivery(device_id: int, age_s: float) -> Delivery:
    """A delivery whose device was looked up so long ago."""
    work = Work(Claim(1, "lease", chunk([item(0)]), 1), NOW + 60, 0.0, lambda _work: None)
    address = Address(f"address-{device_id}")
    return Delivery(
        delivery_id=f"delivery-{device_id}",
        address=address,
        message=Message("msg_1", "", "", None),
        expires_at=WALL + 60,
        work=work,
        item=item(0),
        target=Target(device_id, "agent", "fcm", address, "mary", None, 0.0),
        part="android",
        looked_up=NOW - age_s,
        attempts=0,
    )


def taken(backlog: deque[Delivery], *, most_old: int = 9, **options: Any) -> Taken:
    given: dict[str, Any] = {"quiet": {}, "changed": {}, "transport": cast(Any, None)} | options
    return take(backlog, 9, most_old=most_old, now=NOW, wall=WALL, loop_time=50.0, **given)


def ids(deliveries: Any) -> list[int]:
    return [one.target.device_id for one in deliveries]


def test_a_push_starts_on_a_look_up_that_is_fresh_and_says_until_when() -> None:
    backlog = deque([delivery(1, 0.0), delivery(2, USABLE_S - 0.01), delivery(3, USABLE_S + 0.01)])
    found = taken(backlog)
    assert (ids(found.pushes), ids(found.old), ids(backlog)) == ([1, 2], [3], [])
    first, second = found.pushes
    assert first.start_by == 50.0 + FRESH_S
    assert abs(second.start_by - (50.0 + FRESH_S - USABLE_S + 0.01)) < 1e-6


def test_what_comes_behind_too_many_old_ones_waits_in_its_order() -> None:
    backlog = deque([delivery(number, 5.0) for number in range(1, 5)] + [delivery(9, 0.0)])
    found = taken(backlog, most_old=2)
    assert (ids(found.pushes), ids(found.old), ids(backlog)) == ([], [1, 2], [3, 4, 9])


def test_nothing_old_starts_while_others_are_looked_up() -> None:
    backlog = deque([delivery(1, 0.0), delivery(2, 5.0), delivery(3, 0.0)])
    found = taken(backlog, most_old=0)
    assert (ids(found.pushes), ids(found.old), ids(backlog)) == ([1], [], [2, 3])


def test_a_look_up_from_before_a_change_is_old() -> None:
    backlog = deque([delivery(1, 0.3), delivery(2, 0.3), delivery(3, 0.1)])
    found = taken(backlog, changed={1: NOW - 0.2, 3: NOW - 0.2})
    assert (ids(found.pushes), ids(found.old)) == ([2, 3], [1])


def test_as_many_are_looked_up_at_once_as_a_part_sends() -> None:
    ahead = Lookahead()
    assert ahead.size(3) == 3
    ahead.took(0, 3)
    assert ahead.size(3) == 0  # three are being looked up
    ahead.waiting -= 3
    ahead.took(3, 0)
    assert ahead.size(1) == 6
    ahead.took(400, 0)
    assert ahead.size(1) == 512
    ahead.took(0, 1)
    ahead.waiting -= 1
    assert ahead.size(1) == 1
