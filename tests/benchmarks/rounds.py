"""Runs that take turns: A B A B, so that a busy minute of the machine falls on all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from statistics import median

from tests.benchmarks.clients.result import Took
from tests.benchmarks.stage import Stage


class Rounds:
    """What each contestant took, round by round."""

    def __init__(self, took: Mapping[str, list[Took]]) -> None:
        self._took = took

    def per_second(self, name: str) -> float:
        return median(one.per_second for one in self._took[name])

    def cpu_us(self, name: str) -> float:
        return median(one.cpu_us for one in self._took[name])

    def cpu_ratio(self, name: str, other: str) -> float:
        """How many times less CPU than the other: the median over rounds, each with its pair."""
        pairs = zip(self._took[name], self._took[other], strict=True)
        return median(theirs.cpu_us / ours.cpu_us for ours, theirs in pairs)

    def rate_ratio(self, name: str, other: str) -> float:
        """How many times the other's rate, likewise."""
        pairs = zip(self._took[name], self._took[other], strict=True)
        return median(ours.per_second / theirs.per_second for ours, theirs in pairs)


def take_turns(stage: Stage, title: str, contestants: Mapping[str, Callable[[], Took]]) -> Rounds:
    """Run all of them, one after the other, as many rounds as the sizes say."""
    took: dict[str, list[Took]] = {name: [] for name in contestants}
    for number in range(1, stage.sizes.rounds + 1):
        for name, run in contestants.items():
            one = run()
            took[name].append(one)
            stage.say(
                f"{title}, round {number}: {name:<28} {one.per_second:>9,.0f}/s "
                f"{one.cpu_us:>8,.1f} us CPU"
            )
    stage.report.rounds[title] = {
        name: [
            asdict(one) | {"per_second": one.per_second, "cpu_us": one.cpu_us} for one in several
        ]
        for name, several in took.items()
    }
    return Rounds(took)
