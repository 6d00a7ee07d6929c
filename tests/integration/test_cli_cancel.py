"""`inkpush events cancel`, as a person uses it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from gateway.app.settings import load
from gateway.app.storage import open_store
from gateway.cli.running import run
from gateway.core.cancelling import read
from gateway.core.model import Event, Record
from gateway.core.states import DeliveryState
from tests.kit.commands import Workplace


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workplace:
    """A store with an event of three notifications, of which one was taken, and one of none."""
    made = Workplace.make(tmp_path)
    monkeypatch.chdir(tmp_path)
    asyncio.run(_fill(made))
    return made


async def _fill(place: Workplace) -> None:
    async with open_store(load(place.folder / "inkpush.toml", {})) as stores:
        now = stores.clocks.wall()
        event = Event("msg_1", "notifications.sent", "accepted", now, notifications=3)
        await stores.queue.accept(event, [])
        taken = Record("msg_1", 0, 1, DeliveryState.DELIVERED, 1, now)
        await stores.journal.record([taken], [])
        bad = Event("msg_bad", "", "quarantined", now, reason="?", body=b"{}")
        await stores.queue.accept(bad, [])
        old = Event("msg_old", "notifications.sent", "accepted", 1000.0, notifications=1)
        await stores.queue.accept(old, [])


async def _replacement(place: Workplace) -> dict[str, str | None]:
    async with open_store(load(place.folder / "inkpush.toml", {})) as stores:
        found = await stores.store.cancels.of("msg_1")
        assert found is not None
        assert found.replacement is not None
        return read(found.replacement)


def cancel(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    capsys.readouterr()
    status = run(["events", "cancel", *arguments, "--json"])
    told = capsys.readouterr()
    return status, json.loads(told.out) if told.out else told.err


def shown(capsys: pytest.CaptureFixture[str], event_id: str) -> dict[str, Any]:
    assert run(["events", "show", event_id, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_it_says_how_many_and_says_the_same_again(
    place: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    status, tried = cancel(capsys, "msg_1", "--dry-run")
    assert (status, tried.pop("dry_run")) == (0, True)
    assert shown(capsys, "msg_1")["cancelled_at"] is None
    status, done = cancel(capsys, "msg_1")
    assert (status, done) == (0, tried)
    assert (done["cancelled"], done["taken"], done["replaced_by"]) == (2, 1, None)
    assert done["may_still_appear_until"]
    assert cancel(capsys, "msg_1") == (0, done)
    assert shown(capsys, "msg_1")["cancelled_at"]


@pytest.mark.parametrize(
    ("given", "texts"),
    [
        (("--replace-title", "New"), {"title": "New"}),
        (("--replace-body", "New", "--replace-path", ""), {"body": "New", "path": None}),
        (("--replace", "right.json"), {"title": "A", "body": "B", "path": None}),
    ],
)
def test_a_correction_is_taken_from_options_or_a_file(
    place: Workplace,
    capsys: pytest.CaptureFixture[str],
    given: tuple[str, ...],
    texts: dict[str, str | None],
) -> None:
    (place.folder / "right.json").write_text('{"title": "A", "body": "B", "path": null}')
    status, done = cancel(capsys, "msg_1", *given)
    assert (status, done["replaced_by"]) == (0, "msg_1:r1")
    assert asyncio.run(_replacement(place)) == texts
    # it waits for the end of what it corrects, and can be looked at
    waits = shown(capsys, "msg_1:r1")
    assert (waits["status"], waits["settled"]) == ("accepting", False)
    assert shown(capsys, "msg_1")["replaced_by"] == "msg_1:r1"
    status, told = cancel(capsys, "msg_1", "--replace-title", "Another")
    assert status == 1
    assert "another correction" in told


@pytest.mark.parametrize(
    ("given", "status", "says"),
    [
        (("msg_9",), 1, "there is no event msg_9"),
        (("msg_1", "--replace-title", "", "--replace-body", ""), 2, "both empty"),
        (("msg_1", "--replace-path", "learning"), 2, "replace.path"),
        (("msg_1", "--replace", "bad.json"), 1, "not JSON"),
        (("msg_1", "--replace", "list.json"), 1, "not a JSON object"),
        (("msg_1", "--replace", "other.json"), 2, "replace.color is not known"),
        (("msg_1", "--replace", "other.json", "--replace-title", "x"), 2, "not both"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_done(
    place: Workplace,
    capsys: pytest.CaptureFixture[str],
    given: tuple[str, ...],
    status: int,
    says: str,
) -> None:
    (place.folder / "bad.json").write_text("{")
    (place.folder / "list.json").write_text("[]")
    (place.folder / "other.json").write_text('{"color": "red"}')
    assert cancel(capsys, *given)[0] == status
    capsys.readouterr()
    run(["events", "cancel", *given])
    assert says in " ".join(capsys.readouterr().err.split())
    assert shown(capsys, "msg_1")["cancelled_at"] is None


def test_what_cannot_be_corrected_any_more_is_cancelled(
    place: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    status, done = cancel(capsys, "msg_old", "--replace-title", "New")
    assert (status, done["replaced_by"]) == (1, None)
    assert done["reason"].startswith("no life is left")


def test_a_quarantined_event_is_not_read_again(
    place: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    status, done = cancel(capsys, "msg_bad")
    assert (status, done["cancelled"], done["taken"]) == (0, 0, 0)
    assert "not replayed" in done["reason"] or "not be replayed" in done["reason"]
    assert run(["events", "replay", "msg_bad", "--json"]) == 1
    (row,) = json.loads(capsys.readouterr().out)["events"]
    assert row["result"] == "cancelled"
