"""Who did what: every command and every route that acts leaves a row, and a new one has to as well.

The tables here name all commands and all routes: each acts, and then it is done here and its row is
looked for; or it does not, and then it says why.
"""

from __future__ import annotations

import ast
import asyncio
import getpass
import json
import socket
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import pytest

from gateway import ports
from gateway.app.listeners import ops_application, public_application
from gateway.app.settings import load
from gateway.app.storage import Stores, open_store
from gateway.app.vendors import VENDORS
from gateway.cli.root import inkpush
from gateway.cli.running import run
from gateway.core.audit import ACTS
from gateway.core.model import Chunk, ChunkItem, Event, Item, Record, Remainder, UserRef
from gateway.core.pace import Pace
from gateway.core.states import DeliveryState
from gateway.devices.records import registration_of
from gateway.ports import BrokeredJournal, Journal, Keys, Lanes, Queue, Registry
from tests.kit.build import ALICE, NOW
from tests.kit.commands import Workplace
from tests.kit.gateway import eventually
from tests.kit.handlers import user_token
from tests.kit.public import PublicListener, public_listener
from tests.kit.relay_rig import DAY_S, RelayRig
from tests.kit.stores import Handle, hold_back, removal

GATEWAY = Path(ports.__file__).parents[1]
MARY = {
    "installation_id": "phone-of-mary",
    "user_id": "mary",
    "app": "agent",
    "platform": "android",
    "provider": "fcm",
    "address": "fcm-token-of-mary",
}
REASON = "ticket 4711"


# --- commands ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Does:
    """What a command is given, what must be there before, and what its rows say."""

    given: tuple[str, ...]
    #: (what, object, count) of each row; an object of None is any
    rows: tuple[tuple[str, str | None, int], ...]
    before: Callable[[Stores], Awaitable[object]] | None = None
    status: int = 0


async def _phone(stores: Stores) -> None:
    apps = {"agent": frozenset(VENDORS)}
    asked = registration_of(MARY, vendors=VENDORS, apps=apps)
    await stores.registry.register(asked, proven=None, now=NOW)


async def _key(stores: Stores) -> None:
    await stores.keys.add(ports.ApiKey("0a1b2c3d", "shop", frozenset({"admin"}), NOW), b"d" * 32)


async def _paused(stores: Stores) -> None:
    await stores.lanes.hold("agent", "fcm", "", by="operator", reason="?", now=NOW)


async def _braked(stores: Stores) -> None:
    await _phone(stores)
    (device,) = await stores.registry.devices_of(UserRef(user_id="mary"))
    await hold_back(Handle(stores.store, stores.queue), [removal(device)])


async def _dead(stores: Stores) -> None:
    item = Item(0, "Hi", "Mary", None, "mary", None)
    chunk = Chunk("msg_1", 0, 1000.0, 2000.0, (ChunkItem(item, (Remainder(1),)),))
    event = Event("msg_1", "notifications.sent", "accepted", 1000.0, notifications=1, chunks=1)
    await stores.queue.accept(event, [chunk])
    (claim,) = await stores.queue.claim(limit=1, lease_s=60, now=1500.0)
    record = Record("msg_1", 0, 1, DeliveryState.DEAD, 12, 1500.0, user_id="mary")
    await stores.journal.record([record], [], [(0, item)], [("msg_1", 0)])
    await stores.queue.settle(claim, [])


async def _taken(stores: Stores) -> None:
    now = stores.clocks.wall()
    event = Event("msg_1", "notifications.sent", "accepted", now, notifications=3)
    await stores.queue.accept(event, [])
    await stores.journal.record([Record("msg_1", 0, 1, DeliveryState.DELIVERED, 1, now)], [])


async def _quarantined(stores: Stores) -> None:
    body = {
        "type": "notifications.sent",
        "data": {"notifications": [{"title": "Hi", "body": "", "user_id": "mary"}]},
    }
    bad = Event("msg_bad", "", "quarantined", NOW, reason="?", body=json.dumps(body).encode())
    await stores.queue.accept(bad, [])


