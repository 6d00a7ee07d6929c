"""What time https hosts say it is: read from their answers, and not from what a cache kept."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway.app.dates import Site, date_of
from gateway.core.clocks import Monotonic
from gateway.devices.jwks import RemoteKeys
from providers.contract import date_in
from tests.kit.scripted_server import make_trust

AT = 1_796_047_613.0
DATE = {"Date": "Mon, 30 Nov 2026 14:06:53 GMT"}
HEADERS: dict[str, tuple[dict[str, str], bool]] = {
    "a date": (DATE, True),
    "without a zone": ({"Date": "Mon, 30 Nov 2026 14:06:53 -0000"}, True),
    "fresh in a cache": (DATE | {"Age": "0"}, True),
    "from a cache": (DATE | {"Age": "7200"}, False),
    "from a cache, a second ago": (DATE | {"Age": "1"}, False),
    "of an age that nobody reads": (DATE | {"Age": "old"}, False),
    "of a year that nobody has": ({"Date": "Mon, 30 Nov 99999 14:06:53 GMT"}, False),
    "no date": ({"Date": "yesterday"}, False),
}
ANSWERS = pytest.mark.parametrize(("headers", "is_told"), HEADERS.values(), ids=HEADERS)


@ANSWERS
def test_an_answer_says_what_time_it_is_or_nothing(headers: dict[str, str], is_told: bool) -> None:
    assert date_in(headers) == (AT if is_told else None)


@ANSWERS
async def test_a_host_is_asked(tmp_path: Path, headers: dict[str, str], is_told: bool) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(headers=headers)

    trust = make_trust(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(trust.certificate)
    application = web.Application()
    application.router.add_get("/", answer)
    server = TestServer(application, scheme="https", host="127.0.0.1")
    await server.start_server(ssl=context)
    try:
        site = Site("auth.jwks_url", f"https://127.0.0.1:{server.port}/keys", str(trust.ca_file))
        bounds = await date_of(site)
    finally:
        await server.close()
    assert (bounds is not None) is is_told
    if bounds is not None:
        assert bounds[0] == AT
        assert AT + 1.0 <= bounds[1] < AT + 10.0


@ANSWERS
def test_the_keys_of_users_tell_the_time(headers: dict[str, str], is_told: bool) -> None:
    told: list[float] = []
    keys = RemoteKeys(
        "https://keys.example.com/jwks",
        monotonic=lambda: Monotonic(5.0),
        told=lambda _witness, low, _high: told.append(low),
    )
    keys._tell_time(headers, Monotonic(4.0))
    assert told == [AT] * is_told
