"""The command line about one person: why, all that is held of them, erase."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from gateway.app.settings import load
from gateway.app.storage import open_store
from gateway.cli.why import laid_out
from tests.kit.commands import Workplace
from tests.kit.forty import everybody
from tests.kit.stores import Handle


@pytest.fixture
async def place(tmp_path: Path) -> Workplace:
    """A store with forty people."""
    made = Workplace.make(tmp_path)
    async with open_store(load(made.folder / "inkpush.toml", {})) as stores:
        await everybody(Handle(stores.store, stores.queue))
    return made


async def acts(place: Workplace) -> set[tuple[str, str]]:
    """What the audit table has of what was read and exported."""
    async with open_store(load(place.folder / "inkpush.toml", {})) as stores:
        rows = await stores.audit.page(limit=100, what="users.")
        return {(row.what, row.reason) for row in rows}


def test_why_is_one_sentence_then_the_chain_at_80_columns(place: Workplace) -> None:
    done = place.run("why", "refused")
    assert done.status == 0
    lines = done.out.splitlines()
    assert lines[0].startswith("Google refused it for good")
    assert max(map(len, lines)) <= 80
    assert "msg_refused, notification 0 (times are UTC)" in lines
    assert any("tried" in one and "Google" in one for one in lines)
    told = place.run("why", "opened", "--json").json
    assert (told["code"], told["complete"], told["event_id"]) == ("opened", True, "msg_opened")


def test_why_of_another_event_and_of_one_that_is_not_theirs(place: Workplace) -> None:
    done = place.run("why", "queued_behind_an_older_one", "--json")
    assert done.json["code"] == "queue"
    older = "msg_queued_behind_an_older_one"
    done = place.run("why", "queued_behind_an_older_one", "--event", older, "--json")
    assert done.json["event_id"] == older
    done = place.run("why", "refused", "--event", older)
    assert (done.status, older in done.err) == (1, True)
    assert place.run("why").status == 2


async def test_who_reads_a_persons_times_is_in_the_audit_table(place: Workplace) -> None:
    place.run("why", "refused")
    place.run("deliveries", "show", "--user", "refused")
    assert await acts(place) == set()
    place.run("why", "opened")
    place.run("deliveries", "show", "--user", "shown")
    assert await acts(place) == {("users.read", "")}


def test_deliveries_tell_what_waits_in_the_queue(place: Workplace) -> None:
    shown = place.run("deliveries", "show", "--user", "queued", "--json").json
    assert (shown["complete"], shown["waiting"]) == (True, None)
    (one,) = shown["deliveries"]
    assert (one["event_id"], one["state"], one["device_id"]) == ("msg_queued", "pending", None)
    assert "No delivery" not in place.run("deliveries", "show", "--user", "queued").err


async def test_an_export_has_all_that_is_held_and_a_row_of_the_audit_table(
    place: Workplace, tmp_path: Path
) -> None:
    file = tmp_path / "mary.json"
    done = place.run("users", "export", "opened", str(file), "--reason", "she asked")
    assert (done.status, done.out) == (0, "")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    held = json.loads(file.read_text())
    assert held["complete"]
    assert held["devices"][0]["address"] == "address-opened"
    assert held["deliveries"][0]["opened_at"]
    assert held["events"][0]["parts"][0]["value"]["title"] == "Hi"
    assert [one["what"] for one in held["audit"]] == ["users.export"]
    assert json.loads(place.run("users", "export", "--user", "opened").out)["devices"]
    assert ("users.export", "she asked") in await acts(place)


def test_one_user_is_named_once(place: Workplace) -> None:
    for command in ("export", "erase"):
        assert place.run("users", command).status == 2
        assert place.run("users", command, "opened", "--user", "opened").status == 2


def test_a_user_is_erased_by_the_argument_as_by_the_option(place: Workplace) -> None:
    for words in (("opened",), ("--user", "shown")):
        done = place.run("users", "erase", *words, "--yes", "--wait", "--json")
        assert done.json == {"forgotten": 1, "state": "done"}
    assert place.run("why", "opened", "--json").json["code"] == "erased"
    assert json.loads(place.run("users", "export", "shown").out)["deliveries"] == []


ANSWER: dict[str, Any] = {
    "verdict": "word " * 60,
    "event_id": "msg_" + "x" * 90,
    "index": None,
    "chain": [
        {"link": "received", "at": None, "text": "t " * 90, "installation_id": None},
        {"link": "taken", "at": "2027-01-15T08:00:00.000Z", "text": "t", "installation_id": "p"},
        {"link": "opened", "at": "2027-01-15", "text": "t", "installation_id": "p"},
    ],
    "in_the_way": [{"text": "in " * 50}],
    "next": ["do " * 50],
    "complete": False,
    "waiting": {"notifications": 5, "events": None, "since": None},
}


@pytest.mark.parametrize("width", [40, 80, 100])
def test_no_line_is_longer_but_for_an_id_and_no_id_is_broken(width: int) -> None:
    lines = list(laid_out(ANSWER, width))
    assert ANSWER["event_id"] in lines
    assert max(len(one) for one in lines if one != ANSWER["event_id"]) <= width
    assert lines.count("  on p:") == 1
    assert "5 notifications wait" in lines[-1] or width == 40
