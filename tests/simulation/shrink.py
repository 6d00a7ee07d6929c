"""Shrinking: from a history that breaks an invariant to the shortest found that still does.

Owns what may be taken away: acts, people of a batch, noise, and sizes that are not the usual ones.
What is left is a list of acts that a person can read, and that is kept as a file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace

from tests.simulation.history import run
from tests.simulation.plan import Act, Plan, Sizes

MOST_RUNS = 600
"""Histories that are tried at most."""


def shrink(plan: Plan, invariant: str, *, most_runs: int = MOST_RUNS) -> Plan:
    """The shortest plan found that still breaks this invariant. The plan itself must break it."""
    runs = 0

    def still(other: Plan) -> bool:
        nonlocal runs
        runs += 1
        if runs > most_runs:
            return False
        try:
            found = run(other).violation
        except Exception:  # noqa: BLE001  # too small to be a history
            return False
        return found is not None and found.invariant == invariant

    shrinking = True
    while shrinking:
        shrinking = False
        for smaller in (_fewer_acts, _less_noise, _usual_sizes, _simpler_acts):
            while runs < most_runs:
                found = next(filter(still, smaller(plan)), None)
                if found is None:
                    break
                plan, shrinking = found, True
    return plan


def _fewer_acts(plan: Plan) -> Iterator[Plan]:
    """Halves first, then quarters, down to single acts."""
    size = max(1, len(plan.acts) // 2)
    while True:
        for start in range(0, len(plan.acts), size):
            yield plan.without(plan.acts[:start] + plan.acts[start + size :])
        if size == 1:
            return
        size //= 2


def _less_noise(plan: Plan) -> Iterator[Plan]:
    if plan.noise:
        yield replace(plan, noise={})
    for kind in plan.noise:
        rest = {name: share for name, share in plan.noise.items() if name != kind}
        yield replace(plan, noise=rest)


def _usual_sizes(plan: Plan) -> Iterator[Plan]:
    usual = Sizes()
    for one in fields(Sizes):
        size = getattr(usual, one.name)
        if getattr(plan.sizes, one.name) != size:
            yield replace(plan, sizes=replace(plan.sizes, **{one.name: size}))


def _simpler_acts(plan: Plan) -> Iterator[Plan]:
    for place, act in enumerate(plan.acts):
        if act.do == "batch":
            users = act.args["users"]
            for index in range(len(users) - 1, -1, -1):
                fewer = [*users[:index], *users[index + 1 :]]
                if fewer:
                    yield _with(plan, place, Act(act.at, act.do, {**act.args, "users": fewer}))
        if act.at != round(act.at, 1):
            yield _with(plan, place, Act(round(act.at, 1), act.do, act.args))


def _with(plan: Plan, place: int, act: Act) -> Plan:
    return plan.without((*plan.acts[:place], act, *plan.acts[place + 1 :]))
