"""What the sandbox remembers."""

from __future__ import annotations

from providers.sandbox.phonebook import PhoneChange
from providers.sandbox.received import Draft
from providers.sandbox.record import Record
from providers.sandbox.settings import Settings


def arrive(
    record: Record,
    *,
    address: str = "phone",
    collapse_id: str = "",
    delivery_id: str = "",
    title: str = "Hi",
    status: int = 200,
    reason: str = "",
    word: str | None = None,
) -> None:
    data = {} if word is None else {"for": word}
    draft = Draft("apns", address=address, collapse_id=collapse_id, title=title, data=data)
    draft.delivery_id = delivery_id
    draft.raw = {"aps": {"alert": title}}
    record.add(draft, status=status, reason=reason, accepted=status == 200, at=1.0)


def log_in(record: Record, words: list[str]) -> None:
    """The app is open, so that it sees each push first."""
    record.change_phone("phone", PhoneChange(words=words, app="open"), 1.0)


def titles(record: Record, address: str = "phone") -> list[str]:
    return [push.title for push in record.phone(address)]


def test_a_repeat_replaces_itself_on_the_phone() -> None:
    record = Record(Settings())
    arrive(record, collapse_id="a", title="first")
    arrive(record, collapse_id="b", title="second")
    arrive(record, collapse_id="a", title="first again")
    assert titles(record) == ["second", "first again"]


def test_pushes_without_a_collapse_id_pile_up() -> None:
    record = Record(Settings())
    arrive(record, title="one")
    arrive(record, title="two")
    assert titles(record) == ["one", "two"]


def test_a_phone_drops_what_is_for_nobody_who_is_logged_in_on_it() -> None:
    record = Record(Settings())
    arrive(record, title="before anybody logged in", word="anybody's")
    log_in(record, ["mary-1", "mary-2"])
    for word in ("mary-1", "mary-2", "bob-1", None):
        arrive(record, title=str(word), word=word)
    log_in(record, ["bob-1"])
    for word in ("mary-1", "bob-1"):
        arrive(record, title=f"later: {word}", word=word)
    log_in(record, [])
    arrive(record, title="nobody is logged in", word="bob-1")
    arrive(record, title="another phone", address="other", word="mary-1")
    assert titles(record) == ["before anybody logged in", "mary-1", "mary-2", "later: bob-1"]
    assert titles(record, "other") == ["another phone"]
    figures = record.figures()
    assert (figures["accepted"], figures["dropped"]) == (9, 4)


def test_a_phone_never_sees_what_was_refused() -> None:
    record = Record(Settings())
    arrive(record, status=410, reason="Unregistered")
    assert titles(record) == []
    assert record.figures()["by_reason"]["apns"] == {"Unregistered": 1}


def test_repeats_are_counted_by_delivery() -> None:
    record = Record(Settings())
    for delivery in ("a", "b", "a", "a", "c", "c"):
        arrive(record, delivery_id=delivery)
    arrive(record, delivery_id="d", status=500)
    arrive(record, delivery_id="d", status=500)
    figures = record.figures()
    assert (figures["repeated"], figures["largest_repeat"]) == (2, 3)


def test_a_reader_goes_on_where_it_stopped() -> None:
    record = Record(Settings())
    for _ in range(5):
        arrive(record)
    assert [push.seq for push in record.since(0, 2)] == [1, 2]
    assert [push.seq for push in record.since(2, 9)] == [3, 4, 5]
    assert record.since(5, 9) == []


def test_a_cap_keeps_the_newest_and_the_figures() -> None:
    record = Record(Settings(push_cap=10))
    for _ in range(105):
        arrive(record)
    assert 10 <= len(record.pushes) < 20
    assert record.pushes[-1].seq == 105
    assert record.since(0, 1)[0].seq == record.pushes[0].seq
    assert record.figures()["requests"] == 105


def test_after_clearing_the_numbers_go_on() -> None:
    record = Record(Settings())
    arrive(record, delivery_id="a")
    record.clear()
    assert record.figures()["requests"] == record.figures()["largest_repeat"] == 0
    assert titles(record) == []
    arrive(record)
    assert [push.seq for push in record.since(0, 9)] == [2]


def test_a_push_shows_no_address_and_no_text_in_its_repr() -> None:
    record = Record(Settings())
    arrive(record, address="secret-address", title="secret-title")
    assert "secret" not in repr(record.pushes)
