"""`inkpush hooks`, and what other commands do with hooks, as a person uses them."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from gateway.app.settings import load
from gateway.app.storage import open_store
from gateway.cli.running import run
from gateway.core.hooks import Happened
from gateway.core.model import Event, Record
from gateway.core.states import DeliveryState
from gateway.ports import HookFailure
from tests.kit.commands import Workplace
from tests.kit.receiver import SECRET, Received, Receiver, receiving, says

_HOOKS = """
[[hooks]]
id = "crm"
url = "http://127.0.0.1:{port}/in?key=a-secret-of-the-url"
secret_file = "crm.txt"
events = ["learnink.*", "delivery.settled"]
max_age_s = 60
allow_private = true
[[hooks]]
id = "sheet"
url = "https://sheet.example.com/in"
secrets = ["{secret}"]
events = ["device.*"]
"""


def configure(place: Workplace, port: int = 9) -> None:
    (place.folder / "crm.txt").write_text(f"{SECRET}\n")
    file = place.folder / "inkpush.toml"
    file.write_text(file.read_text() + _HOOKS.format(port=port, secret=SECRET))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workplace:
    """A store with two hooks; three events wait for one of them, and one is dead."""
    made = Workplace.make(tmp_path)
    monkeypatch.chdir(tmp_path)
    configure(made)
    asyncio.run(_fill(made))
    return made


async def _fill(place: Workplace) -> None:
    async with open_store(load(place.folder / "inkpush.toml", {})) as stores:
        now, hooks = stores.clocks.wall(), stores.store.hooks
        kind = "learnink.user.joined"
        await hooks.write([Happened(kind, now - 100.0, ("old",), "mary", None, {})])
        await hooks.trim("crm", now=now)
        await stores.queue.accept(Event("msg_1", "notifications.sent", "accepted", now), [])
        record = Record("msg_1", 0, 1, DeliveryState.DELIVERED, 1, now, "mary")
        await stores.journal.record([record], [])
        await hooks.write([Happened(kind, now, ("new",), "mary", None, {})])


async def _gone(place: Workplace) -> None:
    async with open_store(load(place.folder / "inkpush.toml", {})) as stores:
        now, hooks = stores.clocks.wall(), stores.store.hooks
        batch = await hooks.take("crm", "me", now=now, until=now + 1, name="msg_a", busy=())
        assert batch is not None
        failure = HookFailure("it answered 410", now, now + 9.0, is_gone=True)
        await hooks.failed(batch, failure)


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    capsys.readouterr()
    status = run([*arguments, "--json"])
    found = capsys.readouterr()
    return status, json.loads(found.out.splitlines()[-1]) if found.out else found.err


@contextmanager
def beside(status: int = 204) -> Iterator[Receiver]:
    """A receiver in a thread of its own: a command has the main thread's loop."""
    started, end = threading.Event(), asyncio.Event()
    running: list[Any] = []

    async def serve() -> None:
        def answer(_received: Received) -> web.StreamResponse:
            return web.Response(status=status)

        async with receiving(answer=answer if status == 204 else says(status)) as receiver:
            running.extend([receiver, asyncio.get_running_loop()])
            started.set()
            await end.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    started.wait()
    receiver, loop = running
    try:
        yield receiver
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join()


@pytest.mark.usefixtures("place")
def test_hooks_are_listed_with_what_waits_and_without_their_paths(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status, found = told(capsys, "hooks", "list")
    assert status == 0
    crm, sheet = found["hooks"]
    assert (crm["hook"], crm["state"], crm["waiting"], crm["dead"]) == ("crm", "open", 2, 1)
    assert (sheet["host"], sheet["waiting"]) == ("sheet.example.com", 0)
    assert "a-secret-of-the-url" not in json.dumps(found)
    assert run(["hooks", "list"]) == 0
    assert run(["config", "show"]) == 0
    out = capsys.readouterr().out
    assert "a-secret-of-the-url" not in out
    assert SECRET not in out


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("group", ["hooks", "lanes"])
def test_a_hook_is_paused_and_resumed(capsys: pytest.CaptureFixture[str], group: str) -> None:
    name = "crm" if group == "hooks" else "hook/crm"
    paused = told(capsys, group, "pause", name, "--reason", "it moves")
    assert paused == (0, {"held": ["hook/crm"]})
    _, lanes = told(capsys, "lanes", "list")
    (row,) = [one for one in lanes["lanes"] if (one["app"], one["provider"]) == ("hook", "crm")]
    assert (row["state"], row["reason"], row["waiting"]) == ("paused", "it moves", 2)
    assert told(capsys, group, "resume", name) == (0, {"resumed": ["hook/crm"]})
    assert told(capsys, group, "resume", name)[0] == 1
    _, acts = told(capsys, "audit")
    assert {one["what"] for one in acts["audit"]} == {"hooks.pause", "hooks.resume"}


def test_a_hook_that_answered_410_goes_on_when_a_person_says_so(
    place: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(_gone(place))
    _, found = told(capsys, "hooks", "list")
    assert (found["hooks"][0]["state"], found["hooks"][0]["reason"]) == ("held", "it answered 410")
    assert told(capsys, "hooks", "resume") == (0, {"resumed": ["hook/crm"]})


@pytest.mark.usefixtures("place")
def test_a_hooks_dead_letters_are_listed_replayed_and_dropped(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, found = told(capsys, "dead", "list", "--hook", "crm")
    (letter,) = found["dead"]
    assert (letter["events"], letter["types"]) == (1, ["learnink.user.joined"])
    assert letter["reason"] == "too old"
    number = str(letter["id"])
    assert told(capsys, "dead", "replay", number, "--hook", "hook/crm") == (0, {"replayed": 1})
    assert told(capsys, "dead", "drop", "--all", "--hook", "crm", "--yes") == (0, {"dropped": 0})
    assert told(capsys, "dead", "list", "--hook", "sheet")[1] == {"dead": []}
    assert run(["dead", "list", "--hook", "crm"]) == 0


@pytest.mark.usefixtures("place")
def test_replay_has_the_journal_and_the_dead_letters_posted_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status, found = told(capsys, "hooks", "replay", "crm", "--since", "1h")
    assert (status, found) == (0, {"replayed": 2})
    _, listed = told(capsys, "hooks", "list")
    assert (listed["hooks"][0]["waiting"], listed["hooks"][0]["dead"]) == (4, 0)


@pytest.mark.parametrize(("answer", "status"), [(204, 0), (500, 1)])
def test_a_test_event_is_posted_at_once(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    answer: int,
    status: int,
) -> None:
    place = Workplace.make(tmp_path)
    monkeypatch.chdir(tmp_path)
    with beside(answer) as receiver:
        configure(place, receiver.port)
        found = told(capsys, "hooks", "test", "crm")
    assert found[0] == status
    assert found[1]["outcome"] == ("taken" if status == 0 else "failed")
    (received,) = receiver.seen
    assert [one["type"] for one in received.events] == ["hook.test"]


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    "arguments",
    [
        ("hooks", "pause"),
        ("hooks", "pause", "nobody"),
        ("hooks", "test", "nobody"),
        ("hooks", "replay", "nobody", "--since", "1h"),
        ("hooks", "replay", "crm"),
        ("lanes", "pause", "hook/nobody"),
    ],
)
def test_wrong_use_is_told(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
    assert told(capsys, *arguments)[0] == 2
