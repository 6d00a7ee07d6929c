"""The streams and the consumer: makes them, or checks that they are as they must be.

Three streams: `<name>` holds waiting chunks, `<name>-dead` those that no relay could read or
survive, and `<name>-tries` the tries of the few chunks that come again and again. Missing streams
are created, by any number of replicas at once; existing ones are compared. A difference is an error
that names each field, because a silent change could lose data that another replica relies on.

`max_ack_pending` is as large as the stream: a delayed NAK stays pending until its time, so with
anything less enough delayed chunks would keep new ones from coming out at all. At 100 bytes each in
the leader's memory, a million pending ones take 100 MB; a backlog of a million notifications that
was never tried is 4 000.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.core.model import CHUNK_SIZE
from gateway.errors import ConfigurationError, GatewayError, StoreUnavailable
from gateway.queue.nats.link import ApiError, Link

CONSUMER = "relay"
MAX_MESSAGES = 1_000_000
_DEAD_DAYS = 30
_TRIES_DAYS = 7
#: how long a stream may take to have a leader, and each question about it, in seconds
_PATIENCE_S = 20.0
_ROUND_S = 2.0
_NS = 1_000_000_000
_DAY_NS = 86_400 * _NS

_NO_STREAM, _NO_CONSUMER = 10059, 10014
_STREAM_EXISTS, _CONSUMER_EXISTS = (10058, 10065), (10148, 10013)
_NEED_CLUSTER, _NO_STORAGE, _NO_JETSTREAM = (10074, 10052), (10047, 10028), (10076, 10039)

#: the setting that determines a field
_SETTINGS = {
    "num_replicas": "queue.replicas",
    "duplicate_window": "queue.duplicate_window_s",
    "max_bytes": "queue.max_bytes",
    "ack_wait": "relay.lease_s",
}


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """The settings of the streams. In seconds, bytes, and items of a chunk at most."""

    name: str = "inkpush"
    replicas: int = 3
    duplicate_window_s: float = 7200.0
    max_bytes: int = 4 * 1024**3
    ack_wait_s: float = 120.0
    chunk_items: int = CHUNK_SIZE

    @property
    def dead(self) -> str:
        return f"{self.name}-dead"

    @property
    def tries(self) -> str:
        return f"{self.name}-tries"


async def ensure(link: Link, spec: StreamSpec) -> None:
    """Make the streams and the consumer, or check them.

    Raises ConfigurationError if a person must change something, StoreUnavailable if it may pass.
    """
    wanted = (_work(spec), _dead(spec), _tries(spec))
    # in parallel, because each of them elects its leader first
    found = await asyncio.gather(*(_stream(link, one) for one in wanted), return_exceptions=True)
    problems: list[str] = []
    for each in found:
        if isinstance(each, BaseException):
            raise each
        problems += each
    if not problems:
        problems += await _consumer(link, spec)
    if problems:
        raise ConfigurationError(problems)


@dataclass(frozen=True, slots=True)
class Found:
    """The streams as they are: when the work stream and its consumer were made (None: they are not
    there), whether anything is missing, and what is not as it must be."""

    created: str | None
    consumer: str | None
    missing: bool
    problems: Sequence[str]


async def look(link: Link, spec: StreamSpec) -> Found:
    """Look at the streams and the consumer, and change nothing. Raises StoreUnavailable."""
    streams = (_work(spec), _dead(spec), _tries(spec))
    path = f"{spec.name}.{CONSUMER}"
    answers = await asyncio.gather(
        *(_info(link, f"STREAM.INFO.{one['name']}") for one in streams),
        _info(link, f"CONSUMER.INFO.{path}"),
    )
    wanted = [(f"the JetStream stream {one['name']}", one) for one in streams]
    wanted.append((f"the consumer {CONSUMER} of the JetStream stream {spec.name}", _durable(spec)))
    problems = [
        problem
        for (what, config), answer in zip(wanted, answers, strict=True)
        if answer is not None
        for problem in _differences(what, config, answer["config"])
    ]
    work, consumer = answers[0], answers[-1]
    return Found(
        created=None if work is None else work["created"],
        consumer=None if consumer is None else consumer["created"],
        missing=None in answers,
        problems=problems,
    )


async def mend(link: Link, spec: StreamSpec, found: Found) -> None:
    """Make what is missing of a work stream that is there: nothing is lost by that."""
    if found.created is not None:
        await ensure(link, spec)


async def _info(link: Link, call: str) -> Mapping[str, Any] | None:
    """What JetStream tells of a stream or consumer; None: there is none."""
    try:
        return await link.api(call, within_s=_ROUND_S)
    except ApiError as error:
        if error.code in (_NO_STREAM, _NO_CONSUMER):
            return None
        raise _refused(error) from error


def _work(spec: StreamSpec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "subjects": [f"{spec.name}.>"],
        "retention": "workqueue",
        "storage": "file",
        "num_replicas": spec.replicas,
        "duplicate_window": round(spec.duplicate_window_s * _NS),
        # A full stream refuses new messages, and holds each chunk once.
        "discard": "new",
        "discard_new_per_subject": True,
        "max_msgs_per_subject": 1,
        "max_msgs": MAX_MESSAGES,
        "max_bytes": spec.max_bytes,
        "max_age": 0,
    }


def _dead(spec: StreamSpec) -> dict[str, Any]:
    return {
        "name": spec.dead,
        "subjects": [f"{spec.dead}.>"],
        "retention": "limits",
        "storage": "file",
        "num_replicas": spec.replicas,
        "discard": "new",
        "max_bytes": spec.max_bytes // 8,
        "max_age": _DEAD_DAYS * _DAY_NS,
    }


def _tries(spec: StreamSpec) -> dict[str, Any]:
    return {
        "name": spec.tries,
        "subjects": [f"{spec.tries}.>"],
        "retention": "limits",
        "storage": "file",
        "num_replicas": spec.replicas,
        "discard": "old",
        "max_msgs_per_subject": 1,
        "max_bytes": 64 * 1024**2,
        "max_age": _TRIES_DAYS * _DAY_NS,
    }


def _durable(spec: StreamSpec) -> dict[str, Any]:
    return {
        "durable_name": CONSUMER,
        "deliver_policy": "all",
        "ack_policy": "explicit",
        "ack_wait": round(spec.ack_wait_s * _NS),
        "max_deliver": -1,
        "max_ack_pending": MAX_MESSAGES,
        "replay_policy": "instant",
    }


async def _stream(link: Link, wanted: Mapping[str, Any]) -> list[str]:
    name = wanted["name"]
    found = await _made(
        link,
        info=f"STREAM.INFO.{name}",
        create=(f"STREAM.CREATE.{name}", wanted),
        missing=_NO_STREAM,
        exists=_STREAM_EXISTS,
    )
    return list(_differences(f"the JetStream stream {name}", wanted, found))


async def _consumer(link: Link, spec: StreamSpec) -> list[str]:
    wanted = _durable(spec)
    path = f"{spec.name}.{CONSUMER}"
    found = await _made(
        link,
        info=f"CONSUMER.INFO.{path}",
        create=(
            f"CONSUMER.DURABLE.CREATE.{path}",
            {"stream_name": spec.name, "config": wanted},
        ),
        missing=_NO_CONSUMER,
        exists=_CONSUMER_EXISTS,
    )
    what = f"the consumer {CONSUMER} of the JetStream stream {spec.name}"
    return list(_differences(what, wanted, found))


async def _made(
    link: Link, *, info: str, create: tuple[str, object], missing: int, exists: tuple[int, ...]
) -> Mapping[str, Any]:
    """The configuration as it is there, or was created now. While a leader is elected, the servers
    do not answer, or refuse for the time being."""
    loop = asyncio.get_running_loop()
    ends_at = loop.time() + _PATIENCE_S
    while True:
        late: GatewayError
        try:
            config: Mapping[str, Any] = (await link.api(info, within_s=_ROUND_S))["config"]
            return config
        except ApiError as error:
            if error.code == missing:
                await _create(link, *create, exists=exists)
                late = StoreUnavailable(f"JetStream does not get ready ({info}).")
            else:
                late = _refused(error)
        except StoreUnavailable as error:
            late = error
        if isinstance(late, ConfigurationError) or loop.time() >= ends_at:
            raise late
        await asyncio.sleep(0.05)


async def _create(link: Link, call: str, wanted: object, *, exists: tuple[int, ...]) -> None:
    """Create what was missing. The caller looks again: another replica may have been first, and
    the servers do not answer every one of several concurrent requests."""
    try:
        await link.api(call, wanted, within_s=_ROUND_S)
    except ApiError as error:
        refused = _refused(error)
        if error.code not in exists and isinstance(refused, ConfigurationError):
            raise refused from error
    except StoreUnavailable:
        pass


def _differences(what: str, wanted: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[str]:
    for name, value in wanted.items():
        there = found.get(name, False if value is False else 0 if value == 0 else None)
        if there == value:
            continue
        setting = _SETTINGS.get(name)
        fix = f"set {setting} to it, or" if setting else "another program may have made it:"
        yield (
            f"queue.url: {what} has {name} = {_shown(name, there)}, expected "
            f"{_shown(name, value)}; {fix} change it with the nats command while no gateway runs"
        )


def _shown(name: str, value: Any) -> str:
    if name in ("duplicate_window", "ack_wait", "max_age") and isinstance(value, int):
        return f"{value / _NS:g} s"
    return "nothing" if value is None else str(value)


def _refused(error: ApiError) -> ConfigurationError | StoreUnavailable:
    """The error for a refusal of JetStream: something to change, or to wait for."""
    if error.code in _NEED_CLUSTER:
        more = "expected a cluster of that many nodes, or a smaller number"
        return ConfigurationError([f"queue.replicas: NATS cannot keep so many ({error}); {more}"])
    if error.code in _NO_STORAGE:
        more = "expected less, or more room for JetStream (max_file_store)"
        return ConfigurationError([f"queue.max_bytes: NATS has no room ({error}); {more}"])
    if error.code in _NO_JETSTREAM:
        more = "expected servers with JetStream, and a user who may use it"
        return ConfigurationError([f"queue.url: {error}; {more}"])
    return StoreUnavailable(f"JetStream refused ({error}).")
