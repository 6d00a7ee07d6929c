from __future__ import annotations

from pathlib import Path

import pytest

from gateway.app.benching.failure import BenchFailure
from gateway.app.benching.posting import make_batches, new_secret, quantile
from gateway.app.benching.processes import running, wait_for_line
from gateway.app.benching.served import sum_of, write_config
from gateway.app.benching.vendors import Places
from gateway.app.settings import load
from gateway.ingest.schema import understand

METRICS = """\
# HELP inkpush_deliveries_total Deliveries.
inkpush_deliveries_total{app="bench",outcome="delivered",provider="fcm"} 40.0
inkpush_deliveries_total{app="bench",outcome="dead",provider="fcm"} 2.0
inkpush_deliveries_total{app="bench",outcome="delivered",provider="apns"} 100.0
inkpush_deliveries_total_created{app="bench",outcome="delivered",provider="apns"} 1.7e+09
inkpush_queue_depth 7.0
"""


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([3.0], 0.99, 3.0), ([1.0, 2.0, 3.0, 4.0], 0.5, 2.0), ([4.0, 1.0, 3.0, 2.0], 0.99, 4.0)],
)
def test_a_quantile_is_one_of_the_values(
    values: list[float], share: float, expected: float
) -> None:
    assert quantile(values, share) == expected


def test_children_of_a_metric_are_summed_by_their_labels() -> None:
    assert sum_of(METRICS, "inkpush_deliveries_total", provider="fcm") == 42
    assert sum_of(METRICS, "inkpush_deliveries_total", provider="fcm", outcome="delivered") == 40
    assert sum_of(METRICS, "inkpush_queue_depth") == 7
    assert sum_of(METRICS, "inkpush_nothing") == 0


def test_the_configuration_of_a_benchmark_has_no_limits_of_pace(tmp_path: Path) -> None:
    file = tmp_path / "any file"
    file.touch()
    places = Places(
        fcm_url="https://127.0.0.1:1",
        apns_url="https://127.0.0.1:2",
        ca_file=str(file),
        fcm_file=str(file),
        apns_key_file=str(file),
        project_id="project",
        key_id="KEY",
        team_id="TEAM",
        topic="com.example",
    )
    changes = {"relay": {"max_backlog": 7}}
    settings = load(write_config(tmp_path, places, new_secret(), changes=changes), {})
    fcm, apns = (settings.apps[0].vendors[name] for name in ("fcm", "apns"))
    assert (fcm.rate_per_s, fcm.ramp_s, apns.rate_per_s) == (0, 0, 0)
    assert settings.relay.max_backlog == 7


def test_every_notification_of_a_batch_is_understood() -> None:
    batches = list(make_batches([f"user-{number}" for number in range(25)], 10))
    assert [batch.notifications for batch in batches] == [10, 10, 5]
    assert len({batch.event_id for batch in batches}) == 3
    for batch in batches:
        understood = understand(batch.event_id, batch.body, received_at=2e9, max_age_s=1e9)
        assert understood.event.status == "accepted"
        assert understood.event.notifications == batch.notifications


def test_a_process_that_ends_by_itself_is_told_with_what_it_said(tmp_path: Path) -> None:
    command = ["sh", "-c", "echo no room here; exit 3"]
    with (
        running("a server", command, tmp_path) as child,
        pytest.raises(BenchFailure, match="a server ended by itself:\nno room here"),
    ):
        wait_for_line(child, "ready")


def test_a_process_is_measured_and_ended_with_its_block(tmp_path: Path) -> None:
    with running("a server", ["sh", "-c", "echo ready; exec sleep 60"], tmp_path) as child:
        assert wait_for_line(child, "ready") == "ready"
        assert child.rss_bytes > 0
        assert child.cpu_s >= 0
    assert child.process.returncode == -15
