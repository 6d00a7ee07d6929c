"""The lanes' counters, counted on quickly: the library takes longer to find a child than it takes
to count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from prometheus_client import Counter

from gateway.observe.labels import closed


class Children:
    """Those children of counters by (provider, app, value) that were counted on before."""

    def __init__(self) -> None:
        self._found: dict[tuple[Counter, str, str, str], Counter] = {}

    def count(
        self,
        counter: Counter,
        provider: str,
        app: str,
        counts: Mapping[str, int],
        known: Sequence[str],
    ) -> None:
        """Add how often each value came; what is not `known` counts as "other"."""
        for value, count in counts.items():
            key = (counter, provider, app, value)
            child = self._found.get(key)
            if child is None:
                child = counter.labels(provider, app, closed(value, known))
                if value in known:
                    self._found[key] = child
            child.inc(count)
