"""One client, one run: `python -m tests.benchmarks.clients NAME --places FILE --pushes N`."""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import uvloop

from gateway.app.benching.vendors import Places
from tests.benchmarks.clients.counterparts import (
    aioapns_alone,
    aiohttp_alone,
    firebase_admin_alone,
)
from tests.benchmarks.clients.result import Took
from tests.benchmarks.clients.transports import send

CLIENTS: dict[str, Callable[[Places, int], Awaitable[Took]]] = {
    "apns-native": partial(send, "apns", "native"),
    "apns-sdk": partial(send, "apns", "sdk"),
    "fcm-native": partial(send, "fcm", "native"),
    "fcm-sdk": partial(send, "fcm", "sdk"),
    "aioapns": aioapns_alone,
    "firebase-admin": firebase_admin_alone,
    "aiohttp": aiohttp_alone,
}


def main() -> None:
    """Send, and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.clients")
    parser.add_argument("client", choices=CLIENTS)
    parser.add_argument("--places", type=Path, required=True, help="the stand-ins, as JSON")
    parser.add_argument("--pushes", type=int, required=True)
    parser.add_argument("--short-lived", action="store_true", help="connections that end often")
    options = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    places = Places(**json.loads(options.places.read_text()))
    if options.short_lived:
        places = replace(places, apns_url=places.short_apns_url)
    print(json.dumps(asdict(uvloop.run(_run(options.client, places, options.pushes)))))


async def _run(client: str, places: Places, pushes: int) -> Took:
    return await CLIENTS[client](places, pushes)


if __name__ == "__main__":
    main()
