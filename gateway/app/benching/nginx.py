"""nginx as the vendors' stand-in: TLS and HTTP/2 in C, so that it is not what is measured.

It takes every push and checks nothing: for that there is the sandbox. One process with one worker,
on loopback and free ports, in a folder of its own; the system's nginx is never touched.
"""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from string import Template

from gateway.app.benching.failure import BenchFailure
from gateway.app.benching.processes import Child, running
from providers.sandbox.credentials import PROJECT_ID, Credentials, Identity, server_file

#: requests after which the short-lived listener says GOAWAY
SHORT_LIFE = 1_000
_READY_S = 10.0
_TRIES = 3

# A worker that is the only process has one pid to be measured and ended by. 1 000 streams are what
# APNs allows, 100 what Google's front ends do. `return` answers before the body is read and drops
# it; both windows are large enough for bodies never to wait for an update. As with APNs, an answer
# names its push: aioapns finds the request by it.
_CONFIGURATION = Template(
    """\
daemon off;
master_process off;
pid nginx.pid;
error_log stderr error;
events { worker_connections 1024; multi_accept on; }
http {
    access_log off;
    server_tokens off;
    client_body_temp_path temp-body;
    proxy_temp_path temp-proxy;
    fastcgi_temp_path temp-fastcgi;
    uwsgi_temp_path temp-uwsgi;
    scgi_temp_path temp-scgi;
    ssl_certificate $server_file;
    ssl_certificate_key $server_file;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256;
    ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
    keepalive_timeout 600s;
    keepalive_requests 1000000000;
    client_max_body_size 1m;
    http2_body_preread_size 64k;
    server {
        listen 127.0.0.1:$apns_port ssl http2 backlog=1024;
        http2_max_concurrent_streams 1000;
        location /3/device/ { add_header apns-id $$http_apns_id; return 200; }
    }
    server {
        listen 127.0.0.1:$short_port ssl http2;
        http2_max_concurrent_streams 1000;
        keepalive_requests $short_life;
        location /3/device/ { add_header apns-id $$http_apns_id; return 200; }
    }
    server {
        listen 127.0.0.1:$fcm_port ssl http2 backlog=1024;
        http2_max_concurrent_streams 100;
        default_type application/json;
        location /v1/projects/ { return 200 '{"name":"projects/$project/messages/1"}'; }
        location = /token {
            return 200 '{"access_token":"$token","expires_in":3600,"token_type":"Bearer"}';
        }
    }
    server {
        listen 127.0.0.1:$status_port;
        location = /status { stub_status; }
    }
}
"""
)
#: about as long as Google's
_TOKEN = "ya29." + "x" * 200


@dataclass(frozen=True, slots=True)
class Ports:
    """Where a running nginx answers, each on 127.0.0.1."""

    apns: int
    short_lived: int
    fcm: int
    status: int


def find_nginx() -> str | None:
    """The program, also where only root's PATH leads to."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


@contextmanager
def running_nginx(program: str, folder: Path) -> Iterator[tuple[Child, Ports, Credentials]]:
    """Run it until the block ends; yields it when all its listeners answer."""
    for attempt in range(1, _TRIES + 1):
        ports = Ports(*_free_ports(4))
        credentials = Identity.make().write(folder, f"https://127.0.0.1:{ports.fcm}/token")
        (folder / "nginx.conf").write_text(_configuration(ports, folder))
        command = [program, "-p", f"{folder}/", "-c", str(folder / "nginx.conf"), "-e", "stderr"]
        with running("nginx", command, folder) as child:
            try:
                _wait_until_it_answers(child, ports, credentials)
            except BenchFailure:
                # between our look and its bind somebody else may have taken a port
                if attempt == _TRIES or "in use" not in child.said():
                    raise
                continue
            yield child, ports, credentials
            return


def _configuration(ports: Ports, folder: Path) -> str:
    return _CONFIGURATION.substitute(
        server_file=server_file(folder),
        apns_port=ports.apns,
        short_port=ports.short_lived,
        short_life=SHORT_LIFE,
        fcm_port=ports.fcm,
        status_port=ports.status,
        project=PROJECT_ID,
        token=_TOKEN,
    )


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def _wait_until_it_answers(child: Child, ports: Ports, credentials: Credentials) -> None:
    """All listeners are opened in one step, so that one which speaks TLS speaks for all."""
    context = ssl.create_default_context(cafile=str(credentials.ca_file))
    ends_at = time.monotonic() + _READY_S
    while time.monotonic() < ends_at:
        child.must_live()
        try:
            with (
                socket.create_connection(("127.0.0.1", ports.apns), timeout=1.0) as plain,
                context.wrap_socket(plain, server_hostname="127.0.0.1"),
            ):
                return
        except OSError:
            time.sleep(0.02)
    raise BenchFailure(f"nginx does not answer:\n{child.said()}")
