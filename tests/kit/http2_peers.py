"""HTTP/2 servers that others wrote, each as a process of its own on loopback, and a pool to them.

nginx and nghttpd come from Debian's packages nginx and nghttp2-server; Node runs http2_node.mjs.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import ssl
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.app.benching.processes import Child, running
from providers.http2.connection import Connection
from providers.http2.dial import Origin
from providers.http2.exchange import Channel, End, Ends, NotProcessed, Request
from providers.http2.headers import ConstantFields, literal
from providers.http2.pool import Pool, PoolLimits
from providers.http2.wire import Wire
from providers.sandbox.certificates import make_certificates

PACKAGES = {"nginx": "nginx", "nghttpd": "nghttp2-server", "node": "nodejs"}
_START_S = 30.0

_NGINX = """
daemon off;
master_process off;
pid nginx.pid;
error_log stderr crit;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  ssl_certificate {pem}; ssl_certificate_key {pem};
  {extra}
  server {{
    listen 127.0.0.1:{port} ssl {http2};
    default_type application/json;
    location /empty {{ return 200; }}
    location /status/410 {{ return 410 '{{"reason":"R410"}}'; }}
    location /status/429 {{ return 429 '{{"reason":"R429"}}'; }}
    location /status/500 {{ return 500 '{{"reason":"R500"}}'; }}
  }}
}}
"""


def find(program: str) -> str:
    """Where a server is installed; skips the test where it is not."""
    found = shutil.which(program, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))
    if found is None:
        pytest.skip(f"{program} is not installed: apt-get install {PACKAGES[program]}")
    return found


class Servers:
    """Starts servers in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        certificates = make_certificates()
        self._folder = folder
        self._pem = folder / "server.pem"
        self._pem.write_bytes(certificates.server_pem)
        self._trust = certificates.ca_pem.decode()

    def context(self, *alpn: str) -> ssl.SSLContext:
        """Of a client that trusts these servers."""
        context = ssl.create_default_context(cadata=self._trust)
        context.set_alpn_protocols(list(alpn or ("h2",)))
        return context

    def server_context(self, *alpn: str) -> ssl.SSLContext:
        """Of a server that these clients trust."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._pem)
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context

    @contextmanager
    def nginx(self, extra: str = "", *, http2: bool = True) -> Iterator[int]:
        """nginx; `extra` goes into its http block. Its error pages and bodies are small."""
        program, port = find("nginx"), free_port()
        home = self._folder / f"nginx-{port}"
        home.mkdir()
        spoken = "http2" if http2 else ""
        text = _NGINX.format(pem=self._pem, port=port, extra=extra, http2=spoken)
        (home / "nginx.conf").write_text(text)
        command = [program, "-p", str(home), "-c", str(home / "nginx.conf"), "-e", "stderr"]
        with _running(command, home, port):
            yield port

    @contextmanager
    def nghttpd(self, *options: str) -> Iterator[int]:
        """nghttpd, which sends back what is posted to it."""
        program, port = find("nghttpd"), free_port()
        home = self._folder / f"nghttpd-{port}"
        home.mkdir()
        address = ["--echo-upload", "-a", "127.0.0.1", "-d", str(home)]
        command = [program, *address, *options, str(port), str(self._pem), str(self._pem)]
        with _running(command, home, port):
            yield port

    @contextmanager
    def node(self, **options: Any) -> Iterator[int]:
        """Node; its script says what can be asked of it."""
        program, port = find("node"), free_port()
        home = self._folder / f"node-{port}"
        home.mkdir()
        script = Path(__file__).with_name("http2_node.mjs")
        command = [program, str(script), str(port), str(self._pem), json.dumps(options)]
        with _running(command, home, port):
            yield port


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def _running(command: Sequence[str], home: Path, port: int) -> Iterator[None]:
    with running(Path(command[0]).name, command, home) as child:
        _wait_until_it_listens(child, port)
        yield
        child.must_live()


def _wait_until_it_listens(child: Child, port: int) -> None:
    deadline = time.monotonic() + _START_S
    while True:
        child.must_live()
        assert time.monotonic() < deadline, f"it does not listen: {child.said()}"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return


class Client:
    """A pool, and what has come of its requests by their contexts."""

    def __init__(self, origin: Origin, limits: PoolLimits) -> None:
        self._constant = ConstantFields(
            [
                (":method", "POST"),
                (":scheme", "https"),
                (":authority", origin.authority),
                ("apns-topic", "com.learnink.app"),
            ]
        )
        self.pool = Pool(origin, limits, choose=self._choose, on_ends=self._on_ends)
        self.ends: defaultdict[Any, list[End]] = defaultdict(list)
        self.opened: set[Wire] = set()
        self._news = asyncio.Event()

    def _choose(self, alpn: str | None) -> Channel | None:
        return Connection(self._constant) if alpn == "h2" else None

    async def post(
        self, requests: Sequence[Request], *, again: bool = False, seconds: float = 60.0
    ) -> dict[Any, End]:
        """Send all at once and wait for their ends; `again`: until each has been processed."""
        self.pool.submit(requests)
        waiting = {request.context: request for request in requests}
        came: Counter[Any] = Counter()
        async with asyncio.timeout(seconds):
            while waiting:
                await self._news.wait()
                self._news.clear()
                repeat = []
                for context in [name for name in waiting if len(self.ends[name]) > came[name]]:
                    came[context] += 1
                    if again and isinstance(self.ends[context][-1], NotProcessed):
                        repeat.append(waiting[context])
                    else:
                        del waiting[context]
                if repeat:
                    self.pool.submit(repeat)
        for request in requests:
            assert len(self.ends[request.context]) == came[request.context]
        return {request.context: self.ends[request.context][-1] for request in requests}

    def _on_ends(self, ends: Ends, wire: Wire | None) -> None:
        for request, end in ends:
            self.ends[request.context].append(end)
        if wire is not None:
            self.opened.add(wire)
        self._news.set()


@asynccontextmanager
async def client(
    port: int, context: ssl.SSLContext | None, *, connections: int = 2, timeout_s: float = 30.0
) -> AsyncIterator[Client]:
    """A pool to a server on loopback, closed in the end."""
    limits = PoolLimits(connections, timeout_s)
    made = Client(Origin("127.0.0.1", port, context), limits)
    try:
        yield made
        assert made.pool.in_flight == 0
    finally:
        await made.pool.aclose(1.0)
    assert made.pool.connections == 0


def post(name: Any, path: str, body: bytes) -> Request:
    """A request to a path, whose context is the name."""
    coded = literal(":path", path) + literal("authorization", "bearer x", secret=True)
    return Request(coded, body, name)
