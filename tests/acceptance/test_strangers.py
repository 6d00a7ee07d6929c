"""Strangers at both doors of an installed gateway that has few files: none stops a webhook, fills
memory or the log, or reads anything back.

The figures of the promise are for two idle cores: `python -m tests.benchmarks.abuse` prints them.
Here only what does not depend on the machine's pace is held.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest

from gateway.app.descriptors import OPS_CONNECTIONS
from tests.benchmarks.abuse import KINDS, PLANTED, learnink, watch
from tests.kit.ingest_alone import Ingest, ingest_alone
from tests.kit.knocking import knocking, parsed, request

SECONDS = 3.0
FILES = (512, 1024)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ingest]:
    with ingest_alone(tmp_path_factory.mktemp("strangers"), files=FILES) as running:
        yield running
        assert running.process.poll() is None


def test_it_takes_the_files_it_may_have_and_says_so(gateway: Ingest) -> None:
    (said,) = gateway.logged("files")
    assert said == "1024 (before: 512), of which 768 for connections from outside"


@pytest.mark.parametrize("kind", [[kind] for kind in KINDS] + [list(KINDS)], ids="+".join)
async def test_strangers_stop_no_webhook_and_fill_neither_memory_nor_log(
    gateway: Ingest, kind: list[str]
) -> None:
    seen = await watch(gateway, kind, SECONDS)
    assert seen.failed == 0
    assert seen.rss_mib < 350
    assert seen.log_kib_s < 10
    assert not seen.planted_in_log


async def test_nothing_of_what_strangers_sent_is_in_the_metrics(gateway: Ingest) -> None:
    async with knocking(gateway.ops_port) as prometheus:
        await prometheus.say(request("GET", "/metrics", "Connection: close"))
        heard = await prometheus.answer()
    assert heard.status == 200
    assert PLANTED.encode() not in heard.raw
    assert b'inkpush_refused_connections_total{reason="displaced"}' in heard.raw


async def test_the_operators_door_refuses_in_the_same_manner(gateway: Ingest) -> None:
    table = [
        (f"{PLANTED}\r\n\r\n".encode(), 400, "bad_request"),
        (request("GET", f"/{PLANTED}"), 404, "not_found"),
        (request("DELETE", "/healthz"), 405, "method_not_allowed"),
        (request("POST", "/console/login", "Content-Encoding: gzip"), 415, "unsupported_encoding"),
        (request("POST", "/console/login", "Content-Length: 9999999"), 413, "body_too_large"),
    ]
    for sent, status, code in table:
        async with knocking(gateway.ops_port) as stranger:
            await stranger.say(sent)
            heard = await stranger.answer()
        assert (heard.status, heard.code) == (status, code)
        assert "server" not in heard.headers
        assert heard.headers["connection"] == "close"
        assert PLANTED.encode() not in heard.raw
    assert PLANTED not in gateway.log.read_text()


async def test_connections_to_the_operators_door_keep_no_webhook_and_no_probe_out(
    gateway: Ingest,
) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(2 * OPS_CONNECTIONS):
            stranger = await stack.enter_async_context(knocking(gateway.ops_port))
            await stranger.say(b"GET /")
        async with knocking(gateway.ops_port) as probe, asyncio.timeout(30):
            await probe.say(request("GET", "/healthz"))
            assert parsed(await probe.hear(until=b"}")).status == 200
        took, failed = await learnink(gateway.port, 1.0, "beside")
    assert failed == 0
    assert len(took) == 10
