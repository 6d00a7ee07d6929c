"""A three-node JetStream cluster on loopback: free ports, files of its own, gone at the end.

Nodes may be killed and come back with what they had on disk; connections to it may be stopped.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import nats
import pytest
from nats.js.errors import Error as JetStreamError

#: Debian installs servers where only root's PATH looks
SERVER = shutil.which("nats-server", path=os.environ.get("PATH", "") + ":/usr/sbin")
NODES = 3
READY_S = 60.0


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@dataclass
class Node:
    """One server: its name, its port for clients, and its process while it runs."""

    name: str
    port: int
    config: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        assert SERVER is not None
        with self.config.with_suffix(".out").open("ab") as output:
            self.process = subprocess.Popen(
                [SERVER, "-c", str(self.config)], stdout=output, stderr=output
            )

    def freeze(self) -> None:
        """Stop it with SIGSTOP. Returns when all its threads stand: on a busy machine they go on
        for a moment after the signal, and may still answer."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED)

    def thaw(self) -> None:
        """Let it go on, with SIGCONT."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it as a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@dataclass
class NatsCluster:
    """The cluster. `url` is what goes into `queue.url`."""

    folder: Path
    nodes: list[Node] = field(default_factory=list)

    def __post_init__(self) -> None:
        ports = free_ports(NODES * 2)
        clients, routes = ports[:NODES], ports[NODES:]
        peers = ", ".join(f'"nats://127.0.0.1:{port}"' for port in routes)
        for n in range(NODES):
            config = self.folder / f"node{n}.conf"
            config.write_text(
                f"""
                server_name: "node{n}"
                listen: "127.0.0.1:{clients[n]}"
                jetstream {{
                  store_dir: "{self.folder}/data{n}"
                  max_memory_store: 64MB
                  max_file_store: 64GB
                }}
                cluster {{
                  name: "tests"
                  listen: "127.0.0.1:{routes[n]}"
                  routes: [{peers}]
                  # a client knows no way but those it was told: some lead through a proxy
                  no_advertise: true
                }}
                """
            )
            self.nodes.append(Node(f"node{n}", clients[n], config))

    @property
    def url(self) -> str:
        return "nats://" + ",".join(node.address for node in self.nodes)

    @property
    def servers(self) -> list[str]:
        return [f"nats://{node.address}" for node in self.nodes]

    def start(self) -> None:
        for node in self.nodes:
            node.start()

    def stop(self) -> None:
        for node in self.nodes:
            node.kill()

    def node(self, name: str) -> Node:
        return next(node for node in self.nodes if node.name == name)

    async def ready(self) -> None:
        """Wait until the cluster can make a replicated stream."""
        deadline = time.monotonic() + READY_S
        while True:
            try:
                connection = await nats.connect(
                    self.servers, allow_reconnect=False, connect_timeout=2, error_cb=_quiet
                )
                async with contextlib.AsyncExitStack() as stack:
                    stack.push_async_callback(connection.close)
                    jetstream = connection.jetstream(timeout=3.0)
                    name = f"ready-{time.monotonic_ns()}"
                    await jetstream.add_stream(name=name, subjects=[name], num_replicas=NODES)
                    await jetstream.publish(name, b"")
                    await jetstream.delete_stream(name)
                return
            except (OSError, TimeoutError, nats.errors.Error, JetStreamError):
                assert time.monotonic() < deadline, "the JetStream cluster did not come up"
                await asyncio.sleep(0.2)

    async def leader_of(self, stream: str) -> Node:
        """The node that leads a stream now."""
        deadline = time.monotonic() + READY_S
        while True:
            with contextlib.suppress(
                OSError, TimeoutError, nats.errors.Error, JetStreamError, StopIteration
            ):
                alive = [f"nats://{node.address}" for node in self.nodes if node.process]
                connection = await nats.connect(alive, allow_reconnect=False, error_cb=_quiet)
                async with contextlib.AsyncExitStack() as stack:
                    stack.push_async_callback(connection.close)
                    info = await connection.jetstream(timeout=3.0).stream_info(stream)
                    if info.cluster is not None and info.cluster.leader:
                        return self.node(info.cluster.leader)
            assert time.monotonic() < deadline, f"{stream} has no leader"
            await asyncio.sleep(0.1)


async def _quiet(_error: Exception) -> None:
    """A node that is away is what the tests are about."""


_running: list[NatsCluster] = []


def running_cluster() -> NatsCluster:
    """The cluster of this test run: started when it is first asked for, ended with the process."""
    if not _running:
        if SERVER is None:
            pytest.skip("needs nats-server: apt-get install nats-server")
        # Asked for inside a running loop, it must come up in one of its own.
        with ThreadPoolExecutor(1) as beside:
            started = nats_cluster()
            _running.append(beside.submit(started.__enter__).result())
        atexit.register(started.__exit__, None, None, None)
    return _running[0]


@contextlib.asynccontextmanager
async def own_nats_cluster() -> AsyncIterator[NatsCluster]:
    """A cluster for one test, which may kill its nodes."""
    if SERVER is None:
        pytest.skip("needs nats-server: apt-get install nats-server")
    with tempfile.TemporaryDirectory(prefix="inkpush-nats-") as folder:
        cluster = NatsCluster(Path(folder))
        try:
            cluster.start()
            await cluster.ready()
            yield cluster
        finally:
            cluster.stop()


@contextlib.contextmanager
def nats_cluster() -> Iterator[NatsCluster]:
    """A running cluster, ended and removed at the end."""
    with tempfile.TemporaryDirectory(prefix="inkpush-nats-") as folder:
        cluster = NatsCluster(Path(folder))
        try:
            cluster.start()
            asyncio.run(cluster.ready())
            yield cluster
        finally:
            cluster.stop()
