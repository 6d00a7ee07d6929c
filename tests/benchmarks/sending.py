"""Transports and clients against the same server: CPU per push, pushes per second."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial

from gateway.app.benching.failure import BenchFailure
from tests.benchmarks.clients.counterparts import apns_request, fcm_request
from tests.benchmarks.clients.material import token
from tests.benchmarks.clients.result import Took
from tests.benchmarks.h2load import find_h2load, run_h2load
from tests.benchmarks.report import Line
from tests.benchmarks.rounds import Rounds, take_turns
from tests.benchmarks.stage import Stage

_LIMIT_S = 300.0
_TAIL = 1_000
_LESS_CPU = {"apns": 20.0, "fcm": 80.0}
_RATE_OF_H2LOAD = 0.7
_THEIRS = {"apns": "aioapns", "fcm": "firebase-admin"}
H2LOAD, AIOHTTP, SHORT = "h2load", "aiohttp, HTTP/1.1", "GOAWAY every 1 000"


def compare_apns(stage: Stage) -> None:
    """Our transports to APNs beside aioapns, aiohttp and h2load."""
    sizes, places = stage.sizes, stage.vendors.places
    headers, body = apns_request(places)
    fastest = partial(
        run_h2load,
        f"{places.apns_url}/3/device/{token('apns', 1)}",
        headers,
        body,
        requests=sizes.native,
        connections=2,
        streams=500,
        folder=stage.folder,
    )
    contestants = _contestants(stage, "apns", sizes.aioapns, fastest)
    contestants[AIOHTTP] = partial(_client, stage, "aiohttp", sizes.aiohttp)
    rounds = take_turns(stage, "APNs", contestants)
    _lines(stage, rounds, "apns", contestants)
    ours = f"{stage.transport} transport"
    stage.report.add(
        Line(
            f"APNs: {ours}, rate",
            "/s",
            rounds.per_second(ours),
            AIOHTTP,
            rounds.per_second(AIOHTTP),
            rounds.rate_ratio(ours, AIOHTTP),
        )
    )


def compare_fcm(stage: Stage) -> None:
    """Our transports to FCM beside firebase-admin and h2load."""
    sizes, places = stage.sizes, stage.vendors.places
    headers, body = fcm_request()
    fastest = partial(
        run_h2load,
        f"{places.fcm_url}/v1/projects/{places.project_id}/messages:send",
        headers,
        body,
        requests=sizes.native,
        connections=10,
        streams=100,
        folder=stage.folder,
    )
    contestants = _contestants(stage, "fcm", sizes.firebase, fastest)
    rounds = take_turns(stage, "FCM", contestants)
    _lines(stage, rounds, "fcm", contestants)


def compare_goaway(stage: Stage) -> None:
    """Connections that the vendor ends after every 1 000 requests, beside ones that stay."""
    count = stage.sizes.native if stage.transport == "native" else 5 * stage.sizes.sdk
    client = f"apns-{stage.transport}"
    stays = f"{stage.transport} transport"
    rounds = take_turns(
        stage,
        "GOAWAY",
        {
            stays: partial(_client, stage, client, count),
            SHORT: partial(_client, stage, client, count, "--short-lived"),
        },
    )
    stage.report.add(
        Line(
            f"APNs: {stays}, {SHORT} requests",
            "/s",
            rounds.per_second(SHORT),
            "connections stay",
            rounds.per_second(stays),
            rounds.rate_ratio(SHORT, stays),
        )
    )


def _contestants(
    stage: Stage, kind: str, theirs: int, fastest: Callable[[], Took]
) -> dict[str, Callable[[], Took]]:
    """Our default transport and right after it h2load, then the others."""
    sizes = stage.sizes
    made: dict[str, Callable[[], Took]] = {}
    for transport in stage.transports:
        count = sizes.native if transport == "native" else sizes.sdk
        made[f"{transport} transport"] = partial(_client, stage, f"{kind}-{transport}", count)
        if H2LOAD not in made and find_h2load() is not None:
            made[H2LOAD] = fastest
    made[_THEIRS[kind]] = partial(_client, stage, _THEIRS[kind], theirs)
    return made


def _client(stage: Stage, name: str, pushes: int, *options: str) -> Took:
    """Run one client in a process of its own."""
    file = stage.folder / "places.json"
    command = [sys.executable, "-m", "tests.benchmarks.clients", name]
    command += ["--places", str(file), "--pushes", str(pushes), *options]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_S, check=True)
    except subprocess.CalledProcessError as error:
        raise BenchFailure(f"{name} failed: {error.stderr.strip()[-_TAIL:]}") from error
    except subprocess.TimeoutExpired as error:
        raise BenchFailure(f"{name} did not end within {_LIMIT_S:.0f} s") from error
    return Took(**json.loads(done.stdout.splitlines()[-1]))


def _lines(
    stage: Stage, rounds: Rounds, kind: str, contestants: dict[str, Callable[[], Took]]
) -> None:
    theirs, target = _THEIRS[kind], _LESS_CPU[kind]
    label = {"apns": "APNs", "fcm": "FCM"}[kind]
    for transport in stage.transports:
        ours = f"{transport} transport"
        measured = transport == stage.transport
        less = rounds.cpu_ratio(ours, theirs)
        stage.report.add(
            Line(
                f"{label}: {ours}, CPU per push",
                "us",
                rounds.cpu_us(ours),
                theirs,
                rounds.cpu_us(theirs),
                less,
                f"{target:.0f} x less" if measured else "",
                less >= target if measured else None,
            )
        )
        if H2LOAD in contestants:
            rate = rounds.rate_ratio(ours, H2LOAD)
            stage.report.add(
                Line(
                    f"{label}: {ours}, rate",
                    "/s",
                    rounds.per_second(ours),
                    H2LOAD,
                    rounds.per_second(H2LOAD),
                    rate,
                    f"at least {_RATE_OF_H2LOAD} x" if measured else "",
                    rate >= _RATE_OF_H2LOAD if measured else None,
                )
            )
