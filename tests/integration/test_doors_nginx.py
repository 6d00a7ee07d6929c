"""Through nginx as deploy/proxies has it: early refusals reach the client, addresses are read."""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.app.benching.nginx import find_nginx
from gateway.devices.auth import WRONG_KEYS_PER_MINUTE
from tests.kit.events import EXAMPLE
from tests.kit.gateway import SECRET
from tests.kit.handlers import user_token
from tests.kit.ingest_alone import ingest_alone
from tests.kit.knocking import Heard, knocking, lines_of, parsed, request
from tests.kit.sender import signed

NGINX = find_nginx()
EXAMPLE_FILE = Path(__file__).parents[2] / "deploy/proxies/nginx.conf"
PATH = "/webhooks/learnink"
SIZE = 2 * 2**20

pytestmark = pytest.mark.skipif(
    NGINX is None, reason="nginx is not installed: apt-get install nginx"
)


@dataclass(frozen=True)
class Ports:
    """Where nginx answers, with and without keeping bodies first; by both families, and at the
    gateway itself."""

    kept: int
    streamed: int
    direct: int


def _configuration(folder: Path, ports: Ports) -> str:
    """The example as it stands, but for its ports and certificates."""
    text = EXAMPLE_FILE.read_text()
    text = re.sub(r" *ssl_certificate.*\n", "", text)
    text = text.replace("server 127.0.0.1:8080;", f"server 127.0.0.1:{ports.direct};")
    upstream, begin, server = text.partition("server {\n    listen")
    server = begin + server
    servers = []
    for port, extra in ((ports.kept, ""), (ports.streamed, "proxy_request_buffering off;")):
        one = server.replace("listen 443 ssl;", f"listen 127.0.0.1:{port};")
        one = one.replace("listen [::]:443 ssl;", f"listen [::1]:{port};" if has_ipv6() else "")
        servers.append(one.replace("proxy_http_version", f"{extra} proxy_http_version"))
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return (
        f"daemon off; master_process off; pid {folder}/pid; error_log stderr; events {{}}\n"
        f"http {{ access_log off; {temporary}\n{upstream}{''.join(servers)} }}"
    )


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as one:
            one.bind(("::1", 0))
    except OSError:
        return False
    return True


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ports]:
    folder = tmp_path_factory.mktemp("nginx")
    assert NGINX is not None
    with ingest_alone(folder, proxies=("127.0.0.1", "::1")) as gateway:
        kept, streamed = free_ports(2)
        ports = Ports(kept, streamed, gateway.port)
        (folder / "nginx.conf").write_text(_configuration(folder, ports))
        command = [NGINX, "-p", f"{folder}/", "-c", str(folder / "nginx.conf"), "-e", "stderr"]
        with subprocess.Popen(command, cwd=folder) as nginx:
            try:
                _wait(nginx, ports.streamed)
                yield ports
            finally:
                nginx.terminate()


def _wait(nginx: subprocess.Popen[bytes], port: int) -> None:
    ends = time.monotonic() + 30
    while nginx.poll() is None and time.monotonic() < ends:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError("nginx does not answer")


def claims(body: bytes = EXAMPLE, message_id: str = "msg_1") -> list[str]:
    return lines_of(signed(message_id, body, SECRET))


TOKEN = f"Authorization: Bearer {user_token('mary')}"
EARLY = {
    "415": (["Content-Encoding: gzip"], "POST", PATH, 415, "unsupported_encoding"),
    "404": ([], "POST", "/nope", 404, "not_found"),
    "405": ([], "PUT", PATH, 405, "method_not_allowed"),
    "401": ([], "POST", PATH, 401, "unauthorized"),
    "401, stale": (
        ["svix-id: m", "svix-timestamp: 1", "svix-signature: v1,AAAA"],
        "POST",
        PATH,
        401,
        "unauthorized",
    ),
    "401 of a phone": ([], "PUT", "/v1/devices/x", 401, "unauthorized"),
    "400, two credentials": (
        [TOKEN, "X-API-Key: a", "X-API-Key: b"],
        "PUT",
        "/v1/devices/x",
        400,
        "bad_request",
    ),
    "401, wrong key": (["X-API-Key: ik_x"], "POST", "/v1/notifications", 401, "unauthorized"),
    "413 of a phone": ([TOKEN], "PUT", "/v1/devices/x", 413, "body_too_large"),
}


async def through(port: int, sent: bytes, host: str = "127.0.0.1") -> Heard:
    async with knocking(port, host) as sender:
        saying = asyncio.create_task(sender.say(sent))
        heard = parsed(await sender.hear())
        saying.cancel()
    return heard


@pytest.mark.parametrize("way", ["kept", "streamed", "direct"])
@pytest.mark.parametrize(("headers", "method", "path", "status", "code"), EARLY.values(), ids=EARLY)
async def test_each_early_refusal_of_a_large_body_reaches_the_client(
    ports: Ports, way: str, headers: list[str], method: str, path: str, status: int, code: str
) -> None:
    sent = request(
        method, path, *headers, f"Content-Length: {SIZE}", "Connection: close", body=bytes(SIZE)
    )
    for _ in range(10):
        heard = await through(getattr(ports, way), sent)
        assert (heard.status, heard.code) == (status, code)


async def test_many_at_once_all_read_their_refusal(ports: Ports) -> None:
    sent = request("POST", PATH, f"Content-Length: {SIZE}", "Connection: close", body=bytes(SIZE))
    heard = await asyncio.gather(*(through(ports.streamed, sent) for _ in range(30)))
    assert {(one.status, one.code) for one in heard} == {(401, "unauthorized")}


@pytest.mark.parametrize("way", ["kept", "streamed"])
async def test_a_signed_body_goes_through(ports: Ports, way: str) -> None:
    body = EXAMPLE + b" " * SIZE
    lines = [*claims(body, f"msg_{way}"), f"Content-Length: {len(body)}", "Connection: close"]
    heard = await through(getattr(ports, way), request("POST", PATH, *lines, body=body))
    assert (heard.status, heard.json["status"]) == (200, "accepted")


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
async def test_it_is_reached_by_ipv6(ports: Ports) -> None:
    heard = await through(ports.kept, request("GET", "/openapi.json", "Connection: close"), "::1")
    assert heard.status == 200


async def test_guesses_behind_the_proxy_are_counted_by_whom_it_heard(ports: Ports) -> None:
    """A sender cannot make itself another: nginx writes the header anew. All senders here are one
    of loopback, which is a proxy's own address: they are never refused."""
    wrong = request("GET", "/v1/users/mary/devices", "X-API-Key: ik_x", "Connection: close")
    heard = [await through(ports.kept, wrong) for _ in range(WRONG_KEYS_PER_MINUTE + 5)]
    assert {one.status for one in heard} == {401}
    forwarded = "X-Forwarded-For: 203.0.113.9"
    direct = request(
        "GET", "/v1/users/mary/devices", "X-API-Key: ik_x", forwarded, "Connection: close"
    )
    # at once, so that a slow machine does not give back as many as it takes
    heard = await asyncio.gather(
        *(through(ports.direct, direct) for _ in range(2 * WRONG_KEYS_PER_MINUTE))
    )
    assert {one.status for one in heard} == {401, 429}