ACTING: dict[str, tuple[Does, ...]] = {
    "clock accept": (Does((), (("clock.accept", "", 1),)),),
    "dead drop": (Does(("--all", "--yes"), (("dead.drop", "all", 1),), _dead),),
    "dead replay": (Does(("1",), (("dead.replay", "1", 1),), _dead),),
    "devices export": (
        Does(("phones.csv",), (("devices.export", "", 1),), _phone),
        Does(("phones.csv", "--app", "agent"), (("devices.export", "agent", 1),), _phone),
    ),
    "devices forget": (
        Does(("phone-of-mary",), (("devices.forget", "phone-of-mary", 1),), _phone),
        Does(("--user", "mary", "--yes"), (("users.erase", "", 1),), _phone),
    ),
    "devices import": (Does(("phones.ndjson",), (("devices.import", "", 1),)),),
    "events cancel": (
        Does(("msg_1",), (("events.cancel", "msg_1", 2),), _taken),
        Does(
            ("msg_1", "--replace-title", "The right one"),
            (("events.cancel", "msg_1", 2), ("events.correct", "msg_1", 1)),
            _taken,
        ),
        Does(("msg_1", "--dry-run"), (), _taken),
        Does(("msg_2",), (), status=1),
    ),
    "events replay": (Does(("msg_bad",), (("events.replay", "msg_bad", 1),), _quarantined),),
    "keys create": (Does(("--scope", "admin"), (("keys.create", None, 1),)),),
    "keys revoke": (Does(("0a1b2c3d",), (("keys.revoke", "0a1b2c3d", 1),), _key),),
    "lanes pause": (
        Does(("agent/fcm",), (("lanes.pause", "agent/fcm", 1),)),
        Does(("agent/fcm/ios",), (("lanes.pause", "agent/fcm/ios", 1),)),
        Does(("agent",), (("lanes.pause", "agent/apns", 1), ("lanes.pause", "agent/fcm", 1))),
    ),
    "lanes release": (
        Does(("agent/fcm",), (("lanes.release", "agent/fcm", 1),), _braked),
        Does(("agent/fcm", "--discard"), (("lanes.discard", "agent/fcm", 0),), _braked),
    ),
    "events export": (Does(("--type", "user.*", "-"), (("events.export", "user.*", 0),)),),
    "lanes resume": (
        Does((), (("lanes.resume", "agent/fcm", 1),), _paused),
        Does(("agent/fcm/ios",), (("lanes.resume", "agent/fcm/ios", 1),), _paused),
        Does(("agent/fcm",), (), status=1),
    ),
    "send": (Does(("--user", "mary", "--title", "Hi"), (("notifications.send", None, 1),)),),
    "users erase": (
        Does(("--user", "mary", "--yes"), (("users.erase", "", 1),), _phone),
        Does(("mary", "--yes"), (("users.erase", "", 1),), _phone),
    ),
    "users export": (Does(("mary",), (("users.export", "", 1),), _phone),),
}
"""Commands that change lanes, devices of others, keys, dead letters, events or clocks, and
exports."""
NAMELESS = ("clock.accept", "devices.export", "devices.import", "users.erase", "users.export")
"""Acts without an object."""
ELSEWHERE = {
    "experiments end": "tests/integration/test_cli_experiments.py",
    "experiments exempt": "tests/integration/test_cli_experiments.py",
    "experiments start": "tests/integration/test_cli_experiments.py",
    "hooks pause": "tests/integration/test_cli_hooks.py",
    "hooks replay": "tests/integration/test_cli_hooks.py",
    "hooks resume": "tests/integration/test_cli_hooks.py",
    "events requeue": "acts on what a broker held: tests/integration/test_relay_sources.py",
    "store copy": "its row is in the copy: tests/integration/test_store_copy.py",
}
"""Those that act as well, and where they are tested."""
LOOKING = {
    "effect": "shows counts",
    "experiments list": "shows counts",
    "experiments plan": "reads no store",
    "hooks list": "shows how hooks stand",
    "hooks test": "posts an event about nobody; its row says so, without a reason",
    "report": "shows counts",
    "audit": "shows rows",
    "bench": "works on a store of its own",
    "check": "changes nothing",
    "config schema": "reads no store",
    "config show": "reads no store",
    "dead list": "shows rows",
    "deliveries show": "the same as `why`",
    "demo": "works on a store of its own",
    "devices list": "shows rows",
    "devices show": "shows rows",
    "events audit": "shows what was changed past Inkpush, and nobody's events",
    "events list": "shows rows",
    "events show": "the same as `why`",
    "events types": "shows names of fields, and no values",
    "keys list": "shows rows",
    "lanes list": "shows rows",
    "migrate": "changes the schema, and nothing that is kept",
    "sandbox phones": "has no store",
    "serve": "what it does for callers are its routes' acts",
    "token mint": "signs with the configuration's secret; the store knows nothing of it",
    "webhook sign": "is a sender's act; what comes in is the event",
    "why": "shows rows; of people's times tests/integration/test_audit_reads.py has the row",
}
"""Commands that act on nothing of these."""


