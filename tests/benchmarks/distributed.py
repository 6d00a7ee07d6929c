"""The whole way on PostgreSQL and NATS JetStream, beside the same on SQLite.

One gateway process in each form. What it spends is compared; what the servers spend, on machines
of their own elsewhere and on the same cores here, stands beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import Any, TypedDict

from gateway.app.benching.whole_way import Run
from tests.benchmarks.gateways import gateway_with
from tests.benchmarks.profiling import profile_one
from tests.benchmarks.relaying import DEVICES_RATIO, as_json, one_run, tell
from tests.benchmarks.report import CROWDED, CROWDED_NOTE, Line, at_most
from tests.benchmarks.servers import Servers, running_servers
from tests.benchmarks.stage import Stage

_RATIO = 1.4
_BUFFERS = "512MB"
_SQLITE = "SQLite"
_NATS = "PostgreSQL, NATS"
_STORE = "PostgreSQL"
_PROVIDERS = ("fcm", "apns")


class Urls(TypedDict, total=False):
    """Where a form keeps what it has to; nothing for a SQLite file."""

    database: str
    store: str
    queue: str


@dataclass(frozen=True, slots=True)
class Measured:
    """One run, and the CPU seconds that the servers spent meanwhile."""

    run: Run
    postgres_cpu_s: float
    nats_cpu_s: float

    @property
    def postgres_us(self) -> float:
        return self.postgres_cpu_s / self.run.pushes * 1e6

    @property
    def nats_us(self) -> float:
        return self.nats_cpu_s / self.run.pushes * 1e6

    def as_json(self) -> dict[str, Any]:
        """All of it, for programs."""
        servers = {"postgres_cpu_us": self.postgres_us, "nats_cpu_us": self.nats_us}
        return as_json(self.run) | servers


def compare_engines(stage: Stage) -> None:
    """All forms, taking turns: the gateway's CPU as a ratio, the servers' as they are."""
    took: dict[str, dict[str, list[Measured]]] = {}
    devices = stage.sizes.devices
    with running_servers() as servers:
        forms = _forms(servers)
        for _ in range(stage.sizes.rounds):
            for form, urls in forms.items():
                for provider, measured in _measure(stage, servers, form, urls, devices).items():
                    took.setdefault(form, {}).setdefault(provider, []).append(measured)
    stage.report.rounds["distributed"] = {
        f"{form} to {provider}": [one.as_json() for one in several]
        for form, by_provider in took.items()
        for provider, several in by_provider.items()
    }
    for provider in _PROVIDERS:
        for form in (_NATS, _STORE):
            _add_lines(stage, provider, form, took[form][provider], took[_SQLITE][provider])


def compare_registries(stage: Stage) -> None:
    """On PostgreSQL and NATS with few and with many devices, taking turns: the CPU of a push, the
    gateway's alone and with the servers'."""
    sizes = stage.sizes
    took: dict[int, list[Measured]] = {sizes.few_devices: [], sizes.many_devices: []}
    # room for a million devices: otherwise it would be the page cache that is measured
    with running_servers(shared_buffers=_BUFFERS) as servers:
        urls = {size: Urls(store=servers.database(f"with_{size}")) for size in took}
        for _ in range(sizes.rounds):
            for size, several in took.items():
                form: Urls = {"database": "registry", "queue": servers.nats.url, **urls[size]}
                measured = _measure(stage, servers, f"{size:,} devices,", form, size)
                several.extend(measured.values())
    stage.report.rounds["distributed devices"] = {
        str(size): [one.as_json() for one in several] for size, several in took.items()
    }
    for what, cost in (("gateway's CPU", _gateway_us), ("CPU of gateway and servers", _all_us)):
        few, many = (list(map(cost, several)) for several in took.values())
        stage.report.add(
            at_most(
                DEVICES_RATIO,
                f"whole way, {_NATS}, {sizes.many_devices:,} devices, {what}",
                many,
                f"{sizes.few_devices:,} devices",
                few,
            )
        )


def profile_engines(stage: Stage) -> None:
    """Where the gateway's CPU goes on PostgreSQL and NATS."""
    with running_servers() as servers:
        urls = _forms(servers)[_NATS]
        for provider in _PROVIDERS:
            profile_one(stage, provider, f"{provider}, {_NATS}", **urls)


def _forms(servers: Servers) -> dict[str, Urls]:
    """What each form is started with; each has a database of its own."""
    return {
        _SQLITE: {},
        _NATS: {
            "database": "with-nats",
            "store": servers.database("with_nats"),
            "queue": servers.nats.url,
        },
        _STORE: {"database": "with-postgres", "store": servers.database("with_postgres")},
    }


def _gateway_us(one: Measured) -> float:
    return one.run.cpu_us


def _all_us(one: Measured) -> float:
    return one.run.cpu_us + one.postgres_us + one.nats_us


def _measure(
    stage: Stage, servers: Servers, form: str, urls: Urls, devices: int
) -> dict[str, Measured]:
    measured = {}
    with gateway_with(stage, devices, **urls) as served:
        for provider in _PROVIDERS:
            before = [0.0, 0.0]

            def note(before: list[float] = before) -> None:
                before[:] = servers.postgres_cpu_s(), servers.nats_cpu_s()

            run = one_run(stage, served, provider, devices, stage.notifications, on_warm=note)
            postgres_s = servers.postgres_cpu_s() - before[0]
            nats_s = servers.nats_cpu_s() - before[1]
            one = measured[provider] = Measured(run, postgres_s, nats_s)
            tell(stage, f"{form} to {provider}", run)
            if form != _SQLITE:
                stage.say(
                    f"    servers: PostgreSQL {one.postgres_us:,.1f} us, NATS {one.nats_us:,.1f} us"
                )
    return measured


def _add_lines(
    stage: Stage,
    provider: str,
    form: str,
    runs: list[Measured],
    on_sqlite: list[Measured],
) -> None:
    waited = max(one.run.waited for one in runs)
    stage.report.add(
        at_most(
            _RATIO if form == _NATS else None,
            f"whole way to {provider}, {form}, CPU",
            list(map(_gateway_us, runs)),
            _SQLITE,
            list(map(_gateway_us, on_sqlite)),
            note=CROWDED_NOTE if waited >= CROWDED else "",
        )
    )
    rate, rate_on_sqlite = (
        median(one.run.per_second for one in several) for several in (runs, on_sqlite)
    )
    stage.report.add(
        Line(
            f"whole way to {provider}, {form}, servers on the same cores",
            "/s",
            rate,
            _SQLITE,
            rate_on_sqlite,
        )
    )
    stage.report.add(
        Line("    of PostgreSQL's processes, CPU", "us", median(one.postgres_us for one in runs))
    )
    if form == _NATS:
        stage.report.add(
            Line("    of the three NATS nodes, CPU", "us", median(one.nats_us for one in runs))
        )
