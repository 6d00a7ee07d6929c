"""A batch counted at once shows what its values counted one by one would show."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.exposition import choose_encoder

from gateway.observe.histogram import BatchHistogram

BUCKETS = (0.005, 0.1, 1, 2.5, 30)
CHILDREN = ("fcm", "apns")

# the bounds themselves too: a value that equals one is within it
values = st.sampled_from([0.0, *map(float, BUCKETS)]) | st.floats(-1.0, 60.0)


def counted(registry: CollectorRegistry) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in registry.collect()
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def shape(registry: CollectorRegistry, accept: str) -> Sequence[str]:
    """The lines of the exposition without their values."""
    encode, _ = choose_encoder(accept)
    return [line.rsplit(" ", 1)[0] for line in encode(registry).decode().splitlines()]


def histogram(registry: CollectorRegistry) -> BatchHistogram:
    return BatchHistogram(
        "h", "text", "provider", CHILDREN, buckets=BUCKETS, created=0.0, registry=registry
    )


@given(st.lists(st.tuples(st.sampled_from(CHILDREN), st.lists(values, max_size=20)), max_size=5))
def test_batches_show_the_same_samples_as_single_values(
    batches: list[tuple[str, list[float]]],
) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    batched = histogram(ours)
    single = Histogram("h", "text", ["provider"], buckets=BUCKETS, registry=theirs)
    for child in CHILDREN:
        single.labels(child)
    for child, batch in batches:
        batched.observe(child, batch)
        for value in batch:
            single.labels(child).observe(max(0.0, value))
    assert counted(ours) == pytest.approx(counted(theirs))


@pytest.mark.parametrize("accept", ["", "application/openmetrics-text"])
def test_it_is_written_as_the_librarys_own_is(accept: str) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    histogram(ours)
    single = Histogram("h", "text", ["provider"], buckets=BUCKETS, registry=theirs)
    for child in CHILDREN:
        single.labels(child)
    assert sorted(shape(ours, accept)) == sorted(shape(theirs, accept))


def test_a_name_is_taken_once() -> None:
    registry = CollectorRegistry()
    histogram(registry)
    with pytest.raises(ValueError, match="Duplicated"):
        Histogram("h", "text", registry=registry)