def commands(group: click.Group, path: str = "") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{path}{name} ")
        else:
            yield f"{path}{name}", command


def test_every_command_acts_and_leaves_a_row_or_says_why_not() -> None:
    known = [*ACTING, *ELSEWHERE, *LOOKING]
    assert sorted(known) == sorted(dict(commands(inkpush)))
    for name, command in commands(inkpush):
        takes_a_reason = "reason" in {option.name for option in command.params}
        assert takes_a_reason == (name in ACTING or name in ELSEWHERE), name


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workplace:
    made = Workplace.make(tmp_path)
    (tmp_path / "phones.ndjson").write_text(json.dumps(MARY) + "\n")
    monkeypatch.chdir(tmp_path)
    return made


def ran(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Run a command in this process; its status and what it printed."""
    capsys.readouterr()
    status = run(arguments)
    return status, capsys.readouterr().out


def rows_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    status, out = ran(capsys, "audit", "--json", *arguments)
    assert status == 0
    found: list[dict[str, Any]] = json.loads(out)["audit"]
    return found


async def prepared(place: Workplace, before: Callable[[Stores], Awaitable[object]]) -> None:
    async with open_store(load(place.folder / "inkpush.toml", {})) as stores:
        await before(stores)


CASES = {
    f"{name} {' '.join(one.given)}".strip(): (name, one)
    for name, several in ACTING.items()
    for one in several
}


@pytest.mark.parametrize(("name", "does"), CASES.values(), ids=CASES)
def test_a_command_that_acts_leaves_its_rows(
    place: Workplace, capsys: pytest.CaptureFixture[str], name: str, does: Does
) -> None:
    if does.before is not None:
        asyncio.run(prepared(place, does.before))
    status, _ = ran(capsys, *name.split(), *does.given, "--reason", REASON)
    assert status == does.status
    rows = rows_of(capsys)
    said = sorted((row["what"], row["object"], row["count"]) for row in rows)
    assert len(said) == len(does.rows)
    for row, (what, thing, count) in zip(said, sorted(does.rows, key=str), strict=True):
        assert row == (what, row[1] if thing is None else thing, count)
    for told in rows:
        assert told["who"].split("@") == [getpass.getuser(), socket.gethostname()]
        assert (told["from"], told["remote"], told["reason"]) == ("cli", "", REASON)
        assert told["object"] or told["what"] in NAMELESS
        assert "mary" not in str(told).replace("phone-of-mary", "")


def test_the_command_shows_a_table_with_filters_for_people_and_programs(
    place: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    for lane in ("agent/fcm", "agent/apns"):
        ran(capsys, "lanes", "pause", lane, "--reason", "quota")
    _, made = ran(capsys, "keys", "create", "--scope", "admin", "--json")
    key_id = json.loads(made)["id"]
    assert [row["what"] for row in rows_of(capsys)] == ["keys.create", "lanes.pause", "lanes.pause"]
    assert [row["object"] for row in rows_of(capsys, "--what", "lanes")] == [
        "agent/apns",
        "agent/fcm",
    ]
    assert [row["object"] for row in rows_of(capsys, "--what", key_id)] == [key_id]
    assert len(rows_of(capsys, "--limit", "1")) == 1
    assert rows_of(capsys, "--who", "nobody") == []
    assert rows_of(capsys, "--since", "2999-01-01T00:00:00Z") == []
    assert len(rows_of(capsys, "--since", "1h", "--who", getpass.getuser())) == 3
    first = rows_of(capsys, "--limit", "1")
    rest = rows_of(capsys, "--before", first[0]["when"])
    assert len(rest) <= 2  # the time is told in milliseconds
    status, table = ran(capsys, "audit")
    assert status == 0
    assert table.splitlines()[0].split() == [
        "when", "who", "what", "object", "count", "from", "remote", "reason",
    ]  # fmt: skip
    assert "quota" in table
    status, _ = ran(capsys, "audit", "--since", "yesterday")
    assert status == 2


def test_all_rows_are_exported_and_what_is_cut_says_so(
    place: Workplace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def many(stores: Stores) -> None:
        for number in range(13):
            act = ALICE.does("lanes.pause", f"agent/{number}", at=NOW + number // 5)
            await stores.audit.note(act)
        await stores.audit.note(ALICE.does("devices.register", "phone", at=NOW, routine=True))

    asyncio.run(prepared(place, many))
    monkeypatch.setattr("gateway.cli.audit._PAGE", 3)
    everything = rows_of(capsys, "--all", "--limit", "1")
    assert len(everything) == 14
    assert everything == rows_of(capsys, "--limit", "14")
    assert len(rows_of(capsys, "--all", "--people")) == len(rows_of(capsys, "--people")) == 13
    assert rows_of(capsys, "--all", "--who", "nobody") == []
    for given, is_cut in {"--limit 13": True, "--limit 14": False, "--all": False}.items():
        for form in ("", " --json"):
            capsys.readouterr()
            assert run(("audit", *f"{given}{form}".split())) == 0
            printed = capsys.readouterr()
            assert ("--all" in printed.err) == is_cut, (given, form)
            assert "--all" not in printed.out
    _, table = ran(capsys, "audit", "--all")
    assert len(table.splitlines()) == 15


def test_a_push_to_one_person_is_found_by_the_person(
    place: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    for user in ("mary", "otis"):
        ran(capsys, "send", "--user", user, "--title", "Hi")
    (row,) = rows_of(capsys, "--user", "mary")
    assert row["what"] == "notifications.send"
    assert "mary" not in str(row)


def test_a_person_is_found_by_the_id_that_the_table_does_not_hold(
    place: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    ran(capsys, "devices", "import", "phones.ndjson")
    ran(capsys, "users", "erase", "--user", "mary", "--yes", "--reason", "as mary asked")
    (row,) = rows_of(capsys, "--user", "mary")
    assert (row["what"], row["reason"]) == ("users.erase", "as (erased) asked")
    assert len(rows_of(capsys, "--user", "mary", "--by", "user_id")) == 1
    assert rows_of(capsys, "--user", "otis") == []


# --- routes -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Request:
    """A call that acts: the row it leaves with an API key, and with a person's own token."""

    method: str
    path: str
    body: Any
    row: tuple[str, str | None, int]
    own_row: bool = False


DEVICE = {"platform": "android", "provider": "fcm", "address": "fcm-token", "custom_id": "mary"}
PUSH = {"idempotency_key": "k", "custom_id": "mary", "title": "Hi", "body": ""}
ROUTES: dict[tuple[str, str], Request] = {
    ("PUT", "/v1/devices/{installation_id}"): Request(
        "PUT", "/v1/devices/phone", DEVICE, ("devices.register", "phone", 1)
    ),
    ("DELETE", "/v1/devices/{installation_id}"): Request(
        "DELETE", "/v1/devices/phone", None, ("devices.forget", "phone", 1)
    ),
    ("DELETE", "/v1/users/{id}"): Request(
        "DELETE", "/v1/users/mary", None, ("users.erase", "", 1), own_row=True
    ),
    ("GET", "/v1/users/{id}"): Request(
        "GET", "/v1/users/mary", None, ("users.export", "", 1), own_row=True
    ),
    ("POST", "/v1/notifications"): Request(
        "POST", "/v1/notifications", PUSH, ("notifications.send", None, 1)
    ),
    ("POST", "/v1/events/{event_id}/cancel"): Request(
        "POST", "/v1/events/msg_1/cancel", None, ("events.cancel", "msg_1", 2)
    ),
    ("PUT", "/v1/users/{id}/experiments"): Request(
        "PUT", "/v1/users/mary/experiments", {"exempt": True}, ("experiments.exempt", "exempt", 1)
    ),
}
"""Routes that change devices of others, or events, and the export of a person."""
KEYS_ONLY = ("/v1/notifications", "/v1/events/msg_1/cancel", "/v1/users/mary/experiments")
NO_ACTS = {
    ("POST", "/v1/receipts"): "a phone tells what it did itself",
    ("POST", "/webhooks/{source}"): "the sender's event is its own record",
    ("POST", "/console/login"): "opens a session, and changes nothing",
    ("POST", "/console/logout"): "ends a session, and changes nothing",
    ("OPTIONS", "/{anything}"): "asks what is allowed",
}
READ = {"GET", "HEAD", "OPTIONS"}


async def test_every_route_that_writes_leaves_a_row_or_says_why_not(rig: RelayRig) -> None:
    async with rig.running() as running:
        applications = public_application(running.gateway), ops_application(running.gateway)
        found = {
            (route.method, route.resource.canonical)
            for application in applications
            for route in application.router.routes()
            if route.resource is not None and route.method not in READ
        }
    known = {key for key in (*ROUTES, *NO_ACTS) if key[0] not in READ}
    assert {(method, _plain(path)) for method, path in found} == known


def _plain(path: str) -> str:
    return path.replace(":[^/]+", "")


@pytest.fixture
async def public(tmp_path: Path) -> Any:
    async with public_listener(tmp_path, proxies=["127.0.0.1"]) as listener:
        event = Event("msg_1", "notifications.sent", "accepted", NOW, notifications=2)
        assert await listener.queue.accept(event, [])
        yield listener


async def called(public: PublicListener, request: Request, token: str) -> None:
    answer = await public.call(
        request.method,
        request.path,
        token=token,
        json=request.body,
        headers={"X-Forwarded-For": "192.0.2.7"},
    )
    assert answer.status in (200, 201, 204)


@pytest.mark.parametrize("request_", ROUTES.values(), ids=lambda one: f"{one.method} {one.path}")
async def test_a_call_with_a_key_leaves_a_row(public: PublicListener, request_: Request) -> None:
    key = await public.key("admin")
    (held,) = await public.store.keys.all()
    if request_.method == "DELETE":
        await called(public, ROUTES["PUT", "/v1/devices/{installation_id}"], key)
        public.clock.now += 1
    await called(public, request_, key)
    row, *_ = await public.store.audit.page(limit=10)
    what, thing, count = request_.row
    assert (row.what, row.affected) == (what, count)
    assert row.object == (row.object if thing is None else thing)
    assert row.object or what in NAMELESS
    assert row.who == f"test (key {held.id})"
    assert (row.origin, row.remote, row.reason) == ("api", "192.0.2.7", "")
    assert row.at == public.clock()


@pytest.mark.parametrize("request_", ROUTES.values(), ids=lambda one: f"{one.method} {one.path}")
async def test_what_a_person_does_to_their_own_devices_is_nobody_elses_business(
    public: PublicListener, request_: Request
) -> None:
    if request_.path in KEYS_ONLY:
        return  # no token of a person's may do that
    token = user_token("mary")
    if request_.method == "DELETE":
        await called(public, ROUTES["PUT", "/v1/devices/{installation_id}"], token)
    await called(public, request_, token)
    rows = await public.store.audit.page(limit=10)
    if request_.own_row:
        (row,) = rows
        assert (row.who, row.remote) == ("the user", "")
    else:
        assert rows == []


async def test_a_registration_that_only_confirms_has_no_row(public: PublicListener) -> None:
    key = await public.key("admin")
    put = ROUTES["PUT", "/v1/devices/{installation_id}"]
    for _ in range(3):
        await called(public, put, key)
        public.clock.now += 1
    assert len(await public.store.audit.page(limit=10)) == 1


async def test_a_call_to_one_person_is_found_by_the_person_and_one_to_several_by_none(
    public: PublicListener,
) -> None:
    key = await public.key("admin")
    mary = {"custom_id": "mary", "title": "Hi", "body": ""}
    otis = {**mary, "custom_id": "otis"}
    calls: dict[str, list[dict[str, str]]] = {"a": [mary], "b": [mary, mary], "c": [mary, otis]}
    for name, items in calls.items():
        body = {"idempotency_key": name, "notifications": items}
        await called(public, Request("POST", "/v1/notifications", body, ("", "", 1)), key)
        public.clock.now += 1
    rows = await public.store.audit.page(limit=10, user=UserRef(custom_id="mary"))
    assert [row.affected for row in rows] == [2, 1]
    assert len(await public.store.audit.page(limit=10)) == 3
    assert await public.store.audit.page(limit=10, user=UserRef(custom_id="otis")) == []


async def test_what_a_backend_says_of_a_persons_consent_has_a_row(public: PublicListener) -> None:
    key = await public.key("admin")
    put = ROUTES["PUT", "/v1/devices/{installation_id}"]
    changes: list[dict[str, Any]] = [{}, {"measure": "denied"}, {"notifications": "denied"}]
    for number, more in enumerate(changes, 1):
        for _ in range(2):
            await called(public, replace(put, body=DEVICE | more), key)
            public.clock.now += 1
        assert len(await public.store.audit.page(limit=10)) == number


async def test_a_push_that_was_sent_before_has_no_row(public: PublicListener) -> None:
    key = await public.key("admin")
    push = ROUTES["POST", "/v1/notifications"]
    for _ in range(2):
        await called(public, push, key)
        public.clock.now += 1
    (row,) = await public.store.audit.page(limit=10)
    assert row.object.startswith("api:")


# --- whoever acts says so ---------------------------------------------------------------------

#: rooms that act for somebody: not the relay, which acts for itself
ROOMS = ("cli", "app", "devices", "ops", "ingest")
NOBODYS = {
    # a store of its own, which ends with it
    "app/benching/bench.py: stores.registry.register_many",
    # a lane that was paused as a whole is let go in part: one act, which the resume has
    "app/holding.py: stores.lanes.hold",
    # the cancellation that asked for it has the row
    "app/correcting.py: self.queue.accept",
    # the experiment that held it back has the row
    "app/experimenting.py: self._queue.accept",
    # the sender's event is its own record
    "ingest/routes.py: self._queue.accept",
}


def acting_methods() -> dict[str, set[str]]:
    """The methods of the ports that take an act, by the name of the attribute that has the port."""
    places = {
        "keys": Keys,
        "lanes": Lanes,
        "registry": Registry,
        "journal": BrokeredJournal,
        "queue": Queue,
        "broker": Queue,
    }
    found = {}
    for name, port in places.items():
        methods = {*vars(port), *vars(Journal if name == "journal" else port)}
        found[name] = {
            method
            for method in methods
            if "act" in getattr(getattr(port, method), "__annotations__", {})
        }
    found["broker"].add("requeue")
    return found


def test_whoever_acts_says_so() -> None:
    methods = acting_methods()
    assert methods["registry"] == {"register", "register_many", "forget", "erase"}
    assert methods["lanes"] == {"hold", "resume", "release"}
    silent = set()
    for room in ROOMS:
        for file in sorted((GATEWAY / room).rglob("*.py")):
            for call in ast.walk(ast.parse(file.read_text())):
                if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
                    continue
                receiver = ast.unparse(call.func.value)
                port = receiver.rpartition(".")[2].lstrip("_")
                says = any(keyword.arg == "act" for keyword in call.keywords)
                if call.func.attr in methods.get(port, ()) and not says:
                    silent.add(f"{file.relative_to(GATEWAY)}: {receiver}.{call.func.attr}")
    assert silent == NOBODYS


def test_the_runbook_explains_every_act() -> None:
    text = (GATEWAY.parent / "deploy/docs/operations.md").read_text()
    assert [what for what in ACTS if f"`{what}`" not in text] == []


# --- retention --------------------------------------------------------------------------------


async def test_rows_are_kept_for_as_long_as_it_is_set(rig: RelayRig) -> None:
    settings = rig.settings(retention={"audit_days": 3}, relay={"retention_days": 1})
    async with rig.gateway(settings, Pace(purge_s=0.02)) as running:
        audit, at = running.stores.audit, rig.clock()
        await audit.note(ALICE.does("lanes.pause", "agent/fcm", at=at))
        await audit.note(ALICE.does("devices.register", "phone", at=at, routine=True))

        async def left() -> list[str]:
            return [row.what for row in await audit.page(limit=10)]

        async def only_the_pause() -> bool:
            return await left() == ["lanes.pause"]

        async def nothing() -> bool:
            return await left() == []

        rig.clock.ahead_s += 1.5 * DAY_S
        await eventually("what is done all day goes with the journal", only_the_pause)
        rig.clock.ahead_s += 2 * DAY_S
        await eventually("a person's act goes in its time", nothing)
