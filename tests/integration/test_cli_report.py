"""`inkpush report`: some whole days as text, as one HTML file, and as JSON."""

from __future__ import annotations

import asyncio
import re
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli.root import inkpush
from gateway.core.effect_way import Cell, Counted, Sums
from gateway.core.learnt import Learnt
from gateway.core.model import Event
from gateway.ports.effect import Mark, Phones
from gateway.store.sqlite import open_sqlite
from tests.kit.build import NOW
from tests.kit.commands import Done, Workplace
from tests.kit.stores import BACKENDS

DAY = 86_400.0
ANDROID = Cell("agent", "android", "learnink")
IOS = Cell("agent", "ios", "learnink")
NOWHERE = Cell("", "", "learnink")
COUNTED = Counted(
    {ANDROID: Sums(400, 360, 300, 180, 60), IOS: Sums(7, 7, 7, 7, 7), NOWHERE: Sums(60)},
    {(ANDROID, "expired"): 40, (NOWHERE, "no_device"): 60},
)
PHONES = [
    Phones("agent", "android", 4, 1, 500, 150, 20),
    Phones("agent", "ios", 1, 0, 12, 12, 0),
]


async def count(path: Path, days: int, newest: Counted = COUNTED) -> None:
    """Count so many days, the last of which ended a day ago."""
    store = await open_sqlite(path)
    tonight = time.time() // DAY * DAY
    for day in range(days):
        begins = tonight - (days + 1 - day) * DAY
        mark = Mark(begins, begins + DAY, begins + 2 * DAY, settled=True)
        await store.effects.keep(mark, {"": newest if day == days - 1 else COUNTED}, PHONES)
    await store.aclose()


class Here(Workplace):
    """Commands that run in this process: the command as a process of its own is known elsewhere."""

    def run(self, *arguments: str, given: str | bytes = "") -> Done:
        config = str(self.folder / "inkpush.toml")
        done = CliRunner().invoke(inkpush, [*arguments, "--config", config], input=given)
        return Done(done.exit_code, done.stdout, done.stderr)


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    return Here.make(tmp_path)


@pytest.fixture
def counted(place: Workplace) -> Workplace:
    asyncio.run(count(place.folder / "inkpush.db", 10))
    return place


def test_seven_whole_days_are_told_and_no_small_number(counted: Workplace) -> None:
    done = counted.run("report")
    assert (done.status, done.err) == (0, "")
    lines = done.out.splitlines()
    assert (
        "For 3 269 people, each counted once a day: the vendor took 79 in 100; of 2 149 whose"
        in (lines[2])
    )
    assert "agent on other phones, 2 849 people: the vendor took 90 in 100" in lines[3]
    assert "no phone, 420 people: the vendor took 0 in 100." in done.out
    assert "To mend first" in done.out
    assert "Of 100 phones of agent on Android, 30 show nothing." in done.out


def test_json_has_the_same_figures_and_names_the_days(counted: Workplace) -> None:
    found = counted.run("report", "--since", "3d", "--json").json
    assert (found["days"], found["zone"], found["settled"]) == (3, "UTC", True)
    (agent, nowhere) = found["cells"]
    assert agent == {
        "app": "agent",
        "platform": "other",
        "people": 1221,
        "taken": 1101,
        "taken_of_100": 90,
        "phones_that_can_tell": 920,
        "shown_of_100": 61,
        "opened_of_100": 22,
    }
    assert (nowhere["app"], nowhere["people"]) == ("", 180)
    assert [(one["reason"], one["people"]) for one in found["reasons"]] == [
        ("no_device", 180),
        ("expired", 120),
    ]
    ios = found["phones"][1]
    assert (ios["active"], ios["muted"], ios["muted_of_100"], ios["lost"]) == (None, None, None, 0)


class Foreign(HTMLParser):
    """What a page would load, and whether its elements are closed."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loads += [name for name, _ in attrs if name in {"src", "href", "action"}]
        self.loads += [tag] * (tag in {"script", "link", "img", "iframe"})
        if tag not in {"meta", "p"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag != "p":
            assert self.open.pop() == tag


def test_the_page_is_one_file_that_loads_nothing(counted: Workplace) -> None:
    done = counted.run("report", "--html", str(counted.folder / "week.html"))
    assert (done.status, done.out) == (0, "")
    page = (counted.folder / "week.html").read_text()
    parser = Foreign()
    parser.feed(page)
    assert (parser.loads, parser.open) == ([], [])
    assert "http" not in page
    assert "url(" not in page
    text = re.sub(r"<[^>]*>", " ", page)
    assert "agent on other phones" in text
    assert counted.run("report", "--html", "-").out.startswith("<!doctype html>")


def test_what_a_vendor_wrote_is_no_html(place: Workplace) -> None:
    angry = Counted({ANDROID: Sums(60, 20)}, {(ANDROID, "refused <b>&"): 40})
    asyncio.run(count(place.folder / "inkpush.db", 1, angry))
    page = place.run("report", "--html", "-").out
    assert "<b>" not in page
    assert "(&lt;b&gt;&amp;)" in page


def test_before_anything_is_counted_it_says_so(place: Workplace) -> None:
    done = place.run("report")
    assert done.status == 0
    assert done.out.startswith("Nothing is counted yet")
    assert place.run("report", "--json").json["days"] == 0
    assert "Nothing is counted yet" in place.run("report", "--html", "-").out


def test_days_with_few_people_are_told_without_a_number(place: Workplace) -> None:
    few = Counted({ANDROID: Sums(19, 19)}, {})
    asyncio.run(count(place.folder / "inkpush.db", 1, few))
    out = place.run("report").out
    assert "On none of these days were there 20 people or more" in out
    assert "19" not in out.partition("\n")[2]
    assert place.run("report", "--json").json["people"]["people"] == 0


def test_a_lane_that_stands_still_is_to_be_mended_first(counted: Workplace) -> None:
    assert counted.run("lanes", "pause", "agent/fcm", "--reason", "a new key").status == 0
    mend = counted.run("report", "--json").json["mend"]
    assert mend[0]["what"] == "agent/fcm is paused: a new key."


async def learn(folder: Path, events: int) -> str:
    """Have so many learning events in the chain; returns its head."""
    async with BACKENDS["sqlite"].open(folder, lambda: NOW) as handle:
        for number in range(events):
            event = Event(
                f"msg_{number}",
                "user.course.completed",
                "ignored",
                NOW,
                body=b"{}",
                learnt=Learnt("mary", None, "7", salt=bytes(32)),
            )
            await handle.queue.accept(event, ())
        await handle.store.learning.chain(now=NOW + 600, limit=1000, salt=lambda: bytes(32))
        return (await handle.store.learning.head()).head.hex()


def test_learning_events_are_told_by_type_with_the_head_of_their_chain(place: Workplace) -> None:
    head = asyncio.run(learn(place.folder, 23))
    found = place.run("report", "--json").json["learning"]
    assert found == {
        "types": [{"type": "user.course.completed", "events": 25, "last_on": "2027-01-15"}],
        "number": 23,
        "head": head,
    }
    for told in (place.run("report").out, place.run("report", "--html", "-").out):
        assert head in told
        assert "user.course.completed" in told


def test_a_type_of_which_few_came_has_no_number(place: Workplace) -> None:
    asyncio.run(learn(place.folder, 3))
    assert place.run("report", "--json").json["learning"]["types"][0]["events"] is None
    assert "fewer than 20  user.course.completed" in place.run("report").out
