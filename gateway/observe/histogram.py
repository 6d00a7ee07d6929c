"""A histogram that takes a batch at once: one step for each bucket, not one for each value.

Shows the same samples as `prometheus_client.Histogram`, which walks its buckets and takes its locks
for every value; metric names and buckets are the caller's. For one thread: the event loop's.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence

from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector, CollectorRegistry
from prometheus_client.utils import floatToGoString

#: upper bounds in seconds: of an answer to a webhook, of a push at its vendor, of an event's age
ACK_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
SEND_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30)
AGE_BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14_400, 43_200, 86_400)


class BatchHistogram(Collector):
    """One histogram with the children it is given, by the value of its label."""

    def __init__(
        self,
        name: str,
        text: str,
        label: str,
        children: Iterable[str],
        *,
        buckets: Sequence[float],
        created: float,
        registry: CollectorRegistry,
    ) -> None:
        self._name, self._text, self._label = name, text, label
        self._bounds = tuple(map(float, buckets))
        self._children = {child: _Child(len(self._bounds), created) for child in children}
        registry.register(self)

    def observe(self, child: str, values: Sequence[float]) -> None:
        """Count the values, in any order; one below zero counts as zero."""
        if not values:
            return
        ordered = sorted(values)
        if ordered[0] < 0.0:
            ordered = [max(0.0, value) for value in ordered]
        self._children[child].add(ordered, self._bounds)

    def collect(self) -> Iterable[HistogramMetricFamily]:
        """What the registry asks for when the metrics are rendered."""
        family = HistogramMetricFamily(self._name, self._text, labels=[self._label])
        bounds = (*self._bounds, float("inf"))
        names = [floatToGoString(bound) for bound in bounds]  # type: ignore[no-untyped-call]
        for value, child in self._children.items():
            counts = [*child.counts, child.count]
            family.add_metric([value], list(zip(names, counts, strict=True)), child.sum)
            family.add_sample(f"{self._name}_created", {self._label: value}, child.created)
        yield family

    def describe(self) -> Iterable[HistogramMetricFamily]:
        """The names that the registry must keep free."""
        yield HistogramMetricFamily(self._name, self._text, labels=[self._label])


class _Child:
    """How many values were at most as large as each bound, and all of them together."""

    __slots__ = ("count", "counts", "created", "sum")

    def __init__(self, bounds: int, created: float) -> None:
        self.counts = [0.0] * bounds
        self.count = 0.0
        self.sum = 0.0
        self.created = created

    def add(self, ordered: list[float], bounds: tuple[float, ...]) -> None:
        counts, size = self.counts, len(ordered)
        for place, bound in enumerate(bounds):
            below = bisect_right(ordered, bound)
            counts[place] += below
            if below == size:
                for later in range(place + 1, len(bounds)):
                    counts[later] += size
                break
        self.count += size
        self.sum += sum(ordered)
